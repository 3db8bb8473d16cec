"""Least FIFO depths that keep the throughput, found by measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Measure = Callable[[tuple[int, ...]], int | None]
"""FIFO depths -> clock cycles between frames, or None for a deadlock."""


def least_depths(
    measure: Measure, widths: Sequence[int], greatest: int, *, slack: float = 0.005
) -> tuple[int, ...]:
    """Depths of all FIFOs, powers of two from 2 to `greatest`, none of which could be smaller.

    Args:
        measure: simulates a few frames with given depths.
        widths: bits of each FIFO; the widest are shrunk first, since they cost most.
        greatest: depth with which throughput is what the units allow.
        slack: how much longer than with the greatest depths the interval may become, relative.

    Raises:
        RuntimeError: the design deadlocks even with the greatest depths.
    """
    candidates = _powers(greatest)
    count = len(widths)
    best = measure((candidates[-1],) * count)
    if best is None:
        raise RuntimeError(f"deadlock with FIFOs of {candidates[-1]} words")
    limit = best * (1 + slack)

    def fits(depths: Sequence[int]) -> bool:
        interval = measure(tuple(depths))
        return interval is not None and interval <= limit

    # One depth for all first: most designs need little, and this leaves less to search.
    uniform = _least(lambda depth: fits([depth] * count), candidates)
    depths = [uniform] * count
    for index in sorted(range(count), key=lambda place: -widths[place]):
        below = [depth for depth in candidates if depth <= depths[index]]
        depths[index] = _least(
            lambda depth, at=index: fits([*depths[:at], depth, *depths[at + 1 :]]),  # type: ignore[misc]
            below,
        )
    return tuple(depths)


def _powers(greatest: int) -> list[int]:
    return [1 << power for power in range(1, max(2, (greatest - 1).bit_length() + 1))]


def _least(fits: Callable[[int], bool], candidates: Sequence[int]) -> int:
    """The least candidate that fits; the last one is known to."""
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(candidates[middle]):
            high = middle
        else:
            low = middle + 1
    return candidates[low]
