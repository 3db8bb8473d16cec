"""The documentation's tables, made of the rows of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import exp, log
from pathlib import Path
from textwrap import fill

from benchmarks.compression.store import Row
from benchmarks.folding.networks import NETWORKS
from benchmarks.folding.setfolding import WIDTHS
from benchmarks.folding.vivado import ACC_BITS

PAGE = Path(__file__).parents[2] / "docs" / "folding.md"
KINDS = ("strict", "free")
TITLES = ("foldings alone", "all choices")
HEAD = """# Folding beside FINN's SetFolding

Frames a second of our folding over those of FINN's `SetFolding`, at equal modelled resources and
the same clock. Made by `python -m benchmarks.folding`, then `python -m benchmarks.folding tables`.

A network is quantized, exported and lowered as a compilation does it, with the same bits in every
layer. `SetFolding` (finn-plus, `two_pass_relaxation` on) folds that graph for targets from one
multiplier a layer down to one cycle, each half the last, with `mvau_wwidth_max` at its default of
{default} bits and at {most}; every folding that differs is a point. It is priced by our cost model
as units of ours, each with the PE or SIMD that FINN gave its node, with FIFOs and width converters
between, once with all products in LUTs and once in DSPs, memories placed by size. Its speed is the
slowest node's, by FINN's `get_exp_cycles` or our cycle model, whichever says faster. Our exact
solver then looks for the fastest design that takes at most as much of each of LUTs, flip-flops,
DSPs and block RAM; its speed is by our cycle model.

- *{strict}*: only PE, SIMD and lanes of the other units differ; arithmetic and memories are those
  FINN's was priced with.
- *{free}*: the solver may choose these too, a layer each, and thresholds or a multiplier behind
  it. This is what the compiler does.

A cell is the geometric mean, then the least, of the ratio to FINN; in brackets points where nothing
of ours fits into what FINN's folding takes, which have no ratio.
"""
EQUAL = """
## At the resources of each of FINN's foldings

*priced*: points whose cost the calibrated model knows, of all; the others, FINN's widest, are left
out on both sides. *parallel*: priced points with a window that gives all its pixels at once
(`parallel_window`). *room*: times faster that FINN's multipliers would be if none ever waited for
another layer: no folding alone gains more, but by cheaper units around them.
"""
BOARD = """
## Within the same share of a board

FINN's fastest folding that fits, of all targets ({fine} to a doubling), both widths and both
arithmetics, beside our fastest. *foldings alone* is the better of all LUT and all DSP, as FINN's
is. Ours stay inside the calibrated domain, as in a compilation; FINN's are priced outside by the
same formulas. Budgets whose fastest is of that kind stand in the last line and count nowhere else:
extrapolated that far, layers unfolded as a whole cost a few LUTs a product.
"""
BUILT = """
## Beside FINN as FINN builds it

The same on AMD's 7 series, but FINN's folding costs what FINN's own nodes do: by the coefficients
that are fitted to real builds under Vivado ([cost-vivado.md](cost-vivado.md)). Ours costs what ours
does under Yosys. What the builds have nothing like (pooling, adding, most windows and thresholds,
small or large matrices, converters to fewer lanes) costs what ours does; FINN's accumulators count
at most {acc} bits, its FIFOs two words.

At the resources of each of FINN's foldings:
"""
BUILT_BOARD = """
Within the same share of a board:
"""


def write(rows: Sequence[Row]) -> None:
    """Writes docs/folding.md."""
    PAGE.write_text(page(rows))


def page(rows: Sequence[Row]) -> str:
    """The documentation's page."""
    equal, boards = _parts(rows, "ours")
    built, built_boards = _parts(rows, "finns")
    filled, built_filled = ([row for row in each if row["finn"]] for each in (boards, built_boards))
    head = HEAD.format(default=WIDTHS[0], most=WIDTHS[1], **dict(zip(KINDS, TITLES, strict=True)))
    parts = [head, EQUAL, _equal_table(equal), fill(_cycles(equal), 100), BOARD.format(fine=8)]
    parts += [
        _board_table(filled),
        fill(_unfilled(boards), 100),
    ]
    if built:
        parts += [BUILT.format(acc=ACC_BITS), _equal_table(built)]
        parts += [BUILT_BOARD, _board_table(built_filled), fill(_unfilled(built_boards), 100)]
    parts += [
        _verdict(equal, filled, built, built_filled),
        fill(_made(rows), 100),
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _parts(rows: Sequence[Row], units: str) -> tuple[list[Row], list[Row]]:
    """Comparisons at equal resources, and within shares of a board, FINN's priced as `units`."""
    mine = [row for row in rows if row["units"] == units]
    equal = [row for row in mine if row["kind"] == "equal" and "finn" in row]
    return equal, [row for row in mine if row["kind"] == "board"]


def ratio(row: Row, kind: str) -> float | None:
    """Frames a second of ours over FINN's; None where nothing of ours fits."""
    ours = row.get(kind)
    return theirs(row) / float(ours["interval"]) if ours else None


def theirs(row: Row) -> float:
    """Cycles between frames of FINN's folding: by FINN's model or ours, whichever says fewer."""
    return float(min(row["finn"]["interval"], row["finn"]["modelled_interval"]))


def room(row: Row) -> float:
    """Times faster that FINN's multipliers would be if none ever waited."""
    products: int = sum(pe * simd for pe, simd in row["finn"]["folding"])
    return theirs(row) * products / NETWORKS[row["network"]].macs


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
    return f"{_short(mean(known))}, {_short(min(known))}{missing}" if known else f"none{missing}"


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.05 else f"{value:.3f}"


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
        most = f"{mean(map(room, known)):.2f}" if known else ""
        return [name, bits, f"{len(known)} of {len(part)}", parallel, most], known

    groups = [line(name, bits, part) for (name, bits), part in _by(rows, "network", "bits")]
    groups.append(line("**all**", "", rows))
    parts: dict[str, list[Row]] = {
        "default width": [row for row in rows if row["width"] == WIDTHS[0]],
        "raised width": [row for row in rows if row["width"] == WIDTHS[1]],
        "products in LUTs": [row for row in rows if row["arithmetic"] == "lut"],
        "products in DSPs": [row for row in rows if row["arithmetic"] == "dsp"],
        "no parallel window": [row for row in rows if not row["finn"]["parallel_windows"]],
        "parallel windows": [row for row in rows if row["finn"]["parallel_windows"]],
        **{f"on {board}": part for (board,), part in _by(rows, "board")},
    }
    groups += [line(f"*{title}*", "", part) for title, part in parts.items()]
    return _table(("network", "bits", "priced", "parallel", "room"), groups)


def _board_table(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row["finn"]["calibrated"]]
    outside = [row for row in rows if not row["finn"]["calibrated"]]
    groups: list[tuple[Sequence[object], Sequence[Row]]] = [
        ((name, bits, len(part)), part) for (name, bits), part in _by(known, "network", "bits")
    ]
    groups.append((("**all**", "", len(known)), known))
    groups += [
        ((f"*{board}, {share:.0%}*", "", len(part)), part)
        for (board, share), part in _by(known, "board", "share")
    ]
    groups.append((("*FINN's uncalibrated*", "", len(outside)), outside))
    return _table(("network", "bits", "budgets"), groups)


def _by(rows: Sequence[Row], *names: str) -> list[tuple[tuple[object, ...], list[Row]]]:
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(groups.items())


def _cycles(rows: Sequence[Row]) -> str:
    other = [row["finn"]["modelled_interval"] / row["finn"]["interval"] for row in rows]
    made = [row[kind] for row in rows for kind in KINDS if row.get(kind)]
    ours = [each["finn_interval"] / each["interval"] for each in made]
    return (
        f"The cycle models differ little: FINN's foldings take {mean(other):.3f} times the cycles "
        f"in ours ({min(other):.2f} to {max(other):.2f}), and our foldings, set on FINN's graph by "
        f"FINN's own `ApplyConfig`, {mean(ours):.3f} times in FINN's ({min(ours):.2f} to "
        f"{max(ours):.2f})."
    )


def _unfilled(boards: Sequence[Row]) -> str:
    without = [row for row in boards if not row["finn"]]
    ours = sum(bool(row["free"]) for row in without)
    return (
        f"Into {len(without)} of {len(boards)} budgets none of FINN's foldings fits; into {ours} "
        "of these the compiler's does."
    )


def _verdict(
    equal: Sequence[Row],
    filled: Sequence[Row],
    built: Sequence[Row],
    built_filled: Sequence[Row],
) -> str:
    known = _known(equal)
    plain = [row for row in known if not row["finn"]["parallel_windows"]]
    columns = {
        "equal": known,
        "board": _inside(filled),
        "built": _known(built),
        "built_board": _inside(built_filled),
    }
    cells = {
        f"{name}_{kind}": cell(part, kind) if part else ""
        for name, part in columns.items()
        for kind in KINDS
    }
    return VERDICT.format(
        aim=AIM,
        met=_met(known),
        built_met=_met(columns["built"]) if built else "not measured",
        plain=cell(plain, "free"),
        room=mean(map(room, known)),
        busy=sum(room(row) < 1.1 for row in known) / len(known),
        **cells,
    )


def _met(rows: Sequence[Row]) -> str:
    """Whether the compiler reaches the aim at the resources of FINN's foldings."""
    ratios = [ratio(row, "free") or 0.0 for row in rows]
    if mean(each for each in ratios if each) < AIM:
        return "not met"
    below = sum(value < 1.0 for value in ratios)
    return f"met but for {below} of {len(ratios)} points below FINN's" if below else "met"


def _known(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["finn"]["cost"]]


def _inside(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["finn"]["calibrated"]]


AIM = 1.5
"""Times FINN's frames a second in the mean, and never less than FINN's."""
VERDICT = """
## What it says

The aim, {aim} times FINN's frames a second in the mean and never less than FINN's, is

- {met} at equal resources by folding the same units otherwise,
- {built_met} by the compiler's design beside FINN's own.

| | equal resources | share of a board | as FINN builds it, equal resources | share of a board |
| --- | --- | --- | --- | --- |
| foldings alone | {equal_strict} | {board_strict} | {built_strict} | {built_board_strict} |
| the compiler | {equal_free} | {board_free} | {built_free} | {built_board_free} |
| the compiler, where FINN has no parallel window | {plain} | | | |

- *Folding alone has little to gain.* In {busy:.0%} of the points FINN's multipliers are busy nine
  tenths of the time or more: the layers' sizes have divisors enough for `SetFolding` to meet the
  target in all of them at once. In the mean, perfect balance would gain {room:.2f} times.
- *Every unit has lanes of its own.* Were threshold, pooling, bias and label select as wide as the
  PE before them, and padding and window as wide as the SIMD behind them, the next divisor down
  would be what fits where a unit takes one LUT more than FINN's. One lane of a threshold often
  keeps up with a long dot product, and one or a prime number of channels leaves SIMD few divisors
  but those of the whole window.
- *A window may give a part of its pixels at once.* FINN's gives one pixel of the kernel a cycle, or
  all of them. With few channels and a large kernel, as in LeNet's first layer, a row of the kernel
  a cycle lies between: fewer multipliers than all of it, and no wide FIFO and converter behind it.
- *What FINN builds is larger.* Its units keep a whole vector in registers for every row, with a
  multiplexer behind them, and one multiplier a product. Where it is faster all the same, products
  of 4 bits lie in LUTs, of which the coefficients know few builds and ask less than Yosys takes, or
  layers are unfolded further than ours are calibrated (CNV).
- *What is not calibrated is refused.* FINN takes widths, such as 37 rows at once of a layer of 37
  channels on 7 series, whose cost our model has no measurement near. The compiler never does.
"""


def _made(rows: Sequence[Row]) -> str:
    done = [row for row in rows if row.get("done")]
    if not done:
        return ""
    last = max(done, key=lambda row: str(row["date"]))
    versions = ", ".join(f"{name} {value}" for name, value in last["versions"].items())
    hours = sum(row["seconds"] for row in done) / 3600
    fits = ", ".join(
        f"{board} {fit}" for board, fit in {r["board"]: r["fit"] for r in done}.items()
    )
    equal = [row for row in done if row["kind"] == "equal"]
    known = {(row["network"], row["bits"], row["board"]) for row in equal}
    every = product(NETWORKS, *({row[name] for row in equal} for name in ("bits", "board")))
    left = sorted({f"{name} on {board}" for name, bits, board in set(every) - known})
    return (
        (f"Not measured yet: {', '.join(left)}. " if left else "")
        + f"{last['date']}, {last['cores']} cores, {hours:.1f} hours; {versions}. Digests of the "
        f"cost model's calibrations: {fits}."
    )
