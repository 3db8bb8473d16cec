"""A path made better piece by piece: parts of it set free, the best of nearby edges put there.

Large neighbourhood search (Shaw, "Using Constraint Programming and Local Search Methods to Solve
Vehicle Routing Problems", 1998): all edges stay but those of a few stretches of ranks, drawn at
random, for which HiGHS chooses among the edges nearest to the bound.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Problem
from passes._allocation_highs import solve

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

EDGES = 350
"""That HiGHS chooses among."""
STRETCHES = 4
"""Most stretches set free at once."""
FREE = (0.1, 0.6)
"""Least and most of the ranks set free, as a share."""
PATIENCE = 10
"""Draws without a better path after which it is left."""
BRANCHES = 10
"""Nodes of HiGHS's search in a draw: more time goes into other draws."""


def polished(
    problem: Problem,
    reduced: Floats,
    path: Indices,
    rng: np.random.Generator,
    deadline: float,
) -> Indices:
    """A path no worse than `path`, which keeps to the limits.

    reduced: (edges,) what paths through an edge are not below. deadline: of time.process_time.
    """
    ranks, best = problem.graph.ranks, problem.value(path)
    fruitless = 0
    while fruitless < PATIENCE and time.process_time() < deadline:
        fixed = np.zeros(len(ranks), dtype=bool)
        fixed[path] = True
        near = _free(len(path), rng)[ranks] & (reduced < best) & ~fixed
        if near.sum() > EDGES:
            near &= reduced <= np.partition(reduced[near], EDGES)[EDGES]
        part, edges = problem.subset(fixed | near)
        left = max(0.1, deadline - time.process_time())
        found = solve(part, best, left, branches=BRANCHES)
        fruitless += 1
        if found.path is not None and found.value < best:
            path, best, fruitless = edges[found.path], found.value, 0
    return path


def _free(ranks: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(ranks,) True where edges may change."""
    stretches = int(rng.integers(1, STRETCHES + 1))
    length = max(1, round(ranks * rng.uniform(*FREE) / stretches))
    found = np.zeros(ranks, dtype=bool)
    for start in rng.integers(-(length // 2), ranks, stretches).tolist():
        found[max(0, start) : start + length] = True
    return found
