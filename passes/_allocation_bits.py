"""Bits of least modelled error under a mean, without hardware: a multiple-choice knapsack.

Solved exactly, by dynamic programming over the states (bits spent, error) that no other state
beats in both. The Lagrangian relaxation (Sinha and Zoltners, "The Multiple-Choice Knapsack
Problem", Operations Research 1979) bounds what a state can still come to, which leaves few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import InfeasibleError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_HALVINGS = 100
"""Of the interval that holds the multiplier: more than a float64 has bits."""
_ROUNDING = 1e-12
"""Relative: a bound this little above the best known error may be rounding."""


@dataclass(frozen=True)
class _Item:
    """The choices of one layer: bits spent, as widths times weights, and their errors."""

    widths: tuple[int, ...]
    spent: Int64
    error: Float64


def least_error(
    errors: Sequence[Mapping[int, float]], sizes: Sequence[int], mean_bits: float
) -> tuple[int, ...]:
    """The width of every layer that makes the sum of errors least: exact, no gap.

    Args:
        errors: of every layer, width -> error.
        sizes: of every layer, how many weights (or activations) have the width.
        mean_bits: limit of the average width over all weights.

    Raises:
        InfeasibleError: the least widths are above the mean already.
    """
    items = [_item(table, size) for table, size in zip(errors, sizes, strict=True)]
    room = floor(mean_bits * sum(sizes) + 1e-6)
    if sum(int(item.spent.min()) for item in items) > room:
        raise InfeasibleError(
            f"a mean of {mean_bits:g} bits is below the least widths",
            where="allocate",
            mend="allow more bits on average or offer smaller widths",
        )
    return _search(items, room)


def mean(sizes: Sequence[int], widths: Sequence[int]) -> float:
    """The average width, 0 of nothing."""
    total = sum(sizes)
    spent = sum(size * width for size, width in zip(sizes, widths, strict=True))
    return spent / total if total else 0.0


def _item(table: Mapping[int, float], size: int) -> _Item:
    widths = tuple(sorted(table))
    spent = np.array([width * size for width in widths], np.int64)
    return _Item(widths, spent, np.array([table[width] for width in widths], np.float64))


def _search(items: Sequence[_Item], room: int) -> tuple[int, ...]:
    price, most = _relaxed(items, room)
    rest = np.cumsum([0.0] + [_least(item, price) for item in items[::-1]])[::-1]
    needed = np.cumsum([0] + [int(item.spent.min()) for item in items[::-1]])[::-1]
    most += _ROUNDING * (abs(most) + price * room)
    spent, error = np.zeros(1, np.int64), np.zeros(1)
    history: list[tuple[Int64, Int64]] = []
    for at, item in enumerate(items):
        all_spent = (spent[:, None] + item.spent).ravel()
        all_error = (error[:, None] + item.error).ravel()
        bound = all_error + price * (all_spent - room) + rest[at + 1]
        open_ = np.flatnonzero((all_spent + needed[at + 1] <= room) & (bound <= most))
        order = open_[np.lexsort((all_error[open_], all_spent[open_]))]
        before = np.minimum.accumulate(np.append(np.inf, all_error[order]))[:-1]
        kept = order[all_error[order] < before]
        history.append((kept // len(item.widths), kept % len(item.widths)))
        spent, error = all_spent[kept], all_error[kept]
    state = int(np.argmin(error))
    chosen: list[int] = []
    for item, (origin, choice) in zip(items[::-1], history[::-1], strict=True):
        chosen.append(item.widths[int(choice[state])])
        state = int(origin[state])
    return tuple(chosen[::-1])


def _relaxed(items: Sequence[_Item], room: int) -> tuple[float, float]:
    """The price of a bit that the relaxation finds, and the error of a choice that fits."""
    low, high = 0.0, 1.0
    while _picked(items, high)[0] > room:
        high *= 2.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _picked(items, middle)[0] > room:
            low = middle
        else:
            high = middle
    return high, _picked(items, high)[1]


def _picked(items: Sequence[_Item], price: float) -> tuple[int, float]:
    """(bits spent, error) where every layer takes its cheapest choice, the smaller of equals."""
    spent, error = 0, 0.0
    for item in items:
        best = int(np.argmin(item.error + price * item.spent))
        spent += int(item.spent[best])
        error += float(item.error[best])
    return spent, error


def _least(item: _Item, price: float) -> float:
    return float((item.error + price * item.spent).min())
