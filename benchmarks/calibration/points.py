"""What is synthesised to calibrate the cost model: kernels spread over the sizes designs use.

Sizes are drawn log-uniformly from a seeded generator, so that small and large ones weigh the same,
and kept small enough for a point to take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.calibration.chosen import CHOSEN
from benchmarks.calibration.contents import SEED, table_told
from hw_targets.cost.layer import PLANNED_MULT_BITS
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import MOST_SHIFT, Requant
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter

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
    return table_told(made)


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


def points(kinds: tuple[str, ...], most: int) -> Iterator[Kernel]:
    """Distinct kernels of each kind, always the same ones, kinds taking turns.

    most: points a kind at most; the first ones, so that a later sweep can add to them.
    """
    drawn: dict[str, list[Kernel]] = {}
    for kind in kinds:
        draw = _Draw(np.random.default_rng([SEED, *kind.encode()]))
        found: dict[Kernel, None] = dict.fromkeys(CHOSEN.get(kind, ()))
        most_found = len(found) + COUNTS[kind]
        while len(found) < most_found:
            found[_DRAWS[kind](draw)] = None
        drawn[kind] = list(found)
    for turn in range(min(most, max(map(len, drawn.values())))):
        for kind in kinds:
            if turn < len(drawn[kind]):
                yield drawn[kind][turn]
