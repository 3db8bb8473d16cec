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
from hw_targets.cost.layer import front_kernels, matrix_kernel, simd_limit
from hw_targets.cost.model import as_row, shell_estimate
from hw_targets.cost.network import layer_query, require_division
from hw_targets.cost.query import layer_cost, uncalibrated
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES, load_family
from hw_targets.network import LayerShape, NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_build import build_space, divisors
from passes._allocation_space import Errors, Space

NO_RATE = 2**62
"""Cycles between frames when no rate is asked for."""
_THRIFT = 1.0
"""Any error would do: there is one choice of bits, and none has an error."""
_BOUNDLESS = 1000.0
"""Boards whose resources no network fills."""
NEAR = 0.98
"""Resources whose use is this near to the tightest one's bind as well."""


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
        return solve.Limits(room, interval, float(max(self.widths.weights)))


@dataclass(frozen=True)
class Folding:
    """Foldings of all layers. cost: (4,) resources, without a shell; interval: cycles a frame."""

    choices: tuple[LayerChoice, ...]
    cost: NDArray[np.float64]
    interval: int


def price(network: NetworkShape, widths: Widths, family: str) -> Priced:
    """All foldings of a network whose bits are given, priced once for every board of a family."""
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
    every = build_space(network, family_board(family), weight_bits, act_bits, errors)
    space = every.subset(every.loss == 0.0)
    if not len(space):
        return Priced(network, widths, family, None, _blamed(network, widths, family))
    return Priced(network, widths, family, space)


def _blamed(network: NetworkShape, widths: Widths, family: str) -> str:
    """Which layer has no folding with a price, and why; or that none of them fit together."""
    for index, layer in enumerate(network.layers):
        pe, simd, dsp, block = (
            axis.ravel().astype(np.float64)
            for axis in np.meshgrid(
                divisors(layer.out_channels), divisors(simd_limit(layer)), (0, 1), (0, 1)
            )
        )
        bits, signed = _arriving(network, widths, index)
        query = layer_query(layer, widths.weights[index], widths.acts[index], bits, signed)
        every = replace(query, pe=pe, simd=simd, dsp=dsp, block=block)
        if np.isnan(layer_cost(every, family).lut).all():
            return f"layer {layer.name}: {uncalibrated(query, family)}"
    return "no calibrated foldings fit together"


def _arriving(network: NetworkShape, widths: Widths, index: int) -> tuple[int, bool]:
    """Bits and sign of what a layer takes."""
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


def room_on(board: Board, share: float) -> NDArray[np.float64] | None:
    """(4,) what a share of the board leaves for the network; None where the shell is unknown."""
    shell = shell_estimate(board)
    if not shell.calibrated:
        return None
    budget = board.budget(share)
    return np.maximum(np.array([budget[name] for name in RESOURCES]) - as_row(shell), 0.0)


def require_room(board: Board, share: float) -> NDArray[np.float64]:
    """As `room_on`. Raises LiftFlowError where the shell is unknown."""
    room = room_on(board, share)
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
    # One question tells whether anything fits at all, and from where to search.
    nearest = thinnest(priced, room, interval, time_limit_s)
    if nearest is None or not holds(room, nearest.cost):
        return None
    limits = priced.limits(room, nearest.interval)
    found = solve.least_interval(priced.space, limits, time_limit_s)
    if found is None:
        return nearest
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


def thinnest(
    priced: Priced, room: NDArray[np.float64], interval: int, time_limit_s: float = 20.0
) -> Folding | None:
    """The folding that keeps to `interval` with the least share of `room`, above 1 or not."""
    assert priced.space is not None
    limits = priced.limits(room, interval)
    found = solve.least_share(priced.space, limits, time_limit_s)
    return found and _folding(found[1])


def by_hand(
    network: NetworkShape,
    widths: Widths,
    folds: Sequence[tuple[int, int]],
    arithmetic: Literal["lut", "dsp"] = "lut",
    memory: Literal["block", "distributed"] = "distributed",
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
        cycles = layer.macs // (pe * simd)
        choices.append(LayerChoice(weight, act, pe, simd, arithmetic, memory, cycles))
    return tuple(choices)


def holds(room: NDArray[np.float64], cost: NDArray[np.float64]) -> bool:
    """Whether a design fits."""
    return bool((cost <= room * (1.0 + 1e-9) + 1e-9).all())


def tight(cost: NDArray[np.float64], room: NDArray[np.float64]) -> tuple[str, ...]:
    """The resources that a design takes most of, or nearly so, as shares of the room."""
    shares = cost / np.maximum(room, 1e-3)
    return tuple(
        name
        for name, value in zip(RESOURCES, shares.tolist(), strict=True)
        if value >= NEAR * shares.max()
    )


def binding(priced: Priced, room: NDArray[np.float64], interval: int) -> str:
    """What keeps a network from being faster than `interval`, as a person reads it."""
    assert priced.space is not None
    faster = priced.space.cycles[priced.space.cycles < interval]
    wanted = int(faster.max()) if faster.size else interval - 1
    found = thinnest(priced, room, wanted)
    if found is not None:
        return ", ".join(name.upper() for name in tight(found.cost, room))
    return limit(priced, wanted)


def limit(priced: Priced, interval: int) -> str:
    """Why not even a boundless board keeps to `interval`, as a person reads it."""
    assert priced.space is not None
    slow = solve.slowest_layer(priced.space, interval)
    if slow is None:
        return "calibrated foldings"
    name, cycles = slow
    if cycles > unfolded_cycles(priced, name):
        return f"calibrated foldings of {name}"
    return f"parallelism of {name}"


def unfolded_cycles(priced: Priced, name: str) -> int:
    """Cycles a frame of a layer that is not folded at all, calibrated or not."""
    network, widths = priced.network, priced.widths
    names = [layer.name for layer in network.layers]
    index = names.index(name)
    layer: LayerShape = network.layers[index]
    bits, signed = _arriving(network, widths, index)
    simd = simd_limit(layer)
    matrix = matrix_kernel(
        layer, widths.weights[index], layer.out_channels, simd, bits, signed, "lut", "distributed"
    )
    return max(unit.cycles for unit in (*front_kernels(layer, simd, bits, signed), matrix))


def too_large(
    priced: Priced, room: NDArray[np.float64], interval: int, asked: str, place: str
) -> LiftFlowError:
    """Why no folding keeps to `interval` within `room`, and what would."""
    assert priced.space is not None
    mend = "lower the rate or the bits, raise --share or the clock, or take a larger board"
    found = thinnest(priced, room, interval)
    if found is not None:
        worst = tight(found.cost, room)[0]
        at = RESOURCES.index(worst)
        return InfeasibleError(
            f"{asked} needs at least {found.cost[at]:,.0f} {worst.upper()} beside the shell, "
            f"{room[at]:,.0f} are allowed",
            where=place,
            mend=mend,
        )
    slow = solve.slowest_layer(priced.space, interval)
    if slow is None:
        why = next(iter(priced.space.uncalibrated.values()), "no folding fits together")
        return LiftFlowError(f"{asked} is uncalibrated: {why}", where=place, mend=mend)
    name, cycles = slow
    how = "in the calibrated foldings" if cycles > unfolded_cycles(priced, name) else "unfolded"
    return InfeasibleError(
        f"{asked} leaves {interval:,} cycles a frame, layer {name} needs {cycles:,} {how}",
        where=place,
        mend=mend,
    )


def _folding(found: solve.Solution) -> Folding:
    choices = tuple(
        LayerChoice(
            choice.weight_bits, act, choice.pe, choice.simd,
            choice.arithmetic, choice.memory, choice.cycles,
        )
        for choice, act in zip(found.choices, found.act_bits, strict=True)
    )  # fmt: skip
    return Folding(choices, found.cost, found.interval)
