"""A few edges as a mixed-integer programme for HiGHS: the best path of them within the limits.

Flow one enters at the source and is conserved at every node, so the chosen edges form a path.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Problem

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

UNITS = 1000.0
"""What the bound is scaled to: the solver's own tolerances are absolute."""
TOLERANCE = 1e-9
ANY = 1e9
"""A gap at which every path will do."""
NODES = 2**31 - 1
"""No limit of nodes."""
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


def solve(
    core: Problem,
    low: float,
    time_limit_s: float,
    enough: tuple[float, float] | None = None,
    branches: int | None = None,
) -> Found:
    """The best path of a few edges. low: of the size of the objective, to scale by.

    enough: where the level is all that is asked for, what bounds it, and any path will do.
    branches: most nodes of HiGHS's own search, whatever time there is.
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
                    "node_limit": NODES if branches is None else branches,
                },
            )
        # HiGHS looks at the clock on the wall. Where others had the machine, it begins again.
        worked = time.process_time() - began
        limited = result.status == LIMIT_REACHED and branches is None
        if not limited or worked >= WORKED * time_limit_s:
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
        return solve(core, low, time_limit_s)
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
