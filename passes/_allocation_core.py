"""The best path that keeps to the limits: a bound, the edges that can matter, HiGHS over these.

The edges that no design within reach of the bound uses are left out (`_allocation_bound`), then
those that another one dominates (`_allocation_prune`); what is left, the core (Balas and Zemel, "An
Algorithm for Large Zero-One Knapsack Problems", 1980), goes to HiGHS (`_allocation_highs`). As
long as its best lies further from the bound than the core reaches, the core grows. Where small ones
do not decide it, designs are taken apart (`_allocation_tree`) before it grows on.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from passes._allocation_bound import Bound, Problem, bound
from passes._allocation_highs import NOTHING, TOLERANCE, Found, solve
from passes._allocation_prune import pruned
from passes._allocation_space import MATRIX, RANKS
from passes._allocation_tree import branched

CORE, GROWTH = 600, 2
"""Edges that the solver begins with, and how many times as many it goes on with."""
CLOSE = 0.98e-3
"""Share of its objective to which a design is proven before larger cores are: just below 0.1 %."""
EARLY, BRANCHES = 0.15, 3000
"""Share of the time that small cores have before designs are taken apart, and nodes of HiGHS."""


def best_path(
    problem: Problem, time_limit_s: float, enough: tuple[float, float] | None = None
) -> Found:
    """The path of least objective that keeps to the limits.

    time_limit_s: of this process's work; what others take of the machine does not count, so that a
        busy one finds the same path.
    enough: (low, high): a path of at most `low` will do, and none is looked for above `high`.
    """
    deadline = time.process_time() + time_limit_s
    known = bound(problem, deadline, enough)
    if known is None:
        return NOTHING
    found = Found(known.path, known.best, known.value)
    if enough and (known.best <= enough[0] or known.value > enough[1]):
        return found
    if enough is None and not (problem.elastic > 0).any():
        early = deadline - (1 - EARLY) * time_limit_s
        found, count = _grown(problem, known, found, CORE, early, None, BRANCHES)
        if np.isfinite(found.bound) and (found.path is None or found.gap > CLOSE):
            other = branched(problem, known, found.path, CLOSE, deadline)
            found = Found(other.path, other.value, max(found.bound, other.bound))
        if not np.isfinite(found.bound) or time.process_time() > deadline:
            return found
        return _grown(problem, known, found, count, deadline, None)[0]
    return _grown(problem, known, found, CORE, deadline, enough)[0]


def _grown(
    problem: Problem,
    known: Bound,
    found: Found,
    count: int,
    deadline: float,
    enough: tuple[float, float] | None,
    branches: int | None = None,
) -> tuple[Found, int]:
    """The best path of cores of `count` edges and more, until `deadline`; how many came last.

    branches: most nodes of HiGHS's search in each.
    """
    path, best, low = found.path, found.value, found.bound
    most = np.inf if enough is None else enough[1]
    while not np.isfinite(best) or best - low > TOLERANCE * max(abs(best), 1e-12):
        # Nothing further above the bound than the best design known can be part of a better one.
        whole = min(best, most) - known.value
        reach = min(_reach(known, count), whole)
        last = reach == whole or count >= len(problem.objective)
        left = max(1.0, deadline - time.process_time())
        part = _of_core(problem, known, reach, left if last else left / 2, enough, branches)
        if part.path is not None and part.value < best:
            path, best = part.path, part.value
        # What was left out costs at least the reach.
        low = max(low, min(part.bound, known.value + reach, best))
        if last or time.process_time() > deadline or (enough and best <= enough[0]):
            break
        count *= GROWTH
    return Found(path, best, low), count


def _of_core(
    problem: Problem,
    known: Bound,
    reach: float,
    time_limit_s: float,
    enough: tuple[float, float] | None,
    branches: int | None,
) -> Found:
    """The best path of edges that lie at most `reach` above the bound and are not dominated."""
    core, edges = problem.subset(known.reduced <= known.value + reach * (1 + TOLERANCE))
    if not len(edges):
        return NOTHING
    core, left = pruned(core, MATRIX, RANKS)
    found = solve(core, known.value, time_limit_s, enough, branches)
    return found if found.path is None else replace(found, path=edges[left[found.path]])


def _reach(known: Bound, edges: int) -> float:
    """How far above the bound paths are, through one of the `edges` that lie nearest to it.

    Where there are no more edges than that, none is left out, however far it lies.
    """
    above = np.maximum(known.reduced - known.value, 0.0)
    if len(above) <= edges:
        return np.inf
    return max(float(np.partition(above, edges)[:edges].max()), 1e-12)
