"""How a bitstream gets onto a board."""

from __future__ import annotations

from hw_targets.boards import Board


def load_commands(board: Board, bitstream: str) -> tuple[str, ...]:
    """Commands that load `bitstream` into the FPGA until power-off; any one of them does.

    Sources: openFPGALoader's board list; fujprog's README (ULX3S, through the same FT231X);
    iceprog's help (`-S`: into the FPGA, not its flash).
    """
    if board.name == "icebreaker":
        return (f"openFPGALoader --board ice40_generic {bitstream}", f"iceprog -S {bitstream}")
    if board.name.startswith("ulx3s"):
        return (f"openFPGALoader --board ulx3s {bitstream}", f"fujprog {bitstream}")
    return (f"openFPGALoader {bitstream}",)
