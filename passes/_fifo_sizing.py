"""Least FIFO depths that keep the throughput, found by measuring: first wide open, then less."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """interval: clock cycles between frames. occupancy: most words that each FIFO held."""

    interval: int
    occupancy: tuple[int, ...]


@dataclass(frozen=True)
class Sizing:
    """depths: of the FIFOs. held: most words of each with room for all, frames paced."""

    depths: tuple[int, ...]
    held: tuple[int, ...]


Measure = Callable[[tuple[int, ...], bool], Measured | None]
"""(FIFO depths, whether frames come no faster than they can leave) -> None for a deadlock."""


def least_depths(
    measure: Measure,
    widths: Sequence[int],
    greatest: Sequence[int],
    *,
    expected: Sequence[int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    slack: float = 0.005,
    simulations: int | None = None,
) -> Sizing:
    """Depths of all FIFOs, powers of two from 2 up.

    With deep FIFOs, and frames that come at the rate at which they leave, nothing waits for room:
    what the FIFOs hold then is enough for that rate, in a chain as where branches come together.
    Most of it could as well wait in front of the fork: depths that are `expected` to do are tried
    next. From what does, groups of FIFOs are halved, those first that save most bits; a group that
    cannot be is split, until single FIFOs are left.

    Args:
        measure: simulates a few frames with given depths.
        widths: bits of each FIFO.
        greatest: depth with which each FIFO never holds up anything, as that of a whole frame.
        groups: FIFOs that are halved together at first; all of them without.
        expected: depths that may do; those that a FIFO never held are cut down to what it did.
        slack: how much longer than with the greatest depths the interval may become, relative.
        simulations: most that may be run for halving; as many as it takes without.

    Raises:
        RuntimeError: the design deadlocks even with the greatest depths.
    """
    deep = tuple(map(_power, greatest))
    opened = measure(deep, True)
    if opened is None:
        raise RuntimeError(f"deadlock with FIFOs of {max(deep)} words")
    start = tuple(
        min(most, _power(held)) for most, held in zip(deep, opened.occupancy, strict=True)
    )
    reached = measure(start, False)
    if reached is None or reached.interval > opened.interval * (1 + slack):
        start = deep  # frames that come as fast as they can need more than paced ones
        reached = measure(start, False)
        if reached is None:
            raise RuntimeError(f"deadlock with FIFOs of {max(deep)} words")
    limit = min(opened.interval, reached.interval) * (1 + slack)

    depths = list(start)
    if expected is not None:
        fewer = tuple(min(a, _power(b)) for a, b in zip(start, expected, strict=True))
        found = measure(fewer, False) if fewer != start else None
        if found is not None and found.interval <= limit:
            depths = list(fewer)
    waiting: list[tuple[int, tuple[int, ...]]] = []

    def put(group: Sequence[int]) -> None:
        open_ = tuple(index for index in group if depths[index] > 2)
        if open_:
            saved = sum(widths[index] * depths[index] for index in open_)
            heapq.heappush(waiting, (-saved, open_))

    for group in groups or [range(len(depths))]:
        put(group)
    left = simulations
    while waiting and left != 0:
        _, group = heapq.heappop(waiting)
        tried = list(depths)
        for index in group:
            tried[index] //= 2
        left = None if left is None else left - 1
        found = measure(tuple(tried), False)
        if found is not None and found.interval <= limit:
            depths = tried
            put(group)
        elif len(group) > 1:
            # Those that save most are parted from the rest.
            ranked = sorted(group, key=lambda index: (-widths[index] * depths[index], index))
            put(ranked[: len(ranked) // 2])
            put(ranked[len(ranked) // 2 :])
    return Sizing(tuple(depths), opened.occupancy)


def _power(depth: int) -> int:
    """The least power of two from 2 up that is no less."""
    return 1 << max(1, (depth - 1).bit_length())
