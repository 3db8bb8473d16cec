"""Leaves out choices that cannot be part of a best design, without losing any optimum.

A matrix edge a dominates b when swapping b for a is never worse, whatever its neighbours are: its
own cost, plus the most the width converter before it and the threshold and converter behind it can
grow by the swap, does not exceed b's, in every resource, in error and in weight bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from passes._allocation_space import SINK, Node, Space

Array = NDArray[np.float64]


def prune(space: Space, *, keep_loss: bool) -> Space:
    """`space` without dominated matrix edges. keep_loss: whether error counts at all."""
    leaving: dict[Node, list[int]] = defaultdict(list)
    arriving: dict[Node, list[int]] = defaultdict(list)
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for edge, (tail, head) in enumerate(zip(space.tails, space.heads, strict=True)):
        if space.choices[edge] is None:
            leaving[tail].append(edge)
            arriving[head].append(edge)
        else:
            groups[tail[1], tail[2], head[2]].append(edge)
    keep = [edge for edge, choice in enumerate(space.choices) if choice is None]
    for members in groups.values():
        keep += _undominated(space, members, leaving, arriving, keep_loss)
    return space.subset(np.sort(np.array(keep, dtype=np.intp)))


def _undominated(
    space: Space,
    members: Sequence[int],
    leaving: Mapping[Node, Sequence[int]],
    arriving: Mapping[Node, Sequence[int]],
    keep_loss: bool,
) -> list[int]:
    """Members (same layer, same input and accumulator bits) that no other member dominates."""
    tails = list(dict.fromkeys(space.tails[edge] for edge in members))
    heads = list(dict.fromkeys(space.heads[edge] for edge in members))
    before = _growth([_by_context(space, arriving.get(node, ()), space.tails) for node in tails])
    behind = _growth([_outwards(space, leaving, node) for node in heads])
    at_tail = np.array([tails.index(space.tails[edge]) for edge in members])
    at_head = np.array([heads.index(space.heads[edge]) for edge in members])
    index = np.asarray(members)
    cost = space.cost[index]
    other = space.weight_bits[index][:, None]
    if keep_loss:
        other = np.hstack([other, space.loss[index][:, None]])
    alive = np.ones(len(index), dtype=bool)
    # Cheap ones first: they dominate most, and what is dominated need not be compared again.
    for a in np.argsort(cost[:, 0], kind="stable"):
        if not alive[a]:
            continue
        rest = np.flatnonzero(alive)
        grown = cost[a] + before[at_tail[a], at_tail[rest]] + behind[at_head[a], at_head[rest]]
        beaten = (grown <= cost[rest] + 1e-9).all(axis=1) & (other[a] <= other[rest]).all(axis=1)
        beaten[rest == a] = False
        alive[rest[beaten]] = False
    return [int(edge) for edge in index[alive]]


def _by_context(space: Space, edges: Sequence[int], ends: Sequence[Node]) -> dict[Hashable, Array]:
    """Cost of reaching a node from each neighbour (`ends` of the edge)."""
    return {ends[edge]: space.cost[edge] for edge in edges}


def _outwards(
    space: Space, leaving: Mapping[Node, Sequence[int]], node: Node
) -> dict[Hashable, Array]:
    """Cost from a (accumulator, PE) node to every (bits, SIMD) the next layer can take."""
    found: dict[Hashable, Array] = {}
    for back in leaving.get(node, ()):
        middle = space.heads[back]
        if middle == SINK:
            found[SINK] = space.cost[back]
        for link in leaving.get(middle, ()):
            found[space.heads[link]] = space.cost[back] + space.cost[link]
    return found


def _growth(options: Sequence[Mapping[Hashable, Array]]) -> Array:
    """(n, n, 4): the most that the cost grows, over all contexts, when option b becomes a.

    Infinite where a context of b is none of a's; a context that b lacks does not matter.
    """
    contexts = list(dict.fromkeys(context for option in options for context in option))
    growth = np.zeros((len(options), len(options), 4))
    if not contexts:
        return growth
    costs = np.full((len(options), len(contexts), 4), np.inf)
    for row, option in enumerate(options):
        for column, context in enumerate(contexts):
            if context in option:
                costs[row, column] = option[context]
    for b in range(len(options)):
        possible = np.isfinite(costs[b]).all(axis=1)
        if possible.any():
            growth[:, b] = (costs[:, possible] - costs[b, possible]).max(axis=1)
        else:
            growth[:, b] = -np.inf
    return growth
