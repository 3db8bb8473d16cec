"""The designs that `liftflow explore` found, kept in a run's folder for its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler import store
from compiler.pipeline import RunResult
from compiler.report.schema import FrontRow
from compiler.stages import Allocation

if TYPE_CHECKING:
    from compiler.pricing.front import Design

FILE = "explore.json"


def keep(designs: Sequence[Design], scored: str, folder: Path) -> None:
    """Write the designs beside the run that they are of; `scored`: digest of what they compress."""
    rows = [
        {
            "board": design.board,
            "fps": design.fps,
            "error": design.error,
            "lut": design.use["lut"],
        }
        for design in designs
    ]
    store.write_json({"scored": scored, "designs": rows}, folder / FILE)


def explored(folder: Path) -> bytes:
    """What was kept in a run's folder, as it stands there; empty where nothing was explored."""
    try:
        return (folder / FILE).read_bytes()
    except OSError:
        return b""


def front(result: RunResult, allocation: Allocation | None) -> list[FrontRow]:
    """The designs kept, and the one that was allocated; none where they are of another network."""
    lut = allocation.estimate.get("lut") if allocation else None
    names = [record.name for record in result.records]
    if allocation is None or lut is None or "allocate" not in names:
        return []
    try:
        kept = json.loads(explored(result.folder))
        if kept["scored"] != result.records[names.index("allocate") - 1].digest:
            return []
        rows = [
            FrontRow(fps=one["fps"], error=one["error"], lut=one["lut"], chosen=False)
            for one in kept["designs"]
            if result.folder.name.endswith(f"-{one['board']}")
        ]
    except (ValueError, KeyError, TypeError):
        return []
    fps = allocation.clock_mhz * 1e6 / allocation.interval
    return [*rows, FrontRow(fps=fps, error=allocation.loss, lut=lut, chosen=True)]
