"""What a finished run tells of its network, as arrays: for notebooks and for the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler import runs
from compiler.pipeline import RunResult
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from compiler.stages import BitMargin, Insight, ScoredModel


def explain_run(run: RunResult | Path | str) -> Insight:
    """Heatmaps, classes' channels and reasons for the bits of a finished run.

    Args:
        run: what `compile_model` gave, or the folder of a run, `build/<name>-<board>`.

    Returns:
        The insight of pass `explain`, its `margins` filled where the allocation went by DeepLIFT.

    Raises:
        LiftFlowError: the run did not come to `explain`, or nothing was explained in it.
    """
    if isinstance(run, RunResult) and "explain" not in run:
        raise LiftFlowError(
            "the run did not come to explain", where=str(run.folder), mend="compile until explain"
        )
    root = (run.folder if isinstance(run, RunResult) else Path(run)).resolve()
    insight: Insight | None = runs.stage(root, "explain").insight
    if insight is None:
        raise LiftFlowError(
            "nothing was explained", where=str(root), mend="set explain.shown and compile again"
        )
    margins = _margins(runs.stage(root, "allocate"), runs.options(root, "allocate"))
    return dataclasses.replace(insight, margins=margins)


def weighed_margins(result: RunResult) -> dict[str, BitMargin]:
    """Layer -> why it got its bits; empty where nothing was allocated, or not by DeepLIFT."""
    record = next((record for record in result.records if record.name == "allocate"), None)
    return {} if record is None else _margins(result.stage("allocate"), record.options)


def _margins(model: ScoredModel, options: Mapping[str, Any]) -> dict[str, BitMargin]:
    from passes._bit_margins import bit_margins

    by_deeplift = options.get("sensitivity", "deeplift") == "deeplift"
    scored = model.relevance.criterion.startswith("deeplift")
    return bit_margins(model) if by_deeplift and scored else {}
