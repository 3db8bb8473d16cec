"""Exact solution of the allocation: a mixed-integer programme on the graph of choices (HiGHS).

Flow one enters at the source and is conserved at every node, so the chosen edges form a path.
Only matrix edges need to be integer: they leave no freedom to the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hw_targets.families import RESOURCES
from passes._allocation_prune import prune
from passes._allocation_space import SINK, SOURCE, MatrixChoice, Space

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_UNBOUNDED = np.inf
_NOTHING = 1e-3
"""What a budget of nothing is taken for: smaller, and coefficients get too large to solve for."""


@dataclass(frozen=True)
class Limits:
    """What a design must keep to. budget: (4,) resources, shell already taken off.

    mean_weight_bits: over all weights of the network. loss: modelled error, None for no limit.
    """

    budget: NDArray[np.float64]
    interval: int
    mean_weight_bits: float
    loss: float | None = None


@dataclass(frozen=True)
class Solution:
    """A path: one matrix choice a layer, and the act bits after it (0 for the logits)."""

    choices: tuple[MatrixChoice, ...]
    act_bits: tuple[int, ...]
    cost: NDArray[np.float64]
    interval: int
    loss: float
    mean_weight_bits: float
    gap: float


def least_error(
    space: Space, limits: Limits, thrift: float, time_limit_s: float
) -> Solution | None:
    """Least modelled error within the limits, then least hardware; None when nothing keeps them.

    thrift: error that a whole budget of LUTs must buy to be spent. The other resources count a
        tenth of that, so that a design does not take multipliers or memories for nothing.
    """
    weights = (
        thrift / np.maximum(limits.budget, 1.0) * np.where(np.array(RESOURCES) == "lut", 1.0, 0.1)
    )
    part = _reduced(space, limits.interval, keep_loss=True)
    objective = part.loss + part.cost @ weights
    return _solve(part, limits, objective, time_limit_s)


def least_share(space: Space, limits: Limits, time_limit_s: float) -> tuple[float, Solution] | None:
    """Least multiple of the budget that a design needs, and that design.

    None when not even a boundless board makes it: an interval or a mean of bits out of reach.
    """
    part = _reduced(space, limits.interval, keep_loss=limits.loss is not None)
    found = _solve(part, limits, None, time_limit_s)
    if found is None:
        return None
    return float((found.cost / np.maximum(limits.budget, _NOTHING)).max()), found


def least_interval(space: Space, limits: Limits, time_limit_s: float) -> Solution | None:
    """The fewest cycles between frames that a design within the limits reaches, by bisection.

    `limits.interval` bounds the search from above. Each probe asks for the least share of the
    budget, and a design found faster than asked for bounds the next probe. Probes share the time.
    """
    candidates = np.unique(space.cycles[space.cycles <= limits.interval])
    low, high = 0, len(candidates) - 1
    best: Solution | None = None
    probe_s = max(2.0, time_limit_s / 8)
    while low <= high:
        middle = (low + high) // 2
        wanted = Limits(
            limits.budget, int(candidates[middle]), limits.mean_weight_bits, limits.loss
        )
        found = least_share(space, wanted, probe_s)
        if found is not None and found[0] <= 1.0 + 1e-9:
            best = found[1]
            high = int(np.searchsorted(candidates, best.interval)) - 1
        else:
            low = middle + 1
    return best


def slowest_layer(space: Space, interval: int) -> tuple[str, int] | None:
    """The layer that cannot keep to `interval` under any choice, and the cycles it needs."""
    for index, layer in enumerate(space.network.layers):
        cycles = [
            int(space.cycles[position])
            for position, choice in enumerate(space.choices)
            if choice is not None and choice.layer == index
        ]
        if cycles and min(cycles) > interval:
            return layer.name, min(cycles)
    return None


def _reduced(space: Space, interval: int, *, keep_loss: bool) -> Space:
    """Edges that keep to the interval, lie on a path and can be part of a best design."""
    kept = _connected(space.subset(np.flatnonzero(space.cycles <= interval)))
    return _connected(prune(kept, keep_loss=keep_loss))


def _connected(space: Space) -> Space:
    """Only edges that a path from source to sink can use; edges are in stream order."""
    forward, backward = {SOURCE}, {SINK}
    for tail, head in zip(space.tails, space.heads, strict=True):
        if tail in forward:
            forward.add(head)
    for tail, head in zip(reversed(space.tails), reversed(space.heads), strict=True):
        if head in backward:
            backward.add(tail)
    ends = enumerate(zip(space.tails, space.heads, strict=True))
    keep = [i for i, (tail, head) in ends if tail in forward and head in backward]
    return space.subset(np.array(keep, dtype=np.intp))


def _solve(
    space: Space, limits: Limits, objective: NDArray[np.float64] | None, time_limit_s: float
) -> Solution | None:
    """Minimise `objective` within the budget, or without one the share of the budget."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, hstack, vstack

    edges = len(space.tails)
    if edges == 0:
        return None
    flow, supply = _conservation(space)
    weights = float(space.network.weights)
    rows = [space.weight_bits / weights]
    upper = [limits.mean_weight_bits]
    if limits.loss is not None:
        rows.append(space.loss)
        upper.append(limits.loss)
    scale = np.maximum(limits.budget, _NOTHING)[:, None]
    use = space.cost.T / scale
    matrix = vstack([flow, csr_array(np.vstack([*rows, use]))])
    shares = np.full(len(limits.budget), 1.0 if objective is not None else 0.0)
    lower = np.concatenate([supply, np.full(len(rows) + len(use), -_UNBOUNDED)])
    above = np.concatenate([supply, upper, shares])
    integer = np.array([choice is not None for choice in space.choices], dtype=np.int64)
    top = np.ones(edges)
    if objective is None:
        # One more variable, the share: use <= share, and the share is what is minimised.
        column = np.concatenate([np.zeros(len(supply) + len(rows)), -np.ones(len(use))])
        matrix = hstack([matrix, csr_array(column[:, None])])
        cost = np.concatenate([np.zeros(edges), [1.0]])
        integer, top = np.append(integer, 0), np.append(top, _UNBOUNDED)
    else:
        cost = objective
    result = milp(
        cost,
        integrality=integer,
        bounds=Bounds(np.zeros_like(top), top),
        constraints=LinearConstraint(matrix.tocsc(), lower, above),
        options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
    )
    if result.x is None:
        return None
    return _path(space, result.x[:edges], float(result.mip_gap or 0.0))


def _conservation(space: Space) -> tuple[csr_array, NDArray[np.float64]]:
    """(nodes, edges) incidence and what flows out of each node; the sink's row is implied."""
    from scipy.sparse import csr_array

    numbers = {SOURCE: 0}
    for head in space.heads:
        if head != SINK:
            numbers.setdefault(head, len(numbers))
    row, column, value = [], [], []
    for edge, (tail, head) in enumerate(zip(space.tails, space.heads, strict=True)):
        row.append(numbers[tail])
        column.append(edge)
        value.append(1.0)
        if head != SINK:
            row.append(numbers[head])
            column.append(edge)
            value.append(-1.0)
    supply = np.zeros(len(numbers))
    supply[0] = 1.0
    shape = (len(numbers), len(space.tails))
    return csr_array((value, (row, column)), shape=shape), supply


def _path(space: Space, flow: Sequence[float] | NDArray[np.float64], gap: float) -> Solution:
    """Reads the path off the flow: at every node the edge that carries it."""
    leaving: dict[tuple[str, int, int, int], int] = {}
    for edge in np.flatnonzero(np.asarray(flow) > 0.5).tolist():
        leaving[space.tails[edge]] = edge
    taken: list[int] = []
    node = SOURCE
    while node != SINK:
        edge = leaving[node]
        taken.append(edge)
        node = space.heads[edge]
    chosen = space.subset(np.array(taken, dtype=np.intp))
    outputs = {head[1]: head[2] for head in chosen.heads if head[0] == "out"}
    layers = len(space.network.layers)
    return Solution(
        choices=tuple(choice for choice in chosen.choices if choice is not None),
        act_bits=tuple(outputs.get(index, 0) for index in range(layers)),
        cost=np.asarray(chosen.cost.sum(axis=0)),
        interval=int(chosen.cycles.max()),
        loss=float(chosen.loss.sum()),
        mean_weight_bits=float(chosen.weight_bits.sum() / space.network.weights),
        gap=gap,
    )
