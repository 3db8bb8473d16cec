"""`liftflow cost MODEL`: what a whole network costs, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table

from compiler.commands.console import out, print_json, table
from hw_targets.boards import Board, board_names, load_board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.cost.layer import chosen_lanes
from hw_targets.cost.model import Estimate
from hw_targets.cost.network import NetworkCost, network_cost
from hw_targets.families import RESOURCES, load_family

if TYPE_CHECKING:
    from compiler.pricing.asked import Asked
    from compiler.pricing.source import Given, Source
    from compiler.stages import LayerChoice

COUNTED = ("LUT", "FF", "DSP", "BRAM")


def cost_network(model: Path, given: Given, asked: Asked, as_json: bool) -> None:
    """Prints what the network in `model` costs.

    Raises:
        LiftFlowError: the model cannot be read or mapped, no folding meets what is asked for, or
            what is asked for makes no sense.
    """
    from compiler.pricing.asked import folded
    from compiler.pricing.source import load_source

    if asked.family:
        load_family(asked.family)
    board = None if asked.family else load_board(asked.board) if asked.board else None
    source = load_source(model, given)
    if board is None and asked.family is None:
        board = load_board(source.board)
    family = board.family if board else str(asked.family)
    clock = asked.clock_mhz or source.goals.clock_mhz or _usual_clock(board, family)
    choices, folding, interval = folded(source, asked, board, family, clock)
    found = network_cost(source.network, choices, family, board, interval)
    if as_json:
        print_json(_as_json(source, found, board, family, clock, folding))
    else:
        _show(source, found, board, family, clock, folding)


def _usual_clock(board: Board | None, family: str) -> float:
    """The board's own, or the one that most boards of the family have, the lower of equals."""
    if board is not None:
        return board.clock.default_mhz
    boards = [board for board in map(load_board, board_names()) if board.family == family]
    clocks = [board.clock.default_mhz for board in boards]
    return max(sorted(set(clocks)), key=clocks.count)


def counted(estimate: Estimate) -> dict[str, Any]:
    """Resource -> value and interval as JSON has them; None where uncalibrated."""
    intervals = estimate.intervals()
    found: dict[str, Any] = {}
    for name, value in estimate.as_dict().items():
        span = intervals[name]
        found[name] = None if value is None else {
            "value": round(value, 2),
            "low": round(span[0], 2) if span else None,
            "high": round(span[1], 2) if span else None,
        }  # fmt: skip
    return {**found, "inside": estimate.calibrated, "why": estimate.why}


def _as_json(
    source: Source,
    found: NetworkCost[LayerChoice],
    board: Board | None,
    family: str,
    clock: float,
    folding: str,
) -> dict[str, Any]:
    counts_shell = board is not None and board.flow != "vivado"
    return {
        "model": str(source.path),
        "board": board.name if board else None,
        "family": family,
        "clock_mhz": clock,
        "folding": folding,
        "input_bits": source.network.input_bits,
        "input_signed": source.network.input_signed,
        "layers": [
            {
                "name": part.layer.name,
                "kind": part.layer.kind,
                "weight_bits": part.choice.weight_bits,
                "act_bits": part.choice.act_bits,
                "pe": part.choice.pe,
                "simd": part.choice.simd,
                "lanes": asdict(chosen_lanes(part.layer, part.choice)),
                "arithmetic": part.choice.arithmetic,
                "memory": part.choice.memory,
                "cycles": part.cycles,
                **counted(part.estimate),
            }
            for part in found.layers
        ],
        **({"branches": counted(found.branches)} if found.branches else {}),
        "shell": counted(found.shell) if found.shell and counts_shell else None,
        "total": counted(found.total),
        "of_which": {"fifos": counted(found.fifos), "converters": counted(found.converters)},
        "interval": found.interval,
        "latency": found.latency,
        "latency_us": round(found.latency / clock, 3),
        "fps": round(clock * 1e6 / found.interval, 3),
        "notes": _notes(source, found, board, family),
    }


def _show(
    source: Source,
    found: NetworkCost[LayerChoice],
    board: Board | None,
    family: str,
    clock: float,
    folding: str,
) -> None:
    place = f"{board.name} ({family})" if board else f"family {family}"
    out.print(f"[bold]{source.network.name}[/] ({described(source)})")
    out.print(f"on {place} at {clock:g} MHz; folding: {folding}")
    shown = _table(found, board, spans=True)
    brackets = "; in brackets: 90 % intervals"
    boundless = out.options.update(max_width=10 * out.width)
    if Measurement.get(out, boundless, shown).maximum > out.width:
        shown, brackets = _table(found, board, spans=False), ""
    out.print(shown)
    out.print(
        f"{clock * 1e6 / found.interval:,.0f} frames a second; latency {found.latency:,} cycles, "
        f"{found.latency / clock:,.1f} µs{brackets}",
        soft_wrap=True,
    )
    for note in _notes(source, found, board, family):
        out.print(note, soft_wrap=True)


def _table(found: NetworkCost[LayerChoice], board: Board | None, spans: bool) -> Table:
    """Layers, shell and total. Without `spans`, only the total has intervals, to be narrower."""
    heads = ("layer", "bits", "PE", "SIMD")
    shown = table(*heads, *COUNTED, "cycles", numbers=("PE", "SIMD", *COUNTED, "cycles"))

    def add(name: str, figures: Sequence[str], cycles: str = "") -> None:
        shown.add_row(name, "", "", "", *figures, cycles)

    for part in found.layers:
        choice = part.choice
        bits = f"{choice.weight_bits}:{choice.act_bits or '-'}"
        folding = (bits, str(choice.pe), str(choice.simd))
        shown.add_row(part.layer.name, *folding, *cells(part.estimate, spans), f"{part.cycles:,}")
    if found.branches:
        add("branches", cells(found.branches, spans))
    if found.shell and board and board.flow != "vivado":
        add("shell", cells(found.shell, spans))
    add("[bold]total[/]", cells(found.total, spans), f"{found.interval:,}")
    if not spans:
        for name, bounds in (("90 % from", found.total.low), ("90 % to", found.total.high)):
            add(name, ["" if bound is None else f"{bound:,.0f}" for bound in bounds])
    if board is not None:
        add("of the board", _shares(found.total, board))
    add("of which FIFOs", cells(found.fifos, spans))
    add("of which converters", cells(found.converters, spans))
    return shown


def described(source: Source) -> str:
    """The bits of a network, in words."""

    def span(bits: Sequence[int]) -> str:
        low, high = min(bits), max(bits)
        return f"{low}" if low == high else f"{low} to {high}"

    sign = "signed" if source.network.input_signed else "unsigned"
    parts = [
        f"input of {source.network.input_bits} bits, {sign}",
        f"weights of {span(source.widths.weights)}",
    ]
    acts = [bits for bits in source.widths.acts if bits]
    return "; ".join([*parts, f"activations of {span(acts)}"] if acts else parts)


def cells(estimate: Estimate, spans: bool) -> list[str]:
    """LUT, FF, DSP and block RAM, with their intervals where these are not the value itself."""
    shown = []
    intervals = estimate.intervals()
    for name, value in estimate.as_dict().items():
        span = intervals[name]
        if value is None:
            shown.append("uncalibrated")
        elif not spans or span is None or round(span[1] - span[0]) == 0:
            shown.append(f"{value:,.0f}")
        else:
            shown.append(f"{value:,.0f} ({span[0]:,.0f}-{span[1]:,.0f})")
    return shown


def _shares(total: Estimate, board: Board) -> list[str]:
    holds = board.resources.as_dict()
    return [
        "" if value is None or not holds[name] else f"{value / holds[name]:.1%}"
        for name, value in total.as_dict().items()
    ]


def _notes(
    source: Source, found: NetworkCost[LayerChoice], board: Board | None, family: str
) -> list[str]:
    """What a reader must know beside the figures."""
    notes = list(source.notes)
    if board is None:
        notes.append("no shell is counted: it is a board's")
    else:
        if board.flow == "vivado":
            notes.append("the shell that the vendor's tools add is not counted")
        holds = board.resources.as_dict()
        for name, value in found.total.as_dict().items():
            if value is not None and value > holds[name]:
                notes.append(
                    f"does not fit: {value:,.0f} {name.upper()}, {board.name} has {holds[name]:,}"
                )
    if family not in calibrated_families():
        notes.append(f"uncalibrated family {family}: only what can be counted has a figure")
        return notes
    for part in found.layers:
        if part.estimate.why:
            notes.append(f"uncalibrated: {part.layer.name}: {part.estimate.why}")
    if found.branches is not None and found.branches.why:
        notes.append(f"uncalibrated: branches: {found.branches.why}")
    if found.shell is not None and found.shell.why:
        notes.append(f"uncalibrated: {found.shell.why}")
    return notes


assert tuple(name.upper() for name in RESOURCES) == COUNTED
