"""The shape of a network as hardware sees it: matrix-vector layers and windows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from hw_targets.errors import LiftFlowError

INPUT = "x"
"""Name of the network's input among the names of units."""


@dataclass(frozen=True)
class LayerShape:
    """One convolution or dense layer and what follows it up to the next one.

    Sizes are (height, width) in pixels. A dense layer has `in_size == (1, 1)`, kernel (1, 1) and
    `in_channels` equal to its number of inputs (a flatten before it is part of that number, in
    channel-last order in hardware). `pool` is the side of the max pooling (kernel == stride)
    after the activation, 1 for none. `activation` is False for the layer that gives the logits,
    and for layers whose output goes elsewhere than into a ReLU, as into a residual add. `padding`
    is (top, left, bottom, right). `groups` and `dilation` are those of `torch.nn.Conv2d`.
    `limit` is the most that the activation gives, 0 for no limit. `answers` is True for the layer
    whose outputs are a regression's answer: its bias is the last unit. `rank_bits` are those below
    the logits that order the fractions of their biases, where a file has such.
    """

    name: str
    kind: Literal["conv", "dense"]
    in_channels: int
    out_channels: int
    in_size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pool: int = 1
    activation: bool = True
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
    limit: float = 0.0
    answers: bool = False
    rank_bits: int = 0

    @property
    def padded_size(self) -> tuple[int, int]:
        """(height, width) of the input with its padding."""
        (height, width), (top, left, bottom, right) = self.in_size, self.padding
        return (top + height + bottom, left + width + right)

    @property
    def even_padding(self) -> tuple[int, int]:
        """(height, width) of a padding that is the same on opposite sides.

        Raises:
            LiftFlowError: it is not.
        """
        if self.padding[:2] != self.padding[2:]:
            what = f"its padding {self.padding} differs from side to side, which has no form here"
            raise LiftFlowError(what, where=f"layer {self.name}", mend="pad before the layer")
        return self.padding[:2]

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the convolution's output, before pooling."""
        h, w = (
            (size - apart * (k - 1) - 1) // s + 1
            for size, apart, k, s in zip(
                self.padded_size, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return (h, w)

    @property
    def pixels(self) -> int:
        """Output pixels a frame: how many vectors the matrix-vector unit multiplies."""
        h, w = self.out_size
        return h * w

    @property
    def matrix(self) -> tuple[int, int]:
        """(MW, MH): columns (inputs of one output) and rows (outputs) of the weight matrix."""
        inputs = self.in_channels // self.groups
        return (self.kernel[0] * self.kernel[1] * inputs, self.out_channels)

    @property
    def depthwise(self) -> bool:
        """Has every channel weights of its own, and one output?"""
        return 1 < self.groups == self.in_channels == self.out_channels

    @property
    def window(self) -> tuple[int, int]:
        """(height, width) that one output reaches over, pixels between dilated taps included."""
        h, w = (d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return (h, w)

    @property
    def hardware_matrix(self) -> tuple[int, int]:
        """(MW, MH) in hardware: weights of 0 stand for the inputs that an output of a grouped
        convolution, depthwise ones apart, does not take."""
        inputs = 1 if self.depthwise else self.in_channels
        return (self.kernel[0] * self.kernel[1] * inputs, self.out_channels)

    @property
    def weights(self) -> int:
        mw, mh = self.matrix
        return mw * mh

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return self.weights * self.pixels


JOIN_BITS = 8
"""Width of the values that no layer's choice of bits governs: joins' arms, averages."""

UnitKind = Literal[
    "layer",
    "relu",
    "quant",
    "max",
    "average",
    "flatten",
    "add",
    "concat",
    "shortcut",
    "pad",
    "unsqueeze",
    "upsample",
]


@dataclass(frozen=True)
class Unit:
    """One operation of a network that branches.

    inputs: names of units, `INPUT` for the quantized input.
    quantizer: of a relu or quant; units that name the same one share its scale.
    governor: the layer whose activation bits the quantizer has, "" for `JOIN_BITS`.
    signed: may what the quantizer takes be negative?
    width: of the quantizer of a file that has its own; 0 leaves it to governor and `JOIN_BITS`.
    limit: the greatest magnitude of what the quantizer may give, 0 for any.
    numbers: of these kinds, none of others.
        max: kernel height, width, stride down, right, padding top, left, bottom, right (which is
        never the greatest). pad: top, left, bottom, right. upsample: how often each pixel comes
        down, right. shortcut: stride, before, after. average: kernel height, width of all pixels,
        or with stride, padding, each height and width, ceil mode, padding counts.
    shape: of its output, without the batch: (channels, height, width) or (features,).
    """

    name: str
    kind: UnitKind
    inputs: tuple[str, ...]
    quantizer: str = ""
    governor: str = ""
    signed: bool = False
    numbers: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    limit: float = 0.0
    width: int = 0

    def bits(self, widths: Mapping[str, tuple[int, int]]) -> int:
        """Width of the unit's quantizer. widths: layer -> (weight bits, activation bits)."""
        if self.width:
            return self.width
        return widths[self.governor][1] if self.governor else JOIN_BITS

    def limits(self, widths: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """(least, greatest) integer of the unit's quantizer."""
        bits = self.bits(widths)
        return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.signed else (0, 2**bits - 1)

    def most_scale(self, widths: Mapping[str, tuple[int, int]]) -> float:
        """The greatest scale that keeps every integer's value within `limit`, a float32."""
        if not self.limit:
            return inf
        most = max(map(abs, self.limits(widths)))
        scale = np.float32(self.limit / most)
        while float(scale) * most > self.limit:
            scale = np.nextafter(scale, np.float32(0))
        return float(scale)


@dataclass(frozen=True)
class NetworkShape:
    """A whole network: its input frame and its layers in order of execution."""

    name: str
    layers: tuple[LayerShape, ...]
    input_shape: tuple[int, ...]
    """Without the batch: (channels, height, width), or (features,)."""
    input_bits: int
    input_signed: bool
    classes: int
    """0 for a regression, whose answer are all outputs of the last layer."""
    units: tuple[Unit, ...] = ()
    """Every operation, in order of execution, of a network that is no chain of layers alone."""
    foreign: bool = False
    """Of a file from elsewhere: no bias or scale of it was settled for hardware."""
    quantized_end: bool = False
    """Its outputs are a quantizer's integers, not the sums of the last layer."""

    @property
    def chain(self) -> bool:
        """Does `layers` tell all, because each takes what the one before gives?"""
        return not self.units

    @property
    def regression(self) -> bool:
        return self.classes == 0

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the last layer, without the batch: (channels, height, width) or (features,)."""
        last = self.layers[-1]
        return (last.out_channels, *(last.out_size if last.kind == "conv" else ()))

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)


def identifier(name: str) -> str:
    """A layer's or unit's name as hardware has it."""
    return re.sub(r"\W", "_", name)


def owners(network: NetworkShape) -> dict[str, str]:
    """Unit -> the layer whose activation or pooling it is, of those that no branch leaves before.

    The same rule as `LayerShape.activation` and `LayerShape.pool`.
    """
    layers = {layer.name: layer for layer in network.layers}
    found: dict[str, str] = {}
    for unit in network.units:
        before = layers.get(unit.inputs[0])
        if unit.kind == "relu" and before is not None and before.activation:
            found[unit.name] = before.name
        elif unit.kind == "max" and _pooled(layers.get(found.get(unit.inputs[0], ""))):
            found[unit.name] = found[unit.inputs[0]]
    return found


def _pooled(layer: LayerShape | None) -> bool:
    return layer is not None and layer.pool > 1
