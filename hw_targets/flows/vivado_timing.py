"""What Vivado's `report_timing_summary` says: slack, failing endpoints, the clock reached.

Format: AMD UG906, Timing Summary Report. Columns are found by their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hw_targets.errors import LiftFlowError
from hw_targets.flows.vivado_reports import malformed, read

_UNCLOCKED = re.compile(r"checking no_clock \((\d+)\)")
_NO_VALUE = ("NA", "")


@dataclass(frozen=True)
class Timing:
    """Slack in ns, None where nothing is timed.

    setup_failing, hold_failing, width_failing: endpoints. clocks: name -> (reached, wanted) MHz of
    clocks with paths within them. unclocked: register pins that no clock reaches, of which nothing
    is known.
    """

    setup_slack: float | None
    hold_slack: float | None
    setup_failing: int
    hold_failing: int
    width_failing: int
    unclocked: int
    clocks: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def slowest(self) -> tuple[float, float] | None:
        """(reached, wanted) MHz of the clock with the least margin.

        None, which is no claim, where no clock is timed, where some registers have no clock, or
        where a violation is none of the clock's period (hold, pulse width).
        """
        if not self.clocks or self.setup_slack is None or self.unclocked:
            return None
        if self.hold_failing or self.width_failing:
            return None
        reached, wanted = min(self.clocks.values(), key=lambda clock: clock[0] / clock[1])
        # A path between clocks may be the worst: it counts against the slowest one.
        return min(reached, _mhz(1000.0 / wanted, self.setup_slack)), wanted


def timing(path: Path) -> Timing:
    """Read a report of `report_timing_summary`.

    Raises:
        LiftFlowError: it is no such report, or a figure is missing or no number; names file and
            line.
    """
    lines = read(path)
    total = _total(lines, path)
    unclocked = [int(found[1]) for line in lines if (found := _UNCLOCKED.search(line))]
    periods = _periods(lines, path)
    clocks = {
        name: (_mhz(periods[name], slack), 1000.0 / periods[name])
        for name, slack in _slacks(lines, path).items()
        if name in periods
    }
    return Timing(
        setup_slack=total["WNS(ns)"],
        hold_slack=total["WHS(ns)"],
        setup_failing=int(total["TNS Failing Endpoints"] or 0),
        hold_failing=int(total["THS Failing Endpoints"] or 0),
        width_failing=int(total["TPWS Failing Endpoints"] or 0),
        unclocked=max(unclocked, default=0),
        clocks=clocks,
    )


def _mhz(period: float, slack: float) -> float:
    """The clock at which there is no slack; ns."""
    return 1000.0 / max(period - slack, 1e-3)


def _section(lines: Sequence[str], title: str) -> int | None:
    """Index of the line after a section's title."""
    wanted = re.compile(rf"\|\s*{title}\s*$")
    return next((at + 1 for at, line in enumerate(lines) if wanted.match(line)), None)


def _table(lines: Sequence[str], title: str) -> tuple[int, list[str], list[tuple[int, int]]] | None:
    """(index of the first row, names of the columns, their extents) of a section's table."""
    start = _section(lines, title)
    if start is None:
        return None
    for at in range(start, len(lines) - 1):
        rule = [found.span() for found in re.finditer(r"-+", lines[at + 1])]
        names = re.split(r"\s{2,}", lines[at].strip())
        if len(rule) > 2 and len(names) == len(rule) and not lines[at + 1].strip("- "):
            return at + 2, names, rule
        if lines[at].startswith("| ") and "----" not in lines[at]:
            return None  # the next section
    return None


def _total(lines: Sequence[str], path: Path) -> dict[str, float | None]:
    table = _table(lines, "Design Timing Summary")
    if table is None:
        raise LiftFlowError(
            "not a report of report_timing_summary",
            where=str(path),
            mend="build it again, or name that report",
        )
    at, names, _ = table
    words = lines[at].split() if at < len(lines) else []
    if len(words) != len(names):
        raise malformed(path, at + 1, f"{len(words)} figures under {len(names)} columns")
    figures = {name: _figure(word, path, at) for name, word in zip(names, words, strict=True)}
    for name in ("WNS(ns)", "WHS(ns)", *(f"{kind} Failing Endpoints" for kind in _FAILING)):
        if name not in figures:
            raise malformed(path, at - 1, f"no column {name}")
    return figures


_FAILING = ("TNS", "THS", "TPWS")


def _periods(lines: Sequence[str], path: Path) -> dict[str, float]:
    """Clock -> period in ns. The waveform, in braces, has blanks."""
    table = _table(lines, "Clock Summary")
    if table is None:
        return {}
    at, names, _ = table
    if "Period(ns)" not in names or "Waveform(ns)" not in names:
        raise malformed(path, at - 1, "no columns Waveform(ns) and Period(ns)")
    behind = names.index("Period(ns)") - names.index("Waveform(ns)") - 1
    found = {}
    for index in range(at, len(lines)):
        row = re.match(r"\s*(\S+)\s+\{[^}]*\}\s+(.*)$", lines[index])
        if row is None:
            break
        words = row[2].split()
        period = _figure(words[behind] if len(words) > behind else "", path, index)
        if not period:
            raise malformed(path, index + 1, f"clock {row[1]} has no period")
        found[row[1]] = period
    return found


def _slacks(lines: Sequence[str], path: Path) -> dict[str, float]:
    """Clock -> worst setup slack in ns of paths within it, of clocks that have such paths."""
    table = _table(lines, "Intra Clock Table")
    if table is None:
        return {}
    at, names, extents = table
    if "WNS(ns)" not in names:
        raise malformed(path, at - 1, "no column WNS(ns)")
    column = names.index("WNS(ns)")
    found = {}
    for index in range(at, len(lines)):
        words = list(re.finditer(r"\S+", lines[index]))
        if not words:
            break
        if len(words) == len(names):
            figure: re.Match[str] | None = words[column]
        else:  # a clock has no figures where it has no paths; the others end with their column
            figure = next((w for w in words[1:] if w.end() == extents[column][1]), None)
        slack = _figure(figure.group(), path, index) if figure else None
        if slack is not None:
            found[words[0].group()] = slack
    return found


def _figure(word: str, path: Path, index: int) -> float | None:
    if word in _NO_VALUE:
        return None
    try:
        return float(word)
    except ValueError:
        raise malformed(path, index + 1, f"{word!r} is no number") from None
