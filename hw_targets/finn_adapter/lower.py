"""From a QONNX graph to a graph of FINN's hardware nodes, in integers from end to end.

Every value of a quantized network is an integer times a step plus a bias. The graph is walked once
from its input to its output: what computes integers becomes a hardware node; scales and biases are
kept aside, in float64, until a quantizer turns them into integer thresholds. Nothing is moved
through the graph step by step, as FINN's streamlining does in float32, so branches, joins and
pooling need no rules of their own and no threshold can end on the wrong side of an integer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets import grid
from hw_targets.errors import UnsupportedError
from hw_targets.finn_adapter.edges import ROUNDINGS, bounded, least_counts, sign_counts
from hw_targets.finn_adapter.emit import Emitter, Tensor
from hw_targets.finn_adapter.logits import ranked
from hw_targets.finn_adapter.names import LAYERS, QUANTIZERS, Names
from hw_targets.finn_adapter.session import finn_session
from hw_targets.network import NetworkShape, identifier

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

WHERE = "lower-finn"
SAME_STEP = 1e-9
"""How far steps that are one may lie apart, relative: float32 scales multiplied in float64."""


def lower(
    source: Path, target: Path, network: NetworkShape, binary: Collection[str] = ()
) -> tuple[str, ...]:
    """Lower the QONNX file `source` to FINN hardware nodes in `target`; their types in order.

    The graph's input is integer frames (1, height, width, channels) or (1, features) in the format
    of `network`, its output the class index, or of a regression the outputs, channels last, as
    integers. Nodes are named after the layers and units of `network`; nothing is folded yet. The
    file's bytes depend on nothing but the source. binary: layers whose weights are of 1 bit, -1
    and 1, which the file has as integers of 2 bits.

    Raises:
        UnsupportedError: names an operation that has no hardware, with the reason.
        VerificationError: the file does not have the network's layers.
    """
    with finn_session(target.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        model = _Lowering(ModelWrapper(str(source)), network, binary).run()
        target.write_bytes(model.model.SerializeToString(deterministic=True))
        return tuple(node.op_type for node in model.graph.node)


def threshold_names(source: Path, network: NetworkShape) -> list[str]:
    """The node that each quantizer of activations of a QONNX file becomes, in its order.

    Quantizers that change nothing become none.
    """
    with finn_session(source.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        return Names(ModelWrapper(str(source)), network).thresholds()


def bipolar_names(source: Path, network: NetworkShape) -> set[str]:
    """Those of `threshold_names` that give -1 and 1, or a bit for them."""
    with finn_session(source.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        return Names(ModelWrapper(str(source)), network).bipolar()


@dataclass(frozen=True)
class _Value:
    """What a tensor of the QONNX graph is: integers x `step` + `bias`, held between bounds.

    step, bias, floor, ceiling: (1,) where all channels agree, else (channels,). image: (height,
    width, channels) whose elements lie one after another in a flat tensor.
    """

    tensor: Tensor
    step: Float64
    bias: Float64
    floor: Float64 | None = None
    ceiling: Float64 | None = None
    image: tuple[int, ...] = ()

    @property
    def held(self) -> bool:
        """Is there a bound, as of a ReLU?"""
        return self.floor is not None or self.ceiling is not None

    @property
    def on_grid(self) -> bool:
        """Are they multiples of one step?"""
        return self.even and not self.bias.any()

    @property
    def even(self) -> bool:
        """Are they multiples of one step, but for what is added to all of a channel?"""
        return len(self.step) == 1 and not self.held


class _Lowering:
    """One walk over a QONNX graph."""

    def __init__(self, source: Any, network: NetworkShape, binary: Collection[str]) -> None:
        self.source, self.network = source, network
        self.binary = {identifier(name) for name in binary}
        self.names = Names(source, network)
        self.values: dict[str, _Value] = {}
        self.strides: dict[str, tuple[int, int]] = {}
        channels, *pixels = network.input_shape
        # One-dimensional signals are images of one row.
        size = (1, *pixels) if len(pixels) == 1 else tuple(pixels)
        entry = (1, *size, channels)
        bits, signed = network.input_bits, network.input_signed
        self.emit = Emitter(Tensor("global_in", entry, bits, signed))

    def run(self) -> Any:
        """The graph of hardware nodes, a ModelWrapper."""
        for node in self.ordered():
            handler = HANDLERS.get(node.op_type)
            if handler is None:
                raise _refused(node, "it has no hardware", "change the layer")
            self.values[node.output[0]] = handler(self, node)
        logits = self.values.get(self.source.graph.output[0].name)
        if logits is None:
            raise UnsupportedError("nothing computes the output", where=WHERE)
        outputs = self.outputs(logits)
        if not self.network.regression:
            outputs = self.emit.label("label", outputs)
        return self.emit.model(outputs)

    def ordered(self) -> list[Any]:
        """The nodes that compute activations, depth first: each after all that it takes."""
        makers = {node.output[0]: node for node in self.source.graph.node}
        found: list[Any] = []
        done: set[str] = set()
        stack = [self.source.graph.output[0].name]
        while stack:
            tensor = stack[-1]
            node = makers.get(tensor)
            if tensor in done or node is None:
                stack.pop()
                continue
            open_inputs = [name for name in self.taken(node) if name in makers and name not in done]
            if open_inputs:
                stack += reversed(open_inputs)
                continue
            done.add(stack.pop())
            found.append(node)
        return found

    def taken(self, node: Any) -> list[str]:
        """Inputs of a node that are activations."""
        first = (*LAYERS, *QUANTIZERS, "Slice", "Pad")
        names = node.input[:1] if node.op_type in first else node.input
        return [name for name in names if name and self.source.get_initializer(name) is None]

    def value(self, node: Any, index: int = 0) -> _Value:
        found = self.values.get(node.input[index])
        if found is None:
            raise _refused(node, "no quantizer is before it", "quantize the network's input")
        return found

    def grid(self, node: Any, index: int = 0, shifted: bool = False) -> _Value:
        """What the node takes, which must be integers of one scale; shifted: but for a bias."""
        found = self.value(node, index)
        if not (found.even if shifted else found.on_grid):
            raise _refused(node, "no quantizer is before it", "put one, or a ReLU, in front")
        return found

    def constant(self, node: Any, index: int) -> Float64:
        values = self.source.get_initializer(node.input[index])
        if values is None:
            raise _refused(node, f"its input {node.input[index]} is not constant", "fold constants")
        return np.asarray(values, dtype=np.float64)

    def outputs(self, logits: _Value) -> Tensor:
        """The last layer's accumulators with its bias, all of one step."""
        if self.network.quantized_end:
            return logits.tensor
        step = _single(logits.step)
        if len(step) != 1 or logits.held:
            raise UnsupportedError(
                "the outputs have a scale for each channel",
                where=WHERE,
                mend="give the last layer one weight scale",
            )
        counts = np.broadcast_to(logits.bias / step, (logits.tensor.channels,))
        name = f"{identifier(self.network.layers[-1].name)}_bias"
        if self.network.foreign and not self.network.regression:
            whole, shift = ranked(counts)
            return self.emit.bias(name, self.emit.scaled(name, logits.tensor, shift), whole)
        if grid.distance(counts) > grid.tolerance(counts):
            raise UnsupportedError(
                "the last layer's bias is not a whole number of accumulator steps",
                where=WHERE,
                mend="quantize the network with LiftFlow's quantize pass",
            )
        return self.emit.bias(name, logits.tensor, np.round(counts).astype(np.int64))

    # One method a kind of operation.

    def quant(self, node: Any) -> _Value:
        scale = float(self.constant(node, 1).reshape(-1)[0])
        if self.constant(node, 1).size != 1 or self.constant(node, 2).any():
            raise _refused(node, "it has several scales or a zero point", "use one scale, zero 0")
        bits, signed, narrow, mode = self.format(node)
        if node.input[0] == self.source.graph.input[0].name:
            entry = self.emit.entry
            if (bits, signed) != (entry.bits, entry.signed):
                raise _refused(node, f"the input has {bits} bits", f"quantize to {entry.datatype}")
            return _Value(entry, np.array([scale]), np.zeros(1))
        x = self.value(node)
        least = -(1 << (bits - 1)) if signed else 0
        most = (1 << (bits - signed)) - 1 - (narrow and not signed)
        result = _Value(x.tensor, np.array([scale]), np.zeros(1), image=x.image)
        same = x.step[0] == scale and (x.tensor.bits, x.tensor.signed) == (bits, signed)
        if x.on_grid and same and not narrow:
            return result
        results = np.arange(least + 1, most + 1)
        steps = least_counts(results, scale, x.step, x.bias, mode)
        low, high = x.tensor.limits
        steps = bounded(steps, results, scale, mode, x.floor, x.ceiling, (low, high))
        if narrow and signed:
            steps[:, 0] = low  # the least result is given by none
        if narrow and not signed:
            steps = np.pad(steps, ((0, 0), (0, 1)), constant_values=high + 1)
        tensor = self.threshold(node, x, steps, bits, signed)
        return replace(result, tensor=tensor)

    def bipolar(self, node: Any) -> _Value:
        """-1 and 1 times a scale: as such, or where nothing minds as a bit of twice the step."""
        x, scale = self.value(node), self.constant(node, 1)
        if scale.size != 1:
            raise _refused(node, "it has several scales", "use one scale")
        if x.held:
            raise _refused(node, "it follows a ReLU, and gives 1 alone", "leave the ReLU out")
        one = scale.reshape(1)
        reached, _ = sign_counts(x.step, x.bias)
        result = _Value(x.tensor, one, np.zeros(1), image=x.image)
        if self.names.signed(node):
            low = np.full_like(reached, x.tensor.limits[0])
            steps = np.concatenate([low, reached, reached], axis=1)
            return replace(result, tensor=self.threshold(node, x, steps, 2, True))
        tensor = self.threshold(node, x, reached, 1, False)
        return replace(result, tensor=tensor, step=2 * one, bias=-one)

    def sign(self, node: Any) -> _Value:
        """-1, 0 and 1."""
        x = self.value(node)
        if x.held:
            raise _refused(node, "it follows a ReLU", "leave the ReLU out")
        reached, passed = sign_counts(x.step, x.bias)
        steps = np.concatenate([np.full_like(reached, x.tensor.limits[0]), reached, passed], axis=1)
        tensor = self.threshold(node, x, steps, 2, True)
        return _Value(tensor, np.ones(1), np.zeros(1), image=x.image)

    def threshold(self, node: Any, x: _Value, steps: Float64, bits: int, signed: bool) -> Tensor:
        """steps: (channels or 1, 2**bits - 1) least integers for every result but the least."""
        low, high = x.tensor.limits
        exact = np.clip(steps, low, high + 1).astype(np.int64)
        least = -(1 << (bits - 1)) if signed else 0
        name = f"{self.names.of(node)}_threshold"
        return self.emit.threshold(name, x.tensor, exact, bits, signed, least)

    def format(self, node: Any) -> tuple[int, bool, bool, str]:
        """(bits, signed, narrow, rounding) of a Quant node."""
        kinds = {each.name: each.i for each in node.attribute}
        mode = _attributes(node).get("rounding_mode", b"ROUND").decode().upper()
        if mode not in ROUNDINGS:
            raise _refused(node, f"it rounds by {mode}", f"use one of {', '.join(ROUNDINGS)}")
        bits = int(self.constant(node, 3).reshape(()))
        return bits, bool(kinds.get("signed", 1)), bool(kinds.get("narrow", 0)), mode

    def weights(self, node: Any) -> tuple[Int64, Float64, int]:
        """(integers in the file's shape, scale of each output, bits) of a layer."""
        quant = self.source.find_producer(node.input[1])
        if quant is None or quant.op_type != "Quant":
            raise _refused(node, "its weights are not quantized", "quantize them")
        values, scale = self.constant(quant, 0), self.constant(quant, 1)
        bits, signed, narrow, _ = self.format(quant)
        if not signed or self.constant(quant, 2).any():
            raise _refused(
                node, "its weights are unsigned or have a zero point", "make them signed"
            )
        limit = (1 << (bits - 1)) - 1
        integers = np.clip(np.round(values / scale), -limit - (not narrow), limit)
        if self.names.of(node) in self.binary:
            if not (np.abs(integers) == 1).all():
                raise _refused(node, "not all of its weights of 1 bit are -1 or 1", "give it 2")
            bits = 1
        return integers.astype(np.int64), _single(scale.reshape(-1)), bits

    def conv(self, node: Any) -> _Value:
        x, kinds = self.grid(node, shifted=True), _attributes(node)
        integers, scale, bits = self.weights(node)
        name, tensor = self.names.of(node), x.tensor
        if integers.ndim != 4:
            raise _refused(node, f"it has {integers.ndim - 2} dimensions", "use two")
        kernel, stride = integers.shape[2:], tuple(kinds["strides"])
        dilation = tuple(kinds.get("dilations", (1, 1)))
        top, left, bottom, right = kinds.get("pads", (0, 0, 0, 0))
        if top or left or bottom or right:
            if x.bias.any():
                raise _refused(node, "it pads values that have no 0", "leave the padding out")
            tensor = self.emit.pad(f"{name}_pad", tensor, (top, left, bottom, right))
        groups, outputs = kinds.get("group", 1), len(integers)
        depthwise = groups > 1 and groups == tensor.channels == outputs
        if kernel != (1, 1) or stride != (1, 1) or depthwise:
            window = f"{name}_window"
            tensor = self.emit.window(window, tensor, kernel, stride, dilation, depthwise)
        if depthwise:
            taps = integers.reshape(outputs, -1)
            tensor = self.emit.depthwise(f"{name}_mvu", tensor, taps, bits, kernel)
        else:
            dense = _ungrouped(integers, groups)
            matrix = dense.transpose(0, 2, 3, 1).reshape(outputs, -1)
            tensor = self.emit.matrix(f"{name}_mvu", tensor, matrix, bits)
        return self.layer(node, x, tensor, scale, _ungrouped(integers, groups).sum(axis=(2, 3)))

    def dense(self, node: Any) -> _Value:
        x = self.grid(node, shifted=True)
        integers, scale, bits = self.weights(node)
        if node.op_type == "MatMul" or not _attributes(node).get("transB", 0):
            integers = integers.T
        taps = integers
        if x.image:
            height, width, channels = x.image
            split = integers.reshape(-1, channels, height, width)
            taps = split.sum(axis=(2, 3))
            integers = split.transpose(0, 2, 3, 1).reshape(len(integers), -1)
        flat = replace(x.tensor, shape=(1, integers.shape[1]))
        tensor = self.emit.matrix(f"{self.names.of(node)}_mvu", flat, integers, bits)
        return self.layer(node, x, tensor, scale, taps)

    def layer(self, node: Any, x: _Value, tensor: Tensor, scale: Float64, taps: Int64) -> _Value:
        """A layer's accumulators with their steps and biases.

        taps: (out, channels) sums of the weights that take a channel, and so its bias.
        """
        bias = self.constant(node, 2).reshape(-1) if len(node.input) > 2 else np.zeros(1)
        if x.bias.any():
            bias = bias + scale * (taps @ np.broadcast_to(x.bias, taps.shape[1]))
        return _Value(tensor, _single(x.step * scale), bias)

    def relu(self, node: Any) -> _Value:
        return self.hold(self.value(node), np.zeros(1), None)

    def clip(self, node: Any) -> _Value:
        bounds: list[Float64 | None] = [None, None]
        for at in range(len(node.input) - 1):
            if node.input[at + 1]:
                bounds[at] = self.constant(node, at + 1).reshape(1)
        return self.hold(self.value(node), *bounds)

    def hold(self, x: _Value, floor: Float64 | None, ceiling: Float64 | None) -> _Value:
        """The value held between bounds, whichever it has had before."""
        if floor is not None:
            lowest = floor if x.floor is None else np.maximum(floor, x.floor)
            most = None if x.ceiling is None else np.maximum(floor, x.ceiling)
            x = replace(x, floor=lowest, ceiling=most)
        if ceiling is not None:
            least = None if x.floor is None else np.minimum(ceiling, x.floor)
            highest = ceiling if x.ceiling is None else np.minimum(ceiling, x.ceiling)
            x = replace(x, floor=least, ceiling=highest)
        return x

    def add(self, node: Any) -> _Value:
        constants = [self.source.get_initializer(name) for name in node.input]
        for index, constant in enumerate(constants):
            if constant is not None:
                x = self.value(node, 1 - index)
                shift = np.asarray(constant, np.float64).reshape(-1)
                return self.affine(node, x, np.ones(1), shift)
        left, right = self.arms(node)
        tensor = self.emit.add(f"{self.names.of(node)}_add", left.tensor, right.tensor)
        return replace(left, tensor=tensor, bias=left.bias + right.bias)

    def scaled(self, node: Any) -> _Value:
        """Multiplied or divided by a constant."""
        index = next(
            (at for at in (0, 1) if self.source.get_initializer(node.input[at]) is not None), None
        )
        if index is None or (node.op_type == "Div" and index == 0):
            raise _refused(node, "it multiplies activations", "leave it out")
        factor = self.constant(node, index).reshape(-1)
        factor = 1 / factor if node.op_type == "Div" else factor
        return self.affine(node, self.value(node, 1 - index), factor, np.zeros(1))

    def norm(self, node: Any) -> _Value:
        """A batch norm with its moments constant."""
        gain, shift, mean, variance = (self.constant(node, at).reshape(-1) for at in range(1, 5))
        factor = gain / np.sqrt(variance + _attributes(node).get("epsilon", 1e-5))
        return self.affine(node, self.value(node), factor, shift - mean * factor)

    def affine(self, node: Any, x: _Value, factor: Float64, shift: Float64) -> _Value:
        if (factor <= 0).any():
            mend = "fold it into the layer's weights"
            raise _refused(node, "it scales by a number that is not above 0", mend)
        floor, ceiling = (
            None if bound is None else bound * factor + shift for bound in (x.floor, x.ceiling)
        )
        step, bias = _single(x.step * factor), x.bias * factor + shift
        return replace(x, step=step, bias=bias, floor=floor, ceiling=ceiling)

    def concat(self, node: Any) -> _Value:
        if _attributes(node).get("axis") not in (1, 1 - len(self.value(node).tensor.shape)):
            raise _refused(node, "it is not along the channels", "use axis 1")
        parts = self.arms(node)
        if parts[0].image:
            raise _refused(node, "it joins flattened images", "concatenate before the flatten")
        if any(part.bias.any() for part in parts):
            raise _refused(node, "it joins values that have a bias", "quantize its arms")
        name = f"{self.names.of(node)}_concat"
        return replace(parts[0], tensor=self.emit.concat(name, [part.tensor for part in parts]))

    def arms(self, node: Any) -> list[_Value]:
        """What a join takes: integers of one format and one step."""
        parts = [self.grid(node, index, shifted=True) for index in range(len(node.input))]
        formats = {(part.tensor.bits, part.tensor.signed) for part in parts}
        first = parts[0].step[0]
        if len(formats) > 1 or any(abs(p.step[0] - first) > SAME_STEP * first for p in parts):
            mend = "quantize all arms with one scale and one width"
            raise _refused(node, "its arms differ in scale or format", mend)
        return parts

    def max_pool(self, node: Any) -> _Value:
        x, kinds = self.value(node), _attributes(node)
        kernel, stride = tuple(kinds["kernel_shape"]), tuple(kinds["strides"])
        name, tensor = self.names.of(node), x.tensor
        if set(kinds.get("dilations", (1, 1))) != {1}:
            raise _refused(node, "it has dilation", "leave it out")
        top, left, bottom, right = kinds.get("pads", (0, 0, 0, 0))
        if kinds.get("ceil_mode"):
            # Its last windows reach beyond the border as much as they like.
            found = self.source.get_tensor_shape(node.output[0])[2:]
            sizes = zip(tensor.size, (top, left), found, kernel, stride, strict=True)
            over = [(n - 1) * s + k - size - pad for size, pad, n, k, s in sizes]
            bottom, right = max(0, over[0]), max(0, over[1])
        if top or left or bottom or right:
            if tensor.signed or not x.on_grid:
                # Zeros are put around, which must be no greater than any value.
                raise _refused(node, "it pads values that may be negative", "put a ReLU before it")
            tensor = self.emit.pad(f"{name}_pool_pad", tensor, (top, left, bottom, right))
        return replace(x, tensor=self.emit.pool(f"{name}_pool", tensor, kernel, stride, "MaxPool"))

    def average(self, node: Any) -> _Value:
        x, kinds = self.value(node), _attributes(node)
        if x.held:
            raise _refused(node, "it takes a ReLU that is not quantized", "quantize it")
        kernel = tuple(kinds["kernel_shape"])
        stride = tuple(kinds.get("strides", (1, 1)))
        name, tensor = self.names.of(node), x.tensor
        top, left, bottom, right = kinds.get("pads", (0, 0, 0, 0))
        if kinds.get("ceil_mode"):
            raise _refused(node, "it has ceil_mode", "leave it out")
        if top or left or bottom or right:
            if not kinds.get("count_include_pad", 0) or x.bias.any():
                raise _refused(
                    node,
                    "its windows at the border hold fewer pixels",
                    "use count_include_pad=True",
                )
            tensor = self.emit.pad(f"{name}_pad", tensor, (top, left, bottom, right))
        tensor = self.emit.pool(f"{name}_sum", tensor, kernel, stride, "AccPool")
        return replace(x, tensor=tensor, step=x.step / prod(kernel))

    def average_all(self, node: Any) -> _Value:
        x = self.value(node)
        if x.held:
            raise _refused(node, "it takes a ReLU that is not quantized", "quantize it")
        tensor = self.emit.sum_all(f"{self.names.of(node)}_sum", x.tensor)
        return replace(x, tensor=tensor, step=x.step / prod(x.tensor.size))

    def flatten(self, node: Any) -> _Value:
        x = self.value(node)
        shape = x.tensor.shape
        if len(shape) == 2:
            return x
        # The stream stays as it is: what comes behind still goes channel by channel.
        return replace(x, image=shape[1:] if prod(shape[1:3]) > 1 else ())

    def slice(self, node: Any) -> _Value:
        """x[:, :, ::s] or x[:, :, :, ::s], as option-A shortcuts have them."""
        x = self.value(node)
        starts, axes, strides = (
            self.constant(node, index).astype(int).reshape(-1).tolist() for index in (1, 3, 4)
        )
        stride = [*self.strides.pop(node.input[0], (1, 1))]
        for start, axis, step in zip(starts, axes, strides, strict=True):
            if start != 0 or (step != 1 and axis not in (2, 3)):
                raise _refused(node, "it takes part of a tensor", "use x[:, :, ::s, ::s]")
            if axis in (2, 3):
                stride[axis - 2] *= step
        followers = self.source.find_consumers(node.output[0])
        if len(followers) == 1 and followers[0].op_type == "Slice":
            self.strides[node.output[0]] = (stride[0], stride[1])
            return x  # both axes at once, by the next one
        if stride == [1, 1]:
            return x
        name = f"{self.names.of(node)}_window"
        return replace(x, tensor=self.emit.window(name, x.tensor, (1, 1), (stride[0], stride[1])))

    def zeros(self, node: Any) -> _Value:
        """Zeros around an image, or beside its channels as option-A shortcuts have them."""
        x = self.grid(node)
        pads = self.constant(node, 1).astype(int).reshape(-1).tolist()
        before, after = pads[: len(pads) // 2], pads[len(pads) // 2 :]
        constant = self.constant(node, 2) if len(node.input) > 2 and node.input[2] else np.zeros(1)
        if len(before) != 4 or before[0] or after[0] or min(pads) < 0 or constant.any():
            raise _refused(node, "it pads more than an image with zeros", "pad in the convolution")
        name, tensor = self.names.of(node), x.tensor
        sides = (before[2], before[3], after[2], after[3])
        if any(sides):
            tensor = self.emit.pad(f"{name}_pad", tensor, sides)
        if before[1] or after[1]:
            tensor = self.emit.pad_channels(f"{name}_zeros", tensor, before[1], after[1])
        return replace(x, tensor=tensor)

    def same(self, node: Any) -> _Value:
        return self.value(node)

    def upsample(self, node: Any) -> _Value:
        x = self.value(node)
        mode = _attributes(node).get("mode", b"nearest")
        scales = self.constant(node, 2 if node.op_type == "Resize" else 1).reshape(-1)
        whole = np.round(scales).astype(int)
        if mode != b"nearest" or len(scales) != 4 or (whole != scales).any() or whole[:2].max() > 1:
            raise _refused(node, "it is no nearest upsampling by whole numbers", "use one")
        name = f"{self.names.of(node)}_upsample"
        scale = (int(whole[2]), int(whole[3]))
        return replace(x, tensor=self.emit.upsample(name, x.tensor, scale))


HANDLERS: dict[str, Callable[[_Lowering, Any], _Value]] = {
    "Quant": _Lowering.quant,
    "BipolarQuant": _Lowering.bipolar,
    "Sign": _Lowering.sign,
    "Conv": _Lowering.conv,
    "Gemm": _Lowering.dense,
    "MatMul": _Lowering.dense,
    "Relu": _Lowering.relu,
    "Clip": _Lowering.clip,
    "Add": _Lowering.add,
    "Mul": _Lowering.scaled,
    "Div": _Lowering.scaled,
    "BatchNormalization": _Lowering.norm,
    "Concat": _Lowering.concat,
    "MaxPool": _Lowering.max_pool,
    "AveragePool": _Lowering.average,
    "GlobalAveragePool": _Lowering.average_all,
    "Flatten": _Lowering.flatten,
    "Reshape": _Lowering.flatten,
    "Slice": _Lowering.slice,
    "Pad": _Lowering.zeros,
    "Resize": _Lowering.upsample,
    "Upsample": _Lowering.upsample,
    "Identity": _Lowering.same,
    "Unsqueeze": _Lowering.same,
}


def _ungrouped(weights: Int64, groups: int) -> Int64:
    """(out, in / groups, ...) weights of a grouped convolution as those of a plain one."""
    if groups == 1:
        return weights
    outputs, inputs = weights.shape[:2]
    dense = np.zeros((outputs, inputs * groups, *weights.shape[2:]), dtype=np.int64)
    each = outputs // groups
    for group in range(groups):
        rows, columns = slice(group * each, (group + 1) * each), group * inputs
        dense[rows, columns : columns + inputs] = weights[rows]
    return dense


def _single(values: Float64) -> Float64:
    """The values, or one of them where all are the same."""
    return values[:1] if (values == values[0]).all() else values


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _refused(node: Any, reason: str, mend: str) -> UnsupportedError:
    return UnsupportedError(f"{node.name} ({node.op_type}): {reason}", where=WHERE, mend=mend)
