"""`liftflow boards`: what the boards hold, and where every figure comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from compiler.commands.console import out, print_json, table
from hw_targets.boards import Board, board_names, load_board

app = typer.Typer(help="List the boards LiftFlow knows, or show one.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def boards(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the boards LiftFlow knows."""
    if context.invoked_subcommand is not None:
        return
    known = [load_board(name) for name in board_names()]
    if as_json:
        print_json([board.model_dump(mode="json") for board in known])
        return
    counts = ("LUT", "FF", "DSP", "BRAM")
    listed = table("board", "part", *counts, "flow", numbers=counts)
    for board in known:
        figures = (f"{count:,}" for count in board.resources.as_dict().values())
        listed.add_row(board.name, board.part, *figures, board.flow)
    out.print(listed)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Board name, or the path of a board's TOML file.")],
    as_json: JsonOption = False,
) -> None:
    """Show one board with the source of every figure."""
    board = load_board(name)
    if as_json:
        print_json(board.model_dump(mode="json"))
        return
    shown = table("", "", "source")
    for what, value, source in _facts(board):
        shown.add_row(what, value, source)
    out.print(f"[bold]{board.name}[/]  {board.description}")
    out.print(shown)


def _facts(board: Board) -> list[tuple[str, str, str]]:
    """(what, value, source) of everything a board's file says."""
    said = board.sources
    oscillator = board.clock.oscillator_mhz
    facts = [
        ("part", board.part, said["part"]),
        ("family", board.family, ""),
        ("flow", board.flow, ""),
    ]
    if board.finn_board:
        facts.append(("FINN's name", board.finn_board, board.finn_shell or "stitched IP only"))
    if board.board_part:
        facts.append(("Vivado's name", board.board_part, ""))
    counts = {**board.resources.as_dict(), "uram": board.resources.uram}
    for index, (resource, count) in enumerate(counts.items()):
        if count or resource != "uram":
            facts.append((resource.upper(), f"{count:,}", said["resources"] if index == 0 else ""))
    facts.append(("clock", f"{board.clock.default_mhz:g} MHz", said["clock"]))
    if oscillator:
        facts.append(("oscillator", f"{oscillator:g} MHz", ""))
    if board.pins:
        for index, (pin, ball) in enumerate(board.pins.model_dump().items()):
            if ball:
                balls = ball if isinstance(ball, str) else " ".join(ball)
                facts.append((pin, balls, said["pins"] if index == 0 else ""))
    return facts
