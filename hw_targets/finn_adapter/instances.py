"""From a folded FINN graph to our own kernels with their values."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from hw_targets.errors import UnsupportedError
from hw_targets.finn_adapter.fold import units
from hw_targets.finn_adapter.session import finn_session
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.kernel import Instance, IntArray
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold


def instances(path: Path, network: NetworkShape) -> tuple[Instance, ...]:
    """The kernels of the folded graph in the order data takes, named `<layer>_<unit>`.

    Units are pad, window, mvu, threshold, pool, bias and, last, the one called `label`. Dots in
    layer names become underscores. FINN's window and Pool of a max pooling are one MaxPool here.
    Weight and activation widths are the graph's datatypes, which are the allocated ones.

    Raises UnsupportedError naming a node that has no kernel.
    """
    with finn_session(path.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        reader = _Reader(ModelWrapper(str(path)))
        for layer, node in units(reader.model, network):
            reader.read(layer, node)
        return tuple(reader.found)


class _Reader:
    """Turns nodes into instances; remembers the width the accumulator has on the way."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.found: list[Instance] = []
        self.acc_bits = 0

    def read(self, layer: LayerShape, node: Any) -> None:
        from qonnx.custom_op.registry import getCustomOp

        readers = {
            "FMPadding": self._pad,
            "ConvolutionInputGenerator": self._window,
            "MVAU": self._mvu,
            "Thresholding": self._threshold,
            "Pool": self._pool,
            "ElementwiseAdd": self._bias,
            "LabelSelect": self._label,
        }
        if node.op_type not in readers:
            raise UnsupportedError(f"{node.name} ({node.op_type}) has no kernel", where=layer.name)
        readers[node.op_type](layer, node, getCustomOp(node).get_nodeattr)

    def _add(self, layer: LayerShape, unit: str, kernel: Any, **arrays: IntArray) -> None:
        name = layer.name.replace(".", "_")
        self.found.append(Instance(f"{name}_{unit}" if unit != "label" else unit, kernel, arrays))

    def _values(self, node: Any, index: int = 1) -> IntArray:
        values = np.asarray(self.model.get_initializer(node.input[index]), dtype=np.float64)
        return np.rint(values).astype(np.int64)

    def _pad(self, layer: LayerShape, node: Any, get: Any) -> None:
        height, width = get("ImgDim")
        top, left, bottom, right = (int(side) for side in get("Padding"))
        bits, signed = _width(get("inputDataType"))
        kernel = Pad(
            in_h=int(height),
            in_w=int(width),
            channels=get("NumChannels"),
            top=top,
            left=left,
            bottom=bottom,
            right=right,
            simd=get("SIMD"),
            bits=bits,
            signed=signed,
        )
        self._add(layer, "pad", kernel)

    def _window(self, layer: LayerShape, node: Any, get: Any) -> None:
        if get("depthwise"):
            return  # of a max pooling: MaxPool does it
        if any(int(step) != 1 for step in get("Dilation")):
            raise UnsupportedError("dilated windows have no kernel", where=layer.name)
        (height, width), kernel_dim, stride = get("IFMDim"), get("ConvKernelDim"), get("Stride")
        bits, signed = _width(get("inputDataType"))
        kernel = Swu(
            in_h=int(height),
            in_w=int(width),
            channels=get("IFMChannels"),
            kernel_h=int(kernel_dim[0]),
            kernel_w=int(kernel_dim[1]),
            stride_h=int(stride[0]),
            stride_w=int(stride[1]),
            simd=get("SIMD"),
            bits=bits,
            signed=signed,
        )
        self._add(layer, "window", kernel)

    def _mvu(self, layer: LayerShape, node: Any, get: Any) -> None:
        weight_bits, _ = _width(get("weightDataType"))
        act_bits, act_signed = _width(get("inputDataType"))
        kernel = Mvu(
            mw=get("MW"),
            mh=get("MH"),
            simd=get("SIMD"),
            pe=get("PE"),
            pixels=int(np.prod(get("numInputVectors"))),
            weight_bits=weight_bits,
            act_bits=act_bits,
            act_signed=act_signed,
            arithmetic=cast(Literal["lut", "dsp"], get("resType")),
            memory=cast(Literal["auto", "block", "distributed"], get("ram_style")),
        )
        self.acc_bits = kernel.acc_bits
        # FINN keeps (MW, MH); the columns are already in the order ky, kx, channel.
        self._add(layer, "mvu", kernel, weights=self._values(node).T.copy())

    def _threshold(self, layer: LayerShape, node: Any, get: Any) -> None:
        channels = get("NumChannels")
        out_bits, out_signed = _width(get("outputDataType"))
        kernel = Threshold(
            channels=channels,
            pe=get("PE"),
            pixels=int(np.prod(get("numInputVectors"))),
            in_bits=self.acc_bits,
            in_signed=True,
            out_bits=out_bits,
            out_signed=out_signed,
            out_bias=int(get("ActVal")),
        )
        steps = self._values(node)
        steps = np.broadcast_to(steps, (channels, steps.shape[1])).copy()
        self._add(layer, "threshold", kernel, thresholds=steps)

    def _pool(self, layer: LayerShape, node: Any, get: Any) -> None:
        if get("Function") != "MaxPool":
            raise UnsupportedError(f"{get('Function')} has no kernel", where=layer.name)
        height, width = layer.out_size
        bits, signed = _width(get("InputDataType"))
        kernel = MaxPool(
            in_h=height,
            in_w=width,
            channels=get("Channels"),
            kernel=layer.pool,
            pe=get("PE"),
            bits=bits,
            signed=signed,
        )
        self._add(layer, "pool", kernel)

    def _bias(self, layer: LayerShape, node: Any, get: Any) -> None:
        bias = self._values(node).reshape(-1)
        bias_bits = max(1, *(_signed_bits(value) for value in bias.tolist()))
        # The widest of both and one for the carry holds every sum.
        out_bits = max(self.acc_bits, bias_bits) + 1
        kernel = ChannelAdd(
            channels=layer.out_channels,
            pe=get("PE"),
            pixels=layer.pixels,
            in_bits=self.acc_bits,
            in_signed=True,
            bias_bits=bias_bits,
            out_bits=out_bits,
        )
        self.acc_bits = out_bits
        self._add(layer, "bias", kernel, bias=bias)

    def _label(self, layer: LayerShape, node: Any, get: Any) -> None:
        classes = get("Labels")
        kernel = LabelSelect(
            classes=classes, pe=gcd(get("PE"), classes), in_bits=self.acc_bits, in_signed=True
        )
        self._add(layer, "label", kernel)


def _width(datatype: str) -> tuple[int, bool]:
    """(bits, signed) of a FINN datatype's name. Raises UnsupportedError unless an integer."""
    for prefix, signed in (("UINT", False), ("INT", True)):
        if datatype.startswith(prefix):
            return int(datatype.removeprefix(prefix)), signed
    raise UnsupportedError(f"{datatype} is no integer type", where="FINN graph")


def _signed_bits(value: int) -> int:
    """Bits of a two's complement number."""
    return (value if value >= 0 else ~value).bit_length() + 1
