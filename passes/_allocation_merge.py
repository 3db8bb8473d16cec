"""Ranks of a layered graph joined where that makes few more edges: the same paths in fewer steps.

What a search does with a graph it does rank by rank, and most ranks of a space of designs hardly
choose: padding, windows and converters follow from lanes and bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passes._allocation_bound import Problem
from passes._allocation_paths import Graph

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

GROWTH = 2.0
"""How many times the edges of two ranks their join may have."""
TOLERANCE = 1e-12


@dataclass(frozen=True)
class _Rank:
    """rows: (edges, 1 + rows) objective and use. members: (edges, n) the edges joined."""

    tails: Indices
    heads: Indices
    rows: Floats
    members: Indices


def merged(problem: Problem) -> tuple[Problem, Indices]:
    """The problem with fewer ranks, and (edges, n) the edges that each is made of, -1 for none.

    Of edges between the same two nodes those are left out that another one dominates in every row:
    a best path remains, not every path.
    """
    graph = problem.graph
    found: list[_Rank] = []
    for part in graph.slices:
        rank = _Rank(
            graph.tails[part],
            graph.heads[part],
            np.vstack([problem.objective[part], problem.use[:, part]]).T,
            np.arange(part.start, part.stop)[:, None],
        )
        if found and _joined_size(found[-1], rank, graph.nodes) <= GROWTH * (
            len(found[-1].tails) + len(rank.tails)
        ):
            found[-1] = _undominated(_joined(found[-1], rank), graph.nodes)
        else:
            found.append(rank)
    tails = np.concatenate([rank.tails for rank in found])
    heads = np.concatenate([rank.heads for rank in found])
    used = np.zeros(graph.nodes, dtype=bool)
    used[tails] = used[heads] = True
    numbers = np.cumsum(used) - 1
    ranks = np.repeat(np.arange(len(found)), [len(rank.tails) for rank in found])
    rows = np.concatenate([rank.rows for rank in found])
    width = max(rank.members.shape[1] for rank in found)
    members = np.concatenate(
        [
            np.pad(rank.members, ((0, 0), (0, width - rank.members.shape[1])), constant_values=-1)
            for rank in found
        ]
    )
    small = Problem(
        Graph(numbers[tails], numbers[heads], ranks, int(used.sum())),
        rows[:, 0],
        np.ascontiguousarray(rows[:, 1:].T),
        problem.limits,
        problem.elastic,
        problem.scaled,
    )
    return small, members


def _joined_size(before: _Rank, behind: _Rank, nodes: int) -> int:
    arriving = np.bincount(before.heads, minlength=nodes)
    leaving = np.bincount(behind.tails, minlength=nodes)
    return int((arriving * leaving).sum())


def _joined(before: _Rank, behind: _Rank) -> _Rank:
    order = np.argsort(behind.tails, kind="stable")
    tails = behind.tails[order]
    low = np.searchsorted(tails, before.heads, "left")
    counts = np.searchsorted(tails, before.heads, "right") - low
    first = np.repeat(np.arange(len(before.tails)), counts)
    place = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = order[np.repeat(low, counts) + place]
    return _Rank(
        before.tails[first],
        behind.heads[second],
        before.rows[first] + behind.rows[second],
        np.hstack([before.members[first], behind.members[second]]),
    )


def _undominated(rank: _Rank, nodes: int) -> _Rank:
    pairs = rank.tails * nodes + rank.heads
    # By objective within a pair of nodes: only what stands before an edge can dominate it.
    order = np.lexsort((rank.rows[:, 0], pairs))
    starts = np.flatnonzero(np.diff(pairs[order], prepend=-1))
    keep = np.ones(len(pairs), dtype=bool)
    for start, stop in zip(starts, np.append(starts[1:], len(pairs)), strict=True):
        group = order[start:stop]
        rows, alive = rank.rows[group], np.ones(len(group), dtype=bool)
        for at in range(len(group) - 1):
            if alive[at]:
                alive[at + 1 :] &= ~(rows[at] <= rows[at + 1 :] + TOLERANCE).all(axis=1)
        keep[group[~alive]] = False
    return _Rank(rank.tails[keep], rank.heads[keep], rank.rows[keep], rank.members[keep])
