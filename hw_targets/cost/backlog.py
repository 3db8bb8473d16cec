"""Words that wait in front of a joint: what the FIFO of a skip path must hold.

Where branches meet again, beats of the shorter one wait for those of the longer one; a FIFO that
holds fewer makes the fork wait, and so the longer branch too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hw_targets.cost.latency import fifo_cycles, link_times, taken_times
from hw_targets.rtl.kernel import Instance, IntArray, Kernel
from hw_targets.rtl.top import Link


def backlogs(units: Sequence[Instance], links: Sequence[Link], interval: int) -> dict[str, int]:
    """Most words at once in the FIFO of every link into a unit that joins streams, by its name.

    units, links: as `Design` has them. interval: clock cycles a frame, in which input beats come
    evenly; what enters a FIFO of another unit is taken to find room.
    """
    beats = max(1, units[0].kernel.inputs[0].beats)

    def paced(index: IntArray) -> IntArray:
        return index * max(interval, beats) // beats

    found: dict[str, int] = {}
    coming = link_times(units, links, paced)
    for unit in units:
        taken = [next(coming) for _ in unit.kernel.inputs]
        if len(taken) < 2:
            continue
        entered = [times(np.arange(link.stream.beats)) for link, times in taken]
        there = [
            times + fifo_cycles(link.depth) for (link, _), times in zip(taken, entered, strict=True)
        ]
        left = taken_times(unit.kernel, there)
        for (link, _), come, leave in zip(taken, entered, left, strict=True):
            found[link.name] = _most(come, leave)
    return found


def joins(kernel: Kernel) -> bool:
    """Does the unit take several streams?"""
    return len(kernel.inputs) > 1


def _most(come: IntArray, leave: IntArray) -> int:
    """Most beats at once that have come and not left."""
    return int((np.arange(1, len(come) + 1) - np.searchsorted(leave, come, side="left")).max())
