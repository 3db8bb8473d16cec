"""Single weights pruned by every criterion, with one procedure for all, and as shipped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.compression.bench import Bench, Row
from hw_targets.errors import LiftFlowError
from passes.prune_weights import PruneWeights

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)

PROCEDURES: dict[str, tuple[str, dict[str, Any]]] = {
    "magnitude": ("l1", {}),
    "magnitude, layer by layer": ("l1", {"scope": "layer"}),
    "taylor": ("taylor", {}),
    "wanda, row by row": ("wanda", {"scope": "row"}),
    "hessian": ("hessian", {}),
    "deeplift": ("deeplift", {}),
    "deeplift, errors alike": ("deeplift", {"guided": 0.0}),
    "random": ("random", {}),
}
"""Method -> criterion and options other than the pass's own. Wanda ranks within a row.

"deeplift" is as shipped: where weights are chosen anew, it says what errors count, too.
"""

METHODS = tuple(PROCEDURES)


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """Two rows a level: weights left as they were, and reconstructed; both restored."""
    criterion, options = PROCEDURES[method]
    model = bench.attributed(criterion, seed)
    for level in bench.levels(LEVELS):
        row: Row = {"level": level}
        for variant, reconstruct in (("plain", False), ("reconstructed", True)):
            started = time.perf_counter()
            prune = PruneWeights(sparsity=level, reconstruct=reconstruct, **options)
            try:
                with bench.context(seed) as ctx:
                    row[variant] = prune.run(model, ctx).accuracy
            except LiftFlowError as error:
                # As where so little is left that the output does not change any more.
                row[f"refused {variant}"] = str(error)
            row[f"seconds {variant}"] = round(time.perf_counter() - started, 1)
        yield row
