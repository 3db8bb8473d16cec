"""The best path that keeps to the limits: a bound, the edges that can matter, HiGHS over these.

Flow one enters at the source and is conserved at every node, so the chosen edges form a path. The
edges that no design within reach of the bound uses are left out (`_allocation_bound`), then those
that another one dominates (`_allocation_prune`); what is left, the core (Balas and Zemel, "An
Algorithm for Large Zero-One Knapsack Problems", 1980), goes to the solver as a mixed-integer
programme. As long as its best lies further from the bound than the core reaches, the core grows.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Bound, Problem, bound
from passes._allocation_prune import undominated
from passes._allocation_space import MATRIX, RANKS

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

CORE, GROWTH = 600, 2
"""Edges that the solver begins with, and how many times as many it goes on with."""
UNITS = 1000.0
"""What the bound is scaled to: the solver's own tolerances are absolute."""
TOLERANCE = 1e-9
ANY = 1e9
"""A gap at which every path will do."""
LIMIT_REACHED = 1
"""scipy's status of a programme that was stopped."""
WORKED, ATTEMPTS = 0.9, 8
"""Share of its time that HiGHS must have worked for its limit to be one; how often it may begin."""


@dataclass(frozen=True)
class Found:
    """The best path found, its value (infinite without one), and what no path is below."""

    path: Indices | None
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """How far, as a share of the value, a better path may lie; 0.0 of a proven best."""
        gap = max(0.0, self.value - self.bound) / max(abs(self.value), 1e-12)
        return 0.0 if gap <= 10 * TOLERANCE else gap


NOTHING = Found(None, np.inf, np.inf)


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
    path, best, low = known.path, known.best, known.value
    if enough and (best <= enough[0] or low > enough[1]):
        return Found(path, best, low)
    count, most = CORE, np.inf if enough is None else enough[1]
    while not np.isfinite(best) or best - low > TOLERANCE * max(abs(best), 1e-12):
        # Nothing further above the bound than the best design known can be part of a better one.
        whole = min(best, most) - known.value
        reach = min(_reach(known, count), whole)
        last = reach == whole or count >= len(problem.objective)
        left = max(1.0, deadline - time.process_time())
        found = _of_core(problem, known, reach, left if last else left / 2, enough)
        if found.path is not None and found.value < best:
            path, best = found.path, found.value
        # What was left out costs at least the reach.
        low = max(low, min(found.bound, known.value + reach, best))
        if last or time.process_time() > deadline or (enough and best <= enough[0]):
            break
        count *= GROWTH
    return Found(path, best, low)


def _of_core(
    problem: Problem,
    known: Bound,
    reach: float,
    time_limit_s: float,
    enough: tuple[float, float] | None,
) -> Found:
    """The best path of edges that lie at most `reach` above the bound and are not dominated."""
    core, edges = problem.subset(known.reduced <= known.value + reach * (1 + TOLERANCE))
    if not len(edges):
        return NOTHING
    rows = np.vstack([core.objective, core.use]).T
    core, left = core.subset(undominated(core.graph, rows, MATRIX, RANKS))
    found = _solve(core, known.value, time_limit_s, enough)
    return found if found.path is None else replace(found, path=edges[left[found.path]])


def _reach(known: Bound, edges: int) -> float:
    """How far above the bound paths are, through one of the `edges` that lie nearest to it.

    Where there are no more edges than that, none is left out, however far it lies.
    """
    above = np.maximum(known.reduced - known.value, 0.0)
    if len(above) <= edges:
        return np.inf
    return max(float(np.partition(above, edges)[:edges].max()), 1e-12)


def _solve(
    core: Problem, low: float, time_limit_s: float, enough: tuple[float, float] | None
) -> Found:
    """The core as a mixed-integer programme. low: of the size of the objective, to scale by.

    Where the level is all that is asked for, `enough` bounds it, and any path will do.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, hstack, vstack

    edges = len(core.graph.tails)
    flow, supply = _conservation(core)
    # One more variable, the level: use <= limit + elastic x level.
    flow = hstack([flow, csr_array((flow.shape[0], 1))])
    rows = hstack([csr_array(core.use), csr_array(-core.elastic[:, None])])
    matrix = vstack([flow, rows])
    unit = UNITS / max(abs(low), 1e-9)
    cost = unit * np.append(core.objective, core.scaled)
    # Some would be whole without asking, but solutions are then mended by solving anew.
    integers = np.append(np.ones(edges), 0.0)
    soft = (core.elastic > 0).any()
    asked = enough is not None and not core.objective.any()
    level = (enough[1] / core.scaled if enough and asked else np.inf) if soft else 0.0
    bounds = Bounds(np.zeros(edges + 1), np.append(np.ones(edges), level))
    constraints = LinearConstraint(
        matrix.tocsc(),
        np.concatenate([supply, np.full(len(core.limits), -np.inf)]),
        np.concatenate([supply, core.limits]),
    )
    for attempt in range(ATTEMPTS):
        began = time.process_time()
        with _silent():
            result = milp(
                cost,
                integrality=integers,
                bounds=bounds,
                constraints=constraints,
                options={
                    "time_limit": time_limit_s * 2**attempt,
                    "mip_rel_gap": ANY if asked else 0.0,
                },
            )
        # HiGHS looks at the clock on the wall. Where others had the machine, it begins again.
        worked = time.process_time() - began
        if result.status != LIMIT_REACHED or worked >= WORKED * time_limit_s:
            break
    # Status 2: no path of the core keeps to the limits. Others may: then nothing is known of it.
    inner = (enough[1] if enough and asked else np.inf) if result.status == 2 else low
    if result.mip_dual_bound is not None:
        inner = max(inner, result.mip_dual_bound / unit)
    if result.x is None:
        return Found(None, np.inf, inner)
    path = _path(core, np.asarray(result.x[:edges]))
    value = core.value(path)
    if enough and asked and value > enough[1]:
        # By less than HiGHS's tolerance: whether another keeps to it, the least of all tells.
        return _solve(core, low, time_limit_s, None)
    return Found(path, value, inner)


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps off standard output what HiGHS writes there whatever its options say."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _conservation(problem: Problem) -> tuple[csr_array, Floats]:
    """(nodes - 1, edges) incidence and what flows out of each node; the sink's row is implied."""
    from scipy.sparse import csr_array

    graph = problem.graph
    edges, nodes = np.arange(len(graph.tails)), graph.nodes - 1
    inner = graph.heads < nodes
    row = np.concatenate([graph.tails, graph.heads[inner]])
    column = np.concatenate([edges, edges[inner]])
    value = np.concatenate([np.ones(len(edges)), -np.ones(int(inner.sum()))])
    supply = np.zeros(nodes)
    supply[0] = 1.0
    return csr_array((value, (row, column)), shape=(nodes, len(edges))), supply


def _path(problem: Problem, flow: Floats) -> Indices:
    """Reads the path off the flow: the one that carries it all."""
    path, _ = problem.graph.shortest(1.0 - flow)
    return path
