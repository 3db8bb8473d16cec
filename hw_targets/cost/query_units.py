"""The units a layer query asks for: those lowering builds, as fields of numbers or columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis import Fields, Number
from hw_targets.cost.basis.arithmetic import (
    clog2,
    flag,
    least,
    most,
    pow2,
    quotient,
    where,
)
from hw_targets.cost.layer import (
    FEW_ADD,
    FEW_MULT,
    FEW_SHIFT,
    MIN_FIFO_DEPTH,
    PLANNED_MULT_BITS,
    WIDER_ADD,
    WIDER_MULT,
    WIDER_SHIFT,
)
from hw_targets.quantizers import LEAST_OUT_BITS
from hw_targets.rtl.requant import MOST_SHIFT
from hw_targets.rtl.rom import BLOCK_ROM_BITS, BLOCK_ROM_DEPTH
from hw_targets.rtl.swu import FRAME_STALL, SLACK_BEATS

LEAST_DEPTH = float(MIN_FIFO_DEPTH)
"""Of the FIFO that every stream has."""


@dataclass(frozen=True)
class LayerQuery:
    """One layer with its bits and folding, or as many as its columns are long.

    simd: divides in_channels, or is all channels of several pixels of the kernel.
    A dense layer has images and kernels of 1 x 1. in_h, in_w: the image before padding. pool: side
    of the maximum pooling behind the activation, 1 for none. activation: 0 for the layer that
    gives the logits, which is followed by bias and label select. in_signed, dsp, block: 0 or 1,
    the last two for multipliers and block RAM instead of LUTs. multiplier: 1 for results of few
    bits that are multiplied instead of compared with thresholds.
    """

    in_channels: Number
    out_channels: Number
    in_bits: Number
    weight_bits: Number
    act_bits: Number
    pe: Number
    simd: Number
    in_h: Number = 1.0
    in_w: Number = 1.0
    kernel_h: Number = 1.0
    kernel_w: Number = 1.0
    stride_h: Number = 1.0
    stride_w: Number = 1.0
    pad_h: Number = 0.0
    pad_w: Number = 0.0
    pool: Number = 1.0
    activation: Number = 1.0
    in_signed: Number = 0.0
    dsp: Number = 0.0
    block: Number = 0.0
    dilation_h: Number = 1.0
    dilation_w: Number = 1.0
    multiplier: Number = 0.0

    @property
    def above(self) -> Number:
        """Rows that a window reaches above its last one."""
        return (self.kernel_h - 1) * self.dilation_h

    @property
    def before(self) -> Number:
        """Columns that a window reaches before its last one."""
        return (self.kernel_w - 1) * self.dilation_w


@dataclass(frozen=True)
class Parts:
    """Which units a layer has beside the matrix-vector unit, and what that is made of."""

    padded: bool
    windowed: bool
    hidden: bool
    pooled: bool
    requantized: bool
    parallel: bool
    dsp: bool
    block: bool


def parts_of(q: LayerQuery) -> tuple[Number | NDArray[np.bool_], ...]:
    """The fields of `Parts`, for one layer or a column of them."""
    return (
        (q.pad_h > 0) | (q.pad_w > 0),
        (q.kernel_h > 1) | (q.kernel_w > 1) | (q.stride_h > 1) | (q.stride_w > 1),
        q.activation > 0,
        (q.activation > 0) & (q.pool > 1),
        (q.activation > 0)
        & (q.out_channels > 1)
        & ((q.act_bits >= LEAST_OUT_BITS) | (q.multiplier > 0)),
        q.simd > q.in_channels,
        q.dsp > 0,
        q.block > 0,
    )


Unit = tuple[str, Fields, Number]
"""Kernel, its fields, cycles a frame."""


def units(q: LayerQuery, parts: Parts) -> Iterator[Unit]:
    """The units of `layer.kernels_of`, in stream order."""
    in_h, in_w = q.in_h, q.in_w
    lanes = q.in_channels if parts.parallel else q.simd
    folds = q.in_channels / lanes
    lanes_width = lanes * q.in_bits
    if parts.padded:
        in_h, in_w = q.in_h + 2 * q.pad_h, q.in_w + 2 * q.pad_w
        fields: Fields = {
            "in_h": q.in_h,
            "in_w": q.in_w,
            "folds": folds,
            "top": q.pad_h,
            "bottom": q.pad_h,
            "left": q.pad_w,
            "right": q.pad_w,
            "simd": lanes,
            "bits": q.in_bits,
        }
        yield from _with_fifo("Pad", fields, in_h * in_w * folds, lanes_width)
    if parts.windowed:
        out_h = quotient(in_h - q.above - 1, q.stride_h) + 1
        out_w = quotient(in_w - q.before - 1, q.stride_w) + 1
        pixels, kernel = out_h * out_w, q.kernel_h * q.kernel_w
        window = _several if parts.parallel else _window
        yield from window(q, (in_h, in_w), (out_h, out_w))
        mw = kernel * q.in_channels
    else:
        out_h, out_w, pixels, mw = in_h, in_w, in_h * in_w, q.in_channels
    sf, nf = mw / q.simd, q.out_channels / q.pe
    acc_bits = _acc_bits(q, mw)
    cycles = pixels * sf * nf
    yield "Fifo", {"width": q.simd * q.in_bits, "depth": LEAST_DEPTH}, pixels * sf
    yield (
        "Mvu",
        {
            "simd": q.simd,
            "pe": q.pe,
            "weight_bits": q.weight_bits,
            "act_bits": q.in_bits,
            "act_signed": q.in_signed,
            "acc_bits": acc_bits,
            "column_folds": sf,
            "row_folds": nf,
            "dsp": q.dsp,
            "block": q.block,
        },
        cycles,
    )
    yield from _back(q, parts, pixels, acc_bits, nf, (out_h, out_w))


def _window(
    q: LayerQuery, image: tuple[Number, Number], out: tuple[Number, Number]
) -> Iterator[Unit]:
    """A window of a pixel of the kernel a beat, or of a part of its channels."""
    (in_h, in_w), (out_h, out_w) = image, out
    folds = q.in_channels / q.simd
    beats = most(in_h * in_w, out_h * out_w * q.kernel_h * q.kernel_w) * folds
    fields: Fields = {
        "in_h": in_h,
        "in_w": in_w,
        "kernel_h": q.kernel_h,
        "kernel_w": q.kernel_w,
        "dilation_w": q.dilation_w,
        "out_h": out_h,
        "out_w": out_w,
        "folds": folds,
        "simd": q.simd,
        "bits": q.in_bits,
        "buffer_depth": _buffer_depth(q, in_w, folds, beats),
    }
    yield from _with_fifo("Swu", fields, beats, q.simd * q.in_bits)


def _several(
    q: LayerQuery, image: tuple[Number, Number], out: tuple[Number, Number]
) -> Iterator[Unit]:
    """A window of several pixels of the kernel a beat."""
    (in_h, in_w), width = image, q.in_channels * q.in_bits
    beats = q.kernel_h * q.kernel_w * q.in_channels / q.simd
    fields: Fields = {
        "in_h": in_h,
        "in_w": in_w,
        "kernel_h": q.kernel_h,
        "kernel_w": q.kernel_w,
        "stride_h": q.stride_h,
        "stride_w": q.stride_w,
        "above": q.above,
        "before": q.before,
        "width": width,
        "beats": beats,
    }
    cycles = in_h * in_w + out[0] * out[1] * (beats - 1)
    yield from _with_fifo("ParallelWindow", fields, cycles, width)


def _back(
    q: LayerQuery,
    parts: Parts,
    pixels: Number,
    acc_bits: Number,
    folds: Number,
    image: tuple[Number, Number],
) -> Iterator[Unit]:
    """Threshold or requantization and pooling, or bias and label select."""
    wide = q.pe * acc_bits
    if not parts.hidden:
        yield from _last(q, pixels, acc_bits, folds)
        return
    fields: Fields = {"pe": q.pe, "folds": folds, "in_bits": acc_bits, "out_bits": q.act_bits}
    if parts.requantized:
        fields = _requant(fields)
    kind = "Requant" if parts.requantized else "Threshold"
    yield from _with_fifo(kind, fields, pixels * folds, wide)
    if parts.pooled:
        fields = {
            "in_h": image[0],
            "in_w": image[1],
            "folds": folds,
            "kernel": q.pool,
            "pe": q.pe,
            "bits": q.act_bits,
            "out_w": quotient(image[1], q.pool),
        }
        yield from _with_fifo("MaxPool", fields, pixels * folds, q.pe * q.act_bits)


def _requant(k: Fields) -> Fields:
    """`layer.quantizer_kernel` by a multiplier."""
    in_bits, bits, many = k["in_bits"], k["out_bits"], k["out_bits"] >= LEAST_OUT_BITS
    wider = where(many, WIDER_MULT, bits + FEW_MULT)
    fewer = where(many, WIDER_SHIFT, bits + FEW_SHIFT)
    mult_bits = least(most(in_bits + wider, 1.0), PLANNED_MULT_BITS)
    shift = least(most(mult_bits + in_bits - fewer, 0.0), MOST_SHIFT)
    add_bits = most(shift + where(many, WIDER_ADD, bits + FEW_ADD), 1.0)
    width = k["pe"] * (mult_bits + add_bits)
    block = flag((k["folds"] * width >= BLOCK_ROM_BITS) & (k["folds"] >= BLOCK_ROM_DEPTH))
    return {
        **k,
        "in_signed": 1.0,
        "out_signed": 0.0,
        "mult_bits": mult_bits,
        "add_bits": add_bits,
        "sum_bits": clog2(pow2(in_bits + mult_bits - 2) + pow2(add_bits - 1)) + 1,
        "shift": shift,
        "dsp": 1.0,
        "block": block,
    }


def _last(q: LayerQuery, pixels: Number, acc_bits: Number, folds: Number) -> Iterator[Unit]:
    """Bias and label select, and the FIFO of the design's output."""
    wide = q.pe * acc_bits
    index_bits = most(clog2(q.out_channels), 1.0)
    fields: Fields = {
        "pe": q.pe,
        "folds": folds,
        "in_bits": acc_bits,
        "bias_bits": acc_bits,
        "out_bits": acc_bits + 1,
    }
    yield from _with_fifo("ChannelAdd", fields, pixels * folds, wide)
    fields = {
        "classes": q.out_channels,
        "pe": q.pe,
        "in_bits": acc_bits + 1,
        "index_bits": index_bits,
    }
    yield from _with_fifo("LabelSelect", fields, folds, wide + q.pe)
    yield "Fifo", {"width": index_bits, "depth": LEAST_DEPTH}, 1.0


def _with_fifo(kind: str, fields: Fields, cycles: Number, width: Number) -> Iterator[Unit]:
    yield "Fifo", {"width": width, "depth": LEAST_DEPTH}, 0.0
    yield kind, fields, cycles


def _buffer_depth(q: LayerQuery, in_w: Number, folds: Number, cycles: Number) -> Number:
    """`Swu.buffer_depth`."""
    row = in_w * folds
    span = q.above * row + (q.before + 1) * folds
    ahead = (q.stride_h - 1) * row + q.stride_w * folds + SLACK_BEATS
    stall = FRAME_STALL * cycles
    refill = span - (np.rint(stall) if isinstance(stall, np.ndarray) else round(stall))
    return pow2(most(clog2(span + most(ahead, refill)), 2.0))


def _acc_bits(q: LayerQuery, mw: Number) -> Number:
    """`Mvu.acc_bits`: the sums of products of extreme weights with extreme activations."""
    half = pow2(q.weight_bits - 1)
    # A signed activation reaches as far down as a weight; an unsigned one not below 0.
    top = where(q.in_signed > 0, pow2(q.in_bits - 1), pow2(q.in_bits) - 1)
    lowest = mw * half * where(q.in_signed > 0, top - 1, top)
    most_weight = most(half - 1, 1.0)  # of 1 bit: 1
    highest = mw * where(q.in_signed > 0, half * top, most_weight * top)
    # Of signed ones the lowest product is a lowest weight times a highest activation, or the
    # reverse, whichever is further down.
    lowest = where(q.in_signed > 0, most(lowest, mw * most_weight * top), lowest)
    return most(clog2(lowest), clog2(highest + 1)) + 1
