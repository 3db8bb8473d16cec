"""Folding with fixed bits: by the allocator's solver, or by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compiler.pricing.source import Widths
from compiler.stages import LayerChoice
from hw_targets.boards import Board, board_names, load_board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.cost.layer import simd_limit
from hw_targets.cost.model import as_row
from hw_targets.cost.network import layer_query, require_division
from hw_targets.cost.query import layer_cost, uncalibrated
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import LiftFlowError
from hw_targets.families import RESOURCES, load_family
from hw_targets.lanes import divisors
from hw_targets.network import NetworkShape
from hw_targets.quantizers import Quantizer
from hw_targets.rtl.mvu import shared_rows
from passes import _allocation_solve as solve
from passes._allocation_branches import fixed_layers
from passes._allocation_build import build_space
from passes._allocation_space import Errors, Space

NO_RATE = 2**62
"""Cycles between frames when no rate is asked for."""
_THRIFT = 1.0
"""Any error would do: there is one choice of bits, and none has an error."""
_BOUNDLESS = 1000.0
"""Boards whose resources no network fills."""
_GLANCE_S = 1.0
"""Seconds for a design that only tells what keeps another from fitting."""


@dataclass(frozen=True)
class Priced:
    """Every folding of a network under its widths, priced for a family.

    unknown: why no folding of some layer has a price; empty where all layers have one.
    """

    network: NetworkShape
    widths: Widths
    family: str
    space: Space | None
    unknown: str = ""

    def limits(self, room: NDArray[np.float64], interval: int = NO_RATE) -> solve.Limits:
        """What the solver must keep to. room: (4,) resources without the shell's."""
        return solve.Limits(room, interval, float(max(self.widths.weights)))


@dataclass(frozen=True)
class Folding:
    """Foldings of all layers. cost: (4,) resources, without a shell; interval: cycles a frame."""

    choices: tuple[LayerChoice, ...]
    cost: NDArray[np.float64]
    interval: int


def price(network: NetworkShape, widths: Widths, family: str) -> Priced:
    """All foldings of a network whose bits are given, priced once for every board of a family.

    Raises:
        UnsupportedError: it branches, and a unit of it has no hardware.
    """
    if family not in calibrated_families():
        return Priced(network, widths, family, None, "uncalibrated")
    weight_bits = tuple(sorted(set(widths.weights)))
    act_bits = tuple(sorted({bits for bits in widths.acts if bits})) or (1,)
    # One width a layer: the others have an error, and are left out by it.
    errors = [
        Errors(
            {bits: float(bits != weight) for bits in weight_bits},
            {bits: float(bits != act) for bits in act_bits},
        )
        for weight, act in zip(widths.weights, widths.acts, strict=True)
    ]
    fixed = {layer.name: act for layer, act in zip(network.layers, widths.acts, strict=True)}
    known = fixed_layers(network) if network.units else ()
    board = family_board(family)
    every = build_space(
        network, board, weight_bits, act_bits, errors, {name: fixed[name] for name in known}
    )
    space = every.subset((every.loss == 0.0) & _computable(every, widths, family))
    if space.shared is not None:
        layers = (f"layer {name}: {every.uncalibrated[name]}" for name in every.unpriced)
        unknown = next(layers, space.shared.why())
        if unknown:
            return Priced(network, widths, family, None, unknown)
    elif not len(space):
        return Priced(network, widths, family, None, _blamed(network, widths, family))
    return Priced(network, widths, family, space)


def _computable(space: Space, widths: Widths, family: str) -> NDArray[np.bool_]:
    """(edges,) False where rows share a multiplier and a weight is the least value of its bits.

    A row above a negative one is one less in it (`Mvu.memories`), which would take one bit more.
    """
    found = np.ones(len(space), dtype=bool)
    operand = load_family(family).multiplier.a_bits
    for index, bits in enumerate(widths.full):
        if not bits or space.network.layers[index].depthwise:
            continue
        rows = space.of_layer(index)
        for at, (weight_bits, pe, _, dsp, _) in zip(rows, space.decided[rows], strict=True):
            found[at] = not dsp or shared_rows(weight_bits, bits, pe, operand) == 1
    return found


def _blamed(network: NetworkShape, widths: Widths, family: str) -> str:
    """Which layer has no folding with a price, and why; or that none of them fit together."""
    for index, layer in enumerate(network.layers):
        pe, simd, dsp, block = (
            axis.ravel().astype(np.float64)
            for axis in np.meshgrid(
                divisors(layer.out_channels), divisors(simd_limit(layer)), (0, 1), (0, 1)
            )
        )
        bits, signed = arriving(network, widths, index)
        query = layer_query(layer, widths.weights[index], widths.acts[index], bits, signed)
        every = replace(query, pe=pe, simd=simd, dsp=dsp, block=block)
        if np.isnan(layer_cost(every, family).lut).all():
            return f"layer {layer.name}: {uncalibrated(query, family)}"
    return "no calibrated foldings fit together"


def arriving(network: NetworkShape, widths: Widths, index: int) -> tuple[int, bool]:
    """Bits and sign of what a layer of a chain takes."""
    if index == 0:
        return network.input_bits, network.input_signed
    return widths.acts[index - 1], False


def family_board(family: str) -> Board:
    """The largest board of a family, by LUTs.

    Raises:
        LiftFlowError: no such family, or no board of it.
    """
    load_family(family)
    boards = [board for board in map(load_board, board_names()) if board.family == family]
    if not boards:
        raise LiftFlowError("no board of it is known", where=family, mend="give --board")
    return max(boards, key=lambda board: board.resources.lut)


def room_on(board: Board, share: float, network: NetworkShape) -> NDArray[np.float64] | None:
    """(4,) what a share of the board leaves for the network; None where the shell is unknown."""
    shell = shell_estimate(board, network)
    if not shell.calibrated:
        return None
    budget = board.budget(share)
    return np.maximum(np.array([budget[name] for name in RESOURCES]) - as_row(shell), 0.0)


def require_room(board: Board, share: float, network: NetworkShape) -> NDArray[np.float64]:
    """As `room_on`. Raises LiftFlowError where the shell is unknown."""
    room = room_on(board, share, network)
    if room is None:
        raise LiftFlowError(
            f"cost is uncalibrated: {shell_estimate(board).why}",
            where=board.name,
            mend="give --family, which counts no shell",
        )
    return room


def boundless(family: str) -> NDArray[np.float64]:
    """Room for any network, the resources weighed as on the family's largest board."""
    holds = family_board(family).resources.as_dict()
    return _BOUNDLESS * np.array([float(count) for count in holds.values()])


def interval_of(fps: float, clock_mhz: float) -> int:
    """Cycles a frame may take."""
    return floor(clock_mhz * 1e6 / fps)


def fastest(
    priced: Priced,
    room: NDArray[np.float64],
    interval: int = NO_RATE,
    time_limit_s: float = 20.0,
) -> Folding | None:
    """The fewest cycles between frames that `room` allows, with the least hardware for them.

    None where no folding keeps to `interval`.
    """
    assert priced.space is not None
    found = solve.least_interval(priced.space, priced.limits(room, interval), time_limit_s)
    if found is None:
        return None
    return smallest(priced, room, found.interval, time_limit_s) or _folding(found)


def smallest(
    priced: Priced,
    room: NDArray[np.float64],
    interval: int = NO_RATE,
    time_limit_s: float = 20.0,
) -> Folding | None:
    """The least hardware that `room` holds and keeps to `interval`; None where none does."""
    assert priced.space is not None
    limits = priced.limits(room, interval)
    # The solver takes differences of a millionth for none: room shall not make them so small.
    thrift = _THRIFT * max(1.0, float(room[0]) / 1e4)
    found = solve.least_error(priced.space, limits, thrift, time_limit_s)
    return _folding(found) if found else None


def thinnest(priced: Priced, room: NDArray[np.float64], interval: int) -> Folding | None:
    """The folding that keeps to `interval` with the least share of `room`, above 1 or not.

    It tells what a design needs, so that one within about a hundredth of the least will do.
    """
    assert priced.space is not None
    found = solve.least_share(priced.space, priced.limits(room, interval), _GLANCE_S)
    return _folding(found[1]) if found else None


def by_hand(
    network: NetworkShape,
    widths: Widths,
    folds: Sequence[tuple[int, int]],
    arithmetic: Literal["lut", "dsp"] = "lut",
    memory: Literal["block", "distributed"] = "distributed",
    quantizer: Quantizer = "threshold",
) -> tuple[LayerChoice, ...]:
    """Choices with the (PE, SIMD) given, one pair a layer.

    Raises:
        LiftFlowError: one does not divide its layer.
    """
    choices = []
    for layer, weight, act, (pe, simd) in zip(
        network.layers, widths.weights, widths.acts, folds, strict=True
    ):
        require_division(layer, pe, simd)
        mw, mh = layer.hardware_matrix
        cycles = layer.pixels * mw * mh // (pe * simd)
        choices.append(
            LayerChoice(weight, act, pe, simd, arithmetic, memory, cycles, quantizer=quantizer)
        )
    return tuple(choices)


def _folding(found: solve.Solution) -> Folding:
    choices = tuple(
        LayerChoice(
            choice.weight_bits, act, choice.pe, choice.simd,
            choice.arithmetic, choice.memory, choice.cycles, choice.lanes, choice.quantizer,
        )
        for choice, act in zip(found.choices, found.act_bits, strict=True)
    )  # fmt: skip
    return Folding(choices, found.cost, found.interval)
