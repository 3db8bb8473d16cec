"""`liftflow fit`: which boards hold a network, and at what frames a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import out, print_json, table
from compiler.commands.cost_network import COUNTED, counted, described
from hw_targets.boards import Board, board_names, load_board
from hw_targets.errors import LiftFlowError
from hw_targets.families import load_family

if TYPE_CHECKING:
    from compiler.pricing.fit import Verdict
    from compiler.pricing.source import Source


def fit(
    model: Annotated[Path, typer.Argument(help="A compilation's TOML file, or a QONNX file.")],
    board: Annotated[
        list[str] | None,
        typer.Option(help="Board name or TOML file; may be repeated. Default: every board."),
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Only boards of this family; may be repeated.")
    ] = None,
    weight_bits: Annotated[
        int | None, typer.Option(help="Bits of weights; 4. A QONNX file has its own.")
    ] = None,
    act_bits: Annotated[int | None, typer.Option(help="Bits of activations; 4.")] = None,
    input_bits: Annotated[
        int | None, typer.Option(help="Bits of a QONNX file's input that has no quantizer.")
    ] = None,
    signed: Annotated[bool, typer.Option("--signed", help="That input has a sign.")] = False,
    share: Annotated[
        float | None, typer.Option(help="Share of each board; the TOML's goal, or 0.7.")
    ] = None,
    clock_mhz: Annotated[
        float | None,
        typer.Option(
            "--clock-mhz", "--clock", help="Clock; the TOML's goal, or each board's default."
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second to reach, with the least hardware."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which boards hold a network, and at what frames a second.

    Every board's greatest frames a second within its share, and what binds there, fastest first.
    With --fps, the boards that reach it, smallest first, each with the least hardware that does.
    What is not calibrated is listed as unknown, never as fitting.
    """
    from compiler.pricing.asked import positive

    positive("--share", share, top=1.0)
    positive("--clock-mhz", clock_mhz)
    positive("--fps", fps)
    boards = _boards(board or (), family or ())
    from compiler.pricing.fit import fit as fit_boards
    from compiler.pricing.source import Given, load_source

    source = load_source(model, Given(weight_bits, act_bits, input_bits, signed))
    share = share or source.goals.share
    verdicts = fit_boards(source, boards, share, clock_mhz or source.goals.clock_mhz, fps)
    if as_json:
        print_json(_as_json(source, verdicts, share, fps))
    else:
        _show(source, verdicts, share, fps)


def _boards(names: Sequence[str], families: Sequence[str]) -> list[Board]:
    for name in families:
        load_family(name)
    found = [load_board(name) for name in dict.fromkeys(names or board_names())]
    kept = [board for board in found if not families or board.family in families]
    if not kept:
        raise LiftFlowError(
            f"no board is of family {', '.join(families)}",
            where="fit",
            mend="leave out --board or --family",
        )
    return kept


def _as_json(
    source: Source, verdicts: Sequence[Verdict], share: float, fps: float | None
) -> dict[str, Any]:
    return {
        "model": str(source.path),
        "share": share,
        "wanted_fps": fps,
        "notes": list(source.notes),
        "boards": [
            {
                "board": verdict.board.name,
                "family": verdict.board.family,
                "clock_mhz": verdict.clock_mhz,
                "status": verdict.status,
                "binds": verdict.binds,
                "why": verdict.why,
                "shell_counted": verdict.board.flow != "vivado",
                **_design(verdict),
            }
            for verdict in verdicts
        ],
    }


def _design(verdict: Verdict) -> dict[str, Any]:
    """The design that fits, or what the nearest one needs."""
    fits, cost = verdict.status == "fits", verdict.cost
    return {
        "fps": round(verdict.fps, 3) if fits else None,
        "interval": cost.interval if cost and fits else None,
        "latency": cost.latency if cost and fits else None,
        "total": counted(cost.total) if cost else None,
    }


def _show(source: Source, verdicts: Sequence[Verdict], share: float, fps: float | None) -> None:
    out.print(f"[bold]{source.network.name}[/] ({described(source)}) in {share:.0%} of each board")
    rate = "frames a second"
    numbers = (rate, "MHz", *COUNTED)
    last = "tightest" if fps else "binds"
    shown = table("board", rate, "MHz", *COUNTED, last, numbers=numbers)
    listed = [v for v in verdicts if v.status == "fits" or (v.status != "unknown" and not fps)]
    for verdict in listed:
        star = " *" if verdict.board.flow == "vivado" else ""
        reached = f"{verdict.fps:,.0f}" if verdict.status == "fits" else verdict.status
        clock = f"{verdict.clock_mhz:g}"
        row = (verdict.board.name + star, reached, clock, *_shares(verdict), verdict.binds)
        shown.add_row(*row)
    if listed:
        out.print(shown)
    if fps:
        least = next((v.board.name for v in listed), "none that is known")
        out.print(f"smallest board that reaches {fps:,.0f} frames a second: {least}")
    short = [f"{v.board.name} ({v.binds})" for v in verdicts if v.status != "unknown"]
    short = short[len(listed) :]
    if short:
        out.print(f"too slow or too large: {', '.join(short)}", soft_wrap=True)
    for why, names in _unknown(verdicts).items():
        out.print(f"unknown: {why}: {', '.join(names)}", soft_wrap=True)
    if any(v.board.flow == "vivado" for v in listed):
        out.print("* the shell that the vendor's tools add is not counted")
    for note in source.notes:
        out.print(note)


def _shares(verdict: Verdict) -> list[str]:
    """Of the board, what the design takes, or what the nearest one that does not fit needs."""
    if verdict.cost is None:
        return [""] * len(COUNTED)
    holds = verdict.board.resources.as_dict()
    return [
        "" if value is None or not holds[name] else f"{value / holds[name]:.0%}"
        for name, value in verdict.cost.total.as_dict().items()
    ]


def _unknown(verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """Why -> the boards that nothing is known of for that reason."""
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.status == "unknown":
            why = verdict.why
            if why == "uncalibrated":
                why = f"uncalibrated family {verdict.board.family}"
            found.setdefault(why, []).append(verdict.board.name)
    return found
