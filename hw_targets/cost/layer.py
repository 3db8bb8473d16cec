"""The hardware units a layer becomes, in stream order: the same that lowering builds.

Padding, sliding window, matrix-vector unit, then threshold (or requantization, to many bits) and
pooling, or bias and label select for the logits, or bias alone for a regression's outputs. Each has
lanes of its own (`hw_targets.lanes`); width converters join those whose lanes differ. In front of
every unit, converters too, stands one FIFO.
"""

from __future__ import annotations

from typing import Literal, Protocol

from hw_targets.lanes import TIED, Lanes, lanes_of
from hw_targets.network import LayerShape
from hw_targets.quantizers import LEAST_OUT_BITS, Quantizer, chosen_quantizer, possible
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.requant import MOST_SHIFT, Requant
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import converters

MIN_FIFO_DEPTH = 2
PLANNED_MULT_BITS = 25
WIDER_MULT, WIDER_SHIFT, WIDER_ADD = 5, 13, 6
"""Multipliers of accumulators have so many bits more than these, the shift so many fewer than both
together, and what is added so many more than the shift: the constants are known only when a layer
is trained. These are medians of results of 7 or 8 bits, 5 layers of `examples/` and 57 of random
networks, few of which need more than `PLANNED_MULT_BITS`.
"""
FEW_MULT, FEW_SHIFT, FEW_ADD = -6, 8, -1
"""The same of results of fewer bits, to which these are added: 35 layers and 31."""


class Choice(Protocol):
    """Bits and folding of one layer, as the allocator decides them.

    Lanes of its own that a unit has stand in an attribute `lanes`, which there need not be; nor
    need there be a `quantizer`, of thresholds else.
    """

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
    """What `simd` must divide to be the window's lanes too: its channels, else all inputs."""
    return layer.in_channels if needs_window(layer) or needs_pad(layer) else layer.matrix[0]


def needs_pad(layer: LayerShape) -> bool:
    """Whether the layer's image is padded."""
    return any(layer.padding)


def needs_window(layer: LayerShape) -> bool:
    """Whether a sliding window feeds the layer."""
    return layer.kernel != (1, 1) or layer.stride != (1, 1) or layer.depthwise


def chosen_lanes(layer: LayerShape, choice: Choice) -> Lanes:
    """Lanes of every unit that a choice means."""
    lanes: Lanes = getattr(choice, "lanes", TIED)
    return lanes_of(layer, choice.pe, choice.simd, lanes)


def pad_kernel(layer: LayerShape, lanes: int, bits: int, signed: bool) -> Pad:
    """The padding itself, without its FIFO."""
    return Pad(*layer.in_size, layer.in_channels, *layer.padding, lanes, bits, signed)


def window_kernel(layer: LayerShape, lanes: int, bits: int, signed: bool) -> Swu | ParallelWindow:
    """The sliding window itself, without its FIFO.

    lanes: that leave it; more than the channels are several pixels of the kernel.
    """
    channels = layer.in_channels
    shape = (*layer.padded_size, channels, *layer.kernel, *layer.stride)
    if lanes > channels:
        return ParallelWindow(*shape, *layer.dilation, lanes // channels, bits, signed)
    return Swu(*shape, lanes, bits, signed, *layer.dilation)


def front_kernels(
    layer: LayerShape, lanes: Lanes, in_bits: int, in_signed: bool
) -> tuple[Kernel, ...]:
    """Padding and sliding window without FIFOs; none for dense and plain 1x1 layers."""
    units: list[Kernel] = []
    if needs_pad(layer):
        units.append(pad_kernel(layer, lanes.pad, in_bits, in_signed))
    if needs_window(layer):
        units.append(window_kernel(layer, lanes.window, in_bits, in_signed))
    return tuple(units)


def matrix_kernel(
    layer: LayerShape,
    weight_bits: int,
    pe: int,
    simd: int,
    in_bits: int,
    in_signed: bool,
    arithmetic: Literal["lut", "dsp"],
    memory: Literal["auto", "block", "distributed"],
) -> Mvu | Depthwise:
    """The matrix-vector unit itself, or the depthwise one, without its FIFO."""
    mw, mh = layer.hardware_matrix
    form = (weight_bits, in_bits, in_signed, arithmetic, memory)
    if layer.depthwise:
        return Depthwise(mh, mw, layer.pixels, pe, *form)
    return Mvu(mw, mh, simd, pe, layer.pixels, *form)


def act_kernel(
    layer: LayerShape,
    lanes: int,
    acc_bits: int,
    act_bits: int,
    quantizer: Quantizer = "threshold",
) -> Kernel:
    """Threshold or requantization, or for the logits bias, without its FIFO."""
    if not layer.activation:
        return bias_kernel(layer, lanes, acc_bits)
    return quantizer_kernel(
        layer.out_channels, lanes, layer.pixels, acc_bits, True, act_bits, False, quantizer
    )


def quantizer_kernel(
    channels: int,
    lanes: int,
    pixels: int,
    acc_bits: int,
    acc_signed: bool,
    bits: int,
    signed: bool,
    quantizer: Quantizer = "threshold",
) -> Threshold | Requant:
    """Quantizer of accumulators, which have a scale for each channel, without its FIFO.

    quantizer: which of the two, where both are possible.
    """
    form = (channels, lanes, pixels, acc_bits, acc_signed, bits, signed)
    if possible(quantizer, channels, bits) == "threshold":
        return Threshold(*form, -(1 << (bits - 1)) if signed else 0)
    wider, fewer, added = (
        (WIDER_MULT, WIDER_SHIFT, WIDER_ADD)
        if bits >= LEAST_OUT_BITS
        else (bits + FEW_MULT, bits + FEW_SHIFT, bits + FEW_ADD)
    )
    mult_bits = min(max(acc_bits + wider, 1), PLANNED_MULT_BITS)
    shift = min(max(mult_bits + acc_bits - fewer, 0), MOST_SHIFT)
    return Requant(*form, mult_bits, max(shift + added, 1), shift)


def bias_kernel(layer: LayerShape, lanes: int, acc_bits: int) -> ChannelAdd:
    """Bias of the logits, without its FIFO.

    It is not known before the layer is quantized, and taken to need as many bits as the
    accumulator, and their sum one more; both have those that order fractions besides.
    """
    channels, pixels, shift = layer.out_channels, layer.pixels, layer.rank_bits
    bits = acc_bits + shift
    return ChannelAdd(channels, lanes, pixels, acc_bits, True, bits, bits + 1, shift)


def end_kernels(layer: LayerShape, lanes: int, bits: int) -> tuple[Kernel, ...]:
    """Pooling, or for the logits label select, of values of `bits`, without FIFOs; or none."""
    if layer.answers:
        return ()
    if not layer.activation:
        return (LabelSelect(layer.out_channels, lanes, bits, True),)
    if layer.pool > 1:
        return (MaxPool(*layer.out_size, layer.out_channels, layer.pool, lanes, bits, False),)
    return ()


def joined(in_lanes: int | None, into: Stream, pace: int | None) -> tuple[Kernel, ...]:
    """Width converters from `in_lanes` to the lanes of `into`, each with its FIFO.

    None where the lanes agree, or nothing is known of those that arrive. pace: as `converters`
    takes it.
    """
    if in_lanes is None:
        return ()
    units = converters(in_lanes, into.lanes, into.bits, into.elements, into.signed, pace)
    return tuple(kernel for unit in units for kernel in with_fifo(unit))


def output_fifo(stream: Stream) -> Fifo:
    """The FIFO of a design's output."""
    return Fifo(stream.width, MIN_FIFO_DEPTH, stream.beats)


def with_fifo(unit: Kernel) -> tuple[Fifo, Kernel]:
    """A unit behind its FIFO, which simulation rarely finds to need more than its least depth.

    A matrix-vector unit takes no input while it goes over its rows again, but only what is nearly
    as slow as the slowest unit of the network minds to wait.
    """
    return Fifo(unit.input.width, MIN_FIFO_DEPTH, unit.input.beats), unit


def units_of(
    layer: LayerShape, choice: Choice, in_bits: int, in_signed: bool
) -> tuple[Kernel, ...]:
    """The units of one layer in stream order, without FIFOs and width converters.

    Raises:
        ValueError: the folding does not divide the layer.
    """
    lanes = chosen_lanes(layer, choice)
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
    how = chosen_quantizer(choice)
    act = act_kernel(layer, lanes.act, mvu.acc_bits, choice.act_bits, how)
    return (
        *front_kernels(layer, lanes, in_bits, in_signed),
        mvu,
        act,
        *end_kernels(layer, lanes.end, act.output.bits),
    )


def kernels_of(
    layer: LayerShape,
    choice: Choice,
    in_bits: int,
    in_signed: bool,
    in_lanes: int | None = None,
    pace: int = 0,
) -> tuple[Kernel, ...]:
    """All units of one layer in stream order, with FIFOs and width converters.

    in_lanes: lanes that arrive; None for as many as the layer takes (the network's first layer).
    pace: cycles a frame that width converters may take; no fewer than the slowest unit does.

    Raises:
        ValueError: the folding does not divide the layer.
    """
    units = units_of(layer, choice, in_bits, in_signed)
    pace = max(pace, *(unit.cycles for unit in units))
    kernels: list[Kernel] = []
    lanes = in_lanes
    for unit in units:
        kernels += (*joined(lanes, unit.input, pace), *with_fifo(unit))
        lanes = unit.output.lanes
    if not layer.activation:
        # The design's output has a FIFO of its own.
        kernels.append(output_fifo(units[-1].output))
    return tuple(kernels)
