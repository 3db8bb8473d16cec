"""A good path that keeps to the limits, by lists of partial paths that meet in the middle.

The prices of the relaxation say what a path costs, not whether it keeps to the limits: near-best
paths use too much of one thing and too little of another. So at every node a few partial paths are
kept that differ in what they use, from the source and from the sink, and those that meet are
paired: the best pair that keeps to the limits is a path. Uses are told apart by cells, whose width
is what a small share of the objective pays for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Problem

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

KEPT = 20
"""Partial paths kept at a node."""
CELL = 2.5e-3
"""Width of a cell, priced, as a share of the objective."""
SIDES = 8
"""Of so many parts of the ranks the first and the last have no meetings."""
APART = 2
"""Ranks from one meeting to the next."""
CELLS = 1 << 14
"""More cells in a row than any path crosses."""


@dataclass(frozen=True)
class _Partial:
    """Partial paths that end at nodes of one rank, nearest to the best first.

    nodes, costs: (paths,). use: (paths, rows). before, edges: (paths,) what each goes on from.
    """

    nodes: Indices
    costs: Floats
    use: Floats
    before: Indices
    edges: Indices


def meeting(problem: Problem, prices: Floats, low: float, most: float) -> Indices | None:
    """A path of objective below `most` within the limits; None if no lists that meet hold one.

    prices: (rows,) of the limits, of which `low` is the bound.
    """
    graph = problem.graph
    weights = problem.objective + prices @ problem.use
    ranks = len(graph.slices)
    forward = _sweep(problem, weights, prices, low, most, forward=True)
    backward = _sweep(problem, weights, prices, low, most, forward=False)
    best: tuple[float, int, int, int] | None = None
    for rank in range(ranks // SIDES, ranks - ranks // SIDES + 1, APART):
        pair = _pair(problem, prices, forward[rank], backward[ranks - rank], most)
        if pair is not None:
            most, best = pair[0], (pair[0], rank, *pair[1:])
    if best is None:
        return None
    _, rank, first, second = best
    path = _trace(forward[: rank + 1], first)[::-1] + _trace(backward[: ranks - rank + 1], second)
    return np.array(path, dtype=np.intp)


def _pair(
    problem: Problem, prices: Floats, before: _Partial, behind: _Partial, most: float
) -> tuple[float, int, int] | None:
    """The best two of partial paths that end at the same node: objective, and their places."""
    best = None
    for node in np.intersect1d(before.nodes, behind.nodes):
        a, b = np.flatnonzero(before.nodes == node), np.flatnonzero(behind.nodes == node)
        first = before.costs[a] - before.use[a] @ prices
        second = behind.costs[b] - behind.use[b] @ prices
        objective = first[:, None] + second
        use = before.use[a][:, None] + behind.use[b]
        objective[~(use <= problem.limits).all(axis=2)] = np.inf
        at = int(objective.argmin())
        if objective.flat[at] < most:
            most = float(objective.flat[at])
            best = most, int(a[at // len(b)]), int(b[at % len(b)])
    return best


def _sweep(
    problem: Problem, weights: Floats, prices: Floats, low: float, most: float, *, forward: bool
) -> list[_Partial]:
    """Partial paths rank by rank, from the source or from the sink."""
    graph = problem.graph
    groups = graph.by_tail if forward else graph.by_head[::-1]
    ahead = graph.to_sink(weights) if forward else graph.from_source(weights)
    ends = graph.heads if forward else graph.tails
    limit = most + float(prices @ problem.limits)
    priced = prices > 0
    width = CELL * max(abs(low), 1e-30)
    cells = (prices[:, None] * problem.use)[priced] / width
    found = [
        _Partial(
            np.array([0 if forward else graph.nodes - 1]),
            np.zeros(1),
            np.zeros((1, len(prices))),
            np.array([-1]),
            np.array([-1]),
        )
    ]
    crossed = np.full((1, len(cells)), 0.5)
    for order, starts, first in groups:
        last = found[-1]
        at = last.nodes - first
        stops = np.append(starts[1:], len(order))
        counts = stops[at] - starts[at]
        before = np.repeat(np.arange(len(at)), counts)
        place = np.arange(len(before)) - np.repeat(np.cumsum(counts) - counts, counts)
        edges = order[starts[at][before] + place]
        costs = last.costs[before] + weights[edges]
        totals = costs + ahead[ends[edges]]
        near = np.flatnonzero(totals <= limit)
        near = near[np.argsort(totals[near], kind="stable")]
        edges, before, costs = edges[near], before[near], costs[near]
        now = crossed[before] + cells[:, edges].T
        kept = _different(ends[edges], now)
        edges, before, costs, crossed = edges[kept], before[kept], costs[kept], now[kept]
        use = last.use[before] + problem.use[:, edges].T
        found.append(_Partial(ends[edges], costs, use, before, edges))
    return found


def _different(nodes: Indices, crossed: Floats) -> Indices:
    """The first of every cell at a node, and of these the first KEPT of the node."""
    key = nodes.astype(np.int64)
    for column in np.floor(crossed).astype(np.int64).T:
        key = key * CELLS + column
    first = np.sort(np.unique(key, return_index=True)[1])
    order = first[np.argsort(nodes[first], kind="stable")]
    starts = np.flatnonzero(np.diff(nodes[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < KEPT]


def _trace(found: list[_Partial], at: int) -> list[int]:
    """The edges of a partial path, last one first."""
    path = []
    for partial in found[:0:-1]:
        path.append(int(partial.edges[at]))
        at = int(partial.before[at])
    return path
