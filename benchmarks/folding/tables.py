"""The documentation's tables, made of the rows of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log
from pathlib import Path

from benchmarks.compression.store import Row
from benchmarks.folding.setfolding import WIDTHS

PAGE = Path(__file__).parents[2] / "docs" / "folding.md"
KINDS = ("strict", "free", "wide_strict", "wide_free", "parallel")
TITLES = (
    "foldings alone",
    "+ arithmetic, memory",
    "own lanes, alone",
    "own lanes, + arithmetic",
    "+ parallel windows",
)
HEAD = """# Folding beside FINN's SetFolding

Frames a second of our folding over those of FINN's `SetFolding`, at equal modelled resources and
the same clock. Made by `python -m benchmarks.folding`, then `python -m benchmarks.folding tables`.

A network is quantized, exported and lowered as a compilation does it, with the same bits in every
layer. `SetFolding` (finn-plus, `two_pass_relaxation` on) folds that graph for targets from one
multiplier a layer down to one cycle, each half the last, with `mvau_wwidth_max` at its default of
{default} bits and at {most}; every folding that differs is a point. It is priced by our cost model
as units of ours, each with the PE or SIMD that FINN gave its node, with FIFOs and width converters
between, once with all products in LUTs and once in DSPs, memories placed by size. Its speed is
FINN's own: the slowest node's `get_exp_cycles`. Our exact solver then looks for the fastest design
that takes at most as much of each of LUTs, flip-flops, DSPs and block RAM; its speed is of our own
cycle model.

- *{strict}*: only PE and SIMD differ; arithmetic and memories are those FINN's was priced with.
- *{free}*: the solver may choose these too, a layer each.
- *{wide}*: what the compiler cannot do yet. Padding and window need not be as wide as the matrix
  unit behind them, nor threshold and pooling as the one before, and SIMD may divide the whole
  window, not only the channels, as in FINN. All of it is made of the kernels there are.

A cell is the geometric mean, then the least, of the ratio to FINN; in brackets points where nothing
of ours fits into what FINN's folding takes, which have no ratio.
"""
EQUAL = """
## At the resources of each of FINN's foldings

*priced*: points whose cost the calibrated model knows, of all; the others, FINN's widest, are left
out on both sides. *parallel*: priced points with a window that gives all its pixels at once
(`parallel_window`): we have no such kernel and price it below what it takes.
"""
BOARD = """
## Within the same share of a board

FINN's fastest folding of all targets ({fine} to a doubling), both widths and both arithmetics that
fits, beside our fastest. *foldings alone* is the better of all LUT and all DSP, as FINN's is.
"""


def write(rows: Sequence[Row]) -> None:
    """Writes docs/folding.md."""
    PAGE.write_text(page(rows))


def page(rows: Sequence[Row]) -> str:
    """The documentation's page."""
    equal = [row for row in rows if row["kind"] == "equal" and "finn" in row]
    filled = [row for row in rows if row["kind"] == "board" and row["finn"]]
    strict, free, wide = TITLES[0], TITLES[1], "own lanes"
    head = HEAD.format(default=WIDTHS[0], most=WIDTHS[1], strict=strict, free=free, wide=wide)
    parts = [head, EQUAL, _equal_table(equal), _cycles(equal), BOARD.format(fine=8)]
    parts += [_board_table(filled), CAUSES, _made(rows)]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def ratio(row: Row, kind: str) -> float | None:
    """Frames a second of ours over FINN's; None where nothing of ours fits."""
    ours = row.get(kind)
    return row["finn"]["interval"] / ours["interval"] if ours else None


def mean(values: Iterable[float]) -> float:
    """The geometric mean.

    Raises:
        ZeroDivisionError: there are no values.
    """
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))


def cell(rows: Sequence[Row], kind: str) -> str:
    """Geometric mean and least ratio, and how often there is none."""
    found = [ratio(row, kind) for row in rows]
    known = [value for value in found if value is not None]
    missing = f" ({len(found) - len(known)})" if len(known) < len(found) else ""
    return f"{mean(known):.2f}, {min(known):.2f}{missing}" if known else f"none{missing}"


def _table(first: Sequence[str], lines: Iterable[tuple[Sequence[object], Sequence[Row]]]) -> str:
    made = [f"| {' | '.join((*first, *TITLES))} |", f"|{' --- |' * (len(first) + len(TITLES))}"]
    for names, rows in lines:
        cells = [cell(rows, kind) for kind in KINDS]
        made.append(f"| {' | '.join((*map(str, names), *cells))} |")
    return "\n".join(made)


def _equal_table(rows: Sequence[Row]) -> str:
    def line(name: object, bits: object, part: Sequence[Row]) -> tuple[list[object], list[Row]]:
        known = [row for row in part if row["finn"]["cost"]]
        parallel = sum(bool(row["finn"]["parallel_windows"]) for row in known)
        return [name, bits, f"{len(known)} of {len(part)}", parallel], known

    groups = [line(name, bits, part) for (name, bits), part in _by(rows, "network", "bits")]
    groups.append(line("**all**", "", rows))
    parts: dict[str, list[Row]] = {
        "default width": [row for row in rows if row["width"] == WIDTHS[0]],
        "raised width": [row for row in rows if row["width"] == WIDTHS[1]],
        "products in LUTs": [row for row in rows if row["arithmetic"] == "lut"],
        "products in DSPs": [row for row in rows if row["arithmetic"] == "dsp"],
        "no parallel window": [row for row in rows if not row["finn"]["parallel_windows"]],
        **{f"on {board}": part for (board,), part in _by(rows, "board")},
    }
    groups += [line(f"*{title}*", "", part) for title, part in parts.items()]
    return _table(("network", "bits", "priced", "parallel"), groups)


def _board_table(rows: Sequence[Row]) -> str:
    groups: list[tuple[Sequence[object], Sequence[Row]]] = [
        ((name, bits, len(part)), part) for (name, bits), part in _by(rows, "network", "bits")
    ]
    groups += [
        ((f"*{board}, {share:.0%}*", "", len(part)), part)
        for (board, share), part in _by(rows, "board", "share")
    ]
    groups.append((("**all**", "", len(rows)), rows))
    return _table(("network", "bits", "budgets"), groups)


def _by(rows: Sequence[Row], *names: str) -> list[tuple[tuple[object, ...], list[Row]]]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(groups.items())


def _cycles(rows: Sequence[Row]) -> str:
    theirs = [row["finn"]["modelled_interval"] / row["finn"]["interval"] for row in rows]
    made = [row[kind] for row in rows for kind in KINDS if row.get(kind)]
    ours = [each["finn_interval"] / each["interval"] for each in made]
    unproven = sum(not each.get("proven", True) for each in made)
    return (
        f"Both cycle models agree: FINN's foldings take {mean(theirs):.3f} times the cycles in "
        f"ours ({min(theirs):.2f} to {max(theirs):.2f}), and our foldings, set on FINN's graph by "
        f"FINN's own `ApplyConfig`, {mean(ours):.3f} times in FINN's ({min(ours):.2f} to "
        f"{max(ours):.2f}). Of {len(made)} designs of ours {unproven} were not proven the fastest "
        "in the solver's time."
    )


CAUSES = """
## Why

PLACEHOLDER
"""


def _made(rows: Sequence[Row]) -> str:
    done = [row for row in rows if row.get("done")]
    if not done:
        return ""
    last = max(done, key=lambda row: str(row["date"]))
    versions = ", ".join(f"{name} {value}" for name, value in last["versions"].items())
    hours = sum(row["seconds"] for row in done) / 3600
    return f"{last['date']}, {last['cores']} cores, {hours:.1f} hours; {versions}."
