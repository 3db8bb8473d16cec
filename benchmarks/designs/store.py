"""Measured designs, one JSON line each: kept as they come, so that a run can be cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hw_targets.cost.features import KERNELS
from hw_targets.rtl.kernel import Kernel

DATA = Path(__file__).parent / "data"
Row = dict[str, Any]

CYCLES, SYNTHESIS, UNITS = "cycles", "synthesis", "units"
"""What a file holds: simulated frames, whole designs, designs with their hierarchy kept."""


def load(kind: str, folder: Path = DATA) -> list[Row]:
    """Rows of one kind, oldest first; none where there is no file."""
    path = folder / f"{kind}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def append(kind: str, row: Row, folder: Path = DATA) -> None:
    """Write a row at the end of its file, at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{kind}.jsonl").open("a") as out:
        out.write(json.dumps(row) + "\n")


def newest(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """(network, family) -> its last row; the family is "" where there is none."""
    return {(row["network"], row.get("family", "")): row for row in rows}


def described(kernels: Iterable[tuple[str, Kernel]]) -> list[list[Any]]:
    """Name, class and fields of every kernel, as JSON."""
    return [[name, type(kernel).__name__, asdict(kernel)] for name, kernel in kernels]


def kernels_of(listed: Iterable[list[Any]]) -> list[tuple[str, Kernel]]:
    """What `described` wrote."""
    return [(name, KERNELS[kind](**fields)) for name, kind, fields in listed]
