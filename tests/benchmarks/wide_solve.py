"""The fastest design of a wide space, found as the compiler's allocator finds its own.

The allocator's solver leaves edges behind a matrix-vector unit fractional, which its space allows
and this one does not: here every edge is whole.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack, vstack
from wide_space import Found, Wide

from passes._allocation_bound import Problem, bound

LEAST = 1e-3
"""What a budget of nothing is taken for, as in the allocator."""
PROBE_S = 10.0
TOLERANCE = 1e-9
Path = NDArray[np.intp]


def fastest(
    wide: Wide, budget: NDArray[np.float64], ceiling: int, probe_s: float = PROBE_S
) -> Found | None:
    """The fewest cycles between frames within `budget`, at most `ceiling`; None: nothing fits.

    probe_s: longest that the solver may take for one probe of the bisection, in seconds.
    """
    candidates = np.unique(wide.cycles[wide.cycles <= ceiling])
    low, high = 0, len(candidates) - 1
    best: Found | None = None
    proven = True
    while low <= high:
        middle = (low + high) // 2
        part = wide.subset(wide.cycles <= candidates[middle])
        path, sure = _within(part, budget, probe_s)
        if path is not None:
            taken = [part.edges[index] for index in path]
            units = tuple(edge.unit for edge in taken if edge.unit is not None)
            interval = int(part.cycles[path].max())
            best = Found(units, part.cost[path].sum(axis=0), interval, True)
            high = int(np.searchsorted(candidates, interval)) - 1
        else:
            proven = proven and sure
            low = middle + 1
    return best and Found(best.units, best.cost, best.interval, proven)


def _within(wide: Wide, budget: NDArray[np.float64], probe_s: float) -> tuple[Path | None, bool]:
    """A path within the budget, if one is found; and whether that answer is sure."""
    if not wide.edges:
        return None, True
    use = wide.cost.T / np.maximum(budget, LEAST)[:, None]
    nothing, ones = np.zeros(len(use)), np.ones(len(use))
    problem = Problem(wide.graph, np.zeros(len(wide.edges)), use, nothing, ones, 1.0)
    enough = (1.0, 1.0 + TOLERANCE)
    known = bound(problem, time.monotonic() + probe_s, enough)
    if known is None or known.value > enough[1]:
        return None, True
    if known.best <= enough[1]:
        return known.path, True
    # No design within the budget has an edge whose cheapest path lies above it.
    part, edges = problem.subset(known.reduced <= enough[1])
    if not len(edges):
        return None, True
    path, sure = _solved(part, probe_s)
    return (None if path is None else edges[path]), sure


def _solved(problem: Problem, probe_s: float) -> tuple[Path | None, bool]:
    """The path of least share by HiGHS, None where that exceeds the budget."""
    graph, count = problem.graph, len(problem.graph.tails)
    inner = graph.heads < graph.nodes - 1
    at = np.arange(count)
    flow = csr_array(
        (
            np.concatenate([np.ones(count), -np.ones(int(inner.sum()))]),
            (
                np.concatenate([graph.tails, graph.heads[inner]]),
                np.concatenate([at, at[inner]]),
            ),
        ),
        shape=(graph.nodes - 1, count),
    )
    supply = np.zeros(graph.nodes - 1)
    supply[0] = 1.0
    rows = len(problem.use)
    share = csr_array(np.concatenate([np.zeros(len(supply)), -np.ones(rows)])[:, None])
    result = milp(
        np.append(np.zeros(count), 1.0),
        integrality=np.append(np.ones(count), 0),
        bounds=Bounds(np.zeros(count + 1), np.append(np.ones(count), np.inf)),
        constraints=LinearConstraint(
            hstack([vstack([flow, csr_array(problem.use)]), share]).tocsc(),
            np.concatenate([supply, np.full(rows, -np.inf)]),
            np.concatenate([supply, np.zeros(rows)]),
        ),
        options={"time_limit": probe_s, "mip_rel_gap": 0.0},
    )
    low = result.mip_dual_bound
    sure = result.status == 2 or (low is not None and low > 1.0 + TOLERANCE)
    if result.x is None:
        return None, sure
    path, _ = graph.shortest(1.0 - np.asarray(result.x[:count]))
    return (path, True) if problem.value(path) <= 1.0 + TOLERANCE else (None, sure)
