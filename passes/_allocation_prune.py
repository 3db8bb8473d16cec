"""Leaves out choices that cannot be part of a best design, without losing any optimum.

A matrix edge a dominates b when swapping b for a is never worse, whatever its neighbours are: its
own use and objective, plus the most that the edges right before and right behind it can grow by the
swap, do not exceed b's, in any row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Problem
from passes._allocation_paths import Graph

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

TOLERANCE = 1e-12


def pruned(problem: Problem, matrix: int, ranks: int) -> tuple[Problem, Indices]:
    """The problem without matrix edges that another one dominates, and where the rest were."""
    rows = np.vstack([problem.objective, problem.use]).T
    return problem.subset(undominated(problem.graph, rows, matrix, ranks))


def undominated(graph: Graph, rows: Floats, matrix: int, ranks: int) -> NDArray[np.bool_]:
    """(edges,) False of the matrix edges that another one dominates.

    Args:
        rows: (edges, n) what must not grow.
        matrix: the rank of the first layer's matrix edges; a layer has `ranks` ranks.
    """
    keep = np.ones(len(graph.tails), dtype=bool)
    parts = graph.slices
    for rank in range(matrix, len(parts), ranks):
        edges = np.arange(parts[rank].start, parts[rank].stop)
        tails, at_tail = np.unique(graph.tails[edges], return_inverse=True)
        heads, at_head = np.unique(graph.heads[edges], return_inverse=True)
        before = _growth(_arriving(graph, rows, parts[rank - 1], tails))
        behind = _growth(_leaving(graph, rows, parts[rank + 1], heads))
        keep[edges] = _alive(rows[edges], at_tail, at_head, before, behind)
    return keep


def _alive(
    rows: Floats, at_tail: Indices, at_head: Indices, before: Floats, behind: Floats
) -> NDArray[np.bool_]:
    """Which edges no other dominates; of equal ones the first stays."""
    alive = np.ones(len(rows), dtype=bool)
    # Cheap ones first: they dominate most, and what is dominated need not be compared again.
    for a in np.argsort(rows.sum(axis=1), kind="stable"):
        if not alive[a]:
            continue
        rest = np.flatnonzero(alive)
        grown = rows[a] + before[at_tail[a], at_tail[rest]] + behind[at_head[a], at_head[rest]]
        beaten = (grown <= rows[rest] + TOLERANCE).all(axis=1)
        beaten[rest == a] = False
        alive[rest[beaten]] = False
    return alive


def _arriving(graph: Graph, rows: Floats, part: slice, nodes: Indices) -> Floats:
    """(nodes, contexts, n) rows of the edge from every node before; infinite where none is."""
    contexts, at = np.unique(graph.tails[part], return_inverse=True)
    found = np.full((len(nodes), len(contexts), rows.shape[1]), np.inf)
    found[np.searchsorted(nodes, graph.heads[part]), at] = rows[part]
    return found


def _leaving(graph: Graph, rows: Floats, part: slice, nodes: Indices) -> Floats:
    """(nodes, contexts, n) rows of the edge to every node behind; infinite where none is.

    Edges beside each other are told apart by their place among these: what one of b's gives way to
    may be any of a's to the same node.
    """
    heads, count = graph.heads[part], _beside(graph, part)
    contexts, at = np.unique(np.stack([heads, count]), axis=1, return_inverse=True)
    at = at.reshape(-1)
    found = np.full((len(nodes), contexts.shape[1], rows.shape[1]), np.inf)
    found[np.searchsorted(nodes, graph.tails[part]), at] = rows[part]
    return found


def _beside(graph: Graph, part: slice) -> Indices:
    """How many edges before each, of a rank, lead from the same node to the same."""
    pairs = graph.tails[part] * graph.nodes + graph.heads[part]
    order = np.argsort(pairs, kind="stable")
    _, starts, sizes = np.unique(pairs[order], return_index=True, return_counts=True)
    found = np.empty(len(pairs), dtype=np.intp)
    found[order] = np.arange(len(pairs)) - np.repeat(starts, sizes)
    return found


def _growth(costs: Floats) -> Floats:
    """(n, n, rows): the most that rows grow, over all contexts, when option b becomes a.

    Infinite where a context of b is none of a's; a context that b lacks does not matter.
    """
    options = len(costs)
    growth = np.full((options, options, costs.shape[2]), -np.inf)
    for b in range(options):
        possible = np.isfinite(costs[b]).all(axis=1)
        if possible.any():
            growth[:, b] = (costs[:, possible] - costs[b, possible]).max(axis=1)
    return growth
