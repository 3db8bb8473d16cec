"""`liftflow cost MODEL`: what a whole network costs, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compiler.commands.console import out, print_json, table
from hw_targets.boards import Board, board_names, load_board
from hw_targets.cost.model import Estimate
from hw_targets.cost.network import NetworkCost, network_cost
from hw_targets.errors import LiftFlowError
from hw_targets.families import RESOURCES

if TYPE_CHECKING:
    from compiler.pricing.source import Given, Source
    from compiler.stages import LayerChoice

COUNTED = ("LUT", "FF", "DSP", "BRAM")


@dataclass(frozen=True)
class Asked:
    """Where a network is to be priced, and how it is to be folded; None where no flag said so."""

    board: str | None
    family: str | None
    clock_mhz: float | None
    share: float | None
    fps: float | None
    interval: int | None
    pe: int | None
    simd: int | None
    folds: tuple[str, ...]
    arithmetic: Literal["lut", "dsp"]
    memory: Literal["block", "distributed"]

    def __post_init__(self) -> None:
        """Raises LiftFlowError for values that make no sense, alone or together."""
        positive("--clock-mhz", self.clock_mhz)
        positive("--fps", self.fps)
        positive("--interval", self.interval)
        positive("--share", self.share, top=1.0)
        rates = [name for name in ("fps", "interval") if getattr(self, name) is not None]
        hands = [
            flag
            for flag, given in (
                ("--pe", self.pe is not None),
                ("--simd", self.simd is not None),
                ("--fold", bool(self.folds)),
                ("--dsp", self.arithmetic == "dsp"),
                ("--block", self.memory == "block"),
            )
            if given
        ]
        pairs = (
            ("--board", "--family", self.board and self.family),
            ("--fps", "--interval", len(rates) == 2),
            (f"--{rates[0]}" if rates else "", hands[0] if hands else "", rates and hands),
            ("--share", hands[0] if hands else "", self.share and hands),
            ("--share", "--family", self.share and self.family),
        )
        for first, second, both in pairs:
            if both:
                raise LiftFlowError(
                    f"{first} and {second} do not go together", where="cost", mend="give one"
                )

    @property
    def by_hand(self) -> bool:
        return any((self.pe, self.simd, self.folds)) or (self.arithmetic, self.memory) != (
            "lut",
            "distributed",
        )


def positive(flag: str, value: float | None, top: float = float("inf")) -> None:
    """Raises LiftFlowError where a flag's value is not above 0, or above `top`."""
    if value is not None and not 0 < value <= top:
        raise LiftFlowError(
            f"{value:g}", where=flag, mend="give it above 0" + (", up to 1" if top == 1 else "")
        )


def cost_network(model: Path, given: Given, asked: Asked, as_json: bool) -> None:
    """Prints what the network in `model` costs.

    Raises:
        LiftFlowError: the model cannot be read or mapped, no folding meets what is asked for, or
            what is asked for makes no sense.
    """
    from compiler.pricing.source import load_source

    board = None if asked.family else load_board(asked.board) if asked.board else None
    source = load_source(model, given)
    if board is None and asked.family is None:
        board = load_board(source.board)
    family = board.family if board else str(asked.family)
    clock = asked.clock_mhz or source.goals.clock_mhz or _usual_clock(board, family)
    choices, folding = _folded(source, asked, board, family, clock)
    found = network_cost(source.network, choices, family, board)
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


def _folded(
    source: Source, asked: Asked, board: Board | None, family: str, clock: float
) -> tuple[Sequence[LayerChoice], str]:
    """The choices, and in words how they were come by."""
    from compiler.pricing import folding

    network, widths = source.network, source.widths
    boundless = folding.family_board(family)  # refuses an unknown family
    if asked.by_hand:
        folds = _folds_by_hand(source, asked)
        chosen = folding.by_hand(network, widths, folds, asked.arithmetic, asked.memory)
        return chosen, "as given"
    place = board.name if board else family
    priced = folding.price(network, widths, family)
    if priced.space is None:
        from hw_targets.cost.coefficients import calibrated_families

        why = "" if priced.unknown == "uncalibrated" else f": {priced.unknown}"
        raise LiftFlowError(
            f"family {family} is uncalibrated{why}",
            where=place,
            mend=f"use a calibrated family ({', '.join(calibrated_families())}), or give --pe and "
            "--simd for cycles alone",
        )
    fps = asked.fps or (source.goals.fps if asked.interval is None else None)
    interval = asked.interval or (folding.interval_of(fps, clock) if fps else folding.NO_RATE)
    wanted = f"{fps:,.0f} frames a second" if fps else f"{interval:,} cycles between frames"
    if board is None:
        room = folding.boundless(boundless)
        words = "the least hardware"
    else:
        share = asked.share or source.goals.share
        room = folding.require_room(board, share)
        words = f"{share:.0%} of the board"
    if interval == folding.NO_RATE and board is not None:
        fast = folding.fastest(priced, room)
        if fast is None:
            raise folding.too_large(priced, room, interval, "any rate", place)
        small = folding.smallest(priced, room, fast.interval)
        return (small or fast).choices, f"the fastest in {words}"
    found = folding.smallest(priced, room, interval)
    if found is None:
        raise folding.too_large(priced, room, interval, wanted, place)
    if interval == folding.NO_RATE:
        return found.choices, words
    goal = " (the goal)" if fps and not asked.fps else ""
    return found.choices, f"the least hardware of {wanted}{goal}" + (
        f" in {words}" if board else ""
    )


def _folds_by_hand(source: Source, asked: Asked) -> list[tuple[int, int]]:
    """(PE, SIMD) of every layer: --fold where it names the layer, else --pe and --simd."""
    names = [layer.name for layer in source.network.layers]
    folds = dict.fromkeys(names, (asked.pe or 1, asked.simd or 1))
    for text in asked.folds:
        matched = re.fullmatch(r"(.+)=(\d+):(\d+)", text)
        if matched is None:
            raise LiftFlowError(f"cannot read {text!r}", where="--fold", mend="write LAYER=PE:SIMD")
        name, pe, simd = matched.groups()
        if name not in folds:
            raise LiftFlowError(
                f"no layer {name!r}", where="--fold", mend=f"layers: {', '.join(names)}"
            )
        folds[name] = (int(pe), int(simd))
    return list(folds.values())


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
        "layers": [
            {
                "name": part.layer.name,
                "kind": part.layer.kind,
                "weight_bits": part.choice.weight_bits,
                "act_bits": part.choice.act_bits,
                "pe": part.choice.pe,
                "simd": part.choice.simd,
                "arithmetic": part.choice.arithmetic,
                "memory": part.choice.memory,
                "cycles": part.cycles,
                **counted(part.estimate),
            }
            for part in found.layers
        ],
        "shell": counted(found.shell) if found.shell and counts_shell else None,
        "total": counted(found.total),
        "of_which": {"fifos": counted(found.fifos), "converters": counted(found.converters)},
        "interval": found.interval,
        "latency": found.latency,
        "latency_us": round(found.latency / clock, 3),
        "fps": round(clock * 1e6 / found.interval, 3),
        "notes": _notes(source, found, board),
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
    out.print(f"[bold]{source.network.name}[/] on {place} at {clock:g} MHz; folding: {folding}")
    heads = ("layer", "bits", "PE", "SIMD")
    shown = table(*heads, *COUNTED, "cycles", numbers=("PE", "SIMD", *COUNTED, "cycles"))
    for part in found.layers:
        choice = part.choice
        bits = f"{choice.weight_bits}:{choice.act_bits or '-'}"
        shown.add_row(
            part.layer.name, bits, str(choice.pe), str(choice.simd),
            *cells(part.estimate), f"{part.cycles:,}",
        )  # fmt: skip
    if found.shell and board and board.flow != "vivado":
        shown.add_row("shell", "", "", "", *cells(found.shell), "")
    shown.add_row("[bold]total[/]", "", "", "", *cells(found.total), f"{found.interval:,}")
    if board is not None:
        shown.add_row("of the board", "", "", "", *_shares(found.total, board), "")
    shown.add_row("of which FIFOs", "", "", "", *cells(found.fifos), "")
    shown.add_row("of which width converters", "", "", "", *cells(found.converters), "")
    out.print(shown)
    out.print(
        f"{clock * 1e6 / found.interval:,.0f} frames a second; latency {found.latency:,} cycles, "
        f"{found.latency / clock:,.1f} µs; in brackets: 90 % intervals"
    )
    for note in _notes(source, found, board):
        out.print(note)


def cells(estimate: Estimate) -> list[str]:
    """LUT, FF, DSP and block RAM with their intervals, where they are not the value itself."""
    shown = []
    intervals = estimate.intervals()
    for name, value in estimate.as_dict().items():
        span = intervals[name]
        if value is None:
            shown.append("uncalibrated")
        elif span is None or round(span[1] - span[0]) == 0:
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


def _notes(source: Source, found: NetworkCost[LayerChoice], board: Board | None) -> list[str]:
    """What a reader must know beside the figures."""
    notes = list(source.notes)
    if board is None:
        notes.append("no shell is counted: it is a board's")
    elif board.flow == "vivado":
        notes.append("the shell that the vendor's tools add is not counted")
    if board is not None:
        holds = board.resources.as_dict()
        for name, value in found.total.as_dict().items():
            if value is not None and value > holds[name]:
                notes.append(
                    f"does not fit: {value:,.0f} {name.upper()}, {board.name} has {holds[name]:,}"
                )
    for part in found.layers:
        if part.estimate.why:
            notes.append(f"uncalibrated: {part.layer.name}: {part.estimate.why}")
    if found.shell is not None and found.shell.why:
        notes.append(f"uncalibrated: {found.shell.why}")
    return notes


assert tuple(name.upper() for name in RESOURCES) == COUNTED
