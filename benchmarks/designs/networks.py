"""The networks that are built whole, with the bits and the folding of every layer.

None of them takes part in fitting. They differ in kind (dense, LeNet, VGG, strided, of one
dimension), in bits, in folding, in arithmetic and in where weights are kept, and are as small as
Yosys can take in minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hw_targets.network import LayerShape, NetworkShape


@dataclass(frozen=True)
class Folding:
    """Bits and folding of one layer, as the allocator decides them (act_bits 0: the logits)."""

    weight_bits: int
    act_bits: int
    pe: int
    simd: int
    arithmetic: Literal["lut", "dsp"] = "lut"
    memory: Literal["auto", "block", "distributed"] = "auto"


@dataclass(frozen=True)
class Network:
    """A shape, the choices in the order of its layers, and what it stands for."""

    shape: NetworkShape
    choices: tuple[Folding, ...]
    about: str

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def interval(self) -> int:
        """Cycles between frames as the allocator sees them: those of the slowest matrix unit."""
        return max(
            layer.pixels * (layer.matrix[0] // fold.simd) * (layer.matrix[1] // fold.pe)
            for layer, fold in zip(self.shape.layers, self.choices, strict=True)
        )


class _Chain:
    """Layers one after the other; sizes follow from the input."""

    def __init__(self, name: str, about: str, size: tuple[int, ...], bits: int) -> None:
        self.name, self.about, self.shape, self.bits = name, about, size, bits
        self.channels = size[0]
        self.size = (size[1], size[2]) if len(size) == 3 else (1, 1)
        self.layers: list[LayerShape] = []
        self.choices: list[Folding] = []

    def conv(
        self,
        channels: int,
        fold: Folding,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (1, 1),
        pool: int = 1,
    ) -> _Chain:
        """A convolution with its activation and, where `pool` is above 1, max pooling."""
        return self._add("conv", channels, fold, kernel, stride, padding, pool)

    def dense(self, outputs: int, fold: Folding) -> _Chain:
        """A dense layer on all values that come; without activation where `act_bits` is 0."""
        self.channels *= self.size[0] * self.size[1]
        self.size = (1, 1)
        return self._add("dense", outputs, fold, (1, 1), (1, 1), (0, 0), 1)

    def _add(
        self,
        kind: Literal["conv", "dense"],
        channels: int,
        fold: Folding,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        pool: int,
    ) -> _Chain:
        layer = LayerShape(
            f"{kind}{len(self.layers) + 1}", kind, self.channels, channels, self.size, kernel,
            stride, (*padding, *padding), pool, activation=fold.act_bits > 0,
        )  # fmt: skip
        self.layers.append(layer)
        self.choices.append(fold)
        self.channels = channels
        self.size = (layer.out_size[0] // pool, layer.out_size[1] // pool)
        return self

    def done(self) -> Network:
        shape = NetworkShape(
            self.name, tuple(self.layers), self.shape, self.bits, False, self.channels
        )
        return Network(shape, tuple(self.choices), self.about)


F = Folding

NETWORKS: tuple[Network, ...] = (
    _Chain("jets", "16-64-32-32-5, wide folding, as jet tagging has it", (16,), 8)
    .dense(64, F(6, 6, 4, 8))
    .dense(32, F(5, 5, 2, 16, memory="distributed"))
    .dense(32, F(5, 4, 4, 4))
    .dense(5, F(6, 0, 5, 2))
    .done(),
    _Chain("wide", "640-128-8, shallow, multipliers in the first layer", (640,), 8)
    .dense(128, F(8, 4, 8, 4, "dsp", "block"))
    .dense(8, F(4, 0, 2, 4, memory="distributed"))
    .done(),
    _Chain("digits", "the example's network, 8x8 grey images", (1, 8, 8), 5)
    .conv(16, F(4, 4, 4, 1))
    .conv(32, F(3, 4, 4, 8), pool=2)
    .conv(32, F(4, 3, 4, 4), pool=2)
    .dense(64, F(3, 4, 2, 4))
    .dense(10, F(6, 0, 1, 4))
    .done(),
    _Chain("mlp", "784-256-128-10, two bits", (784,), 8)
    .dense(256, F(2, 2, 8, 16, memory="block"))
    .dense(128, F(2, 2, 8, 8, memory="block"))
    .dense(10, F(4, 0, 2, 8, memory="distributed"))
    .done(),
    _Chain("balanced", "four layers that need the same cycles: nothing waits", (3, 16, 16), 8)
    .conv(8, F(4, 4, 8, 3))
    .conv(16, F(4, 4, 16, 8), pool=2)
    .conv(16, F(4, 4, 4, 16))
    .dense(36, F(4, 4, 1, 16))
    .dense(10, F(4, 0, 1, 1))
    .done(),
    _Chain("signal", "convolutions along one axis, odd channels 13 and 37", (3, 1, 128), 8)
    .conv(13, F(5, 4, 1, 3), (1, 7), (1, 2), (0, 3))
    .conv(37, F(4, 5, 37, 1), (1, 5), (1, 2), (0, 2))
    .conv(5, F(6, 4, 5, 1), (1, 3), (1, 2), (0, 1))
    .dense(11, F(4, 4, 1, 2))
    .dense(6, F(8, 0, 1, 1))
    .done(),
    _Chain("lenet5", "LeNet-5, 28x28 grey images, multipliers in the second layer", (1, 28, 28), 8)
    .conv(6, F(8, 6, 3, 1), (5, 5), padding=(2, 2), pool=2)
    .conv(16, F(6, 5, 4, 2, "dsp"), (5, 5), padding=(0, 0), pool=2)
    .dense(120, F(4, 4, 2, 4, memory="block"))
    .dense(84, F(4, 4, 2, 2))
    .dense(10, F(8, 0, 1, 2))
    .done(),
    _Chain("strided", "padding and stride 2, mixed bits, 32x32 colour images", (3, 32, 32), 8)
    .conv(16, F(8, 4, 4, 3, "dsp"), stride=(2, 2))
    .conv(24, F(3, 3, 4, 8))
    .conv(24, F(4, 4, 4, 4, "dsp"), stride=(2, 2))
    .conv(32, F(5, 3, 4, 6))
    .conv(32, F(2, 6, 2, 8), stride=(2, 2))
    .dense(10, F(7, 0, 1, 2))
    .done(),
    _Chain("cnv", "CNV (VGG) at a quarter of its channels, 32x32 colour images", (3, 32, 32), 8)
    .conv(16, F(4, 2, 8, 3), padding=(0, 0))
    .conv(16, F(2, 2, 8, 8), padding=(0, 0), pool=2)
    .conv(32, F(2, 2, 8, 4), padding=(0, 0))
    .conv(32, F(2, 2, 8, 8), padding=(0, 0), pool=2)
    .conv(64, F(2, 2, 4, 4), padding=(0, 0))
    .conv(64, F(2, 2, 2, 4), padding=(0, 0))
    .dense(128, F(2, 2, 1, 4, memory="block"))
    .dense(128, F(2, 2, 1, 4, memory="block"))
    .dense(10, F(4, 0, 1, 2))
    .done(),
)  # fmt: skip

TINY = (
    _Chain("tiny", "as small as a chain can be: for the tests", (2, 4, 4), 4)
    .conv(3, F(3, 2, 3, 2), pool=2)
    .dense(3, F(3, 0, 1, 2))
    .done()
)


def network(name: str) -> Network:
    """The network called `name`.

    Raises:
        KeyError: there is none.
    """
    return {each.name: each for each in (*NETWORKS, TINY)}[name]
