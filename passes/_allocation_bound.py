"""Lower bound of an allocation, and what it costs to use each edge: Lagrangian relaxation.

A design is a path that keeps to a few limits shared by all layers. Priced by multipliers, the
limits leave a shortest path to find. The best multipliers come from a linear programme over the
paths found so far (Dantzig and Wolfe, "Decomposition Principle for Linear Programs", 1960), solved
by HiGHS, and a path that these multipliers make cheaper than all is the next. An edge whose
cheapest path lies further above the bound than the best design known can be part of no better one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passes._allocation_paths import Graph

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

ROUNDS = 500
CLOSE = 1e-7
"""Relative distance between bound and relaxation at which the multipliers are taken as found."""
BROKEN = 1e-9
"""How far limits are exceeded, as a share, before no design is said to keep to them."""


@dataclass(frozen=True)
class Problem:
    """Least objective + scaled x level over paths whose use keeps to limits.

    objective: (edges,). use: (rows, edges). limits, elastic: (rows,): a path's use of a row is at
    most limit + elastic x level, where level >= 0 is free and counts `scaled` in the objective.
    """

    graph: Graph
    objective: Floats
    use: Floats
    limits: Floats
    elastic: Floats
    scaled: float = 0.0

    def subset(self, keep: NDArray[np.bool_]) -> tuple[Problem, Indices]:
        """The same with fewer edges, and where they were."""
        graph, edges = self.graph.subset(keep)
        part = Problem(
            graph,
            self.objective[edges],
            self.use[:, edges],
            self.limits,
            self.elastic,
            self.scaled,
        )
        return part, edges

    def value(self, path: Indices) -> float:
        """Objective of a path, infinite where it does not keep to the limits."""
        over = self.use[:, path].sum(axis=1) - self.limits
        firm = self.elastic <= 0
        if (over[firm] > BROKEN * np.maximum(1.0, np.abs(self.limits[firm]))).any():
            return float("inf")
        soft = over[~firm] / self.elastic[~firm]
        level = max(0.0, float(soft.max())) if len(soft) else 0.0
        return float(self.objective[path].sum()) + self.scaled * level


@dataclass(frozen=True)
class Bound:
    """value: no path's objective is below it. reduced: (edges,) the same of paths through an edge.

    prices: (rows,) of the limits, that give both. path, best: the best design met on the way, None
    and infinity where none kept to the limits.
    """

    value: float
    reduced: Floats
    prices: Floats
    path: Indices | None
    best: float


def bound(
    problem: Problem, deadline: float, enough: tuple[float, float] | None = None
) -> Bound | None:
    """The best Lagrangian bound found until `deadline` (of time.process_time); None: infeasible.

    enough: (low, high): stop as soon as the bound is above `high` or a design at most `low`.
    """
    search = _Search(problem)
    if not search.feasible(deadline):
        return None
    return search.bound(deadline, enough)


def through(problem: Problem, prices: Floats) -> Floats:
    """(edges,) what no path through an edge is below that keeps to the limits, so priced."""
    graph = problem.graph
    weights = problem.objective + prices @ problem.use
    found = graph.from_source(weights)[graph.tails] + weights
    return np.asarray(found + graph.to_sink(weights)[graph.heads] - float(prices @ problem.limits))


class _Search:
    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._costs: list[float] = []
        self._uses: list[Floats] = []
        self._best: tuple[float, Indices | None] = (float("inf"), None)
        rows = len(problem.limits)
        self._try(problem.graph.shortest(problem.objective)[0])
        scale = np.maximum(np.abs(problem.limits), 1e-12)
        for row in range(rows):
            self._try(problem.graph.shortest(problem.use[row])[0])
        self._try(problem.graph.shortest((problem.use / scale[:, None]).sum(axis=0))[0])

    def _try(self, path: Indices) -> None:
        problem = self._problem
        self._costs.append(float(problem.objective[path].sum()))
        self._uses.append(problem.use[:, path].sum(axis=1))
        value = problem.value(path)
        if value < self._best[0]:
            self._best = value, path

    def feasible(self, deadline: float) -> bool:
        """Whether paths can be mixed so that the limits hold; more paths until they can."""
        problem = self._problem
        while self._best[1] is None:
            broken, prices, _ = self._master(broken=True)
            if broken <= BROKEN:
                return True
            path, least = problem.graph.shortest(prices @ problem.use)
            if least - prices @ problem.limits > BROKEN:
                return False
            if time.process_time() > deadline:
                return True
            self._try(path)
        return True

    def bound(self, deadline: float, enough: tuple[float, float] | None) -> Bound:
        problem = self._problem
        value, kept = -float("inf"), np.zeros(len(problem.limits))
        for _ in range(ROUNDS):
            relaxed, prices, solved = self._master(broken=False)
            if not solved:
                break
            path, least = problem.graph.shortest(problem.objective + prices @ problem.use)
            low = least - float(prices @ problem.limits)
            if low > value:
                value, kept = low, prices
            self._try(path)
            if (
                relaxed - value <= CLOSE * max(abs(relaxed), 1e-12)
                or time.process_time() > deadline
            ):
                break
            if enough and (value > enough[1] or self._best[0] <= enough[0]):
                break
        best, found = self._best
        return Bound(value, through(problem, kept), kept, found, best)

    def _master(self, *, broken: bool) -> tuple[float, Floats, bool]:
        """The mix of known paths of least objective, or of least breach; its row prices."""
        from scipy.optimize import linprog

        problem = self._problem
        count, rows = len(self._costs), len(problem.limits)
        uses = np.stack(self._uses, axis=1)
        # One more column: the level, or how far the limits that are firm are exceeded.
        slack = np.stack([-problem.elastic, -(problem.elastic <= 0).astype(np.float64)], axis=1)
        costs = np.zeros(count) if broken else np.array(self._costs)
        ends = [0.0 if broken else problem.scaled, 1.0 if broken else 0.0]
        result = linprog(
            np.concatenate([costs, ends]),
            A_ub=np.hstack([uses, slack]),
            b_ub=problem.limits,
            A_eq=np.concatenate([np.ones(count), [0.0, 0.0]])[None],
            b_eq=[1.0],
            bounds=[(0.0, None)] * (count + 1) + [(0.0, None if broken else 0.0)],
            method="highs",
        )
        if result.status != 0 or result.fun is None:
            return float("inf"), np.zeros(rows), False
        prices = np.maximum(-np.asarray(result.ineqlin.marginals), 0.0)
        return float(result.fun), prices, True
