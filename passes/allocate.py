"""allocate: bits and folding of every layer, chosen together under the board's budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.stages import Allocation, LayerChoice, ScoredModel
from hw_targets.boards import load_board
from hw_targets.cost.planned import network_kernels
from hw_targets.cost.shell import estimate_design
from hw_targets.errors import LiftFlowError
from hw_targets.families import RESOURCES, load_family
from hw_targets.network import NetworkShape
from passes import _allocation_bits as bits
from passes import _allocation_solve as solve
from passes._allocation_branches import fixed_layers, no_hardware
from passes._allocation_build import build_space
from passes._allocation_goal import Goal, explain, require_calibrated
from passes._allocation_model import governed_elements, layer_errors
from passes._allocation_space import Errors, Space
from passes._sensitivity import IN_OUTPUT, SENSITIVITIES, comparable
from passes.base import Context, Pass

GOALS = ("accuracy", "speed", "hardware")


@dataclass(frozen=True)
class Allocate(Pass[ScoredModel, ScoredModel]):
    """Choose bits, folding, lanes, arithmetic, memory and quantizer of every layer at once.

    One exact mixed-integer programme over all layers: least relevance-weighted quantization error
    at `fps` frames a second within `share` of the board; without `fps`, the most frames a second
    whose error stays within `slack` of the least one. Where a network branches, the activations'
    bits are those of least error under `mean_act_bits`, chosen before all else. A network that
    hardware has no kernels for gets the bits of least error alone, no folding and no estimate.

    board: a board's name or TOML file. clock_mhz: of the design. fps: least frames a second.
    share: of the board, that the design may use. goal: "accuracy", "speed" or "hardware", what is
    made best; left out, the first with `fps`, the second without. slack: how much more error than
    the least the last two may take. mean_weight_bits: limit of the average over all weights.
    mean_act_bits: the same over activations where a network branches.
    weight_bits, act_bits: widths to choose from. sensitivity: what says how much rounded
    weights hurt, "deeplift", or for comparison "deeplift-relevance" (errors of single weights added
    up in chains too), "mse", "hessian" (HAWQ-v2) or "measured" (one layer rounded at a time).
    thrift: modelled error that all LUTs of the budget must buy to be spent.
    time_limit_s: of the solver, seconds of processor time; what it has then is taken, its
    optimality gap reported.
    """

    name: ClassVar[str] = "allocate"
    tools: ClassVar[tuple[str, ...]] = ("scipy", "highspy", "numpy", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.boards",
        "hw_targets.cost",
        "hw_targets.families",
        "hw_targets.lanes",
        "passes._allocation_bits",
        "passes._allocation_blocks",
        "passes._allocation_bound",
        "passes._allocation_branches",
        "passes._allocation_build",
        "passes._allocation_core",
        "passes._allocation_error",
        "passes._allocation_exits",
        "passes._allocation_goal",
        "passes._allocation_highs",
        "passes._allocation_master",
        "passes._allocation_meeting",
        "passes._allocation_merge",
        "passes._allocation_model",
        "passes._allocation_paths",
        "passes._allocation_polish",
        "passes._allocation_price",
        "passes._allocation_prune",
        "passes._allocation_solve",
        "passes._allocation_space",
        "passes._allocation_stage",
        "passes._allocation_tree",
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
    goal: str = ""
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
        if self.goal not in ("", *GOALS):
            raise LiftFlowError(
                f"no such goal: {self.goal!r}", where=self.name, mend=f"use {', '.join(GOALS)}"
            )
        if self.goal in ("accuracy", "hardware") and self.fps is None:
            raise LiftFlowError(
                f"goal {self.goal!r} needs a rate", where=self.name, mend="give fps, or goal speed"
            )
        if self.sensitivity not in SENSITIVITIES:
            raise LiftFlowError(
                f"no such sensitivity: {self.sensitivity!r}",
                where=self.name,
                mend=f"use {', '.join(SENSITIVITIES)}",
            )

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Raises InfeasibleError when no design meets the goals, with the nearest that do."""
        reason = no_hardware(model.network)
        if reason:
            return replace(model, allocation=self._bits_only(model, ctx, reason))
        goal = self._goal()
        ctx.say("pricing every choice of every layer", 0.0)
        errors = self.errors(model, ctx)
        space = build_space(
            model.network,
            goal.board,
            self.weight_bits,
            self.act_bits,
            errors,
            self.fixed_bits(model, errors),
        )
        require_calibrated(space, goal)
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

    def errors(self, model: ScoredModel, ctx: Context) -> tuple[Errors, ...]:
        """Modelled error of every layer's choices of bits."""
        ctx.say(f"sensitivity of weights: {self.sensitivity}", None)
        found = SENSITIVITIES[self.sensitivity](model, self.weight_bits, ctx)
        if self.sensitivity not in IN_OUTPUT:
            found = comparable(found, model)
        return layer_errors(model, self.weight_bits, self.act_bits, found)

    def fixed_bits(self, model: ScoredModel, errors: Sequence[Errors]) -> dict[str, int]:
        """Activation bits of least error where a network branches: they must be known before."""
        names = fixed_layers(model.network)
        if not names:
            return {}
        by_name = dict(zip((layer.name for layer in model.network.layers), errors, strict=True))
        elements = governed_elements(model)
        found = bits.least_error(
            [by_name[name].activations for name in names],
            [elements[name] for name in names],
            self.mean_act_bits,
        )
        return dict(zip(names, found, strict=True))

    def _bits_only(self, model: ScoredModel, ctx: Context, reason: str) -> Allocation:
        ctx.say(f"{reason}: bits are allocated, hardware is not", 0.0)
        errors = self.errors(model, ctx)
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
            multiplier_bits=load_family(goal.board.family).multiplier.a_bits,
        )
        self._prove_bits(allocation, ctx)
        mean_act = bits.mean([elements[layers[index].name] for index in acting], acts)
        ctx.say(f"{allocation.mean_weight_bits:.2f} bits a weight, {mean_act:.2f} an output", 1.0)
        return allocation

    def _goal(self) -> Goal:
        return Goal(load_board(self.board), self.clock_mhz, self.fps, self.share)

    def _solve(self, space: Space, goal: Goal) -> solve.Solution | None:
        limits = goal.limits(space.network, self.mean_weight_bits)
        found = solve.least_error(space, limits, self.thrift, self.time_limit_s)
        chosen = self.goal or ("speed" if self.fps is None else "accuracy")
        if found is None or chosen == "accuracy":
            return found
        limits = replace(limits, loss=found.loss * (1.0 + self.slack))
        if chosen == "hardware":
            return solve.least_hardware(space, limits, self.time_limit_s) or found
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
            choice.lanes,
            choice.quantizer,
        )
        for choice, act_bits in zip(found.choices, found.act_bits, strict=True)
    ]
    # Priced anew from the units that will be built: the sum over the path must be the same.
    design = estimate_design(network_kernels(network, choices, found.interval), goal.board, network)
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
        multiplier_bits=load_family(goal.board.family).multiplier.a_bits,
    )


def _by_layer(network: NetworkShape, errors: Sequence[Errors]) -> dict[str, Mapping[int, float]]:
    return {layer.name: e.weights for layer, e in zip(network.layers, errors, strict=True)}
