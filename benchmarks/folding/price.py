"""A folding that FINN set, as units of ours: what it costs and how fast it is in our model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from typing import Literal
from unittest.mock import patch

from benchmarks.folding.setfolding import Node
from hw_targets.cost.features import Unit, fields
from hw_targets.cost.layer import MIN_FIFO_DEPTH, pad_kernel, window_kernel, with_fifo
from hw_targets.cost.model import KernelModel, kernel_model
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter

Arithmetic = Literal["lut", "dsp"]


@contextmanager
def extrapolated() -> Iterator[None]:
    """Prices by the same formulas outside the calibrated domain too, for the length of a block."""
    with patch.object(KernelModel, "_outside", lambda *_: 0.0):
        yield


def calibrated(units: Iterable[Unit], family: str) -> bool:
    """Whether the model knows the cost of every unit, also while it is `extrapolated`."""
    return not any(
        kernel_model(type(unit).__name__, family).why(fields(unit)) for unit in dict.fromkeys(units)
    )


@dataclass(frozen=True)
class Built:
    """Units in stream order, with FIFOs and width converters."""

    kernels: tuple[Kernel, ...]

    @property
    def cycles(self) -> int:
        """Between frames, of the slowest unit."""
        return max(kernel.cycles for kernel in self.kernels)


def build(network: NetworkShape, nodes: Sequence[Node], bits: int, arithmetic: Arithmetic) -> Built:
    """The units of ours for FINN's nodes, each with the PE or SIMD that FINN gave that node.

    Width converters stand wherever lanes differ, as FINN puts them there: where lanes do not divide
    each other, through their least common multiple. Memories are placed by size (`memory="auto"`).

    Raises:
        ValueError: the nodes are not the network's, or a folding that does not divide.
    """
    kernels: list[Kernel] = []
    lanes = 0
    for unit in _units(network, nodes, bits, arithmetic):
        wanted = unit.input.lanes
        for kernel in (*between(lanes or wanted, wanted, unit.input), unit):
            kernels += with_fifo(kernel)
        lanes = unit.output.lanes
    kernels.append(Fifo(kernels[-1].output.width, MIN_FIFO_DEPTH, 1))
    return Built(tuple(kernels))


def _units(
    network: NetworkShape, nodes: Sequence[Node], bits: int, arithmetic: Arithmetic
) -> Iterator[Kernel]:
    layers = iter(network.layers)
    layer = next(layers)
    started = False  # the layer's matrix has come
    in_bits, signed = network.input_bits, network.input_signed
    acc = 0
    for position, node in enumerate(nodes):
        pooling = position + 1 < len(nodes) and nodes[position + 1].kind == "Pool"
        if node.kind == "ConvolutionInputGenerator" and pooling:
            continue  # our pooling cuts its own windows
        if node.kind in ("FMPadding", "ConvolutionInputGenerator", "MVAU") and started:
            layer, started, in_bits, signed = next(layers), False, bits, False
        if node.kind == "FMPadding":
            yield pad_kernel(layer, node.simd, in_bits, signed)
        elif node.kind == "ConvolutionInputGenerator":
            lanes = layer.matrix[0] if node.parallel_window else node.simd
            yield window_kernel(layer, lanes, in_bits, signed)
        elif node.kind == "MVAU":
            mw, mh = layer.matrix
            shape = (mw, mh, node.simd, node.pe, layer.pixels)
            mvu = Mvu(*shape, bits, in_bits, signed, arithmetic, "auto")
            started, acc = True, mvu.acc_bits
            yield mvu
        else:
            yield _back(layer, node, acc, bits)


def between(lanes: int, wanted: int, stream: Stream) -> tuple[WidthConverter, ...]:
    """Converters from `lanes` to the `wanted` ones of a stream."""
    meeting = lcm(lanes, wanted)
    steps = dict.fromkeys((lanes, meeting, wanted))
    return tuple(
        WidthConverter(source, sink, stream.bits, stream.elements, stream.signed)
        for source, sink in pairwise(steps)
    )


def _back(layer: LayerShape, node: Node, acc: int, bits: int) -> Kernel:
    channels = layer.out_channels
    if node.kind == "Thresholding":
        return Threshold(channels, node.pe, layer.pixels, acc, True, bits, False)
    if node.kind == "Pool":
        return MaxPool(*layer.out_size, channels, layer.pool, node.pe, bits, False)
    if node.kind == "ElementwiseAdd":
        return ChannelAdd(channels, node.pe, layer.pixels, acc, True, acc, acc + 1)
    if node.kind == "LabelSelect":
        return LabelSelect(channels, node.pe, acc + 1, True)
    raise ValueError(f"no unit of ours does what {node.name} ({node.kind}) does")
