"""Single weights pruned by every criterion, with one procedure for all, and as shipped."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.compression.bench import Bench, Row
from passes.prune_weights import PruneWeights

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95)

METHODS = (
    "magnitude",
    "magnitude, layer by layer",
    "taylor",
    "wanda, row by row",
    "hessian",
    "deeplift",
    "random",
)
"""Criterion, and the scope where it is not the whole network. Wanda ranks within a row."""


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """Two rows a level: weights left as they were, and reconstructed; both restored."""
    name, _, apart = method.partition(", ")
    scope = apart.split(" ")[0] or "network"
    model = bench.attributed({"magnitude": "l1"}.get(name, name), seed)
    for level in bench.levels(LEVELS):
        row: Row = {"level": level}
        for variant, reconstruct in (("plain", False), ("reconstructed", True)):
            started = time.perf_counter()
            prune = PruneWeights(
                sparsity=level,
                scope=scope,
                reconstruct=reconstruct,
            )
            with bench.context(seed) as ctx:
                row[variant] = prune.run(model, ctx).accuracy
            row[f"seconds {variant}"] = round(time.perf_counter() - started, 1)
        yield row
