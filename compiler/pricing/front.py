"""The designs that no other beats: least modelled error, most frames a second, fewest LUTs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from compiler.stages import ScoredModel
from hw_targets.boards import Board
from hw_targets.cost.model import as_row
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import UnsupportedError
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_branches import no_hardware
from passes._allocation_build import build_space
from passes._allocation_goal import Goal, explain, require_calibrated
from passes._allocation_space import MatrixChoice, Space
from passes.allocate import Allocate
from passes.base import Context

SHARES = (1.0, 0.7, 0.5, 0.35)
"""Parts of the allowed share of the board that designs are looked for in."""
SLOWEST = 64.0
"""How many times slower than the fastest design the slowest is."""


@dataclass(frozen=True)
class Design:
    """One design of the front.

    error: modelled, as `allocate` weighs it; the less, the nearer the compressed network's outputs
    are to the float network's before retraining. use: resource -> modelled count, shell included.
    gap: how far, as a share of its objective, a better design may lie (0.0: proven).
    """

    board: str
    clock_mhz: float
    fps: float
    interval: int
    error: float
    mean_weight_bits: float
    use: dict[str, float]
    share: float
    layers: tuple[MatrixChoice, ...]
    act_bits: tuple[int, ...]
    gap: float

    def beats(self, other: Design) -> bool:
        """Whether it is nowhere worse than the other, and somewhere better."""
        mine, others = self._merits(), other._merits()
        return mine != others and all(m <= o for m, o in zip(mine, others, strict=True))

    def _merits(self) -> tuple[float, float, float]:
        return (-self.fps, round(self.error, 9), round(self.use["lut"], 3))


def explore(
    model: ScoredModel,
    task: Allocate,
    ctx: Context,
    boards: Sequence[Board],
    rates: int,
    clock_mhz: float | None,
    say: Callable[[str], None],
) -> list[Design]:
    """The front of every board, fastest first.

    Args:
        task: the allocation that is varied; its own board, clock, rate and goal do not matter.
        clock_mhz: of all boards; None for each board's own.
        rates: how many frame rates are asked for, from a board's fastest down.

    Raises:
        UnsupportedError: hardware has no kernel for some of the network.
        LiftFlowError: a board's family is not calibrated.
        InfeasibleError: not even the smallest design fits a board.
    """
    reason = no_hardware(model.network)
    if reason:
        raise UnsupportedError(reason, where=model.name)
    errors = task.errors(model, ctx)
    fixed = task.fixed_bits(model, errors)
    spaces: dict[str, Space] = {}
    found = []
    for board in boards:
        goal = Goal(board, clock_mhz or board.clock.default_mhz, None, task.share)
        if board.family not in spaces:
            say(f"pricing every choice for {board.family}")
            spaces[board.family] = build_space(
                model.network, board, task.weight_bits, task.act_bits, errors, fixed
            )
        require_calibrated(spaces[board.family], goal)
        found += _of_board(spaces[board.family], task, goal, rates, say)
    return found


def _of_board(
    space: Space, task: Allocate, goal: Goal, rates: int, say: Callable[[str], None]
) -> list[Design]:
    limits = goal.limits(space.network, task.mean_weight_bits)
    fastest = solve.least_interval(space, limits, task.time_limit_s)
    if fastest is None:
        raise explain(
            space.network,
            goal,
            task.weight_bits,
            task.act_bits,
            task.mean_weight_bits,
            task.time_limit_s,
        )
    designs: list[Design] = []
    intervals = fastest.interval * np.geomspace(1.0, SLOWEST, max(rates, 1))
    for number, interval in enumerate(intervals, 1):
        say(f"{goal.board.name}: rate {number} of {len(intervals)}")
        for share in SHARES:
            room = replace(limits, budget=limits.budget * share, interval=ceil(interval))
            solved = solve.least_error(space, room, task.thrift, task.time_limit_s)
            if solved is None:
                break
            designs.append(_design(solved, goal, space.network))
    unbeaten = [one for one in designs if not any(other.beats(one) for other in designs)]
    unique = {one._merits(): one for one in unbeaten}
    return sorted(unique.values(), key=Design._merits)


def _design(solved: solve.Solution, goal: Goal, network: NetworkShape) -> Design:
    use = solved.cost + as_row(shell_estimate(goal.board, network))
    whole = np.array(list(goal.board.resources.as_dict().values()), dtype=np.float64)
    return Design(
        board=goal.board.name,
        clock_mhz=goal.clock_mhz,
        fps=goal.clock_mhz * 1e6 / solved.interval,
        interval=solved.interval,
        error=solved.loss,
        mean_weight_bits=solved.mean_weight_bits,
        use=dict(zip(RESOURCES, use.tolist(), strict=True)),
        share=float((use / np.maximum(whole, 1.0)).max()),
        layers=solved.choices,
        act_bits=solved.act_bits,
        gap=solved.gap,
    )
