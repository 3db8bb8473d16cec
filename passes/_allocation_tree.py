"""Branch and price: the bound raised by taking designs apart, and good designs found on the way.

A node is a part of all paths, and the relaxation over these its bound (Barnhart et al.,
"Branch-and-Price: Column Generation for Solving Huge Integer Programs", 1998). What goes on with
the least bound is taken apart at the rank and limit where the paths that it mixes differ most, as
priced: edges that use no more than the mix on one side, the others on the other. Edges that no path
better than asked for goes through are left out, and what has few left goes to HiGHS. The first
nodes, and some later ones, look for a path of their own by lists that meet
(`_allocation_meeting.py`), which is then polished (`_allocation_polish.py`).
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Bound, Problem, through
from passes._allocation_highs import Found, solve
from passes._allocation_master import Master
from passes._allocation_meeting import meeting
from passes._allocation_merge import merged
from passes._allocation_polish import polished
from passes._allocation_prune import pruned
from passes._allocation_space import MATRIX, RANKS

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

WIDE = 60_000
"""Edges nearest to the bound that first paths are looked for in."""
SMALL, BRANCHES = 500, 300
"""Edges of a node that HiGHS is given, and the nodes of its own search that it may take to it."""
ROUNDS, CLOSE = 60, 1e-6
"""Rounds of column generation a node, and the relative distance at which prices will do."""
PENALTY = 100.0
"""What exceeding a limit by all of it costs, in objectives."""
FIRST, EVERY = 3, 10
"""Nodes that look for a path of their own: so many first ones, then one of so many."""
LOOSE = 2.0
"""How much further than the best from the bound paths may be to be polished, in its distance."""
COLUMNS = 40
"""Paths that a node takes over from the one it is a part of."""


@dataclass(order=True)
class _Node:
    """edges: where the problem's are in that of the root. paths: of the problem, to begin with."""

    bound: float
    number: int
    problem: Problem = field(compare=False)
    edges: Indices = field(compare=False)
    paths: list[Indices] = field(compare=False)


def branched(
    problem: Problem, known: Bound, path: Indices | None, tolerance: float, deadline: float
) -> Found:
    """The best path to `tolerance`, a share, or as near as `deadline` of time.process_time allows.

    Limits must be firm. known: the problem's. path: the best known, if any.
    """
    return _Search(problem, known, path, tolerance, deadline).run()


class _Search:
    def __init__(
        self,
        problem: Problem,
        known: Bound,
        path: Indices | None,
        tolerance: float,
        deadline: float,
    ) -> None:
        self._problem, self._known, self._tolerance = problem, known, tolerance
        self._deadline = deadline
        self._path = path
        self._best = np.inf if path is None else problem.value(path)
        self._rng = np.random.default_rng(0)
        self._numbers = count()
        self._heap: list[_Node] = []
        self._unfinished = np.inf
        """The least bound of what was given up undecided."""

    @property
    def _cut(self) -> float:
        """Nothing is looked for from here on."""
        if not np.isfinite(self._best):
            return np.inf
        return self._best - self._tolerance * abs(self._best)

    @property
    def _loose(self) -> float:
        """Paths to here may be polished to be the best: they begin elsewhere."""
        return self._best + LOOSE * (self._best - self._known.value)

    def run(self) -> Found:
        known = self._known
        near = min(self._best, _nearest(known, WIDE))
        if not self._narrow(near):
            return Found(self._path, self._best, known.value)
        self._start()
        # Now that a path is known, what may be better than it: all of it, or it is not decided.
        if near < self._cut:
            self._narrow(self._cut)
        root, edges = self._wide.subset(through(self._wide, known.prices) <= self._cut)
        if len(edges):
            self._push(known.value, root, edges, [])
        nodes = 0
        while self._heap and self._heap[0].bound < self._cut:
            if time.process_time() > self._deadline:
                break
            self._expand(heapq.heappop(self._heap), nodes < FIRST or nodes % EVERY == 0)
            nodes += 1
        open_bound = self._heap[0].bound if self._heap else np.inf
        low = max(known.value, min(open_bound, self._unfinished, self._cut))
        return Found(self._path, self._best, min(low, self._best))

    def _narrow(self, most: float) -> bool:
        """Searches the edges only that paths of at most `most` may use; False if there are none.

        Without dominated ones, twice: `_flat` for HiGHS, which sparse rows suit, and `_wide`, in
        few ranks. `_origins`, `_members`: where their edges come from.
        """
        part, edges = self._problem.subset(self._known.reduced <= most)
        if not len(edges):
            return False
        self._flat, left = pruned(part, MATRIX, RANKS)
        self._origins = edges[left]
        self._reduced = self._known.reduced[self._origins]
        self._wide, self._members = merged(self._flat)
        return True

    def _start(self) -> None:
        """Polishes the path known, and one that meets."""
        known = self._known
        if self._path is not None:
            self._polish(np.flatnonzero(np.isin(self._origins, self._path)))
        self._look(self._wide, np.arange(len(self._members)), known.prices, known.value)

    def _polish(self, path: Indices) -> None:
        """path: of `_flat`; not all of it where it has dominated edges, and then it is left."""
        if len(path) == len(self._flat.graph.slices):
            better = polished(self._flat, self._reduced, path, self._rng, self._deadline)
            self._keep(self._origins[better])

    def _push(self, low: float, problem: Problem, edges: Indices, paths: list[Indices]) -> None:
        heapq.heappush(self._heap, _Node(low, next(self._numbers), problem, edges, paths))

    def _take(self, path: Indices) -> None:
        """Keeps a path of `_wide`, if it is the best so far."""
        self._keep(self._origins[self._unmerged(path)])

    def _unmerged(self, path: Indices) -> Indices:
        whole = self._members[path]
        return whole[whole >= 0]

    def _keep(self, path: Indices) -> None:
        value = self._problem.value(path)
        if value < self._best:
            self._best, self._path = value, path

    def _look(self, problem: Problem, edges: Indices, prices: Floats, low: float) -> None:
        path = meeting(problem, prices, low, self._loose)
        if path is not None:
            self._take(edges[path])
            self._polish(self._unmerged(edges[path]))

    def _expand(self, node: _Node, look: bool) -> None:
        low, prices, mix = self._bound(node)
        low = max(low, node.bound)
        if low >= self._cut:
            return
        reduced = through(node.problem, prices)
        if look:
            inner, at = node.problem.subset(reduced <= self._loose)
            if len(at):
                self._look(inner, node.edges[at], prices, low)
        problem, at = node.problem.subset(reduced <= self._cut)
        if not len(at):
            return
        if len(at) <= SMALL:
            left = max(1.0, self._deadline - time.process_time())
            found = solve(problem, low, left, branches=BRANCHES)
            if found.path is not None:
                self._take(node.edges[at[found.path]])
            if found.bound >= self._cut or (found.path is not None and found.gap == 0.0):
                return
            low = max(low, found.bound)
        place = _places(at, len(node.edges))
        paths = [place[path] for path in node.paths if (place[path] >= 0).all()]
        self._part(node, problem, at, prices, low, mix, paths)

    def _bound(self, node: _Node) -> tuple[float, Floats, list[tuple[float, Indices]]]:
        """The node's bound and prices, and the paths that the best mix is of, with weights."""
        problem = node.problem
        if not node.paths:
            scale = np.maximum(np.abs(problem.limits), 1e-12)
            shares = (problem.use / scale[:, None]).sum(axis=0)
            for weights in (problem.objective, *problem.use, shares):
                node.paths.append(problem.graph.shortest(weights)[0])
        master = Master(
            problem.limits, PENALTY * max(abs(node.bound), 1e-12) / _least(problem.limits)
        )
        for path in node.paths:
            self._take(node.edges[path])
            master.add(float(problem.objective[path].sum()), problem.use[:, path].sum(axis=1))
        low, kept, weights = -np.inf, np.zeros(len(problem.limits)), np.zeros(0)
        for _ in range(ROUNDS):
            solved = master.solve()
            if solved is None:
                break
            relaxed, prices, weights = solved
            path, least = problem.graph.shortest(problem.objective + prices @ problem.use)
            value = least - float(prices @ problem.limits)
            if value > low:
                low, kept = value, prices
            if low >= self._cut or relaxed - low <= CLOSE * abs(relaxed):
                break
            self._take(node.edges[path])
            node.paths.append(path)
            master.add(float(problem.objective[path].sum()), problem.use[:, path].sum(axis=1))
        mix = [(float(w), node.paths[at]) for at, w in enumerate(weights) if w > 1e-9]
        return low, kept, mix

    def _part(
        self,
        node: _Node,
        problem: Problem,
        at: Indices,
        prices: Floats,
        low: float,
        mix: list[tuple[float, Indices]],
        paths: list[Indices],
    ) -> None:
        """Pushes both sides of the rank and limit where the paths of the mix differ most."""
        if not mix:
            self._finish(problem, node.edges[at], low)
            return
        shares = np.array([share for share, _ in mix])
        shares /= shares.sum()
        taken = np.stack([path for _, path in mix])
        use = node.problem.use[:, taken]
        means = np.tensordot(use, shares, axes=(1, 0))
        spread = prices[:, None] * np.tensordot(np.abs(use - means[:, None]), shares, axes=(1, 0))
        row, rank = np.unravel_index(int(spread.argmax()), spread.shape)
        if not spread[row, rank] > 0:
            # A mix of paths that use the same: HiGHS has what is left.
            self._finish(problem, node.edges[at], low)
            return
        here = problem.graph.ranks == rank
        below = problem.use[row] <= means[row, rank]
        sides = [problem.subset(~here | side) for side in (below, ~below)]
        if any(len(inner) == len(node.edges) for _, inner in sides):
            # Paths that differ by rounding alone.
            self._finish(problem, node.edges[at], low)
            return
        for part, inner in sides:
            if len(inner):
                place = _places(inner, len(at))
                kept = [place[p] for p in paths if (place[p] >= 0).all()][-COLUMNS:]
                kept.append(part.graph.shortest(part.objective + prices @ part.use)[0])
                kept += [part.graph.shortest(row_use)[0] for row_use in part.use]
                self._push(low, part, node.edges[at[inner]], kept)

    def _finish(self, problem: Problem, edges: Indices, low: float) -> None:
        left = max(1.0, self._deadline - time.process_time())
        found = solve(problem, low, left)
        if found.path is not None:
            self._take(edges[found.path])
        self._unfinished = min(self._unfinished, max(low, found.bound))


def _nearest(known: Bound, edges: int) -> float:
    """What so many edges are below, if there are so many."""
    if len(known.reduced) <= edges:
        return np.inf
    return float(np.partition(known.reduced, edges)[edges])


def _places(edges: Indices, size: int) -> Indices:
    """(size,) where each edge is among `edges`, -1 where it is not."""
    found = np.full(size, -1, dtype=np.intp)
    found[edges] = np.arange(len(edges))
    return found


def _least(limits: Floats) -> float:
    return max(float(np.abs(limits).min()), 1e-6)
