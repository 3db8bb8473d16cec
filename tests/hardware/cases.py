"""Random configurations of every kernel: shapes a folding could choose, and the awkward ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.finn_mvu import LEAST_BITS, FinnMvu
from hw_targets.rtl.kernel import Instance, IntArray, Kernel, Stream
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

Rng = np.random.Generator
Case = tuple[Kernel, dict[str, IntArray]]


def pick(rng: Rng, *choices: int) -> int:
    return int(rng.choice(choices))


def coin(rng: Rng) -> bool:
    return bool(rng.integers(2))


def random_frames(rng: Rng, count: int, stream: Stream) -> IntArray:
    """Mostly uniform values, with whole frames at both ends of the range."""
    low = -(1 << (stream.bits - 1)) if stream.signed else 0
    high = low + (1 << stream.bits)
    frames = rng.integers(low, high, (count, stream.elements), dtype=np.int64)
    frames[rng.integers(count)] = low
    frames[rng.integers(count)] = high - 1
    return frames


def mvu(rng: Rng) -> Case:
    simd, pe = pick(rng, 1, 2, 3, 4, 7), pick(rng, 1, 1, 2, 3, 5)
    kernel = Mvu(
        mw=simd * pick(rng, 1, 1, 2, 3, 9, 16, 17, 130),
        mh=pe * pick(rng, 1, 1, 2, 3, 8),
        simd=simd,
        pe=pe,
        pixels=pick(rng, 1, 3),
        weight_bits=pick(rng, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8),
        act_bits=int(rng.integers(1, 9)),
        act_signed=coin(rng),
        arithmetic="dsp" if coin(rng) else "lut",
        memory="block" if coin(rng) else "auto",
        multiplier_bits=pick(rng, 18, 25, 27),
    )
    low = -(1 << (kernel.weight_bits - 1)) + (kernel.packed_rows > 1 or kernel.weight_bits == 2)
    weights = _weights(rng, kernel.weight_bits, low, (kernel.mh, kernel.mw))
    weights[0] = low  # one row that reaches the end of the accumulator's range
    return kernel, {"weights": weights}


def finn_mvu(rng: Rng) -> Case:
    """Of what FINN's unit takes: no signs, no vector of one beat."""
    simd, pe = pick(rng, 1, 2, 3, 4, 7), pick(rng, 1, 2, 3, 5)
    kernel = FinnMvu(
        mw=simd * pick(rng, 2, 2, 3, 9, 16, 17, 130),
        mh=pe * pick(rng, 1, 1, 2, 3, 8),
        simd=simd,
        pe=pe,
        pixels=pick(rng, 1, 3),
        weight_bits=int(rng.integers(LEAST_BITS, 9)),
        act_bits=int(rng.integers(LEAST_BITS, 9)),
        act_signed=coin(rng),
        memory="block" if coin(rng) else "auto",
        narrow=coin(rng),
        version=pick(rng, 0, 1, 2),
    )
    low = kernel.narrow - (1 << (kernel.weight_bits - 1))
    weights = _weights(rng, kernel.weight_bits, low, (kernel.mh, kernel.mw))
    weights[0] = low  # one row that reaches the end of the accumulator's range
    return kernel, {"weights": weights}


def _weights(rng: Rng, bits: int, low: int, shape: tuple[int, int]) -> IntArray:
    """Uniform from `low`; of 1 bit -1 and 1."""
    if bits == 1:
        return rng.choice(np.array([-1, 1]), shape)
    return rng.integers(low, 1 << (bits - 1), shape)


def depthwise(rng: Rng) -> Case:
    pe, folds = pick(rng, 1, 1, 2, 3), pick(rng, 1, 1, 2, 2, 3, 16, 21, 300)
    kernel = Depthwise(
        channels=pe * folds,
        taps=pick(rng, 1, 2, 3) if folds > 100 else pick(rng, 1, 2, 3, 9, 25),
        pixels=pick(rng, 1, 3),
        pe=pe,
        weight_bits=int(rng.integers(1, 9)),
        act_bits=int(rng.integers(1, 9)),
        act_signed=coin(rng),
        arithmetic="dsp" if rng.random() < 0.3 else "lut",
        memory="block" if coin(rng) else "auto",
    )
    limit = 1 << (kernel.weight_bits - 1)
    weights = _weights(rng, kernel.weight_bits, -limit, (kernel.channels, kernel.taps))
    weights[0] = -limit  # one channel that reaches the end of the accumulator's range
    return kernel, {"weights": weights}


def swu(rng: Rng) -> Case:
    kernel_h, kernel_w = pick(rng, 1, 2, 3, 3, 5), pick(rng, 1, 2, 3, 3, 4)
    dilation_h, dilation_w = pick(rng, 1, 1, 1, 2, 3), pick(rng, 1, 1, 1, 2, 3)
    simd = pick(rng, 1, 2, 3)
    return Swu(
        in_h=(kernel_h - 1) * dilation_h + pick(rng, 1, 2, 3, 4, 7),
        in_w=(kernel_w - 1) * dilation_w + pick(rng, 1, 2, 3, 4, 8),
        channels=simd * pick(rng, 1, 1, 2, 3, 5),
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        stride_h=pick(rng, 1, 1, 2, 3, 4),
        stride_w=pick(rng, 1, 1, 2, 3, 4),
        simd=simd,
        bits=pick(rng, 1, 2, 4, 8),
        signed=coin(rng),
        dilation_h=dilation_h,
        dilation_w=dilation_w,
    ), {}


def parallel_window(rng: Rng) -> Case:
    kernel_h, kernel_w = pick(rng, 1, 2, 3, 3, 5), pick(rng, 1, 2, 3, 3, 4)
    dilation_h, dilation_w = pick(rng, 1, 1, 1, 2, 3), pick(rng, 1, 1, 1, 2, 3)
    taps = kernel_h * kernel_w
    return ParallelWindow(
        in_h=(kernel_h - 1) * dilation_h + pick(rng, 1, 2, 3, 4, 7),
        in_w=(kernel_w - 1) * dilation_w + pick(rng, 1, 2, 3, 4, 8, 40),
        channels=pick(rng, 1, 1, 2, 3),
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        stride_h=pick(rng, 1, 1, 2, 3, 4),
        stride_w=pick(rng, 1, 1, 2, 3, 4),
        dilation_h=dilation_h,
        dilation_w=dilation_w,
        positions=pick(rng, taps, *(n for n in range(1, taps + 1) if taps % n == 0)),
        bits=pick(rng, 1, 2, 4, 8),
        signed=coin(rng),
    ), {}


def pad(rng: Rng) -> Case:
    simd = pick(rng, 1, 2, 3)
    top, left, bottom, right = (pick(rng, 0, 0, 1, 1, 2, 3) for _ in range(4))
    return Pad(
        in_h=pick(rng, 1, 2, 5),
        in_w=pick(rng, 1, 3, 6),
        channels=simd * pick(rng, 1, 2, 3),
        top=top,
        left=left,
        bottom=bottom,
        right=right,
        simd=simd,
        bits=pick(rng, 1, 4, 9),
        signed=coin(rng),
    ), {}


def threshold(rng: Rng) -> Case:
    pe, out_bits = pick(rng, 1, 2, 3), int(rng.integers(1, 9))
    out_signed = coin(rng)
    kernel = Threshold(
        channels=pe * pick(rng, 1, 2, 3, 16, 21),
        pe=pe,
        pixels=pick(rng, 1, 4),
        in_bits=int(rng.integers(2, 21)),
        in_signed=coin(rng),
        out_bits=out_bits,
        out_signed=out_signed,
        out_bias=-(1 << (out_bits - 1)) if out_signed else 0,
    )
    low = -(1 << (kernel.in_bits - 1)) if kernel.in_signed else 0
    span = 1 << kernel.in_bits
    # Beyond both ends of the range, so that some are always and some never reached.
    steps = rng.integers(
        low - span // 4, low + span + span // 4, (kernel.channels, 2**out_bits - 1)
    )
    return kernel, {"thresholds": np.sort(steps, axis=1)}


def maxpool(rng: Rng) -> Case:
    side, pe = pick(rng, 1, 2, 2, 3), pick(rng, 1, 2, 3)
    return MaxPool(
        in_h=side * pick(rng, 1, 2, 3) + pick(rng, 0, *range(side)),
        in_w=side * pick(rng, 1, 2, 4) + pick(rng, 0, *range(side)),
        channels=pe * pick(rng, 1, 1, 2, 5),
        kernel=side,
        pe=pe,
        bits=pick(rng, 1, 2, 4, 8),
        signed=coin(rng),
    ), {}


def reduce(rng: Rng) -> Case:
    pe, folds = pick(rng, 1, 2, 3), pick(rng, 1, 1, 2, 2, 3, 16, 40, 300)
    return Reduce(
        channels=pe * folds,
        taps=pick(rng, 1, 2, 3) if folds > 100 else pick(rng, 1, 2, 3, 4, 9, 49),
        pixels=pick(rng, 1, 1, 4),
        pe=pe,
        bits=pick(rng, 1, 2, 4, 8),
        signed=coin(rng),
        op="sum" if coin(rng) else "max",
    ), {}


def upsample(rng: Rng) -> Case:
    simd = pick(rng, 1, 2, 3)
    return Upsample(
        in_h=pick(rng, 1, 2, 5),
        in_w=pick(rng, 1, 2, 4, 7, 16),
        channels=simd * pick(rng, 1, 1, 2, 3, 5, 8),
        scale_h=pick(rng, 1, 2, 2, 3),
        scale_w=pick(rng, 1, 2, 2, 3),
        simd=simd,
        bits=pick(rng, 1, 4, 8),
        signed=coin(rng),
    ), {}


def requant(rng: Rng) -> Case:
    pe, in_bits = pick(rng, 1, 2, 3), pick(rng, 1, 8, 13, 20)
    mult_bits = pick(rng, 2, 5, 11, 18, 25, 34)
    out_bits, add_bits = int(rng.integers(1, 9)), pick(rng, 1, 9, 24, 32, 48)
    # From sums that are mostly clipped to such of which little is left.
    shift = max(in_bits + mult_bits, add_bits) - out_bits - pick(rng, -2, 0, 1, 3, 6)
    kernel = Requant(
        channels=pe * pick(rng, 1, 2, 3, 16, 200),
        pe=pe,
        pixels=pick(rng, 1, 4),
        in_bits=in_bits,
        in_signed=coin(rng),
        out_bits=out_bits,
        out_signed=coin(rng),
        mult_bits=mult_bits,
        add_bits=add_bits,
        shift=min(max(shift, 0), MOST_SHIFT),
        arithmetic="dsp" if coin(rng) else "lut",
        multiplier_bits=pick(rng, 16, 18, 25, 27),
    )
    constants = {}
    for name, bits in (("mult", mult_bits), ("add", add_bits)):
        low = -(1 << (bits - 1))
        constants[name] = rng.integers(low, -low, kernel.channels)
        constants[name][0] = low
        constants[name][-1] = -low - 1
    return kernel, constants


def table(rng: Rng) -> Case:
    kernel = Table(
        in_bits=int(rng.integers(1, 9)),
        in_signed=coin(rng),
        out_bits=int(rng.integers(1, 9)),
        out_signed=coin(rng),
        lanes=pick(rng, 1, 2, 5),
        beats=pick(rng, 1, 9, 100),
    )
    low = -(1 << (kernel.out_bits - 1)) if kernel.out_signed else 0
    return kernel, {"table": rng.integers(low, low + 2**kernel.out_bits, 2**kernel.in_bits)}


def channel_add(rng: Rng) -> Case:
    pe, in_bits, bias_bits = pick(rng, 1, 2, 3), pick(rng, 1, 4, 16), pick(rng, 1, 5, 16)
    shift = pick(rng, 0, 1, 4)
    kernel = ChannelAdd(
        channels=pe * pick(rng, 1, 2, 5),
        pe=pe,
        pixels=pick(rng, 1, 6),
        in_bits=in_bits,
        in_signed=coin(rng),
        bias_bits=bias_bits,
        out_bits=max(in_bits + shift, bias_bits) + 2,
        shift=shift,
    )
    limit = 1 << (bias_bits - 1)
    return kernel, {"bias": rng.integers(-limit, limit, kernel.channels)}


def label_select(rng: Rng) -> Case:
    pe = pick(rng, 1, 2, 3, 5)
    # Few bits make ties frequent.
    return LabelSelect(pe * pick(rng, 1, 2, 7), pe, pick(rng, 1, 2, 12), coin(rng)), {}


def fifo(rng: Rng) -> Case:
    depth = pick(rng, 2, 2, 3, 4, 5, 16, 17, 33, 63, 64, 67, 600)
    return Fifo(pick(rng, 1, 8, 33, 60), depth, pick(rng, 1, 40, 700)), {}


def width_converter(rng: Rng) -> Case:
    low, ratio = pick(rng, 1, 2, 3), pick(rng, 1, 2, 3, 5, 8)
    lanes = (low, low * ratio) if coin(rng) else (low * ratio, low)
    elements = low * ratio * pick(rng, 1, 4, 9)
    return WidthConverter(*lanes, pick(rng, 1, 4, 11), elements, coin(rng)), {}


def duplicate(rng: Rng) -> Case:
    lanes, bits, copies = pick(rng, 1, 2, 3), pick(rng, 1, 4, 11), pick(rng, 2, 2, 3, 5)
    return Duplicate(lanes, bits, coin(rng), pick(rng, 1, 2, 9, 30), copies), {}


def add(rng: Rng) -> Case:
    lanes, bits = pick(rng, 1, 2, 3), pick(rng, 1, 2, 4, 11, 33)
    return Add(lanes, bits, coin(rng), pick(rng, 1, 2, 9, 30)), {}


def concat(rng: Rng) -> Case:
    lanes = pick(rng, 1, 2, 3)
    channels = tuple(lanes * pick(rng, 1, 1, 2, 5) for _ in range(pick(rng, 2, 2, 3, 4)))
    return Concat(pick(rng, 1, 2, 7), channels, lanes, pick(rng, 1, 4, 11), coin(rng)), {}


GENERATORS: dict[str, Callable[[Rng], Case]] = {
    "mvu": mvu,
    "finn_mvu": finn_mvu,
    "depthwise": depthwise,
    "swu": swu,
    "parallel_window": parallel_window,
    "pad": pad,
    "threshold": threshold,
    "maxpool": maxpool,
    "reduce": reduce,
    "upsample": upsample,
    "requant": requant,
    "table": table,
    "channel_add": channel_add,
    "label_select": label_select,
    "fifo": fifo,
    "width_converter": width_converter,
    "duplicate": duplicate,
    "add": add,
    "concat": concat,
}


def cases(kind: str, count: int, seed: int) -> list[Instance]:
    """`count` random instances of one kernel, named `k0`, `k1`, ..."""
    rng = np.random.default_rng(seed)
    made = (GENERATORS[kind](rng) for _ in range(count))
    return [Instance(f"k{i}", kernel, arrays) for i, (kernel, arrays) in enumerate(made)]
