"""What a design was estimated to need, and whether what a tool counted is within the budget."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.stages import Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.errors import InfeasibleError


def estimated(design: RtlDesign, board: Board) -> Resources:
    """The allocation's estimate; nothing where it was made for another board, or for our units
    where FINN's are."""
    if design.finn_units.layers or design.allocation.board != board.name:
        return Resources()
    return Resources(**design.allocation.estimate)


def require_fit(used: Mapping[str, float], budget: Mapping[str, float], board: str) -> None:
    """Raise InfeasibleError naming every resource counted in `used` that is over its budget."""
    over = [
        f"{name.upper()} {count:.0f} of {budget[name]:.0f}"
        for name, count in used.items()
        if name in budget and count > budget[name]
    ]
    if over:
        raise InfeasibleError(
            f"the design needs more than its share of the board: {', '.join(over)}",
            where=board,
            mend="raise goals.share, lower goals.fps, or take a larger board",
        )
