"""Reference of the boards: what each holds, and where every figure comes from."""

from __future__ import annotations

from docs.generate.markdown import code, table
from hw_targets.boards import Board, board_names, load_board

HEAD = """\
# Boards

What `liftflow boards` and `liftflow boards show NAME` say, of all boards.
[A board of your own](../guides/board.md) is a TOML file of the same form.

"""
FLOWS = {
    "ecp5": "Yosys, nextpnr-ecp5 and ecppack make the bitstream",
    "ice40": "Yosys, nextpnr-ice40 and icepack make the bitstream",
    "gowin": "Yosys, nextpnr-himbaechel and gowin_pack make the bitstream",
    "vivado": "Vivado makes the bitstream",
}


def page() -> str:
    """The whole page: all boards in one table, then each with its sources."""
    boards = [load_board(name) for name in board_names()]
    rows = [
        [
            f"[{board.name}](#{board.name})",
            board.description,
            code(board.part),
            *(f"{count:,}" for count in board.resources.as_dict().values()),
            f"{board.clock.default_mhz:g}",
        ]
        for board in boards
    ]
    heads = ["board", "what it is", "part", "LUT", "FF", "DSP", "BRAM", "MHz"]
    return HEAD + table(heads, rows) + "\n" + "\n".join(section(board) for board in boards)


def section(board: Board) -> str:
    """One board with the source of every figure."""
    rows = [[what, source] for what, source in board.sources.items()]
    return (
        f"## {board.name}\n\n{board.description}; family {board.family}. "
        f"{FLOWS[board.flow]}.\n\n" + table(["figures", "source"], rows)
    )
