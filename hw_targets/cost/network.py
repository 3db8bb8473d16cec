"""What a whole network costs under one choice of bits and folding a layer, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hw_targets.boards import Board
from hw_targets.cost.layer import Choice, needs_pad, needs_window
from hw_targets.cost.model import Estimate, estimate_units
from hw_targets.cost.planned import priced_kernels
from hw_targets.cost.query import LayerQuery
from hw_targets.cost.shell import estimate_design, shell_estimate
from hw_targets.errors import LiftFlowError
from hw_targets.lanes import TIED, Lanes, divisors, lanes_of, window_lanes
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.width_converter import WidthConverter

C = TypeVar("C", bound=Choice)


@dataclass(frozen=True)
class LayerPart(Generic[C]):
    """One layer of a network: its units, FIFOs and width converters in front among them.

    cycles: between frames, were there no other layer.
    """

    layer: LayerShape
    choice: C
    estimate: Estimate
    cycles: int


@dataclass(frozen=True)
class NetworkCost(Generic[C]):
    """A network's cost. The layers, what joins branches and the shell add up to the total.

    branches: units that are no layer's own; None of a chain. shell: of the board; None without a
    board. fifos, converters: what the FIFOs and the width
    converters of all layers take of the total. interval: cycles between frames. latency: cycles
    from a frame's first input beat to its last output beat.
    """

    layers: tuple[LayerPart[C], ...]
    branches: Estimate | None
    shell: Estimate | None
    total: Estimate
    fifos: Estimate
    converters: Estimate
    interval: int
    latency: int


def network_cost(
    network: NetworkShape,
    choices: Sequence[C],
    family: str,
    board: Board | None = None,
    pace: int = 0,
) -> NetworkCost[C]:
    """What a network costs in a family, with the shell of `board` where one is given.

    Args:
        choices: bits and folding of every layer, in order.
        pace: cycles a frame that width converters and what joins branches may take; converters at
            least those of the slowest unit.

    Raises:
        LiftFlowError: no such family, a folding does not divide its layer, or a unit of a network
            that branches has no hardware.
    """
    for layer, choice in zip(network.layers, choices, strict=True):
        require_division(layer, choice.pe, choice.simd, getattr(choice, "lanes", TIED))
    by_layer, shared, latency = priced_kernels(network, choices, pace)
    kernels = [kernel for part in (*by_layer, shared) for kernel in part]
    return NetworkCost(
        layers=tuple(
            LayerPart(
                layer, choice, estimate_units(units, family), max(unit.cycles for unit in units)
            )
            for layer, choice, units in zip(network.layers, choices, by_layer, strict=True)
        ),
        branches=None if network.chain else estimate_units(shared, family),
        shell=shell_estimate(board, network) if board else None,
        total=estimate_design(kernels, board, network)
        if board
        else estimate_units(kernels, family),
        fifos=estimate_units((k for k in kernels if isinstance(k, Fifo)), family),
        converters=estimate_units((k for k in kernels if isinstance(k, WidthConverter)), family),
        interval=max(kernel.cycles for kernel in kernels),
        latency=latency,
    )


def layer_query(
    layer: LayerShape, weight_bits: int, act_bits: int, in_bits: int, in_signed: bool
) -> LayerQuery:
    """One layer, not folded over lanes (PE = SIMD = 1), as `query.layer_cost` takes it.

    Raises:
        LiftFlowError: its padding differs from side to side.
    """
    pad_h, pad_w = layer.even_padding
    return LayerQuery(
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        in_bits=in_bits,
        weight_bits=weight_bits,
        act_bits=act_bits,
        pe=1,
        simd=1,
        in_h=layer.in_size[0],
        in_w=layer.in_size[1],
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        stride_h=layer.stride[0],
        stride_w=layer.stride[1],
        pad_h=pad_h,
        pad_w=pad_w,
        dilation_h=layer.dilation[0],
        dilation_w=layer.dilation[1],
        pool=layer.pool,
        activation=int(layer.activation),
        in_signed=int(in_signed),
    )


def require_division(layer: LayerShape, pe: int, simd: int, own: Lanes = TIED) -> None:
    """Raises LiftFlowError where PE, SIMD or lanes do not divide what they must of a layer."""
    lanes = lanes_of(layer, pe, simd, own)
    columns = 1 if layer.depthwise else layer.hardware_matrix[0]
    rules = (
        ("PE", pe, layer.out_channels, "outputs"),
        ("SIMD", simd, columns, "inputs"),
        ("pad lanes", lanes.pad, layer.in_channels if needs_pad(layer) else 0, "channels"),
        ("lanes", lanes.act, layer.out_channels, "outputs"),
        ("lanes", lanes.end, layer.out_channels, "outputs"),
    )
    for name, value, size, what in rules:
        if value < 1 or size % value:
            raise LiftFlowError(
                f"{name} {value} does not divide its {size} {what}",
                where=f"layer {layer.name}",
                mend=f"use one of {', '.join(map(str, divisors(size)))}",
            )
    if needs_window(layer) and lanes.window not in window_lanes(layer):
        raise LiftFlowError(
            f"window lanes {lanes.window} are no whole part of its {layer.in_channels} channels, "
            "nor several pixels of its kernel",
            where=f"layer {layer.name}",
            mend=f"use one of {', '.join(map(str, window_lanes(layer)))}",
        )
