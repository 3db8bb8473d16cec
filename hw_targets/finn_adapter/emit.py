"""FINN's hardware nodes, written one by one: what each needs to know, in FINN's own terms.

Attributes are those that FINN's `Infer...` transformations give (finn-plus 1.6.1), nothing folded
yet. Tensors are channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.mvu import sum_bits
from hw_targets.rtl.reduce import Reduce

Int64 = NDArray[np.int64]
Padding = tuple[int, int, int, int]
"""Top, left, bottom, right."""
Pair = tuple[int, int]

DOMAIN = "finn.custom_op.fpgadataflow"


@dataclass(frozen=True)
class Tensor:
    """Integers of `bits`. shape: (1, height, width, channels) or (1, features)."""

    name: str
    shape: tuple[int, ...]
    bits: int
    signed: bool

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def size(self) -> Pair:
        """(height, width) of an image."""
        return (self.shape[1], self.shape[2])

    @property
    def limits(self) -> Pair:
        """(least, greatest) integer."""
        if self.signed:
            return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        return (0, (1 << self.bits) - 1)

    @property
    def datatype(self) -> str:
        return datatype(self.bits, self.signed)


def datatype(bits: int, signed: bool) -> str:
    """FINN's name of an integer type."""
    if (bits, signed) == (1, False):
        return "BINARY"
    return f"{'INT' if signed else 'UINT'}{bits}"


def _weights(bits: int) -> str:
    """FINN's name of a type of weights; those of 1 bit are -1 and 1."""
    return "BIPOLAR" if bits == 1 else datatype(bits, True)


class Emitter:
    """Collects nodes in the order they are asked for; `model` makes the graph of them."""

    def __init__(self, entry: Tensor) -> None:
        self.entry = entry
        self._tensors: list[Tensor] = []
        self._constants: list[tuple[str, NDArray[Any], str]] = []
        self._nodes: list[Any] = []

    def model(self, output: Tensor) -> Any:
        """The graph as a ModelWrapper that gives `output`."""
        from onnx import TensorProto, helper, numpy_helper
        from qonnx.core.datatype import DataType
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.util.basic import qonnx_make_model

        def info(tensor: Tensor) -> Any:
            return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape)

        self._fork()
        inner = [tensor for tensor in self._tensors if tensor.name != output.name]
        graph = helper.make_graph(
            nodes=self._nodes,
            name="liftflow",
            inputs=[info(self.entry)],
            outputs=[info(output)],
            value_info=[info(tensor) for tensor in inner],
            initializer=[
                numpy_helper.from_array(values.astype(np.float32) if kind else values, name)
                for name, values, kind in self._constants
            ],
        )
        model = ModelWrapper(qonnx_make_model(graph, producer_name="liftflow"))
        for tensor in (self.entry, *self._tensors):
            model.set_tensor_datatype(tensor.name, DataType[tensor.datatype])
        for name, _, kind in self._constants:
            if kind:
                model.set_tensor_datatype(name, DataType[kind])
        return model

    def pad(self, name: str, x: Tensor, padding: Padding) -> Tensor:
        """Zeros around an image."""
        top, left, bottom, right = padding
        height, width = x.size
        shape = (1, height + top + bottom, width + left + right, x.channels)
        attributes = {
            "ImgDim": [height, width],
            "Padding": list(padding),
            "NumChannels": x.channels,
            "inputDataType": x.datatype,
            "SIMD": x.channels,
        }
        return self._node("FMPadding", name, [x], replace(x, shape=shape), attributes)

    def window(
        self,
        name: str,
        x: Tensor,
        kernel: Pair,
        stride: Pair,
        dilation: Pair = (1, 1),
        depthwise: bool = False,
    ) -> Tensor:
        """The windows of an image, one after another."""
        sizes = zip(x.size, kernel, stride, dilation, strict=True)
        size = [(side - d * (k - 1) - 1) // s + 1 for side, k, s, d in sizes]
        shape = (1, *size, prod(kernel) * x.channels)
        attributes = {
            "ConvKernelDim": list(kernel),
            "IFMChannels": x.channels,
            "IFMDim": list(x.size),
            "OFMDim": size,
            "SIMD": x.channels,
            "Stride": list(stride),
            "Dilation": list(dilation),
            "inputDataType": x.datatype,
            "outputDataType": x.datatype,
            "depthwise": int(depthwise),
            "is1D": int(1 in x.size),
        }
        return self._node(
            "ConvolutionInputGenerator", name, [x], replace(x, shape=shape), attributes
        )

    def matrix(self, name: str, x: Tensor, weights: Int64, bits: int) -> Tensor:
        """Matrix-vector unit. weights: (out, columns), columns in the order of the stream."""
        out, columns = weights.shape
        vectors = x.shape[:-1]
        acc = sum_bits(columns, bits, x.bits, x.signed)
        result = Tensor(name, (*vectors, out), acc, True)
        attributes = {
            "MW": columns,
            "MH": out,
            "SIMD": 1,
            "PE": 1,
            "inputDataType": x.datatype,
            "weightDataType": _weights(bits),
            "accDataType": result.datatype,
            "outputDataType": result.datatype,
            "ActVal": 0,
            "binaryXnorMode": 0,
            "noActivation": 1,
            "numInputVectors": list(vectors),
            "mem_mode": "internal_decoupled",
            "inFIFODepths": [2],
        }
        matrix = self._constant(f"{name}_weights", weights.T, _weights(bits))
        return self._node("MVAU", name, [x, matrix], result, attributes)

    def depthwise(self, name: str, x: Tensor, weights: Int64, bits: int, kernel: Pair) -> Tensor:
        """Depthwise unit behind a depthwise window. weights: (channels, taps)."""
        channels, taps = weights.shape
        acc = sum_bits(taps, bits, x.bits, x.signed)
        result = Tensor(name, (*x.shape[:-1], channels), acc, True)
        attributes = {
            "PE": channels,
            "Dim": list(x.size),
            "Channels": channels,
            "Kernel": list(kernel),
            "inputDataType": x.datatype,
            "weightDataType": _weights(bits),
            "accDataType": result.datatype,
            "outputDataType": result.datatype,
            "ActVal": 0,
            "noActivation": 1,
        }
        shaped = weights.reshape(channels, 1, *kernel)
        matrix = self._constant(f"{name}_weights", shaped, _weights(bits))
        return self._node("VVAU", name, [x, matrix], result, attributes)

    def threshold(
        self, name: str, x: Tensor, steps: Int64, bits: int, signed: bool, least: int
    ) -> Tensor:
        """Counts thresholds reached. steps: (channels or 1, n), ascending; `least` for none."""
        low, high = x.limits
        reach = np.clip(steps, low, high + 1)
        kind = _type_of(int(reach.min()), int(reach.max()))
        result = Tensor(name, x.shape, bits, signed)
        attributes = {
            "NumChannels": x.channels,
            "PE": 1,
            "numSteps": steps.shape[1],
            "inputDataType": x.datatype,
            "weightDataType": kind,
            "outputDataType": result.datatype,
            "numInputVectors": list(x.shape[:-1]),
            "ActVal": least,
        }
        constant = self._constant(f"{name}_steps", reach, kind)
        return self._node("Thresholding", name, [x, constant], result, attributes)

    def pool(self, name: str, x: Tensor, kernel: Pair, stride: Pair, function: str) -> Tensor:
        """FINN's "MaxPool" or "AccPool" (a sum) of every window, channel by channel."""
        windows = self.window(f"{name}_window", x, kernel, stride, depthwise=True)
        result = Tensor(name, (*windows.shape[:-1], x.channels), x.bits, x.signed)
        if function == "AccPool":
            result = replace(result, bits=_summed(prod(kernel), x))
        attributes = {
            "InputDataType": x.datatype,
            "OutputDataType": result.datatype,
            "Channels": x.channels,
            "PE": x.channels,
            "KernelSize": list(kernel),
            "Function": function,
            "OutImgDims": list(windows.size),
            "AccumBits": result.bits if function == "AccPool" else 0,
            "Size": 1,
            "BatchSize": 1,
        }
        return self._node("Pool", name, [windows], result, attributes)

    def sum_all(self, name: str, x: Tensor) -> Tensor:
        """The sum over all pixels, channel by channel."""
        bits = _summed(prod(x.size), x)
        attributes = {
            "NumChannels": x.channels,
            "PE": 1,
            "inputDataType": x.datatype,
            "numInputVectors": list(x.shape[:-1]),
        }
        result = Tensor(name, (1, 1, 1, x.channels), bits, x.signed)
        return self._node("GlobalAccPool", name, [x], result, attributes)

    def add(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        """The sum of two streams of one format."""
        result = replace(left, name=name, bits=left.bits + 1)
        attributes = {
            "lhs_shape": list(left.shape),
            "rhs_shape": list(right.shape),
            "out_shape": list(left.shape),
            "lhs_dtype": left.datatype,
            "rhs_dtype": right.datatype,
            "out_dtype": result.datatype,
            "lhs_style": "input",
            "rhs_style": "input",
        }
        return self._node("ElementwiseAdd", name, [left, right], result, attributes)

    def scaled(self, owner: str, x: Tensor, shift: int) -> Tensor:
        """Every value times 2**shift, which the addition behind it does; `owner`: its name."""
        if not shift:
            return x
        name = f"{owner.removesuffix('_bias')}_scale"
        result = replace(x, name=name, bits=x.bits + shift)
        factors = np.full(x.channels, 1 << shift)
        kind = datatype(shift + 1, False)
        return self._by_channel("ElementwiseMul", x, result, factors, kind)

    def bias(self, name: str, x: Tensor, bias: Int64) -> Tensor:
        """A constant added to every channel."""
        width = signed_bits(bias)
        result = replace(x, name=name, bits=max(x.bits, width) + 1, signed=True)
        return self._by_channel("ElementwiseAdd", x, result, bias, datatype(width, True))

    def _by_channel(self, op: str, x: Tensor, result: Tensor, values: Int64, kind: str) -> Tensor:
        """A node of `x` and a constant of type `kind` a channel."""
        attributes = {
            "lhs_shape": list(x.shape),
            "rhs_shape": [x.channels],
            "out_shape": list(x.shape),
            "lhs_dtype": x.datatype,
            "rhs_dtype": kind,
            "out_dtype": result.datatype,
            "lhs_style": "input",
            "rhs_style": "const",
        }
        constant = self._constant(f"{result.name}_values", values, kind)
        return self._node(op, result.name, [x, constant], result, attributes)

    def concat(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """Channels of several streams of one format, one after another."""
        channels = [part.channels for part in parts]
        result = replace(parts[0], name=name, shape=(*parts[0].shape[:-1], sum(channels)))
        attributes = {
            "SIMD": 1,
            "ChannelsPerStream": channels,
            "inputDataTypes": [part.datatype for part in parts],
            "numInputVectors": list(parts[0].shape[:-1]),
            "inFIFODepths": [2] * len(parts),
            "cpp_interface": "hls_vector",
            "hls_style": "freerunning",
        }
        return self._node("StreamingConcat", name, list(parts), result, attributes)

    def upsample(self, name: str, x: Tensor, scale: Pair) -> Tensor:
        """Every pixel several times."""
        height, width = x.size
        size = (height * scale[0], width * scale[1])
        attributes = {
            "SIMD": 1,
            "HO": size[0],
            "WO": size[1],
            "HI": height,
            "WI": width,
            "NumChannels": x.channels,
            "inputDataType": x.datatype,
            "batchSize": 1,
            "cpp_interface": "hls_vector",
            "hls_style": "freerunning",
        }
        result = replace(x, name=name, shape=(1, *size, x.channels))
        return self._node("UpsampleNearestNeighbour", name, [x], result, attributes)

    def pad_channels(self, name: str, x: Tensor, before: int, after: int) -> Tensor:
        """Channels of zeros around those of an image: plain ONNX, since FINN has no such node."""
        shape = (*x.shape[:-1], before + x.channels + after)
        pads = np.array([0, 0, 0, before, 0, 0, 0, after], dtype=np.int64)
        constant = self._constant(f"{name}_pads", pads, "")
        result = replace(x, shape=shape)
        return self._node("Pad", name, [x, constant], result, {}, domain="")

    def label(self, name: str, x: Tensor) -> Tensor:
        """The index of the greatest value, of the first one of several."""
        bits = -(-max(1, (x.channels - 1).bit_length()) // 8) * 8
        attributes = {
            "Labels": x.channels,
            "PE": 1,
            "K": 1,
            "inputDataType": x.datatype,
            "outputDataType": datatype(bits, False),
            "numInputVectors": list(x.shape[:-1]),
        }
        result = Tensor(name, (1,) * len(x.shape), bits, False)
        return self._node("LabelSelect", name, [x], result, attributes)

    def _fork(self) -> None:
        """Duplicate every stream that several inputs take."""
        for tensor in (self.entry, *self._tensors):
            takers = [
                (node, index)
                for node in self._nodes
                for index, taken in enumerate(node.input)
                if taken == tensor.name
            ]
            if len(takers) < 2:
                continue
            name = f"{tensor.name.removesuffix('_out')}_fork"
            copies = [replace(tensor, name=f"{name}_out{at}") for at in range(len(takers))]
            for (node, index), copy in zip(takers, copies, strict=True):
                node.input[index] = copy.name
            attributes = {
                "NumChannels": tensor.channels,
                "PE": 1,
                "inputDataType": tensor.datatype,
                "numInputVectors": list(tensor.shape[:-1]),
                "NumOutputStreams": len(copies),
                "outFIFODepths": [2] * len(copies),
                "cpp_interface": "hls_vector",
                "hls_style": "freerunning",
            }
            made = [node.output[0] for node in self._nodes]
            place = made.index(tensor.name) + 1 if tensor.name in made else 0
            self._make("DuplicateStreams", name, [tensor.name], copies, attributes, place)

    def _constant(self, name: str, values: Int64, kind: str) -> str:
        self._constants.append((name, values, kind))
        return name

    def _node(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Tensor | str],
        result: Tensor,
        attributes: dict[str, Any],
        domain: str = DOMAIN,
    ) -> Tensor:
        taken = [each if isinstance(each, str) else each.name for each in inputs]
        result = replace(result, name=f"{name}_out")
        self._make(kind, name, taken, [result], attributes, domain=domain)
        return result

    def _make(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        results: Sequence[Tensor],
        attributes: dict[str, Any],
        place: int | None = None,
        domain: str = DOMAIN,
    ) -> None:
        from onnx import helper

        self._tensors += results
        node = helper.make_node(
            kind,
            list(inputs),
            [result.name for result in results],
            name=name,
            domain=domain,
            **({"backend": "fpgadataflow"} if domain else {}),
            **attributes,
        )
        self._nodes.insert(len(self._nodes) if place is None else place, node)


def signed_bits(values: Int64) -> int:
    """Bits of two's complement that hold every value."""
    listed = np.asarray(values).ravel().tolist()
    return max(((v if v >= 0 else ~v).bit_length() + 1 for v in listed), default=1)


def _summed(taps: int, x: Tensor) -> int:
    """Bits of the sum of `taps` values."""
    return Reduce(x.channels, taps, 1, 1, x.bits, x.signed, "sum").out_bits


def _type_of(least: int, greatest: int) -> str:
    """The smallest of FINN's integer types that holds a range."""
    if least >= 0:
        return datatype(max(1, greatest.bit_length()), False)
    return datatype(signed_bits(np.array([least, greatest])), True)
