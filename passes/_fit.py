"""What a design was estimated to need, and whether what a tool counted is within the budget."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf

from compiler.stages import Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.errors import InfeasibleError


def estimated(design: RtlDesign, board: Board) -> Resources:
    """The allocation's estimate; nothing where it was made for another board, or for our units
    where FINN's are."""
    if design.finn_units.layers or design.allocation.board != board.name:
        return Resources()
    return Resources(**design.allocation.estimate)


def require_fit(used: Mapping[str, float], board: Board, share: float) -> None:
    """Raise InfeasibleError naming every resource in `used` that is over its share of the board.

    What synthesis counts can be a little more than was estimated when the share was filled: the
    mend is what a build takes that goes on all the same, where the board itself is large enough.
    """
    budget, whole = board.budget(share), board.budget(1.0)
    counted = {name: count for name, count in used.items() if name in budget}
    over = [
        f"{name.upper()} {count:.0f} of {budget[name]:.0f}"
        for name, count in counted.items()
        if count > budget[name]
    ]
    if not over:
        return
    needed = max(n / whole[name] if whole[name] else inf for name, n in counted.items() if n)
    mend = "raise goals.share, lower goals.fps, or take a larger board"
    if needed <= 1:
        granted = ceil(100 * needed) / 100
        mend = f"--set synthesize.share={granted:g} builds it as it is; else {mend}"
    raise InfeasibleError(
        f"the design needs more than its share of the board: {', '.join(over)}",
        where=board.name,
        mend=mend,
    )
