"""What a design must reach on a board, whether any can, and if not, which come nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np

from hw_targets.boards import Board, load_board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.cost.model import as_row
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_build import build_space
from passes._allocation_space import Space

NO_RATE = 2**62
"""Cycles between frames when no rate is asked for."""


@dataclass(frozen=True)
class Goal:
    """What a design must reach on a board: its clock, its rate, its share of the resources."""

    board: Board
    clock_mhz: float
    fps: float | None
    share: float

    def __post_init__(self) -> None:
        for name, value, top in (
            ("clock_mhz", self.clock_mhz, np.inf),
            ("fps", 1.0 if self.fps is None else self.fps, np.inf),
            ("share", self.share, 1.0),
        ):
            if not 0.0 < value <= top:
                raise LiftFlowError(
                    f"{name} is {value:g}",
                    where="allocate",
                    mend=f"give a {name} above 0" + (" and up to 1" if top == 1.0 else ""),
                )

    @property
    def interval(self) -> int:
        """Clock cycles a frame may take."""
        return NO_RATE if self.fps is None else floor(self.clock_mhz * 1e6 / self.fps)

    @property
    def budget(self) -> dict[str, float]:
        """Resource name -> what the design, shell included, may use."""
        return self.board.budget(self.share)

    def limits(
        self, network: NetworkShape, mean_weight_bits: float, loss: float | None = None
    ) -> solve.Limits:
        """What is left for the network when the shell is in, with room for its frames.

        Raises:
            LiftFlowError: the shell's size is not known.
        """
        shell = shell_estimate(self.board, network)
        if not shell.calibrated:
            raise LiftFlowError(
                f"cost is uncalibrated: {shell.why}",
                where=self.board.name,
                mend=f"run python -m benchmarks.calibration.fit {self.board.family}",
            )
        room = np.array([self.budget[name] for name in RESOURCES]) - as_row(shell)
        return solve.Limits(np.maximum(room, 0.0), self.interval, mean_weight_bits, loss)


def feasible(
    network: NetworkShape,
    board: str,
    clock_mhz: float,
    fps: float | None,
    share: float,
    weight_bits: int = 2,
    act_bits: int = 2,
) -> None:
    """Cheap check before any training: does the smallest design of this network meet the goals?

    Raises:
        InfeasibleError: not even with the fewest bits; says by how much.
        LiftFlowError: no such board, goals that make no sense, or uncalibrated cost.
    """
    goal = Goal(load_board(board), clock_mhz, fps, share)
    space = build_space(network, goal.board, (weight_bits,), (act_bits,))
    require_calibrated(space, goal)
    found = solve.least_share(space, goal.limits(network, float(weight_bits)), 10.0)
    if found is None or found[0] > 1.0 + 1e-9:
        raise explain(network, goal, (weight_bits,), (act_bits,), float(weight_bits), 10.0)


def explain(
    network: NetworkShape,
    goal: Goal,
    weight_bits: Sequence[int],
    act_bits: Sequence[int],
    mean_weight_bits: float,
    time_limit_s: float,
) -> InfeasibleError:
    """Why no design meets the goal, and the nearest one that can: found with the fewest bits."""
    fewest = min(weight_bits)
    if mean_weight_bits < fewest:
        return InfeasibleError(
            f"a mean of {mean_weight_bits:g} bits a weight is below the least width, {fewest}",
            where="allocate",
            mend=f"allow at least {fewest} bits on average or offer smaller weight_bits",
        )
    space = build_space(network, goal.board, (fewest,), (min(act_bits),))
    limits = goal.limits(network, float(fewest))
    fastest = solve.least_interval(space, replace(limits, interval=NO_RATE), time_limit_s)
    reach = (
        "no frame rate at all"
        if fastest is None
        else f"{floor(goal.clock_mhz * 1e6 / fastest.interval):,} frames a second"
    )
    wanted = "any rate" if goal.fps is None else f"{goal.fps:,.0f} frames a second"
    mend = "lower the rate, prune more, raise the clock or the share, or take a larger board"
    slow = solve.slowest_layer(space, limits.interval)
    if slow is not None:
        layer, cycles = slow
        kind = "layer" if layer in {each.name for each in network.layers} else "unit"
        covered = layer in space.uncalibrated
        limit = "in the foldings the cost model covers" if covered else "fully unfolded"
        return InfeasibleError(
            f"{wanted} at {goal.clock_mhz:g} MHz leaves {limits.interval:,} cycles a frame, {kind} "
            f"{layer} needs at least {cycles:,} {limit}; the most this board reaches is {reach}",
            where=goal.board.name,
            mend=mend,
        )
    least = solve.least_share(space, limits, time_limit_s)
    if least is None:
        why = next(iter(space.uncalibrated.values()), "no folding fits together")
        return InfeasibleError(
            f"{wanted} needs a folding that the cost model does not cover ({why}); the most it "
            f"covers on this board is {reach}",
            where=goal.board.name,
            mend=mend,
        )
    needed = least[1].cost + as_row(shell_estimate(goal.board, network))
    allowed = np.array([goal.budget[name] for name in RESOURCES])
    worst = int((needed / np.maximum(allowed, 1e-9)).argmax())
    share = goal.share * float(needed[worst] / max(allowed[worst], 1e-9))
    if share <= 1.0:
        mend = f"allow a share of {ceil(share * 100) / 100:g}, {mend}"
    return InfeasibleError(
        f"{wanted} needs at least {ceil(needed[worst]):,} {RESOURCES[worst].upper()} of "
        f"{floor(allowed[worst]):,} allowed ({goal.share:.0%} of {goal.board.name}); the most this "
        f"board reaches is {reach}",
        where=goal.board.name,
        mend=mend,
    )


def require_calibrated(space: Space, goal: Goal) -> None:
    """Raises LiftFlowError when a layer, or what joins branches, has no choice of known cost."""
    unknown = [(f"layer {name}", space.uncalibrated[name]) for name in space.unpriced]
    why = space.shared.why() if space.shared is not None else ""
    for where, reason in [*unknown, *([("branches", why)] if why else [])]:
        raise LiftFlowError(
            f"cost is uncalibrated for every choice: {reason}",
            where=f"{goal.board.family} {where}",
            mend="use a board of a calibrated family "
            f"({', '.join(calibrated_families())}), or extend benchmarks/calibration",
        )
