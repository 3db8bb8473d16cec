"""The best mix of a few paths and what it pays for the limits: a linear programme, kept warm.

The master programme of Dantzig and Wolfe ("Decomposition Principle for Linear Programs", 1960):
weights of the known paths that add up to one, of least objective, whose mean use keeps to the
limits. A path more is a column more, from where HiGHS goes on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Master:
    """Limits must be firm. penalty: what a limit costs a unit that it is exceeded by."""

    def __init__(self, limits: Floats, penalty: float) -> None:
        import highspy

        self._free = highspy.kHighsInf
        self._rows = len(limits)
        self._solver = highspy.Highs()
        self._solver.silent()
        self._solver.setOptionValue("threads", 1)
        self._solver.setOptionValue("presolve", "off")
        for limit in limits:
            self._solver.addRow(-self._free, float(limit), 0, [], [])
        self._solver.addRow(1.0, 1.0, 0, [], [])
        for row in range(self._rows):
            self._solver.addCol(penalty, 0.0, self._free, 1, [row], [-1.0])
        self._column = np.arange(self._rows + 1, dtype=np.int32)

    def add(self, objective: float, use: Floats) -> None:
        """One more path. use: (rows,)."""
        self._solver.addCol(
            objective, 0.0, self._free, self._rows + 1, self._column, np.append(use, 1.0)
        )

    def solve(self) -> tuple[float, Floats, Floats] | None:
        """The objective of the best mix, (rows,) prices of the limits, (paths,) weights.

        None where HiGHS does not say that it is the best.
        """
        import highspy

        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._solver.getSolution()
        prices = np.maximum(-np.asarray(solution.row_dual[: self._rows]), 0.0)
        weights = np.asarray(solution.col_value[self._rows :])
        return float(self._solver.getInfo().objective_function_value), prices, weights
