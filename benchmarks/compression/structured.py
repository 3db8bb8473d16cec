"""Filters pruned by every criterion, with one procedure for all."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator

from benchmarks.compression.bench import Bench, Row
from benchmarks.compression.floats import RECIPES
from compiler.stages import ScoredModel
from hw_targets.errors import LiftFlowError
from passes._distill import Distillation
from passes._graph import accuracy
from passes._norms import fit_with_norms
from passes._training import Schedule
from passes.criteria import CRITERIA
from passes.prune_filters import PruneFilters

LEVELS = (0.3, 0.5, 0.7)
STEP = 0.1
"""Share of the multiply-accumulates that one round of attribution and removal takes."""

METHODS = tuple(CRITERIA)


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """One row a level: accuracy before and, if asked for, after fine-tuning."""
    try:
        model = bench.attributed(method, seed)
    except LiftFlowError as error:
        # A criterion that does not apply to this network is listed as such.
        yield {"level": None, "refused": str(error)}
        return
    gone = 0.0
    for level in bench.levels(LEVELS):
        share = (level - gone) / (1 - gone)
        prune = PruneFilters(macs=share, steps=math.ceil((level - gone) / STEP - 1e-9), divisor=1)
        started = time.perf_counter()
        with bench.context(seed) as ctx:
            model = prune.run(model, ctx)
        gone = level
        seconds = time.perf_counter() - started
        row: Row = {"level": level, "before": model.accuracy, "seconds": round(seconds, 1)}
        if bench.settings.tuned:
            row["after"] = tuned(bench, model, seed)
        yield row


def tuned(bench: Bench, model: ScoredModel, seed: int) -> float:
    """Accuracy after fine-tuning a copy, norms put back meanwhile; the same schedule for all.

    As `finetune` does it, half the loss distillation; without that, so few steps cost accuracy.
    """
    recipe = RECIPES[bench.name].schedule
    schedule = Schedule(
        bench.settings.tuned,
        lr=0.01,
        shift=recipe.shift,
        mirror=recipe.mirror,
        clip=5.0,
        distillation=Distillation(0.5),
        precision=bench.settings.precision,
    )
    module = copy.deepcopy(model.module)
    fit_with_norms(
        module,
        model.norms,
        bench.samples(seed),
        bench.data,
        schedule,
        seed,
        teacher=copy.deepcopy(model.reference),
    )
    return accuracy(module, bench.data.test_x, bench.data.test_y)
