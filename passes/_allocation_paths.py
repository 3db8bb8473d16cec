"""A layered graph in columns, and the cheapest paths through it.

Every edge leads from a node of one rank to a node of the next, so that distances from the source
and to the sink are found rank by rank, all edges of a rank at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Graph:
    """Edges sorted by rank, nodes numbered rank by rank: node 0 the source, the last the sink.

    tails, heads, ranks: (edges,), the rank that of the edge, from 0.
    """

    tails: Indices
    heads: Indices
    ranks: Indices
    nodes: int

    @classmethod
    def of(cls, tails: Indices, heads: Indices, ranks: Indices) -> Graph:
        """A graph from edges sorted by rank."""
        return cls(tails, heads, ranks, int(heads.max()) + 1)

    @cached_property
    def slices(self) -> list[slice]:
        """The edges of every rank; of a graph cut in two, all empty."""
        if not len(self.ranks):
            return []
        starts = np.searchsorted(self.ranks, np.arange(self.ranks[-1] + 2))
        return [slice(int(a), int(b)) for a, b in pairwise(starts)]

    def subset(self, keep: NDArray[np.bool_]) -> tuple[Graph, Indices]:
        """The graph of those kept edges that lie on a path, and where they were; maybe empty."""
        forward = np.zeros(self.nodes, dtype=bool)
        backward = np.zeros(self.nodes, dtype=bool)
        forward[0] = backward[-1] = True
        for part in self.slices:
            forward[self.heads[part][keep[part] & forward[self.tails[part]]]] = True
        for part in reversed(self.slices):
            backward[self.tails[part][keep[part] & backward[self.heads[part]]]] = True
        edges = np.flatnonzero(keep & forward[self.tails] & backward[self.heads])
        used = np.zeros(self.nodes, dtype=bool)
        used[0] = used[-1] = True
        used[self.tails[edges]] = used[self.heads[edges]] = True
        numbers = np.cumsum(used) - 1
        small = Graph(
            numbers[self.tails[edges]],
            numbers[self.heads[edges]],
            self.ranks[edges],
            int(used.sum()),
        )
        return small, edges

    def shortest(self, weights: Floats) -> tuple[Indices, float]:
        """The edges of a path of least weight from source to sink, and that weight."""
        reached = self.from_source(weights)
        path: list[int] = []
        node = self.nodes - 1
        for order, starts, first in reversed(self.by_head):
            begin = int(starts[node - first])
            end = int(starts[node - first + 1]) if node - first + 1 < len(starts) else len(order)
            into = order[begin:end]
            best = into[np.argmin(reached[self.tails[into]] + weights[into])]
            path.append(int(best))
            node = int(self.tails[best])
        return np.array(path[::-1], dtype=np.intp), float(reached[-1])

    def from_source(self, weights: Floats) -> Floats:
        """(nodes,) least weight of a path from the source to each node."""
        found = np.zeros(self.nodes)
        for order, starts, first in self.by_head:
            sums = found[self.tails[order]] + weights[order]
            found[first : first + len(starts)] = np.minimum.reduceat(sums, starts)
        return found

    def to_sink(self, weights: Floats) -> Floats:
        """(nodes,) least weight of a path from each node to the sink."""
        found = np.zeros(self.nodes)
        for order, starts, first in reversed(self.by_tail):
            sums = found[self.heads[order]] + weights[order]
            found[first : first + len(starts)] = np.minimum.reduceat(sums, starts)
        return found

    @cached_property
    def by_head(self) -> list[tuple[Indices, Indices, int]]:
        """Of every rank: its edges sorted by head, where each head's begin, and the first head."""
        return self._grouped(self.heads)

    @cached_property
    def by_tail(self) -> list[tuple[Indices, Indices, int]]:
        """The same by tail."""
        return self._grouped(self.tails)

    def _grouped(self, ends: Indices) -> list[tuple[Indices, Indices, int]]:
        found = []
        for part in self.slices:
            order = part.start + np.argsort(ends[part], kind="stable")
            _, starts = np.unique(ends[order], return_index=True)
            found.append((order, starts, int(ends[order[0]])))
        return found
