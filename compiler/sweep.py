"""Many compilations of one network: boards, frame rates, seeds and options, each with each."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError

SWEEP = "sweep.json"


@dataclass(frozen=True)
class Job:
    """One compilation of a sweep; None leaves what the configuration says.

    options: pass -> option -> value.
    """

    board: str | None = None
    fps: float | None = None
    seed: int | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it differs in from others, fit for a folder's name."""
        parts = [] if self.board is None else [Path(self.board).stem]
        parts += [f"fps{self.fps:g}"] if self.fps is not None else []
        parts += [f"seed{self.seed}"] if self.seed is not None else []
        parts += [f"{o}{v}" for chosen in self.options.values() for o, v in chosen.items()]
        return re.sub(r"[^A-Za-z0-9.+-]+", "_", "-".join(parts)) or "plain"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the figures of its report, or why there is none.

    folder: of the run; None where there is none.
    """

    job: Job
    folder: Path | None
    seconds: float
    figures: dict[str, float | None] = field(default_factory=dict)
    error: str = ""


def grid(
    boards: Sequence[str],
    rates: Sequence[float],
    seeds: Sequence[int],
    varied: Mapping[str, Mapping[str, Any]],
) -> list[Job]:
    """Every board with every rate, seed and value; an empty list leaves the configuration's own.

    Args:
        varied: pass -> option -> list of values.

    Raises:
        LiftFlowError: an option has no list of values, or two jobs would share a folder.
    """
    names = [(name, option) for name, chosen in varied.items() for option in chosen]
    values = [varied[name][option] for name, option in names]
    for (name, option), listed in zip(names, values, strict=True):
        if not isinstance(listed, list) or not listed:
            raise LiftFlowError(
                f"{name}.{option} = {listed!r} is no list of values",
                where="--vary",
                mend="write PASS.OPTION=[VALUE, VALUE], as in prune-filters.macs=[0.4, 0.6]",
            )
    jobs = []
    own: list[None] = [None]
    for board, rate, seed, *chosen in product(boards or own, rates or own, seeds or own, *values):
        options: dict[str, dict[str, Any]] = {}
        for (name, option), value in zip(names, chosen, strict=True):
            options.setdefault(name, {})[option] = value
        jobs.append(Job(board, rate, seed, options))
    if len({job.label for job in jobs}) < len(jobs):
        raise LiftFlowError(
            "two compilations would be the same", where="sweep", mend="name every value once"
        )
    return jobs


def compile_job(config: Path, job: Job, output: Path, until: str | None) -> Outcome:
    """Compile a job in a folder of its own below `output`; done before, it is only read.

    What a user must mend is told in the outcome; anything else is raised, and worth another try.
    """
    from compiler import report
    from compiler.api import compile_model
    from compiler.commands.compare import figures
    from compiler.config import load_config

    began = time.monotonic()
    try:
        read = load_config(config)
        goals = read.goals.model_copy(update={} if job.fps is None else {"fps": job.fps})
        result = compile_model(
            read,
            board=job.board,
            goals=goals,
            options=job.options,
            until=until,
            output=output / job.label,
            seed=job.seed,
        )
    except LiftFlowError as error:
        return Outcome(job, None, time.monotonic() - began, error=str(error))
    found = figures(report.load(result.folder))
    return Outcome(job, result.folder, time.monotonic() - began, found)
