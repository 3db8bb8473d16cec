"""Whether what a tool counted is within the budget."""

from __future__ import annotations

from collections.abc import Mapping

from hw_targets.errors import InfeasibleError


def require_fit(used: Mapping[str, float], budget: Mapping[str, float], board: str) -> None:
    """Raise InfeasibleError naming every resource counted in `used` that is over the budget."""
    over = [
        f"{name.upper()} {count:.0f} of {budget[name]:.0f}"
        for name, count in used.items()
        if count > budget[name]
    ]
    if over:
        raise InfeasibleError(
            f"the design needs more than its share of the board: {', '.join(over)}",
            where=board,
            mend="raise goals.share, lower goals.fps, or take a larger board",
        )
