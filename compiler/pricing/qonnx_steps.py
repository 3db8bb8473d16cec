"""What each node of a QONNX chain adds to the layers that hardware computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from compiler.pricing.qonnx_graph import CLEAN, PASSED, QUANT, Graph, Quant, Weights, attributes
from compiler.pricing.source import ACT_BITS
from hw_targets.network import LayerShape
from hw_targets.rtl.mvu import WEIGHT_BITS

CLASSED = ("Softmax", "LogSoftmax", "ArgMax", "TopK")
"""What may follow the logits: it leaves the class as it is."""


@dataclass
class Layer:
    """A layer and what has followed it so far."""

    node: Any
    name: str
    kind: Literal["conv", "dense"]
    in_channels: int
    out_channels: int
    weight_bits: int
    in_size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pool: int = 1
    relu: bool = False
    quant: Quant | None = None

    def shape(self) -> LayerShape:
        """The layer as hardware sees it; what is quantized behind it is its activation."""
        return LayerShape(
            self.name,
            self.kind,
            self.in_channels,
            self.out_channels,
            self.in_size,
            self.kernel,
            self.stride,
            self.padding,
            self.pool,
            self.quant is not None,
        )


@dataclass
class State:
    """The walk so far. tensor: the stream's name; shape: the stream's, without the batch.

    given: what stands for the quantizer of an input that has none. ended: whether a class is
    chosen already.
    """

    graph: Graph
    tensor: str
    shape: tuple[int, ...]
    given: Quant | None
    input_quant: Quant | None = None
    layers: list[Layer] = field(default_factory=list)
    ended: bool = False


def _quant(state: State, node: Any) -> None:
    quant = state.graph.quant(node)
    if quant.bits not in ACT_BITS:
        raise state.graph.refusal(
            node,
            f"{quant.bits}-bit activations have no kernel",
            f"use {ACT_BITS[0]} to {ACT_BITS[-1]} bits",
        )
    if quant.scale is None:
        raise state.graph.refusal(
            node,
            "its scale differs from channel to channel, or is computed",
            "use one constant scale for all activations of a layer",
        )
    before = state.layers[-1].quant if state.layers else state.input_quant
    if before is not None and before != quant:
        raise state.graph.refusal(
            node, "a second quantizer, unlike the one before it", "keep one a layer"
        )
    if state.layers:
        state.layers[-1].quant = quant
    else:
        state.input_quant = quant


def _relu(state: State, node: Any) -> None:
    _last(state, node).relu = True


def _affine(state: State, node: Any) -> None:
    """Scaling and shifting by constants: before the input's quantizer the host's, behind a layer
    part of its thresholds, behind the last layer of no consequence."""
    if not state.layers:
        if state.input_quant:
            raise state.graph.refusal(
                node, "it scales what the input's quantizer gives", "put it before the quantizer"
            )
        return
    last = state.layers[-1]
    if last.quant or last.pool > 1:
        raise state.graph.refusal(
            node,
            "it scales between a layer's quantizer or pooling and the next layer",
            "put it before them",
        )
    last.relu = False  # What is shifted can have a sign again.


def _flatten(state: State, node: Any) -> None:
    if node.op_type == "Flatten" and attributes(node).get("axis", 1) != 1:
        raise state.graph.refusal(node, "it keeps other axes than the batch", "use axis 1")
    if node.op_type == "Reshape":
        target = state.graph.constant(node.input[1])
        if target is None or target.size != 2:
            raise state.graph.refusal(node, "it does more than flatten", f"use Flatten, or {CLEAN}")
    state.shape = (prod(state.shape),)


def _pool(state: State, node: Any) -> None:
    layer, stored = _last(state, node), attributes(node)
    sides = {*stored["kernel_shape"], *stored.get("strides", [1, 1])}
    odd = [*stored.get("pads", []), stored.get("ceil_mode", 0)]
    odd += [step - 1 for step in stored.get("dilations", [])]
    if len(sides) != 1 or any(odd) or _pads_itself(stored):
        raise state.graph.refusal(
            node,
            "its window is not square, moved by its own side and unpadded",
            "use MaxPool2d(k)",
        )
    side = sides.pop()
    if layer.pool > 1 or len(state.shape) != 3 or side > min(state.shape[1:]):
        raise state.graph.refusal(
            node,
            "a second pooling behind one layer, or one larger than its image",
            "pool once behind a convolution",
        )
    layer.pool = side
    channels, height, width = state.shape
    state.shape = (channels, height // side, width // side)


def _conv(state: State, node: Any) -> None:
    stored, weights = attributes(node), _weights(state, node)
    if len(weights.shape) != 4 or len(state.shape) != 3:
        raise state.graph.refusal(node, "it is not a convolution of images", "use Conv2d")
    outputs, inputs, height, width = weights.shape
    top, left, bottom, right = stored.get("pads", [0, 0, 0, 0])
    complaints = (
        (stored.get("group", 1) != 1, "grouped convolutions have no kernel"),
        (any(step != 1 for step in stored.get("dilations", [])), "it is dilated"),
        (_pads_itself(stored), "its padding is not given in numbers"),
        ((top, left) != (bottom, right), "its padding differs from side to side"),
    )
    for wrong, what in complaints:
        if wrong:
            raise state.graph.refusal(
                node, what, "use Conv2d(..., padding=p) with groups and dilation of 1"
            )
    down, across = stored.get("strides", [1, 1])
    layer = Layer(
        node,
        weights.name,
        "conv",
        inputs,
        outputs,
        weights.bits,
        (state.shape[1], state.shape[2]),
        (height, width),
        (down, across),
        (top, left, bottom, right),
    )
    size = layer.shape().out_size
    if inputs != state.shape[0] or min(size) < 1:
        raise state.graph.refusal(
            node,
            f"{inputs} channels and a kernel of {height} x {width} do not fit images of "
            f"{' x '.join(map(str, state.shape))}",
            "correct the file",
        )
    state.layers.append(layer)
    state.shape = (outputs, *size)


def _dense(state: State, node: Any) -> None:
    if node.input[0] != state.tensor:
        raise state.graph.refusal(
            node, "its features are the second factor", "put them first, the weights second"
        )
    weights, stored = _weights(state, node), attributes(node)
    if stored.get("transA", 0) or len(weights.shape) != 2:
        raise state.graph.refusal(
            node, "it is not a product of features with a matrix", "use a Linear layer"
        )
    inputs, outputs = weights.shape[::-1] if stored.get("transB", 0) else weights.shape
    if state.shape != (inputs,):
        raise state.graph.refusal(
            node,
            f"it takes {inputs} features and gets {' x '.join(map(str, state.shape))}",
            "flatten images before it",
        )
    state.layers.append(Layer(node, weights.name, "dense", inputs, outputs, weights.bits))
    state.shape = (outputs,)


def _weights(state: State, node: Any) -> Weights:
    """Weights, under the layer's name; what comes before the layer must be quantized."""
    if state.input_quant is None:
        if state.given is None:
            raise state.graph.refusal(
                node,
                "the network's input before it has no quantizer",
                "put one at the input, or give --input-bits",
            )
        state.input_quant = state.given
    if state.layers and state.layers[-1].quant is None:
        raise state.graph.refusal(
            state.layers[-1].node,
            "nothing quantizes what it gives to the next layer",
            "put a quantizer behind its activation",
        )
    found = state.graph.weights(node)
    if found.bits not in WEIGHT_BITS:
        raise state.graph.refusal(
            node,
            f"{found.bits}-bit weights have no kernel",
            f"quantize them to {WEIGHT_BITS[0]} to {WEIGHT_BITS[-1]} bits",
        )
    stem, dot, last = found.name.rpartition(".")
    name = stem if dot and last == "weight" else node.name
    return Weights(found.shape, found.bits, name)


def _classed(state: State, node: Any) -> None:
    _last(state, node)
    state.ended = True


def _nothing(state: State, node: Any) -> None:
    """The node gives what it takes."""


def _last(state: State, node: Any) -> Layer:
    if not state.layers:
        raise state.graph.refusal(node, "it comes before the first layer", "leave it out")
    return state.layers[-1]


def _pads_itself(stored: Mapping[str, Any]) -> bool:
    """Whether padding is left to whoever executes the node."""
    return stored.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")


STEPS: dict[str, Callable[[State, Any], None]] = {
    **dict.fromkeys(QUANT, _quant),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "BatchNormalization"), _affine),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze"), _flatten),
    **dict.fromkeys(("Gemm", "MatMul"), _dense),
    **dict.fromkeys(CLASSED, _classed),
    **dict.fromkeys(PASSED, _nothing),
    "Conv": _conv,
    "Relu": _relu,
    "MaxPool": _pool,
}
"""Operation -> what it does to the state. Each raises UnsupportedError for what has no kernel."""
