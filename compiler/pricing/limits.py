"""What keeps a network from fitting or from being faster, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compiler.pricing.folding import Priced, thinnest
from hw_targets.cost.layer import front_kernels, matrix_kernel
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES
from hw_targets.lanes import lanes_of
from passes import _allocation_solve as solve

NEAR = 0.98
"""Resources whose use is this near to the tightest one's bind as well."""


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
    faster = priced.space.candidates(interval - 1)
    wanted = int(faster[-1]) if faster.size else interval - 1
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
    """Cycles a frame of a layer, or a unit of no layer, not folded at all, calibrated or not."""
    network = priced.network
    layer = next((each for each in network.layers if each.name == name), None)
    if layer is None:
        assert priced.space is not None
        assert priced.space.shared is not None
        return priced.space.shared.breakpoints[0]
    # No cycle depends on bits.
    simd, outputs = 1 if layer.depthwise else layer.hardware_matrix[0], layer.out_channels
    matrix = matrix_kernel(layer, 2, outputs, simd, 1, False, "lut", "distributed")
    lanes = lanes_of(layer, outputs, layer.in_channels if layer.depthwise else simd)
    return max(unit.cycles for unit in (*front_kernels(layer, lanes, 1, False), matrix))


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
            f"{asked} needs about {found.cost[at]:,.0f} {worst.upper()} beside the shell, "
            f"{room[at]:,.0f} are left",
            where=place,
            mend=mend,
        )
    slow = solve.slowest_layer(priced.space, interval)
    if slow is None:
        why = next(iter(priced.space.uncalibrated.values()), "no folding fits together")
        return LiftFlowError(f"{asked} is uncalibrated: {why}", where=place, mend=mend)
    name, cycles = slow
    kind = "layer" if name in {layer.name for layer in priced.network.layers} else "unit"
    how = "in the calibrated foldings" if cycles > unfolded_cycles(priced, name) else "unfolded"
    return InfeasibleError(
        f"{asked} leaves {interval:,} cycles a frame, {kind} {name} needs {cycles:,} {how}",
        where=place,
        mend=mend,
    )
