"""The hardware units a layer becomes, in stream order: the same that lowering builds.

A layer's units fall into four groups that depend on different choices, so that an optimiser can
price each group on its own:

* link: width converters from the lanes that arrive to the lanes the layer takes;
* front: padding and sliding window, `simd` lanes of `in_bits`;
* matrix: the matrix-vector unit;
* back: threshold and pooling, or bias and label select for the logits, `pe` lanes.

In front of every unit stands one FIFO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import converters

MIN_FIFO_DEPTH = 2


class Choice(Protocol):
    """Bits and folding of one layer, as the allocator decides them."""

    @property
    def weight_bits(self) -> int: ...
    @property
    def act_bits(self) -> int: ...
    @property
    def pe(self) -> int: ...
    @property
    def simd(self) -> int: ...
    @property
    def arithmetic(self) -> Literal["lut", "dsp"]: ...
    @property
    def memory(self) -> Literal["auto", "block", "distributed"]: ...


def simd_limit(layer: LayerShape) -> int:
    """The number `simd` must divide: the channels where windows are cut, else all inputs."""
    return layer.in_channels if needs_window(layer) or _padded(layer) else layer.matrix[0]


def needs_window(layer: LayerShape) -> bool:
    """Whether a sliding window feeds the layer."""
    return layer.kernel != (1, 1) or layer.stride != (1, 1)


def in_elements(layer: LayerShape) -> int:
    """Values a frame at the layer's input."""
    return layer.in_channels * layer.in_size[0] * layer.in_size[1]


def link_kernels(
    layer: LayerShape, in_lanes: int, simd: int, in_bits: int, in_signed: bool
) -> tuple[Kernel, ...]:
    """Width converters in front of the layer, each with its FIFO; none where the lanes agree."""
    units = converters(in_lanes, simd, in_bits, in_elements(layer), in_signed)
    return _with_fifos(units)


def front_kernels(
    layer: LayerShape, simd: int, in_bits: int, in_signed: bool
) -> tuple[Kernel, ...]:
    """Padding and sliding window, each with its FIFO; none for dense and plain 1x1 layers."""
    units: list[Kernel] = []
    (height, width), (top, left) = layer.in_size, layer.padding
    if _padded(layer):
        units.append(
            Pad(height, width, layer.in_channels, top, left, top, left, simd, in_bits, in_signed)
        )
    if needs_window(layer):
        units.append(
            Swu(
                height + 2 * top,
                width + 2 * left,
                layer.in_channels,
                *layer.kernel,
                *layer.stride,
                simd,
                in_bits,
                in_signed,
            )
        )
    return _with_fifos(units)


def matrix_kernel(
    layer: LayerShape,
    weight_bits: int,
    pe: int,
    simd: int,
    in_bits: int,
    in_signed: bool,
    arithmetic: Literal["lut", "dsp"],
    memory: Literal["auto", "block", "distributed"],
) -> Mvu:
    """The matrix-vector unit itself, without its FIFO."""
    mw, mh = layer.matrix
    return Mvu(mw, mh, simd, pe, layer.pixels, weight_bits, in_bits, in_signed, arithmetic, memory)


def matrix_fifo(mvu: Mvu) -> Fifo:
    """The FIFO before a matrix-vector unit.

    While the unit goes over its rows again it takes no input; one vector (SF beats) of room keeps
    what feeds it going.
    """
    depth = mvu.column_folds if mvu.row_folds > 1 else MIN_FIFO_DEPTH
    return Fifo(mvu.input.width, max(MIN_FIFO_DEPTH, depth), mvu.input.beats)


def back_kernels(layer: LayerShape, acc_bits: int, act_bits: int, pe: int) -> tuple[Kernel, ...]:
    """Threshold and pooling, or for the logits bias and label select, each with its FIFO.

    The bias of the last layer is not known before it is quantized; it is taken to need as many
    bits as the accumulator, and their sum one more.
    """
    channels, pixels = layer.out_channels, layer.pixels
    units: list[Kernel] = []
    if layer.activation:
        units.append(Threshold(channels, pe, pixels, acc_bits, True, act_bits, False))
        if layer.pool > 1:
            units.append(MaxPool(*layer.out_size, channels, layer.pool, pe, act_bits, False))
    else:
        units.append(ChannelAdd(channels, pe, pixels, acc_bits, True, acc_bits, acc_bits + 1))
        label = LabelSelect(channels, pe, acc_bits + 1, True)
        units.append(label)
        # The design's output has a FIFO of its own.
        return (*_with_fifos(units), Fifo(label.output.width, MIN_FIFO_DEPTH, 1))
    return _with_fifos(units)


def kernels_of(
    layer: LayerShape, choice: Choice, in_bits: int, in_signed: bool, in_lanes: int | None = None
) -> tuple[Kernel, ...]:
    """All units of one layer in stream order.

    in_lanes: lanes that arrive; None for as many as the layer takes (the network's first layer).

    Raises:
        ValueError: the folding does not divide the layer.
    """
    lanes = choice.simd if in_lanes is None else in_lanes
    mvu = matrix_kernel(
        layer,
        choice.weight_bits,
        choice.pe,
        choice.simd,
        in_bits,
        in_signed,
        choice.arithmetic,
        choice.memory,
    )
    return (
        *link_kernels(layer, lanes, choice.simd, in_bits, in_signed),
        *front_kernels(layer, choice.simd, in_bits, in_signed),
        matrix_fifo(mvu),
        mvu,
        *back_kernels(layer, mvu.acc_bits, choice.act_bits, choice.pe),
    )


def network_kernels(network: NetworkShape, choices: Sequence[Choice]) -> tuple[Kernel, ...]:
    """All units of a network, `choices` in the order of its layers."""
    kernels: list[Kernel] = []
    bits, signed, lanes = network.input_bits, network.input_signed, None
    for layer, choice in zip(network.layers, choices, strict=True):
        kernels += kernels_of(layer, choice, bits, signed, lanes)
        bits, signed, lanes = choice.act_bits, False, choice.pe
    return tuple(kernels)


def _padded(layer: LayerShape) -> bool:
    return layer.padding != (0, 0)


def _with_fifos(units: Sequence[Kernel]) -> tuple[Kernel, ...]:
    return tuple(
        kernel
        for unit in units
        for kernel in (Fifo(unit.input.width, MIN_FIFO_DEPTH, unit.input.beats), unit)
    )
