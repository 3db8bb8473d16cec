"""Which boards hold a network, and how fast it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compiler.pricing import folding, limits
from compiler.pricing.folding import Folding, Priced
from compiler.pricing.source import Source
from compiler.stages import LayerChoice
from hw_targets.boards import Board
from hw_targets.cost.network import NetworkCost, network_cost
from hw_targets.cost.shell import shell_estimate

Status = Literal["fits", "too slow", "too large", "unknown"]
ORDER: tuple[Status, ...] = ("fits", "too slow", "too large", "unknown")


@dataclass(frozen=True)
class Verdict:
    """What becomes of a network on one board.

    status: "too slow" where no folding reaches the rate asked for, "too large" where none that does
    fits. binds: what keeps it from being faster, or from fitting; of boards that fit a rate asked
    for, the resource most used. why: of the unknown.
    cost: of the design, of one that does not fit the one that comes nearest; None where unknown.
    """

    board: Board
    clock_mhz: float
    status: Status
    binds: str = ""
    why: str = ""
    cost: NetworkCost[LayerChoice] | None = None

    @property
    def fps(self) -> float:
        """Frames a second; 0 where no design fits."""
        if self.status != "fits" or self.cost is None:
            return 0.0
        return self.clock_mhz * 1e6 / self.cost.interval


def fit(
    source: Source,
    boards: Sequence[Board],
    share: float,
    clock_mhz: float | None,
    fps: float | None,
) -> list[Verdict]:
    """Verdicts on all boards: fastest first, or where a rate is asked for, smallest first.

    Without `fps` every board's design is the fastest that `share` of it holds, the one `allocate`
    finds at the same bits; with it, the least hardware that reaches the rate. Each family is
    priced once, and boards that leave the same room share one solution.

    Args:
        clock_mhz: None for every board's own.
    """
    priced: dict[str, Priced] = {}
    solved: dict[tuple[str, tuple[float, ...], int], _Outcome] = {}
    verdicts = []
    for board in boards:
        clock = clock_mhz or board.clock.default_mhz
        if board.family not in priced:
            priced[board.family] = folding.price(source.network, source.widths, board.family)
        family = priced[board.family]
        room = folding.room_on(board, share, source.network)
        if family.space is None or room is None:
            why = family.unknown or shell_estimate(board).why
            verdicts.append(Verdict(board, clock, "unknown", why=why))
            continue
        interval = folding.interval_of(fps, clock) if fps else folding.NO_RATE
        key = (board.family, tuple(room.tolist()), interval)
        if key not in solved:
            solved[key] = _solve(family, room, interval)
        found = solved[key]
        cost = None
        if found.folding:
            fold = found.folding
            cost = network_cost(source.network, fold.choices, board.family, board, fold.interval)
        verdicts.append(Verdict(board, clock, found.status, found.binds, found.why, cost))
    return sorted(verdicts, key=_by_size if fps else _by_rate)


@dataclass(frozen=True)
class _Outcome:
    status: Status
    folding: Folding | None = None
    binds: str = ""
    why: str = ""


def _solve(priced: Priced, room: NDArray[np.float64], interval: int) -> _Outcome:
    asked = interval != folding.NO_RATE
    found = (folding.smallest if asked else folding.fastest)(priced, room, interval)
    if found is not None:
        binds = _tight(found, room) if asked else limits.binding(priced, room, found.interval)
        return _Outcome("fits", found, binds)
    nearest = folding.thinnest(priced, room, interval)
    if nearest is None and asked:
        return _Outcome("too slow", binds=limits.limit(priced, interval))
    if nearest is None:
        why = next(iter(priced.space.uncalibrated.values()), "") if priced.space else ""
        return _Outcome("unknown", why=why or "no folding fits together")
    return _Outcome("too large", nearest, _tight(nearest, room))


def _tight(found: Folding, room: NDArray[np.float64]) -> str:
    return ", ".join(name.upper() for name in limits.tight(found.cost, room))


def _by_rate(verdict: Verdict) -> tuple[int, float, int, str]:
    place = ORDER.index(verdict.status)
    return place, -verdict.fps, verdict.board.resources.lut, verdict.board.name


def _by_size(verdict: Verdict) -> tuple[int, int, str]:
    return ORDER.index(verdict.status), verdict.board.resources.lut, verdict.board.name
