"""allocate: bits and folding of every layer, chosen together under the board's budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, prod
from typing import ClassVar

import numpy as np

from compiler.stages import Allocation, LayerChoice, ScoredModel
from hw_targets.boards import Board, load_board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.cost.layer import network_kernels
from hw_targets.cost.model import as_row, estimate_design, shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape
from passes import _allocation_bits as bits
from passes import _allocation_error as error
from passes import _allocation_solve as solve
from passes._allocation_build import build_space
from passes._allocation_space import Errors, Space
from passes._sensitivity import IN_OUTPUT, SENSITIVITIES, comparable, relevance
from passes.base import Context, Pass

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

    def limits(self, mean_weight_bits: float, loss: float | None = None) -> solve.Limits:
        """What is left for the network when the shell is in.

        Raises:
            LiftFlowError: the shell's size is not known.
        """
        shell = shell_estimate(self.board)
        if not shell.calibrated:
            raise LiftFlowError(
                f"cost is uncalibrated: {shell.why}",
                where=self.board.name,
                mend=f"run python -m benchmarks.calibration.fit {self.board.family}",
            )
        room = np.array([self.budget[name] for name in RESOURCES]) - as_row(shell)
        return solve.Limits(np.maximum(room, 0.0), self.interval, mean_weight_bits, loss)


@dataclass(frozen=True)
class Allocate(Pass[ScoredModel, ScoredModel]):
    """Choose weight bits, activation bits, PE, SIMD, arithmetic and memory of every layer at once.

    One exact mixed-integer programme over all layers: least relevance-weighted quantization error
    at `fps` frames a second within `share` of the board; without `fps`, the most frames a second
    whose error stays within `slack` of the least one. Joins of branches have no cost model: a
    network that branches gets the bits of least error alone, no folding and no estimate.

    board: a board's name or TOML file. clock_mhz: of the design. mean_weight_bits: limit of the
    average over all weights. mean_act_bits: the same over activations, of networks that branch
    only. weight_bits, act_bits: widths to choose from. sensitivity: what says how much rounded
    weights hurt, "deeplift", or for comparison "deeplift-relevance" (errors of single weights added
    up in chains too), "mse", "hessian" (HAWQ-v2) or "measured" (one layer rounded at a time).
    thrift: modelled error that all LUTs of the budget must buy to be spent.
    time_limit_s: of the solver; what it has then is taken, its optimality gap reported.
    """

    name: ClassVar[str] = "allocate"
    tools: ClassVar[tuple[str, ...]] = ("scipy", "numpy", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.boards",
        "hw_targets.cost",
        "hw_targets.families",
        "passes._allocation_bits",
        "passes._allocation_error",
        "passes._allocation_bound",
        "passes._allocation_build",
        "passes._allocation_core",
        "passes._allocation_paths",
        "passes._allocation_prune",
        "passes._allocation_solve",
        "passes._allocation_space",
        "passes._rounding_lift",
        "passes._sensitivity",
        "passes._relevance",
        "passes.criteria",
        "passes.deeplift",
        "passes._one_pass",
        "passes._rescale",
        "passes._threads",
        "passes._graph",
        "passes._modules",
    )

    board: str
    clock_mhz: float
    fps: float | None = None
    share: float = 0.7
    mean_weight_bits: float = 4.0
    mean_act_bits: float = 4.0
    weight_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 8)
    act_bits: tuple[int, ...] = (2, 3, 4, 5, 6)
    sensitivity: str = "deeplift"
    thrift: float = 0.02
    slack: float = 0.1
    time_limit_s: float = 20.0

    def refuse(self, ctx: Context) -> None:
        """Raises LiftFlowError for an unknown board or goals that make no sense."""
        self._goal()
        if self.sensitivity not in SENSITIVITIES:
            raise LiftFlowError(
                f"no such sensitivity: {self.sensitivity!r}",
                where=self.name,
                mend=f"use {', '.join(SENSITIVITIES)}",
            )

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Raises InfeasibleError when no design meets the goals, with the nearest that do."""
        if not model.network.chain:
            return replace(model, allocation=self._bits_only(model, ctx))
        goal = self._goal()
        ctx.say("pricing every choice of every layer", 0.0)
        errors = self._errors(model, ctx)
        space = build_space(model.network, goal.board, self.weight_bits, self.act_bits, errors)
        _require_calibrated(space, goal)
        ctx.say(f"solving over {len(space)} choices", 0.3)
        found = self._solve(space, goal)
        if found is None:
            raise explain(model.network, goal, self.weight_bits, self.act_bits,
                          self.mean_weight_bits, self.time_limit_s)  # fmt: skip
        allocation = _allocation(model.network, goal, found, errors)
        self._prove(allocation, ctx)
        ctx.say(
            f"{allocation.mean_weight_bits:.2f} bits a weight, {allocation.interval} cycles a "
            f"frame, {allocation.estimate['lut']:.0f} LUT",
            1.0,
        )
        return replace(model, allocation=allocation)

    def _errors(self, model: ScoredModel, ctx: Context) -> tuple[Errors, ...]:
        ctx.say(f"sensitivity of weights: {self.sensitivity}", None)
        found = SENSITIVITIES[self.sensitivity](model, self.weight_bits, ctx)
        if self.sensitivity not in IN_OUTPUT:
            found = comparable(found, model)
        return layer_errors(model, self.weight_bits, self.act_bits, found)

    def _bits_only(self, model: ScoredModel, ctx: Context) -> Allocation:
        ctx.say("the network branches: bits are allocated, hardware is not modelled", 0.0)
        errors = self._errors(model, ctx)
        layers = model.network.layers
        elements = governed_elements(model)
        acting = [index for index, layer in enumerate(layers) if layer.name in elements]
        weights = bits.least_error(
            [each.weights for each in errors],
            [layer.weights for layer in layers],
            self.mean_weight_bits,
        )
        acts = bits.least_error(
            [errors[index].activations for index in acting],
            [elements[layers[index].name] for index in acting],
            self.mean_act_bits,
        )
        of_act = dict(zip(acting, acts, strict=True))
        loss = sum(each.weights[w] for each, w in zip(errors, weights, strict=True))
        loss += sum(errors[index].activations[a] for index, a in of_act.items())
        choices = {
            layer.name: LayerChoice(w, of_act.get(index, 0), 1, 1, "lut", "auto", layer.macs)
            for index, (layer, w) in enumerate(zip(layers, weights, strict=True))
        }
        goal = self._goal()
        allocation = Allocation(
            board=goal.board.name,
            clock_mhz=goal.clock_mhz,
            layers=choices,
            interval=max(choice.cycles for choice in choices.values()),
            estimate=dict.fromkeys(RESOURCES),
            budget=goal.budget,
            loss=loss,
            gap=0.0,
            mean_weight_bits=bits.mean([layer.weights for layer in layers], weights),
            errors=_by_layer(model.network, errors),
        )
        self._prove_bits(allocation, ctx)
        mean_act = bits.mean([elements[layers[index].name] for index in acting], acts)
        ctx.say(f"{allocation.mean_weight_bits:.2f} bits a weight, {mean_act:.2f} an output", 1.0)
        return allocation

    def _goal(self) -> Goal:
        return Goal(load_board(self.board), self.clock_mhz, self.fps, self.share)

    def _solve(self, space: Space, goal: Goal) -> solve.Solution | None:
        limits = goal.limits(self.mean_weight_bits)
        found = solve.least_error(space, limits, self.thrift, self.time_limit_s)
        if found is None or self.fps is not None:
            return found
        allowed = found.loss * (1.0 + self.slack)
        limits = goal.limits(self.mean_weight_bits, allowed)
        fastest = solve.least_interval(space, limits, self.time_limit_s)
        if fastest is None:
            return found
        limits = replace(limits, interval=fastest.interval)
        return solve.least_error(space, limits, self.thrift, self.time_limit_s) or fastest

    def _prove(self, allocation: Allocation, ctx: Context) -> None:
        for resource, most in allocation.budget.items():
            used = allocation.estimate[resource]
            ctx.prove(
                f"modelled {resource.upper()} within the budget",
                used is not None and used <= most + 1e-6,
                measured="uncalibrated" if used is None else f"{used:.0f}",
                required=f"at most {most:.0f}",
            )
        self._prove_bits(allocation, ctx)

    def _prove_bits(self, allocation: Allocation, ctx: Context) -> None:
        ctx.prove(
            "mean weight bits within the limit",
            allocation.mean_weight_bits <= self.mean_weight_bits + 1e-9,
            measured=f"{allocation.mean_weight_bits:.3f}",
            required=f"at most {self.mean_weight_bits:g}",
        )


def layer_errors(
    model: ScoredModel,
    weight_bits: Sequence[int],
    act_bits: Sequence[int],
    weight_errors: Mapping[str, Mapping[int, float]] | None = None,
) -> tuple[Errors, ...]:
    """Modelled error of every layer's choices of bits, as shares of the relevance in a layer.

    Args:
        weight_errors: layer -> weight bits -> error; "deeplift-relevance" by default.
    """
    whole = error.scale(model.relevance.layers)
    governors = governing(model)
    by_weight = weight_errors or relevance(model, weight_bits)
    found: list[Errors] = []
    for layer in model.network.layers:
        of_layer = model.relevance.layers[layer.name]
        by_act = error.activation_errors(of_layer, act_bits) if layer.name in governors else {}
        found.append(
            Errors(
                {bits: value / whole for bits, value in by_weight[layer.name].items()},
                {bits: value / whole for bits, value in by_act.items()},
            )
        )
    return tuple(found)


def governing(model: ScoredModel) -> dict[str, list[str]]:
    """Layer -> the ReLUs whose bits are its activation bits; [] for the one of a chain."""
    if model.network.chain:
        return {layer.name: [] for layer in model.network.layers if layer.activation}
    from passes._graph import activation_sources

    found: dict[str, list[str]] = {}
    for relu, layer in activation_sources(model.module).items():
        found.setdefault(layer, []).append(relu)
    return found


def governed_elements(model: ScoredModel) -> dict[str, int]:
    """Layer -> how many activations a frame have its activation bits, of a graph."""
    from passes._graph import output_shapes

    shapes = output_shapes(model.module, model.input_shape)
    return {
        layer: sum(prod(shapes[relu]) for relu in relus)
        for layer, relus in governing(model).items()
    }


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
    _require_calibrated(space, goal)
    found = solve.least_share(space, goal.limits(float(weight_bits)), 10.0)
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
    limits = goal.limits(float(fewest))
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
        covered = layer in space.uncalibrated
        limit = "in the foldings the cost model covers" if covered else "fully unfolded"
        return InfeasibleError(
            f"{wanted} at {goal.clock_mhz:g} MHz leaves {limits.interval:,} cycles a frame, layer "
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
    needed = least[1].cost + as_row(shell_estimate(goal.board))
    allowed = np.array([goal.budget[name] for name in RESOURCES])
    worst = int((needed / np.maximum(allowed, 1e-9)).argmax())
    return InfeasibleError(
        f"{wanted} needs at least {ceil(needed[worst]):,} {RESOURCES[worst].upper()} of "
        f"{floor(allowed[worst]):,} allowed ({goal.share:.0%} of {goal.board.name}); the most this "
        f"board reaches is {reach}",
        where=goal.board.name,
        mend=mend,
    )


def _require_calibrated(space: Space, goal: Goal) -> None:
    """Raises LiftFlowError when a layer has no choice whose cost is known."""
    for name in space.unpriced:
        raise LiftFlowError(
            f"cost is uncalibrated for every choice: {space.uncalibrated[name]}",
            where=f"{goal.board.family} layer {name}",
            mend="use a board of a calibrated family "
            f"({', '.join(calibrated_families())}), or extend benchmarks/calibration",
        )


def _allocation(
    network: NetworkShape, goal: Goal, found: solve.Solution, errors: Sequence[Errors]
) -> Allocation:
    choices = [
        LayerChoice(
            choice.weight_bits,
            act_bits,
            choice.pe,
            choice.simd,
            choice.arithmetic,
            choice.memory,
            choice.cycles,
        )
        for choice, act_bits in zip(found.choices, found.act_bits, strict=True)
    ]
    # Priced anew from the units that will be built: the sum over the path must be the same.
    design = estimate_design(network_kernels(network, choices), goal.board)
    return Allocation(
        board=goal.board.name,
        clock_mhz=goal.clock_mhz,
        layers={layer.name: c for layer, c in zip(network.layers, choices, strict=True)},
        interval=found.interval,
        estimate=design.as_dict(),
        budget=goal.budget,
        loss=found.loss,
        gap=found.gap,
        mean_weight_bits=found.mean_weight_bits,
        errors=_by_layer(network, errors),
    )


def _by_layer(network: NetworkShape, errors: Sequence[Errors]) -> dict[str, Mapping[int, float]]:
    return {layer.name: e.weights for layer, e in zip(network.layers, errors, strict=True)}
