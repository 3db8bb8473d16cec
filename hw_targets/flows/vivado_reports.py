"""What Vivado's text reports say of resources and power, read by the names in their tables.

Formats: AMD UG906, report_utilization and report_power; names as families have them: Slice LUTs of
7 series, CLB LUTs since UltraScale, Registers and DSP Slices of Versal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw_targets.errors import LiftFlowError

_ROWS: Mapping[str, tuple[str, ...]] = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers", "Registers"),
    "dsp": ("DSPs", "DSP Slices", "DSP Blocks"),
    "bram": ("Block RAM Tile",),
    "uram": ("URAM",),
}
"""Resource -> what the row of the whole device's count is called."""

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "lut": ("Total LUTs",),
    "ff": ("FFs",),
    "dsp": ("DSP Blocks", "DSP48 Blocks", "DSP Slices"),
    "uram": ("URAM",),
}
"""Resource -> its column in the hierarchy's table; block RAM has two."""

_OPTIONAL = ("uram",)
"""Resources that a family may not have, and its reports do not name."""

_BRAM36 = 2
"""Block RAM is counted in halves of 36 kbit."""


@dataclass(frozen=True)
class Row:
    """One row of a table: the cells of its columns, by their names, and its line in the file."""

    cells: Mapping[str, str]
    line: int


def utilization(path: Path, instance: str | None = None) -> dict[str, float]:
    """Resource name -> count of a report of `report_utilization`, uram where it tells.

    instance: of a hierarchical report, whose resources to give instead of the whole design's.

    Raises:
        LiftFlowError: it is no such report, names no such instance, or a count is missing or no
            number; names file and line.
    """
    lines = read(path)
    tables = list(_tables(lines))
    hierarchy = [row for rows in tables for row in rows if "Total LUTs" in row.cells]
    summary = [row for rows in tables for row in rows if "Site Type" in row.cells]
    if instance is None and summary:
        return _of_summary(summary, path)
    if not hierarchy:
        raise _no_report(path, "report_utilization" + (" -hierarchical" if instance else ""))
    return _of_hierarchy(hierarchy, instance, path)


def power(path: Path) -> float:
    """Total on-chip power in W, of a report of `report_power`; an estimate of Vivado's own.

    Raises:
        LiftFlowError: it is no such report, or its total no number; names file and line.
    """
    for number, line in enumerate(read(path), 1):
        cells = _cells(line)
        if len(cells) >= 2 and cells[0].strip() == "Total On-Chip Power (W)":
            # "65.186 (Junction temp exceeded!)" where the device would get too hot.
            match = re.match(r"(\d+(?:\.\d+)?)(?:\s*\(.*\))?$", cells[1].strip())
            if match is None:
                raise malformed(path, number, f"a total power of {cells[1].strip()!r}")
            return float(match[1])
    raise _no_report(path, "report_power")


def read(path: Path) -> list[str]:
    """Lines of a report. Raises LiftFlowError: it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise LiftFlowError(
            f"cannot be read: {error.strerror}", where=str(path), mend="build it again"
        ) from error


def malformed(path: Path, line: int, what: str) -> LiftFlowError:
    """The error for a line of a report that does not say what it should."""
    return LiftFlowError(what, where=f"{path}, line {line}", mend="build it again")


def _no_report(path: Path, command: str) -> LiftFlowError:
    return LiftFlowError(
        f"not a report of {command}", where=str(path), mend="build it again, or name that report"
    )


def _cells(line: str) -> list[str]:
    text = line.rstrip()
    return text[1:-1].split("|") if len(text) > 1 and text[0] == text[-1] == "|" else []


def _tables(lines: Sequence[str]) -> Iterator[list[Row]]:
    """Rows of every table: a rule, the names of the columns, a rule, rows, a rule."""
    header: list[str] | None = None
    rows: list[Row] = []
    ruled = False
    for number, line in enumerate(lines, 1):
        cells = _cells(line)
        if cells and header is None and ruled:
            header = [cell.strip() for cell in cells]
        elif cells and header is not None and len(cells) == len(header):
            named = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            rows.append(Row(named, number))
        elif not cells and not line.startswith("+-"):
            if rows:
                yield rows
            header, rows = None, []
        ruled = line.startswith("+-")
    if rows:
        yield rows


def _of_summary(rows: Sequence[Row], path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for resource, names in _ROWS.items():
        named = [row for row in rows if row.cells["Site Type"].rstrip("* ") in names]
        if not named and resource in _OPTIONAL:
            continue
        if not named:
            raise LiftFlowError(
                f"no row {' or '.join(names)}", where=str(path), mend="build it again"
            )
        used = _number(named[0], "Used", path)
        found[resource] = used * (_BRAM36 if resource == "bram" else 1)
    return found


def _of_hierarchy(rows: Sequence[Row], instance: str | None, path: Path) -> dict[str, float]:
    chosen = rows[:1] if instance is None else [r for r in rows if r.cells["Instance"] == instance]
    if not chosen:
        raise LiftFlowError(
            f"no instance {instance}", where=str(path), mend="report it with a greater depth"
        )
    row = chosen[0]
    found: dict[str, float] = {}
    for resource, names in _COLUMNS.items():
        column = next((name for name in names if name in row.cells), None)
        if column is not None:
            found[resource] = _number(row, column, path)
        elif resource not in _OPTIONAL:
            raise malformed(path, row.line, f"no column {' or '.join(names)}")
    halves = _BRAM36 * _number(row, "RAMB36", path) + _number(row, "RAMB18", path)
    return {**found, "bram": halves}


def _number(row: Row, column: str, path: Path) -> float:
    """A count, with its percentage behind it where the report has that."""
    if column not in row.cells:
        raise malformed(path, row.line, f"no column {column}")
    match = re.match(r"(\d+(?:\.\d+)?)(?:\s*\(.*%\))?$", row.cells[column])
    if match is None:
        raise malformed(path, row.line, f"{column} is {row.cells[column]!r}, no count")
    return float(match[1])
