"""From a folded FINN graph to our own kernels with their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import gcd
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from hw_targets.errors import UnsupportedError
from hw_targets.finn_adapter.emit import signed_bits
from hw_targets.finn_adapter.fold import Folding
from hw_targets.finn_adapter.parts import layers_of, part_of
from hw_targets.finn_adapter.session import finn_session
from hw_targets.lanes import TIED, fewest, lanes_of
from hw_targets.network import NetworkShape
from hw_targets.quantizers import chosen_quantizer, possible
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Instance, IntArray, Kernel, Source, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import Fit, Requant, fit_steps
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import MOST_IN_BITS, Table
from hw_targets.rtl.table_logic import table_logic
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.wiring import INPUT

Made = tuple[Kernel, Mapping[str, IntArray]]
"""A kernel and the values of its memories."""


def instances(
    path: Path,
    network: NetworkShape,
    choices: Mapping[str, Folding],
    interval: int = 1,
) -> tuple[Instance, ...]:
    """The kernels of the folded graph in the order data takes, called as their nodes are.

    FINN's window and Pool of a max pooling without overlap are one MaxPool here. Widths are those
    of the streams: the kernels' own where they make new ones, the graph's input and quantizers.
    Where FINN's window gives all pixels of the kernel at once, ours gives as many as `choices`,
    by which the graph was folded, say: FINN has no node that gives a part of them.
    Channels of zeros, which FINN has no node for to be folded, have the fewest lanes that keep
    `interval` cycles a frame.

    Raises:
        UnsupportedError: names a node that has no kernel.
        VerificationError: the graph is not the network's.
    """
    with finn_session(path.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        model = ModelWrapper(str(path))
        reader = _Reader(model, network, choices, interval)
        for node in model.graph.node:
            reader.read(node)
        return tuple(reader.found)


class _Reader:
    """Turns nodes into instances; keeps what every tensor is as a stream."""

    def __init__(
        self, model: Any, network: NetworkShape, choices: Mapping[str, Folding], interval: int
    ) -> None:
        self.model, self.choices, self.interval = model, choices, interval
        self.layers = layers_of(model, network)
        self.found: list[Instance] = []
        entry = model.graph.input[0].name
        form = Stream(1, network.input_bits, network.input_signed, 1)
        self.streams: dict[str, tuple[Source, Stream]] = {entry: (INPUT, form)}

    def read(self, node: Any) -> None:
        from qonnx.custom_op.registry import getCustomOp

        reader = _READERS.get(node.op_type)
        if reader is None:
            raise UnsupportedError(f"{node.name} ({node.op_type}) has no kernel", where="fold")
        get = getCustomOp(node).get_nodeattr if node.domain else None
        made = reader(self, node, get)
        if made is None:  # a part of the next one
            self.streams[node.output[0]] = self.streams[node.input[0]]
            return
        kernel, arrays = made
        taken = [self.streams[name][0] for name in node.input if name in self.streams]
        self.found.append(Instance(node.name, kernel, arrays, tuple(taken)))
        for number, (name, stream) in enumerate(zip(node.output, kernel.outputs, strict=True)):
            self.streams[name] = (Source(node.name, number), stream)

    def taken(self, node: Any) -> Stream:
        """The stream that comes in; its format is what counts."""
        return self.streams[node.input[0]][1]

    def shape(self, node: Any, index: int = 0) -> tuple[int, ...]:
        return tuple(int(side) for side in self.model.get_tensor_shape(node.input[index]))

    def values(self, node: Any, index: int = 1) -> IntArray:
        found = np.asarray(self.model.get_initializer(node.input[index]), dtype=np.float64)
        return np.rint(found).astype(np.int64)

    def pad(self, node: Any, get: Any) -> Made:
        height, width = get("ImgDim")
        top, left, bottom, right = map(int, get("Padding"))
        into = self.taken(node)
        channels, simd = get("NumChannels"), get("SIMD")
        return Pad(
            in_h=int(height),
            in_w=int(width),
            channels=channels,
            top=top,
            left=left,
            bottom=bottom,
            right=right,
            simd=simd,
            bits=into.bits,
            signed=into.signed,
        ), {}

    def window(self, node: Any, get: Any) -> Made | None:
        (height, width), kernel, stride = get("IFMDim"), get("ConvKernelDim"), get("Stride")
        down, right = map(int, get("Dilation"))
        if part_of(node.name)[1] == "pool_window" and _apart(kernel, stride):
            return None  # MaxPool does it
        into = self.taken(node)
        if get("parallel_window"):
            layer = self.layers[node.name]
            choice = self.choices[layer.name]
            lanes = lanes_of(layer, choice.pe, choice.simd, getattr(choice, "lanes", TIED))
            return ParallelWindow(
                in_h=int(height),
                in_w=int(width),
                channels=layer.in_channels,
                kernel_h=int(kernel[0]),
                kernel_w=int(kernel[1]),
                stride_h=int(stride[0]),
                stride_w=int(stride[1]),
                dilation_h=down,
                dilation_w=right,
                positions=lanes.window // layer.in_channels,
                bits=into.bits,
                signed=into.signed,
            ), {}
        return Swu(
            in_h=int(height),
            in_w=int(width),
            channels=get("IFMChannels"),
            kernel_h=int(kernel[0]),
            kernel_w=int(kernel[1]),
            stride_h=int(stride[0]),
            stride_w=int(stride[1]),
            simd=get("SIMD"),
            bits=into.bits,
            signed=into.signed,
            dilation_h=down,
            dilation_w=right,
        ), {}

    def matrix(self, node: Any, get: Any) -> Made:
        weight_bits, _ = _width(get("weightDataType"))
        into = self.taken(node)
        kernel = Mvu(
            mw=get("MW"),
            mh=get("MH"),
            simd=get("SIMD"),
            pe=get("PE"),
            pixels=int(np.prod(get("numInputVectors"))),
            weight_bits=weight_bits,
            act_bits=into.bits,
            act_signed=into.signed,
            arithmetic=cast(Literal["lut", "dsp"], get("resType")),
            memory=cast(Literal["auto", "block", "distributed"], get("ram_style")),
        )
        # FINN keeps (MW, MH); the columns are already in the order ky, kx, channel.
        return kernel, {"weights": self.values(node).T.copy()}

    def depthwise(self, node: Any, get: Any) -> Made:
        weight_bits, _ = _width(get("weightDataType"))
        into = self.taken(node)
        kernel = Depthwise(
            channels=get("Channels"),
            taps=int(np.prod(get("Kernel"))),
            pixels=int(np.prod(get("Dim"))),
            pe=get("PE"),
            weight_bits=weight_bits,
            act_bits=into.bits,
            act_signed=into.signed,
            arithmetic=cast(Literal["lut", "dsp"], get("resType")),
            memory=cast(Literal["auto", "block", "distributed"], get("ram_style")),
        )
        return kernel, {"weights": self.values(node).reshape(kernel.channels, kernel.taps)}

    def threshold(self, node: Any, get: Any) -> Made:
        channels, lanes, into = get("NumChannels"), get("PE"), self.taken(node)
        bits, signed = _width(get("outputDataType"))
        elements = channels * int(np.prod(get("numInputVectors")))
        steps, least = self.values(node), int(get("ActVal"))
        if len(steps) == 1 and into.bits <= MOST_IN_BITS:
            raw = np.arange(1 << into.bits)
            values = raw - ((raw >> (into.bits - 1)) << into.bits) * into.signed
            table = least + (values[:, None] >= steps).sum(axis=1)
            form = into.bits, into.signed, bits, signed
            logic = table_logic(table, bits)
            return Table(*form, lanes, elements // lanes, logic), {"table": table}
        if len(steps) == 1:
            channels = lanes  # every lane has the same constants
        elif self.multiplied(node, channels, bits) and (fitted := _fitted(steps, least, into)):
            requant = Requant(
                channels=channels,
                pe=lanes,
                pixels=elements // channels,
                in_bits=into.bits,
                in_signed=into.signed,
                out_bits=bits,
                out_signed=signed,
                mult_bits=signed_bits(fitted.mult),
                add_bits=signed_bits(fitted.add),
                shift=fitted.shift,
            )
            return requant, {"mult": fitted.mult, "add": fitted.add}
        kernel = Threshold(
            channels=channels,
            pe=lanes,
            pixels=elements // channels,
            in_bits=into.bits,
            in_signed=into.signed,
            out_bits=bits,
            out_signed=signed,
            out_bias=least,
        )
        return kernel, {"thresholds": np.broadcast_to(steps, (channels, steps.shape[1])).copy()}

    def multiplied(self, node: Any, channels: int, bits: int) -> bool:
        """Whether accumulators are multiplied, not compared."""
        layer = self.layers.get(node.name)
        chosen = chosen_quantizer(self.choices[layer.name]) if layer else "threshold"
        return possible(chosen, channels, bits) == "multiplier"

    def pool(self, node: Any, get: Any) -> Made:
        kernel, lanes, channels = get("KernelSize"), get("PE"), get("Channels")
        into, maximum = self.taken(node), get("Function") == "MaxPool"
        before = self.model.find_producer(node.input[0])
        source = self.streams[node.input[0]][0]
        if maximum and source.instance != before.name:
            # The window's own input: the image.
            _, height, width, _ = self.shape(before)
            side = int(kernel[0])
            return MaxPool(height, width, channels, side, lanes, into.bits, into.signed), {}
        pixels = int(np.prod(get("OutImgDims")))
        return Reduce(
            channels,
            int(np.prod(kernel)),
            pixels,
            lanes,
            into.bits,
            into.signed,
            "max" if maximum else "sum",
        ), {}

    def sum_all(self, node: Any, get: Any) -> Made:
        into, vectors = self.taken(node), int(np.prod(get("numInputVectors")))
        channels, lanes = get("NumChannels"), get("PE")
        return Reduce(channels, vectors, 1, lanes, into.bits, into.signed, "sum"), {}

    def add(self, node: Any, get: Any) -> Made:
        shape, lanes, into = self.shape(node), get("PE"), self.taken(node)
        elements = int(np.prod(shape))
        if get("rhs_style") == "input":
            return Add(lanes, into.bits, into.signed, elements // lanes), {}
        bias = self.values(node).reshape(-1)
        bias_bits = signed_bits(bias)
        before = self.model.find_producer(node.input[0])
        shift = 0
        if before.op_type == "ElementwiseMul":
            shift = int(self.values(before)[0]).bit_length() - 1
        kernel = ChannelAdd(
            channels=shape[-1],
            pe=lanes,
            pixels=elements // shape[-1],
            in_bits=into.bits,
            in_signed=into.signed,
            bias_bits=bias_bits,
            # The widest of both and one for the carry holds every sum.
            out_bits=max(into.bits + shift, bias_bits) + 1,
            shift=shift,
        )
        return kernel, {"bias": bias}

    def scale(self, node: Any, _: Any) -> Made | None:
        """By a power of two: the addition that takes it shifts."""
        return None

    def concat(self, node: Any, get: Any) -> Made:
        into, channels = self.taken(node), tuple(int(n) for n in get("ChannelsPerStream"))
        pixels = int(np.prod(get("numInputVectors")))
        return Concat(pixels, channels, get("SIMD"), into.bits, into.signed), {}

    def duplicate(self, node: Any, get: Any) -> Made:
        into, lanes = self.taken(node), get("PE")
        beats = get("NumChannels") * int(np.prod(get("numInputVectors"))) // lanes
        return Duplicate(lanes, into.bits, into.signed, beats, get("NumOutputStreams")), {}

    def upsample(self, node: Any, get: Any) -> Made:
        into, height, width = self.taken(node), get("HI"), get("WI")
        scale = get("HO") // height, get("WO") // width
        channels, lanes = get("NumChannels"), get("SIMD")
        return Upsample(height, width, channels, *scale, lanes, into.bits, into.signed), {}

    def zeros(self, node: Any, _: Any) -> Made:
        """Channels of zeros: an image whose rows are the pixels."""
        pads = self.values(node).tolist()
        *vectors, channels = self.shape(node)
        into, before, after = self.taken(node), pads[len(pads) // 2 - 1], pads[-1]
        group = gcd(before, channels, after)
        elements = int(np.prod(vectors)) * (before + channels + after)
        lanes = fewest(group, elements, self.interval)
        return Pad(
            int(np.prod(vectors)),
            channels // lanes,
            lanes,
            0,
            before // lanes,
            0,
            after // lanes,
            lanes,
            into.bits,
            into.signed,
        ), {}

    def label(self, node: Any, get: Any) -> Made:
        classes, into = get("Labels"), self.taken(node)
        return LabelSelect(classes, gcd(get("PE"), classes), into.bits, into.signed), {}


_READERS: dict[str, Callable[[_Reader, Any, Any], Made | None]] = {
    "FMPadding": _Reader.pad,
    "ConvolutionInputGenerator": _Reader.window,
    "MVAU": _Reader.matrix,
    "VVAU": _Reader.depthwise,
    "Thresholding": _Reader.threshold,
    "Pool": _Reader.pool,
    "GlobalAccPool": _Reader.sum_all,
    "ElementwiseAdd": _Reader.add,
    "ElementwiseMul": _Reader.scale,
    "StreamingConcat": _Reader.concat,
    "DuplicateStreams": _Reader.duplicate,
    "UpsampleNearestNeighbour": _Reader.upsample,
    "Pad": _Reader.zeros,
    "LabelSelect": _Reader.label,
}


def _apart(kernel: Sequence[int], stride: Sequence[int]) -> bool:
    """Do square windows lie beside each other?"""
    return len({*map(int, kernel), *map(int, stride)}) == 1


def _fitted(steps: IntArray, least: int, into: Stream) -> Fit | None:
    """A multiplication and an addition a channel that give what its thresholds give, if any do."""
    low = -(1 << (into.bits - 1)) if into.signed else 0
    high = low + (1 << into.bits) - 1
    return fit_steps(steps, least, least + steps.shape[1], low, high)


def _width(datatype: str) -> tuple[int, bool]:
    """(bits, signed) of a FINN datatype's name. Raises UnsupportedError unless an integer."""
    if datatype == "BINARY":
        return (1, False)
    if datatype == "BIPOLAR":  # weights of -1 and 1
        return (1, True)
    for prefix, signed in (("UINT", False), ("INT", True)):
        if datatype.startswith(prefix):
            return int(datatype.removeprefix(prefix)), signed
    raise UnsupportedError(f"{datatype} is no integer type", where="FINN graph")
