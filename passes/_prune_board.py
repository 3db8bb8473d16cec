"""How much of a network must go for a board to hold it at the frame rate asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hw_targets.errors import LiftFlowError
from hw_targets.network import NetworkShape
from passes._allocation_branches import no_hardware
from passes._allocation_build import build_space
from passes._allocation_goal import Goal, explain, require_calibrated
from passes._allocation_solve import fits
from passes._prune_plan import Plan, choose_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

CLOSE = 0.01
"""Share of the cost that the answer may be more than needed."""
TIME_S = 20.0


@dataclass(frozen=True)
class BoardGoal:
    """A board's share, clock and rate, for a network of these bits."""

    goal: Goal
    weight_bits: int
    act_bits: int

    def met(self, network: NetworkShape) -> bool:
        """Whether some folding of the network reaches the goal.

        Raises:
            LiftFlowError: the board's family is not calibrated for the network.
        """
        space = build_space(network, self.goal.board, (self.weight_bits,), (self.act_bits,))
        require_calibrated(space, self.goal)
        return fits(space, self.goal.limits(network, float(self.weight_bits)), TIME_S)

    def needed(
        self, plan: Callable[[], Plan], scores: Mapping[str, NDArray[np.float64]], thrift: float
    ) -> float:
        """Share of the plan's cost that must go until the goal is met.

        Args:
            plan: a fresh plan of the network as it is.
            scores: group -> relevance of each of its units.

        Raises:
            InfeasibleError: not even with every group at its smallest.
            LiftFlowError: the network has no hardware model, or cost is uncalibrated.
        """
        reason = no_hardware(plan().network) or _padded(plan().network)
        if reason:
            raise LiftFlowError(
                f"goal 'board' needs a hardware model: {reason}",
                where="prune-filters",
                mend="give a share of macs instead",
            )

        def shape(share: float) -> NetworkShape:
            tried = plan()
            choose_units(tried, scores, tried.cost * (1.0 - share), thrift)
            return shape_of(tried)

        def met(share: float) -> bool:
            return self.met(shape(share))

        if self.met(plan().network):
            return 0.0
        low, high = 0.0, 1.0
        if not met(high):
            bits, acts = (self.weight_bits,), (self.act_bits,)
            raise explain(shape(high), self.goal, bits, acts, float(self.weight_bits), TIME_S)
        while high - low > CLOSE:
            middle = (low + high) / 2
            low, high = (low, middle) if met(middle) else (middle, high)
        return high


def shape_of(plan: Plan) -> NetworkShape:
    """The plan's network with the channels that are left."""
    layers = []
    for layer in plan.network.layers:
        inputs, outputs = plan.sizes[layer.name]
        groups = inputs if layer.depthwise else layer.groups
        layers.append(replace(layer, in_channels=inputs, out_channels=outputs, groups=groups))
    return replace(plan.network, layers=tuple(layers))


def _padded(network: NetworkShape) -> str:
    """What of a network has sizes that its layers' do not tell; empty where there is none."""
    padded = [unit for unit in network.units if unit.kind == "shortcut" and any(unit.numbers[1:])]
    return f"{padded[0].name} pads channels, how many are left is not known" if padded else ""
