"""What is asked of the space of designs: least error, least hardware, most frames a second."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw_targets.families import RESOURCES
from passes._allocation_bound import Problem
from passes._allocation_core import best_path
from passes._allocation_space import MatrixChoice, Space

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_NOTHING = 1e-3
"""What a budget of nothing is taken for: smaller, and coefficients get too large to solve for."""
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Limits:
    """What a design must keep to. budget: (4,) resources, shell already taken off.

    mean_weight_bits: over all weights of the network. loss: modelled error, None for no limit.
    """

    budget: Floats
    interval: int
    mean_weight_bits: float
    loss: float | None = None


@dataclass(frozen=True)
class Solution:
    """A path: one matrix choice a layer, and the act bits after it (0 for the logits).

    gap: how far, as a share of the objective, a better design may lie; 0.0 of a proven best.
    """

    choices: tuple[MatrixChoice, ...]
    act_bits: tuple[int, ...]
    cost: Floats
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
    part = space.within(limits.interval)
    return _least(part, limits, part.loss + part.cost @ weights, time_limit_s)


def least_share(space: Space, limits: Limits, time_limit_s: float) -> tuple[float, Solution] | None:
    """Least multiple of the budget that a design needs, and that design.

    None when not even a boundless board makes it: an interval or a mean of bits out of reach.
    """
    found = _least(space.within(limits.interval), limits, None, time_limit_s)
    return None if found is None else (share_of(found.cost, limits.budget), found)


def least_hardware(space: Space, limits: Limits, time_limit_s: float) -> Solution | None:
    """The design that needs least of what it needs most of, and then least of all resources.

    None when nothing keeps to the limits.
    """
    thin = least_share(space, limits, time_limit_s)
    if thin is None or thin[0] > 1.0 + TOLERANCE:
        return None
    shares = 1.0 / np.maximum(limits.budget, _NOTHING)
    part = space.within(limits.interval)
    # Slack for the sums of resources, which are rounded.
    inner = replace(limits, budget=limits.budget * thin[0] * (1.0 + TOLERANCE))
    found = _least(part, inner, part.cost @ shares, time_limit_s)
    return found or thin[1]


def fits(space: Space, limits: Limits, time_limit_s: float) -> bool:
    """Whether some design keeps to the limits."""
    part = space.within(limits.interval)
    found = _least(part, limits, None, time_limit_s, enough=(1.0, 1.0 + TOLERANCE))
    return found is not None and share_of(found.cost, limits.budget) <= 1.0 + TOLERANCE


def least_interval(space: Space, limits: Limits, time_limit_s: float) -> Solution | None:
    """The fewest cycles between frames that a design within the limits reaches, by bisection.

    `limits.interval` bounds the search from above. Each probe asks for a design within the budget,
    and one found faster than asked for bounds the next probe. Probes share the time.
    """
    candidates = space.candidates(limits.interval)
    low, high = 0, len(candidates) - 1
    best: Solution | None = None
    probe_s = max(2.0, time_limit_s / 8)
    while low <= high:
        middle = (low + high) // 2
        part = space.within(int(candidates[middle]))
        found = _least(part, limits, None, probe_s, enough=(1.0, 1.0 + TOLERANCE))
        if found is not None and share_of(found.cost, limits.budget) <= 1.0 + TOLERANCE:
            best = found
            high = int(np.searchsorted(candidates, found.interval)) - 1
        else:
            low = middle + 1
    return best


def share_of(cost: Floats, budget: Floats) -> float:
    """The multiple of a budget that a cost is, by the resource that is scarcest."""
    return float((cost / np.maximum(budget, _NOTHING)).max())


def slowest_layer(space: Space, interval: int) -> tuple[str, int] | None:
    """What cannot keep to `interval` under any choice, and the cycles it needs.

    A layer, or a unit that joins or follows branches.
    """
    if not len(space):
        return None
    if space.shared is not None and space.shared.breakpoints[0] > interval:
        return space.shared.slowest, space.shared.breakpoints[0]
    for index, layer in enumerate(space.network.layers):
        cycles = space.slowest(index)
        if cycles > interval:
            return layer.name, cycles
    return None


def _problem(space: Space, limits: Limits, objective: Floats | None) -> Problem:
    """`objective` within the budget, or without one the least share of the budget."""
    rows = [space.weight_bits / float(space.network.weights)]
    upper = [limits.mean_weight_bits]
    if limits.loss is not None:
        # As a share of the limit: errors may be of any size.
        scale = max(limits.loss, 1e-30)
        rows.append(space.loss / scale)
        upper.append(limits.loss / scale)
    budget = np.maximum(limits.budget, _NOTHING)
    use, taken = space.cost.T / budget[:, None], space.fixed / budget
    free = objective is None
    return Problem(
        space.graph,
        np.zeros(len(space)) if objective is None else objective,
        np.vstack([*rows, use]),
        np.concatenate([upper, np.full(len(use), 0.0 if free else 1.0) - taken]),
        np.concatenate([np.zeros(len(upper)), np.full(len(use), 1.0 if free else 0.0)]),
        1.0 if free else 0.0,
    )


def _least(
    space: Space,
    limits: Limits,
    objective: Floats | None,
    time_limit_s: float,
    enough: tuple[float, float] | None = None,
) -> Solution | None:
    """The best design, by its gap proven to be so; None where none keeps to the limits."""
    if not len(space):
        return None
    found = best_path(_problem(space, limits, objective), time_limit_s, enough)
    return None if found.path is None else _solution(space, found.path, found.gap)


def _solution(space: Space, path: Indices, gap: float) -> Solution:
    return Solution(
        choices=space.choices(path),
        act_bits=space.act_bits(path),
        cost=np.asarray(space.cost[path].sum(axis=0) + space.fixed),
        interval=max(int(space.cycles[path].max()), space.fixed_cycles),
        loss=float(space.loss[path].sum()),
        mean_weight_bits=float(space.weight_bits[path].sum() / space.network.weights),
        gap=gap,
    )
