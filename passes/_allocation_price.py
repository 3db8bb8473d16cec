"""Groups of kernels that stand together in a space, numbered, and priced all at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.model import estimate, estimate_many
from hw_targets.families import RESOURCES
from hw_targets.rtl.kernel import Kernel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Prices:
    """Every distinct kernel is priced once."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._groups: dict[tuple[Kernel, ...], int] = {}

    def group(self, kernels: Iterable[Kernel]) -> int:
        """The number of these kernels, the same every time."""
        return self._groups.setdefault(tuple(kernels), len(self._groups))

    def priced(self) -> tuple[Floats, Integers]:
        """(groups, 4) resources and (groups,) cycles."""
        numbers: dict[Kernel, int] = {}
        rows, owners = [], []
        for owner, group in enumerate(self._groups):
            for kernel in group:
                rows.append(numbers.setdefault(kernel, len(numbers)))
                owners.append(owner)
        cost = np.zeros((len(self._groups), len(RESOURCES)))
        cycles = np.zeros(len(self._groups), dtype=np.int64)
        if rows:
            prices = estimate_many(list(numbers), self.family)
            np.add.at(cost, owners, prices[rows])
            each = np.array([kernel.cycles for kernel in numbers], dtype=np.int64)
            np.maximum.at(cycles, owners, each[rows])
        return cost, cycles

    def why(self, number: int) -> str:
        """What is uncalibrated in a group; empty when nothing is."""
        group = list(self._groups)[number]
        return next(filter(None, (estimate(kernel, self.family).why for kernel in group)), "")
