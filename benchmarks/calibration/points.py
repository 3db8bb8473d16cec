"""What is synthesised to calibrate the cost model: kernels spread over the sizes designs use.

Sizes are drawn log-uniformly from a seeded generator, so that small and large ones weigh the same,
and kept small enough for a point to take seconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from hw_targets.cost.layer import PLANNED_MULT_BITS
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import IntArray, Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import MOST_SHIFT, Requant
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.table_logic import SCALE_OCTAVES, rescaled, table_logic
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter

SEED = 20260101
COUNTS: dict[str, int] = {
    "Mvu": 300,
    "Threshold": 150,
    "Swu": 100,
    "ParallelWindow": 70,
    "Fifo": 110,
    "Pad": 60,
    "MaxPool": 100,
    "Upsample": 60,
    "Depthwise": 120,
    "Reduce": 80,
    "Requant": 80,
    "Table": 110,
    "ChannelAdd": 60,
    "LabelSelect": 60,
    "WidthConverter": 60,
    "Duplicate": 12,
    "Add": 40,
    "Concat": 40,
}
"""Points a kernel: some thousand in all."""
CONTENTS: dict[type[Kernel], int] = {Threshold: 2}
"""Version of a kernel's contents, where they have changed: points of former contents are stale."""


class _Draw:
    """Integers from the seeded generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def of(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def log(self, low: int, high: int) -> int:
        return round(float(np.exp(self.rng.uniform(np.log(low), np.log(high)))))


def _mvu(d: _Draw) -> Kernel:
    simd, pe = d.of(1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32), d.of(1, 2, 3, 4, 5, 8, 10, 16, 32)
    while pe * simd > d.of(8, 24, 48, 48, 48, 96, 144):
        simd, pe = max(1, simd // 2), max(1, pe // 2)
    folds = d.log(1, 128), d.of(1, 1, 2, 3, 4, 6, 8, 16, 32)
    weight_bits, act_bits = d.of(2, 3, 4, 5, 6, 7, 8), d.of(1, 2, 3, 4, 5, 6, 7, 8)
    arithmetic = "dsp" if d.of(0, 0, 1) and pe * simd <= 48 else "lut"
    depth = folds[0] * folds[1]
    memory = "block" if depth >= 16 and d.of(0, 0, 1) else "distributed"
    # Bounds what a ROM made of logic costs in synthesis time.
    while memory == "distributed" and depth * pe * simd * weight_bits > 6144:
        folds = max(1, folds[0] // 2), max(1, folds[1] // 2)
        depth = folds[0] * folds[1]
    signed = bool(d.of(0, 0, 0, 1))
    return Mvu(
        simd * folds[0], pe * folds[1], simd, pe, 4, weight_bits, act_bits, signed,
        arithmetic, memory,  # type: ignore[arg-type]
    )  # fmt: skip


def _threshold(d: _Draw) -> Kernel:
    pe, folds, out_bits = (
        d.of(1, 2, 3, 4, 8, 16, 32),
        d.of(1, 2, 3, 4, 8, 16, 32, 64, 128),
        d.of(1, 2, 3, 4, 4, 5, 6, 7, 8),
    )
    while pe * folds << out_bits > 1024:
        pe, folds = max(1, pe // 2), max(1, folds // 2)
        if pe == folds == 1:
            break
    # Sums have some bits more than what is made of them.
    return Threshold(pe * folds, pe, 4, d.log(out_bits + 3, 26), True, out_bits, False)


def _swu(d: _Draw) -> Kernel:
    kernel, stride = d.of(1, 2, 3, 3, 3, 5, 7), d.of(1, 1, 1, 2)
    stride = 2 if kernel == 1 else stride
    simd = d.of(1, 1, 2, 3, 4, 8, 16, 32)
    high, wide = (max(kernel, d.log(4, 64)) for _ in range(2))
    across = d.of(kernel, kernel, kernel, 1)
    if across == kernel == 1:
        stride = 2
    return Swu(high, wide, simd * d.of(1, 1, 2, 3, 4, 8, 16), kernel, across, stride, stride, simd,
               d.of(1, 2, 3, 4, 5, 6, 8), False)  # fmt: skip


def _parallel_window(d: _Draw) -> Kernel:
    side = d.of(3, 3, 3, 5, 5, 7, 2, 4)
    high, wide = d.of(side, side, side, 1), side
    stride, apart = d.of(1, 1, 1, 2), d.of(1, 1, 1, 1, 1, 2)
    channels, bits = d.of(1, 1, 2, 3, 3, 4, 6, 8, 16, 32), d.of(1, 2, 3, 4, 5, 6, 8)
    # What would be too wide for a matrix unit behind it.
    while high * wide * channels * bits > 1600:
        channels //= 2
    rows, columns = (d.log((taps - 1) * apart + 1, 100) for taps in (high, wide))
    parts = d.of(1, 1, 1, wide)
    return ParallelWindow(rows, columns, channels, high, wide, stride, stride, apart, apart,
                          high * wide // parts, bits, False)  # fmt: skip


def _pad(d: _Draw) -> Kernel:
    simd, margin = d.of(1, 2, 3, 4, 8, 16, 32), d.of(1, 1, 1, 2, 3)
    return Pad(d.log(4, 128), d.log(4, 128), simd * d.of(1, 2, 3, 4, 8, 16), margin, margin, margin,
               margin, simd, d.of(1, 2, 3, 4, 6, 8), False)  # fmt: skip


def _maxpool(d: _Draw) -> Kernel:
    pe, kernel = d.of(1, 2, 3, 4, 8, 16, 32), d.of(2, 2, 2, 2, 3, 4)
    high, wide = (max(kernel, d.log(4, 64)) for _ in range(2))
    return MaxPool(high, wide, pe * d.of(1, 1, 2, 4, 8, 16), kernel, pe, d.of(1, 2, 3, 4, 5, 6, 8),
                   False)  # fmt: skip


def _upsample(d: _Draw) -> Kernel:
    simd, high, wide = d.of(1, 2, 3, 4, 8, 16, 32), d.of(1, 2, 2, 2, 4), d.of(1, 2, 2, 2, 4)
    return Upsample(d.log(4, 64), d.log(4, 64), simd * d.of(1, 2, 4, 8, 16), high, wide, simd,
                    d.of(1, 2, 3, 4, 6, 8), False)  # fmt: skip


def _depthwise(d: _Draw) -> Kernel:
    pe, folds = d.of(1, 2, 3, 4, 8, 16, 32), d.of(1, 1, 2, 3, 4, 8, 16, 32, 64, 128)
    taps, weight_bits = d.of(9, 9, 9, 25, 3, 49), d.of(2, 3, 4, 5, 6, 7, 8)
    memory = "block" if taps * folds >= 64 and d.of(0, 1) else "distributed"
    # Bounds what a ROM made of logic costs in synthesis time.
    while memory == "distributed" and folds > 1 and taps * folds * pe * weight_bits > 6144:
        folds //= 2
    return Depthwise(
        pe * folds, taps, 4, pe, weight_bits, d.of(1, 2, 3, 4, 5, 6, 8), bool(d.of(0, 0, 0, 1)),
        "dsp" if d.of(0, 0, 1) else "lut", memory,  # type: ignore[arg-type]
    )  # fmt: skip


def _reduce(d: _Draw) -> Kernel:
    pe, folds = d.of(1, 2, 3, 4, 8, 16, 32), d.of(1, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256)
    taps, bits = d.of(4, 9, 9, d.log(16, 1024)), d.of(1, 2, 3, 4, 5, 6, 8)
    return Reduce(
        pe * folds, taps, 4, pe, bits, bool(d.of(0, 0, 1)), "max" if d.of(0, 1) else "sum"
    )


def _requant(d: _Draw) -> Kernel:
    pe, folds = d.of(1, 1, 2, 3, 4, 8, 16), d.of(1, 2, 3, 4, 8, 16, 32, 64, 128)
    in_bits, out_bits = d.log(8, 22), d.of(2, 3, 4, 5, 6, 7, 8, 8)
    # As constants come out: the more results, the finer; and wider by what a layer's steps differ.
    mult_bits = min(max(in_bits + out_bits - d.of(2, 3, 4, 6), 2), PLANNED_MULT_BITS)
    shift = min(max(in_bits + mult_bits - out_bits - d.of(2, 4, 5, 6), 1), MOST_SHIFT)
    add_bits = shift + d.of(3, 5, 7, 9)
    while pe > 1 and pe * folds * (mult_bits + add_bits) > 12288:
        pe //= 2
    return Requant(
        pe * folds, pe, 4, in_bits, True, out_bits, bool(d.of(0, 1)), mult_bits, add_bits, shift,
        "lut" if d.of(0, 0, 0, 0, 0, 1) else "dsp",
    )  # fmt: skip


def _table(d: _Draw) -> Kernel:
    signed = bool(d.of(0, 1))
    made = Table(d.of(2, 3, 4, 5, 6, 7, 8), signed, d.of(2, 3, 4, 5, 6, 8),
                 signed and bool(d.of(0, 1)), d.of(1, 2, 3, 4, 8, 16, 32, 64), 64)  # fmt: skip
    return _told(made)


def _draws_of(kernel: Kernel) -> np.random.Generator:
    """A generator of the kernel's own: what no field of it tells is drawn for every one anew."""
    return np.random.default_rng([SEED, 1, zlib.crc32(repr(kernel).encode())])


def _contents(kernel: Table) -> IntArray:
    """Integers of one scale in another, as where a network quantizes what is quantized already."""
    form = kernel.in_bits, kernel.in_signed, kernel.out_bits, kernel.out_signed
    return rescaled(*form, 2.0 ** _draws_of(kernel).uniform(*SCALE_OCTAVES))


def _told(kernel: Table) -> Table:
    """With what its contents cost, as it is known of a network that is built."""
    return replace(kernel, logic=table_logic(_contents(kernel), kernel.out_bits))


def _channel_add(d: _Draw) -> Kernel:
    pe, bits = d.of(1, 2, 3, 4, 5, 8, 10, 16, 20), d.of(6, 8, 10, 12, 14, 16, 18, 20, 24)
    return ChannelAdd(pe * d.of(1, 2, 3, 4, 5, 8, 10, 20), pe, 1, bits, True, bits, bits + 1)


def _label_select(d: _Draw) -> Kernel:
    classes = d.of(2, 3, 4, 5, 6, 8, 10, 10, 12, 16, 20, 35, 64, 100)
    pes = [pe for pe in range(1, min(classes, 20) + 1) if classes % pe == 0]
    return LabelSelect(classes, d.of(*pes), d.of(7, 9, 11, 13, 15, 17, 19, 21, 25), True)


def _fifo(d: _Draw) -> Kernel:
    depth = d.of(2, 2, 2, d.log(3, 300), d.log(3, 300), d.log(16, 4096))
    return Fifo(d.log(1, 512 if depth < 64 else 128 if depth < 512 else 64), depth, 16)


def _width_converter(d: _Draw) -> Kernel:
    few, ratio = d.of(1, 1, 2, 3, 4, 8, 16), d.of(2, 3, 4, 5, 6, 8, 9, 16, 32)
    lanes = (few, few * ratio) if d.of(0, 1) else (few * ratio, few)
    return WidthConverter(*lanes, d.of(1, 2, 3, 4, 5, 6, 8), few * ratio * 4)


def _duplicate(d: _Draw) -> Kernel:
    return Duplicate(d.log(1, 64), d.log(2, 24), True, 64, d.of(2, 2, 3, 4))


def _add(d: _Draw) -> Kernel:
    return Add(d.of(1, 2, 3, 4, 8, 16, 32, 64), d.of(2, 3, 4, 5, 6, 8, d.log(9, 20)),
               bool(d.of(0, 1)), 64)  # fmt: skip


def _concat(d: _Draw) -> Kernel:
    lanes = d.of(1, 2, 3, 4, 8, 16, 32)
    channels = tuple(lanes * d.log(1, 64) for _ in range(d.of(2, 2, 3, 4)))
    return Concat(64, channels, lanes, d.of(1, 2, 3, 4, 5, 6, 8), False)


_DRAWS: dict[str, Callable[[_Draw], Kernel]] = {
    "Mvu": _mvu,
    "Threshold": _threshold,
    "Swu": _swu,
    "ParallelWindow": _parallel_window,
    "Pad": _pad,
    "MaxPool": _maxpool,
    "Upsample": _upsample,
    "Depthwise": _depthwise,
    "Reduce": _reduce,
    "Requant": _requant,
    "Table": _table,
    "ChannelAdd": _channel_add,
    "LabelSelect": _label_select,
    "Fifo": _fifo,
    "WidthConverter": _width_converter,
    "Duplicate": _duplicate,
    "Add": _add,
    "Concat": _concat,
}


# Deep memories, wide images and wide units, which random draws of quick points leave out, and
# quantizers of integers, which have one scale for all lanes.
_LARGE: dict[str, tuple[Kernel, ...]] = {
    "Mvu": (
        Mvu(128, 64, 1, 1, 1, 4, 6, False, "lut", "block"),
        Mvu(576, 64, 8, 4, 4, 4, 4, False, "lut", "block"),
        Mvu(512, 128, 4, 2, 1, 3, 4, False, "dsp", "block"),
        Mvu(288, 16, 16, 16, 4, 2, 2, False, "lut", "distributed"),
        Mvu(256, 256, 1, 1, 1, 8, 8, False, "dsp", "block"),
        Mvu(512, 64, 64, 8, 1, 2, 2, False, "lut", "block"),
        Mvu(384, 48, 32, 16, 1, 3, 4, False, "lut", "block"),
        # Many rows at once, for the layers of large networks.
        Mvu(64, 128, 4, 32, 1, 4, 4, False, "lut", "block"),
        Mvu(32, 64, 8, 64, 1, 2, 3, False, "lut", "distributed"),
        Mvu(128, 128, 16, 32, 1, 2, 2, False, "lut", "block"),
        Mvu(256, 64, 4, 64, 1, 4, 4, False, "dsp", "block"),
        Mvu(64, 64, 16, 64, 1, 4, 4, False, "dsp", "block"),
        Mvu(2048, 64, 1, 64, 1, 3, 4, False, "dsp", "block"),
        # Rows unfolded as a whole, and wide kernels.
        Mvu(150, 16, 75, 2, 1, 4, 4, False, "lut", "distributed"),
        Mvu(150, 16, 150, 1, 1, 4, 4, False, "lut", "distributed"),
        Mvu(256, 8, 128, 2, 1, 2, 2, False, "lut", "distributed"),
        Mvu(784, 16, 98, 1, 1, 2, 4, False, "lut", "block"),
        Mvu(200, 8, 100, 2, 1, 4, 4, False, "dsp", "distributed"),
        Mvu(256, 16, 256, 1, 1, 2, 2, False, "lut", "distributed"),
        # Weights of one bit, which no draw has.
        Mvu(144, 16, 8, 4, 1, 1, 1, False, "lut", "block"),
        Mvu(128, 24, 4, 8, 1, 1, 2, False, "lut", "distributed"),
        Mvu(64, 16, 16, 2, 1, 1, 4, False, "lut", "distributed"),
        Mvu(27, 16, 3, 4, 1, 1, 8, False, "lut", "distributed"),
        Mvu(96, 10, 12, 5, 1, 1, 3, True, "lut", "block"),
        Mvu(40, 8, 40, 1, 1, 1, 2, False, "lut", "distributed"),
        Mvu(16, 8, 16, 8, 1, 1, 5, False, "lut", "distributed"),
        Mvu(300, 30, 1, 6, 1, 1, 6, False, "lut", "block"),
    ),
    "Swu": (
        Swu(34, 34, 32, 3, 3, 1, 1, 8, 4, False),
        Swu(98, 98, 3, 3, 3, 2, 2, 3, 8, False),
        Swu(230, 230, 3, 7, 7, 2, 2, 3, 8, False),
        Swu(58, 58, 64, 3, 3, 1, 1, 64, 4, False),
        Swu(16, 16, 512, 3, 3, 2, 2, 4, 4, False),
        # Kernels with holes.
        Swu(34, 34, 16, 3, 3, 1, 1, 8, 4, False, 2, 2),
        Swu(1, 128, 8, 1, 5, 1, 1, 8, 8, False, 1, 4),
        Swu(20, 12, 4, 3, 3, 2, 2, 4, 4, False, 2, 2),
        Swu(64, 64, 32, 3, 3, 1, 1, 4, 2, False, 4, 4),
        Swu(28, 28, 3, 5, 5, 1, 1, 3, 8, False, 1, 2),
        Swu(1, 40, 2, 1, 3, 1, 1, 1, 3, False, 1, 8),
    ),
    "ParallelWindow": (
        ParallelWindow(32, 32, 1, 5, 5, 1, 1, 1, 1, 25, 8, False),
        ParallelWindow(34, 34, 3, 3, 3, 1, 1, 1, 1, 9, 8, False),
        ParallelWindow(230, 230, 3, 7, 7, 2, 2, 1, 1, 49, 8, False),
        ParallelWindow(230, 230, 3, 7, 7, 2, 2, 1, 1, 7, 8, False),
        ParallelWindow(34, 34, 64, 3, 3, 1, 1, 1, 1, 9, 4, False),
        ParallelWindow(58, 58, 64, 3, 3, 1, 1, 1, 1, 3, 4, False),
        ParallelWindow(1, 256, 16, 1, 9, 1, 1, 1, 1, 9, 8, False),
    ),
    "Pad": (
        Pad(96, 96, 3, 1, 1, 1, 1, 3, 8, False),
        Pad(32, 32, 64, 1, 1, 1, 1, 4, 4, False),
        Pad(224, 224, 3, 3, 3, 3, 3, 3, 8, False),
        Pad(56, 56, 64, 1, 1, 1, 1, 64, 4, False),
    ),
    "MaxPool": (
        MaxPool(32, 32, 64, 2, 4, 4, False),
        MaxPool(64, 64, 16, 2, 8, 4, False),
        MaxPool(112, 112, 64, 2, 1, 4, False),
        MaxPool(112, 112, 64, 2, 64, 4, False),
    ),
    "Threshold": (
        Threshold(128, 1, 4, 16, True, 4, False),
        Threshold(64, 1, 4, 14, True, 6, False),
        Threshold(64, 64, 4, 16, True, 4, False),
        Threshold(512, 32, 4, 18, True, 3, False),
        Threshold(2048, 4, 4, 20, True, 2, False),
        Threshold(1024, 1, 4, 20, True, 4, False),
        Threshold(4, 4, 64, 10, False, 4, False),
        Threshold(1, 1, 64, 14, False, 8, False),
        Threshold(16, 16, 64, 12, False, 3, False),
        Threshold(2, 2, 64, 9, True, 6, True, -32),
        Threshold(8, 8, 64, 16, True, 4, True, -8),
        Threshold(64, 64, 64, 11, True, 2, True, -2),
        Threshold(3, 3, 64, 20, True, 5, True, -16),
        Threshold(1, 1, 64, 18, True, 8, True, -128),
        Threshold(32, 32, 64, 13, True, 3, True, -4),
        Threshold(4, 4, 64, 10, True, 8, True, -128),
    ),
    "ChannelAdd": (
        ChannelAdd(1000, 1, 1, 20, True, 20, 21),
        ChannelAdd(1000, 4, 1, 18, True, 18, 19),
        ChannelAdd(100, 50, 1, 16, True, 16, 17),
    ),
    "LabelSelect": (
        LabelSelect(1000, 1, 21, True),
        LabelSelect(1000, 8, 19, True),
        LabelSelect(1000, 50, 21, True),
        LabelSelect(100, 50, 17, True),
    ),
    "Fifo": (Fifo(1024, 2, 16), Fifo(1600, 2, 16), Fifo(768, 32, 64), Fifo(8, 8192, 9000)),
    "WidthConverter": (
        WidthConverter(1, 64, 4, 256),
        WidthConverter(64, 1, 4, 256),
        WidthConverter(128, 2, 3, 512),
        WidthConverter(1, 128, 2, 512),
    ),
    "Depthwise": (
        Depthwise(128, 9, 1, 1, 4, 4, False, "lut", "auto"),
        Depthwise(16, 9, 1, 1, 2, 1, False, "lut", "auto"),
        Depthwise(1024, 9, 1, 1, 4, 4, False, "lut", "auto"),
        Depthwise(64, 9, 1, 64, 3, 4, False, "lut", "auto"),
        Depthwise(256, 9, 1, 64, 4, 4, False, "dsp", "auto"),
        Depthwise(960, 25, 1, 2, 8, 8, False, "dsp", "auto"),
        Depthwise(32, 9, 1, 8, 4, 4, False, "lut", "auto"),
        Depthwise(144, 9, 1, 12, 4, 4, True, "lut", "auto"),
    ),
    "Reduce": (
        Reduce(128, 9, 1, 1, 4, False, "sum"),
        Reduce(16, 9, 1, 16, 8, False, "max"),
        Reduce(2048, 49, 1, 1, 4, False, "sum"),
        Reduce(512, 1024, 1, 8, 8, False, "sum"),
        Reduce(64, 64, 1, 64, 4, False, "sum"),
        Reduce(64, 9, 256, 64, 4, False, "max"),
        Reduce(1280, 49, 1, 4, 4, False, "sum"),
        Reduce(64, 9, 256, 1, 8, True, "max"),
    ),
    "Upsample": (
        Upsample(21, 16, 24, 2, 1, 3, 4, False),
        Upsample(64, 128, 64, 2, 2, 64, 8, False),
        Upsample(64, 128, 128, 2, 2, 1, 4, False),
    ),
    "Requant": (
        Requant(64, 64, 1, 16, True, 4, False, 12, 24, 20, "dsp"),
        Requant(1024, 2, 1, 18, True, 4, False, 14, 28, 24, "dsp"),
        Requant(32, 32, 1, 12, True, 4, False, 8, 20, 12, "lut"),
    ),
    "Table": (_told(Table(8, True, 8, True, 64, 64)), _told(Table(4, False, 4, False, 64, 64))),
    "Duplicate": (
        Duplicate(64, 24, True, 64, 2),
        Duplicate(1, 8, True, 64, 4),
        Duplicate(16, 4, False, 64, 3),
    ),
    "Add": (Add(64, 20, True, 64), Add(64, 4, False, 64)),
    "Concat": (
        Concat(64, (64, 64), 64, 8, False),
        Concat(64, (512, 512), 1, 4, False),
        Concat(64, (64, 64, 128, 32), 32, 4, False),
    ),
}


def points(kinds: tuple[str, ...], most: int) -> Iterator[Kernel]:
    """Distinct kernels of each kind, always the same ones, kinds taking turns.

    most: points a kind at most; the first ones, so that a later sweep can add to them.
    """
    drawn: dict[str, list[Kernel]] = {}
    for kind in kinds:
        draw = _Draw(np.random.default_rng([SEED, *kind.encode()]))
        found: dict[Kernel, None] = dict.fromkeys(_LARGE.get(kind, ()))
        most_found = len(found) + COUNTS[kind]
        while len(found) < most_found:
            found[_DRAWS[kind](draw)] = None
        drawn[kind] = list(found)
    for turn in range(min(most, max(map(len, drawn.values())))):
        for kind in kinds:
            if turn < len(drawn[kind]):
                yield drawn[kind][turn]


def arrays_for(kernel: Kernel) -> dict[str, IntArray]:
    """Memory contents as trained networks have them: bell-shaped weights, thresholds in steps."""
    rng = np.random.default_rng([SEED, 1])
    if isinstance(kernel, Mvu | Depthwise):
        limit = 2 ** (kernel.weight_bits - 1) - 1
        shape = (
            (kernel.mh, kernel.mw) if isinstance(kernel, Mvu) else (kernel.channels, kernel.taps)
        )
        values = rng.normal(0.0, max(limit, 1) / 2.2, shape)
        if kernel.weight_bits == 1:
            return {"weights": np.where(values < 0, -1, 1).astype(np.int64)}
        return {"weights": np.clip(np.round(values), -limit, limit).astype(np.int64)}
    if isinstance(kernel, Threshold):
        return {"thresholds": _thresholds(kernel)}
    if isinstance(kernel, ChannelAdd):
        limit = 2 ** (kernel.bias_bits - 1) - 1
        return {"bias": rng.integers(-limit, limit, kernel.channels, dtype=np.int64)}
    if isinstance(kernel, Requant):
        return {
            # Slopes are positive and of one magnitude; what is added has either sign.
            "mult": rng.integers(1, 2 ** (kernel.mult_bits - 1), kernel.channels),
            "add": rng.integers(
                -(2 ** (kernel.add_bits - 1)), 2 ** (kernel.add_bits - 1), kernel.channels
            ),
        }
    if isinstance(kernel, Table):
        return {"table": _contents(kernel)}
    return {}


def _thresholds(kernel: Threshold) -> IntArray:
    """Contents of either kind: behind a layer, or where integers of one scale are quantized.

    The latter are those of sums of activations, which have no sign, and of sums of two branches,
    whose results have one.
    """
    integers = kernel.channels == kernel.pe and (kernel.out_signed or not kernel.in_signed)
    return _scaled_thresholds(kernel) if integers else _layer_thresholds(kernel)


def _scaled_thresholds(kernel: Threshold) -> IntArray:
    """The same for all lanes, halfway between multiples of a scale.

    The results span the whole range of the sums down to a sixteenth of it; where sums are hardly
    wider than results, not as little as that.
    """
    top = (1 << (kernel.in_bits - int(kernel.in_signed))) - 1
    low = -(1 << (kernel.out_bits - 1)) if kernel.out_signed else 0
    levels = np.arange(low + 1, low + (1 << kernel.out_bits))
    widest = np.log2(top / levels.max())
    scale = 2.0 ** (widest - _draws_of(kernel).uniform(0.0, min(4.0, widest / 2)))
    steps: IntArray = np.ceil((levels - 0.5) * scale).astype(np.int64)
    return np.broadcast_to(steps, (kernel.channels, len(steps))).copy()


def _layer_thresholds(kernel: Threshold) -> IntArray:
    """Those of a rectifier behind batch normalisation: equal steps in a channel, from near zero.

    An accumulator holds every sum that could occur, and thresholds lie where sums do occur. Over
    35 layers of the networks of `benchmarks.designs` those of a channel span 2**-8 to 2**-4 of
    half the range and begin within 0.4 spans of zero. That spread is the layer's own: it is drawn
    for every kernel anew, and nothing in the kernel's fields tells it.
    """
    rng = _draws_of(kernel)
    half, levels = 2.0 ** (kernel.in_bits - 1), 2**kernel.out_bits - 1
    # Training spaces thresholds by a count at least, as far as there is room for it.
    span = min(max(half * 2.0 ** rng.uniform(-8.0, -4.0), levels, 12.0), half)
    steps = span / levels * rng.lognormal(0.0, 0.25, (kernel.channels, 1))
    starts = span * rng.normal(0.0, 0.4, (kernel.channels, 1))
    values = np.ceil(starts + steps * (np.arange(levels) + 0.5))
    within: IntArray = np.clip(values, -half, half).astype(np.int64)
    return within
