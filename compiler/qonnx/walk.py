"""The walk over a QONNX file: its state, its problems, and what every step needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from compiler.qonnx.graph import Graph, Quant, attributes
from compiler.qonnx.target import Target
from compiler.qonnx.value import Value
from hw_targets.errors import UnsupportedError
from hw_targets.network import LayerShape, Unit

MOST_BITS = 8
"""Of activations and weights; the kernels have no more."""
LAYERS = ("Conv", "Gemm", "MatMul")
MOVES = (
    *("MaxPool", "Transpose", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout"),
    *("Resize", "Upsample", "Cast", "GlobalMaxPool"),
)
"""Operations that choose and move values."""
SCALES = ("Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization")
"""Operations with constants that scale and shift, if they take one stream alone."""
QUANTIZES = "put a quantizer behind its activation"

Step = Callable[["Walk", Any], None]


class Walk:
    """values: file's tensor -> what it is; None for what a refused node gives.

    entry: the quantizer of the input, given where it has none of its own.
    """

    def __init__(self, graph: Graph, given: Quant | None) -> None:
        self.graph, self.given = graph, given
        self.target = Target()
        self.values: dict[str, Value | None] = {}
        self.layers: dict[str, LayerShape] = {}
        self.weight_bits: dict[str, int] = {}
        self.act_bits: dict[str, int] = {}
        self.full: dict[str, int] = {}
        """Of layers whose weights hold -128: the bits of what they take; 0 of others."""
        self.problems: dict[str, UnsupportedError] = {}
        self.notes: list[str] = []
        self.entry: Quant | None = None
        self.entry_shape: tuple[int, ...] = ()
        self.entry_kind = ""
        self.start = ("", "")
        self.batch = 1
        self.begin: tuple[str, Value] = ("", Value("", "", (1,), (0,)))
        self.strides: dict[str, list[int]] = {}
        self.before: list[str] = []
        """Nodes between the input and its quantizer, which are the host's."""
        self.output = graph.model.graph.output[0].name
        order = graph.order()
        self.last_layer = next((n for n in reversed(order) if self._is_layer(n)), None)
        self.nodes = order

    def refusal(self, node: Any, what: str, mend: str) -> UnsupportedError:
        return self.graph.refusal(node, what, mend)

    def complain(self, node: Any, what: str, mend: str) -> None:
        """A problem with which the walk goes on."""
        self.problems.setdefault(node.name, self.refusal(node, what, mend))

    def value(self, node: Any, index: int = 0) -> Value:
        """What a node takes. Raises LostError where a refused node should have given it."""
        name = node.input[index]
        found = self.values.get(name)
        if found is None:
            if name not in self.values and name not in self.graph.producers:
                raise self.refusal(node, f"nothing gives its input {name}", "correct the file")
            raise LostError
        return found if self.alone(name) else replace(found, owned=False)

    def constant(self, node: Any, index: int) -> NDArray[Any] | None:
        if index >= len(node.input) or not node.input[index]:
            return None
        return self.graph.constant(node.input[index])

    def streams(self, node: Any) -> list[int]:
        """Which inputs of a node are no constants."""
        return [at for at, name in enumerate(node.input) if name and not self.graph.is_fixed(name)]

    def give(self, node: Any, value: Value) -> None:
        self.values[node.output[0]] = value

    def alone(self, tensor: str) -> bool:
        """Does one node alone take a tensor?"""
        return len(self.graph.consumers[tensor]) == 1 and tensor != self.output

    def follower(self, tensor: str) -> Any | None:
        """The one node that takes a tensor, if there is one."""
        return self.graph.consumers[tensor][0] if self.alone(tensor) else None

    def settled(self, node: Any, value: Value, shifted: bool = False) -> Value:
        """The value as integers of one step, as a layer or a join takes them.

        shifted: they may have an offset. A ReLU of integers is a quantizer of its own.
        """
        if not value.unit and not value.tensor:
            raise self.refusal(
                node,
                "the network's input before it has no quantizer",
                "put one at the input, or give --input-bits",
            )
        self.upright(node, value)
        if not value.bits:
            raise self.refusal(node, "nothing quantizes what it takes", QUANTIZES)
        if value.step is None:
            what = "the scale of what it takes differs from channel to channel"
            raise self.refusal(node, what, "use one scale for all channels of an activation")
        if value.held:
            if value.offset != 0:
                raise self.refusal(node, "nothing quantizes what it takes", QUANTIZES)
            signed = False
            bits = max(1, value.bits - value.signed)
            if bits > MOST_BITS:
                raise self.refusal(node, f"it takes {bits} bits", "quantize to 8 bits or fewer")
            value = self.requantized(f"{node.name}/held", value, bits, signed, value.step)
        if value.offset != 0 and not shifted:
            what = "what it takes is shifted by a constant behind its quantizer"
            raise self.refusal(node, what, "put the constant before the quantizer")
        if value.bits > MOST_BITS:
            what = f"{value.bits}-bit activations have no kernel"
            raise self.refusal(node, what, f"quantize what it takes to 1 to {MOST_BITS} bits")
        return value

    def requantized(self, wanted: str, value: Value, bits: int, signed: bool, step: float) -> Value:
        """Behind a quantizer that changes no value, but the format."""
        parts = [self.target.constant(each) for each in (step, 0.0, float(bits))]
        kinds = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        tensor = self.target.node("Quant", [value.tensor, *parts], value.shape, **kinds)
        name = self.target.name(wanted)
        taken, quantizer = (value.unit,), f"act_{name}"
        unit = Unit(name, "quant", taken, quantizer, "", signed, (), value.shape, width=bits)
        self.target.unit(unit)
        return replace(
            value, tensor=tensor, unit=name, bits=bits, signed=signed, step=step, held=False,
            layer="", owned=False,
        )  # fmt: skip

    def upright(self, node: Any, value: Value) -> None:
        """Raises where channels stand for their opposites, which no layer before could take in."""
        if value.signs is not None and (value.signs < 0).any():
            raise self.refusal(
                node,
                "it is behind a scaling by a number that is not above 0",
                "fold the scaling into the layer's weights",
            )

    def _is_layer(self, node: Any) -> bool:
        return node.op_type in LAYERS and not self.graph.is_fixed(node.output[0])


class LostError(Exception):
    """What a node takes comes from a node that was refused."""


def pads_itself(node: Any) -> str:
    """The node's auto_pad where that asks for padding, else nothing."""
    kind = attributes(node).get("auto_pad", b"NOTSET").decode()
    return "" if kind in ("NOTSET", "VALID", "") else kind


def same_pads(
    kind: str, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:  # fmt: skip
    """(top, left, bottom, right) that SAME_UPPER or SAME_LOWER asks for, as ONNX defines them."""
    before, after = [], []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        whole = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        small, large = whole // 2, whole - whole // 2
        before.append(small if kind == "SAME_UPPER" else large)
        after.append(large if kind == "SAME_UPPER" else small)
    return (*before, *after)


def both(values: Any, default: int, planes: int) -> tuple[int, int]:
    """(down, right) of an attribute of one or two sides; one side is that of a signal."""
    listed = [default] * planes if values is None else [int(each) for each in values]
    if len(listed) != planes:
        raise ValueError(f"{listed} for {planes} sides")
    return (1 if planes == 1 and default else listed[0], listed[-1])


def sides(values: Any, planes: int) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of ONNX's pads of one or two sides."""
    listed = [0] * 2 * planes if values is None else [int(each) for each in values]
    if planes == 1:
        return (0, listed[0], 0, listed[1])
    top, left, bottom, right = listed
    return (top, left, bottom, right)


__all__ = [
    "LAYERS", "MOST_BITS", "MOVES", "SCALES", "LostError", "Step", "Walk", "both", "pads_itself",
    "same_pads", "sides",
]  # fmt: skip
