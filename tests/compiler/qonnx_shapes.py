"""QONNX files with what networks of few parameters are made of: depthwise, joins, slices, signals.

Node by node, with scales as training finds them: no sum lies on a rounding edge, so qonnx's float32
and integers agree.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qonnx_case import File

STEP = 0.0471
"""Scale of weights, no simple multiple of those of activations."""


class Drawn(File):
    """A file whose weights and norms are random."""

    def __init__(self, *shape: int, seed: int) -> None:
        super().__init__(*shape)
        self.rng = np.random.default_rng(seed)

    def drawn(self, *shape: int, bits: int = 4, scale: float = STEP) -> str:
        """Weights over all that their bits hold; the first one is the least value."""
        half = 1 << (bits - 1)
        values = self.rng.integers(-half, half, shape)
        values.flat[0] = -half
        return self.quantized(self.constant(values * np.float32(scale)), bits, scale=scale)

    def conv(self, *shape: int, bits: int = 4, **attributes: object) -> Drawn:  # type: ignore[override]
        self.add("Conv", self.drawn(*shape, bits=bits), **attributes)
        return self

    def normed(self, channels: int) -> Drawn:
        rng = self.rng
        moments = (rng.uniform(0.5, 1.5, channels), rng.normal(size=channels),
                   rng.normal(size=channels), rng.uniform(0.5, 2, channels))  # fmt: skip
        self.add("BatchNormalization", *map(self.constant, moments))
        return self

    def act(self, bits: int = 4, scale: float = 0.2113) -> Drawn:
        self.add("Relu").quant(bits, scale=scale)
        return self

    def branch(self, start: str) -> Drawn:
        self.last = start
        return self


def depthwise(path: Path) -> Path:
    """As MobileNet: depthwise with a stride, a multiplier of two, pointwise, global average."""
    file = Drawn(3, 6, 6, seed=1)
    file.quant(6, scale=0.0517)
    file.conv(4, 3, 3, 3, pads=[1] * 4).normed(4).act()
    file.conv(4, 1, 3, 3, bits=8, pads=[1] * 4, group=4, strides=[2, 2]).normed(4).act()
    file.conv(6, 4, 1, 1).normed(6).act()
    file.conv(12, 1, 3, 3, pads=[1] * 4, group=6).normed(12).act()
    file.add("GlobalAveragePool").quant(6, scale=0.0191).add("Flatten")
    return file.add("MatMul", file.drawn(12, 4)).write(path)


def concat(path: Path) -> Path:
    """As Inception: three branches of one scale and two, a padded maximum in one of them."""
    file = Drawn(2, 6, 6, seed=2)
    file.quant(6, scale=0.0517)
    file.conv(4, 2, 3, 3, pads=[1] * 4).normed(4).act()
    stem = file.last
    arms = [
        file.branch(stem).conv(3, 4, 1, 1).normed(3).act(4, 0.3137).last,
        file.branch(stem).conv(5, 4, 3, 3, pads=[1] * 4).normed(5).act(3, 0.6274).last,
    ]
    file.branch(stem).add("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
    arms.append(file.conv(2, 4, 1, 1).normed(2).act(4, 0.3137).last)
    file.last = file.node("Concat", *arms, axis=1)
    file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).add("Flatten")
    return file.add("MatMul", file.drawn(90, 4)).write(path)


def sliced(path: Path) -> Path:
    """As ResNet with shortcuts of option A: every second pixel, zeros beside its channels."""
    file = Drawn(2, 6, 6, seed=3)
    file.quant(6, scale=0.0517)
    file.conv(4, 2, 3, 3, pads=[1] * 4).normed(4).act(4, 0.3137)
    stem = file.last
    every = (file.integers(0, 0), file.integers(2**31 - 1, 2**31 - 1), file.integers(2, 3))
    file.add("Slice", *every, file.integers(2, 2))
    short = file.add("Pad", file.integers(0, 2, 0, 0, 0, 2, 0, 0)).last
    file.branch(stem).conv(8, 4, 3, 3, pads=[1] * 4, strides=[2, 2]).normed(8)
    file.quant(4, signed=True, scale=0.3137).add("Add", short).act(4, 0.4451).add("Flatten")
    return file.add("MatMul", file.drawn(72, 4)).write(path)


def signal(path: Path) -> Path:
    """1-D: padding, pooling, depthwise, dilation, two branches that are concatenated."""
    file = Drawn(2, 16, seed=4)
    file.quant(6, signed=True, scale=0.0517)
    file.conv(4, 2, 5, pads=[2, 2]).normed(4).act()
    file.add("MaxPool", kernel_shape=[2], strides=[2])
    stem = file.last
    arms = [
        file.branch(stem).conv(4, 1, 3, pads=[1, 1], group=4).normed(4).act().last,
        file.branch(stem).conv(3, 4, 3, dilations=[2], pads=[2, 2]).normed(3).act().last,
    ]
    file.last = file.node("Concat", *arms, axis=1)
    every = (file.integers(0), file.integers(2**31 - 1), file.integers(2), file.integers(2))
    file.add("Slice", *every)
    file.add("AveragePool", kernel_shape=[2], strides=[2]).quant(5, scale=0.0713).add("Flatten")
    return file.add("MatMul", file.drawn(14, 3)).write(path)


def least(path: Path) -> Path:
    """Weights of 8 bits that hold -128, quantized and by hand, and a bias of fractions."""
    file = Drawn(12, seed=5)
    file.quant(2, signed=True, scale=0.81)
    file.add("MatMul", file.drawn(12, 8, bits=8)).act(2, 2.9)
    whole = file.rng.integers(-128, 128, (8, 4))
    whole[:, 0] = -128
    file.add("MatMul", file.constant(whole))
    return file.add("Add", file.constant(file.rng.normal(size=4))).write(path)
