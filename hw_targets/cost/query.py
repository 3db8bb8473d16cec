"""Queries for layers: what one layer costs, or a million of them, without building any kernel.

A `LayerQuery` holds numbers for one layer or columns for many. Its units are the ones lowering
builds (`hw_targets.cost.layer`), priced by the same models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis import Fields, Number
from hw_targets.cost.basis.arithmetic import clog2, flag, most, pow2, some, where
from hw_targets.cost.basis.products import MOST_BITS
from hw_targets.cost.layer import MIN_FIFO_DEPTH
from hw_targets.cost.model import kernel_model
from hw_targets.rtl.mvu import WEIGHT_BITS
from hw_targets.rtl.swu import FRAME_STALL, SLACK_BEATS

CHUNK = 8192
"""Layers a column that is worked through at once: what fits the processor's caches."""


@dataclass(frozen=True)
class LayerQuery:
    """One layer with its bits and folding, or as many as its columns are long.

    A dense layer has images and kernels of 1 x 1. in_h, in_w: the image before padding. pool: side
    of the maximum pooling behind the activation, 1 for none. activation: 0 for the layer that
    gives the logits, which is followed by bias and label select. in_signed, dsp, block: 0 or 1,
    the last two for multipliers and block RAM instead of LUTs.
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


@dataclass(frozen=True)
class LayerCost:
    """Modelled resources (NaN where uncalibrated) and clock cycles between frames of a layer.

    low, high: bounds of the 90 % interval; of multipliers and block RAMs, which are counted, the
    bounds are the count itself wherever calibration found every count exact.
    """

    lut: Number
    ff: Number
    dsp: Number
    bram: Number
    cycles: Number
    lut_low: Number
    lut_high: Number
    ff_low: Number
    ff_high: Number
    bram_low: Number
    bram_high: Number

    @property
    def inside(self) -> bool | NDArray[np.bool_]:
        """Whether the layer lies inside the calibrated domain."""
        return self.lut == self.lut


def layer_cost(query: LayerQuery, family: str) -> LayerCost:
    """What one layer costs, or every layer of the query's columns, its FIFOs included.

    Foldings are taken to divide the layer; `complaint` tells where one does not.

    Raises:
        LiftFlowError: no such family.
    """
    values = vars(query)
    size = max((len(v) for v in values.values() if isinstance(v, np.ndarray)), default=0)
    if size == 0:
        return _one(query, family)
    total = {field.name: np.empty(size) for field in dataclasses.fields(LayerCost)}
    for start in range(0, size, CHUNK):
        part = slice(start, start + CHUNK)
        chunk = LayerQuery(
            **{n: v[part] if isinstance(v, np.ndarray) else v for n, v in values.items()}
        )
        found = _many(chunk, min(CHUNK, size - start), family)
        for name, column in total.items():
            column[part] = getattr(found, name)
    return LayerCost(**total)


_COUNTS = 4
"""LUT, FF, DSP, block RAM."""


def _one(query: LayerQuery, family: str) -> LayerCost:
    """What one layer costs."""
    total: list[Number] = [0.0] * _COUNTS
    squares: list[Number] = [0.0] * _SIDES
    skids: list[Number] = [0.0] * _SIDES
    cycles: Number = 0.0
    for kind, present, k, busy in _units(query):
        if present is not None and not present:
            continue
        counts, sides = _unit(kind, family, tuple(k), tuple(k.values()))
        total = [sum_ + each for sum_, each in zip(total, counts, strict=True)]
        if kind == "Fifo":
            # FIFOs err alike: their margins are added before they are squared.
            skids = [sum_ + side for sum_, side in zip(skids, sides, strict=True)]
        else:
            squares = [sum_ + side * side for sum_, side in zip(squares, sides, strict=True)]
        cycles = most(cycles, busy)
    off = [np.sqrt(sum_ + side * side) for sum_, side in zip(squares, skids, strict=True)]
    return _bounded(total, cycles, off)


@lru_cache(maxsize=1 << 16)
def _unit(
    kind: str, family: str, names: tuple[str, ...], values: tuple[Number, ...]
) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Counts of one unit, and margins; a search asks for the same units again and again."""
    model = kernel_model(kind, family)
    row = model.resources(dict(zip(names, values, strict=True)))
    spread = model.spread(row)
    return row, tuple(side for index in _BOUNDED for side in spread[index])


_BOUNDED = (0, 1, 3)
"""Places of the resources with an interval: LUTs, registers and block RAMs."""
_SIDES = 2 * len(_BOUNDED)


def _many(query: LayerQuery, size: int, family: str) -> LayerCost:
    """What every layer of the columns costs."""
    total, cycles = np.zeros((_COUNTS, size)), np.zeros(size)
    squares, skids = np.zeros((_SIDES, size)), np.zeros((_SIDES, size))
    for kind, present, k, busy in _units(query):
        model = kernel_model(kind, family)
        rows: slice | NDArray[np.intp] = slice(None)
        if present is not None:
            rows = np.flatnonzero(present) if isinstance(present, np.ndarray) else rows
            if isinstance(rows, np.ndarray) and len(rows) == size:
                rows = slice(None)
            k = {n: v[rows] if isinstance(v, np.ndarray) else v for n, v in k.items()}
            busy = busy[rows] if isinstance(busy, np.ndarray) else busy
        row = model.resources(k)
        spread = model.spread(row)
        for column, value in zip(total, row, strict=True):
            column[rows] += value
        beside = (side for index in _BOUNDED for side in spread[index])
        # FIFOs err alike: their margins are added before they are squared.
        for column, side in zip(skids if kind == "Fifo" else squares, beside, strict=True):
            if some(side):
                column[rows] += side if kind == "Fifo" else side * side
        cycles[rows] = np.maximum(cycles[rows], busy)
    np.multiply(skids, skids, out=skids)
    off = np.sqrt(np.add(squares, skids, out=squares), out=squares)
    return _bounded(list(total), cycles, list(off))


def _bounded(total: Sequence[Number], cycles: Number, off: Sequence[Number]) -> LayerCost:
    lut, ff, dsp, bram = total
    return LayerCost(
        *(lut, ff, dsp, bram, cycles),
        *(most(lut - off[0], 0.0), lut + off[1], most(ff - off[2], 0.0), ff + off[3]),
        *(bram - off[4], bram + off[5]),
    )


_Unit = tuple[str, Number | None, Fields, Number]
"""Kernel, 1 or 0 for layers with and without it (None: all have it), fields, cycles a frame."""


def _units(q: LayerQuery) -> Iterator[_Unit]:
    """The units of `layer.kernels_of`, in stream order."""
    in_h, in_w = q.in_h + 2 * q.pad_h, q.in_w + 2 * q.pad_w
    out_h = (in_h - q.kernel_h) // q.stride_h + 1
    out_w = (in_w - q.kernel_w) // q.stride_w + 1
    pixels = out_h * out_w
    folds = q.in_channels / q.simd
    lanes_width = q.simd * q.in_bits
    padded = flag((q.pad_h > 0) | (q.pad_w > 0))
    windows = flag((q.kernel_h > 1) | (q.kernel_w > 1) | (q.stride_h > 1) | (q.stride_w > 1))
    if np.any(padded):
        yield from _with_fifo(
            "Pad",
            padded,
            {
                "in_h": q.in_h,
                "in_w": q.in_w,
                "folds": folds,
                "top": q.pad_h,
                "bottom": q.pad_h,
                "left": q.pad_w,
                "right": q.pad_w,
                "simd": q.simd,
                "bits": q.in_bits,
            },
            in_h * in_w * folds,
            lanes_width,
        )
    if np.any(windows):
        beats = most(in_h * in_w, pixels * q.kernel_h * q.kernel_w) * folds
        yield from _with_fifo(
            "Swu",
            windows,
            {
                "in_h": in_h,
                "in_w": in_w,
                "kernel_h": q.kernel_h,
                "kernel_w": q.kernel_w,
                "out_h": out_h,
                "out_w": out_w,
                "folds": folds,
                "simd": q.simd,
                "bits": q.in_bits,
                "buffer_depth": _buffer_depth(q, in_w, folds, beats),
            },
            beats,
            lanes_width,
        )
    mw = q.kernel_h * q.kernel_w * q.in_channels
    sf, nf = mw / q.simd, q.out_channels / q.pe
    acc_bits = _acc_bits(q, mw)
    cycles = pixels * sf * nf
    room = most(where(nf > 1, sf, MIN_FIFO_DEPTH), MIN_FIFO_DEPTH)
    yield "Fifo", None, {"width": lanes_width, "depth": room}, pixels * sf
    yield (
        "Mvu",
        None,
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
    yield from _back(q, pixels, acc_bits, nf, out_h, out_w)


def _back(
    q: LayerQuery, pixels: Number, acc_bits: Number, folds: Number, out_h: Number, out_w: Number
) -> Iterator[_Unit]:
    """Threshold and pooling, or bias and label select."""
    hidden = flag(q.activation > 0)
    wide = q.pe * acc_bits
    if np.any(hidden):
        fields: Fields = {
            "pe": q.pe,
            "folds": folds,
            "in_bits": acc_bits,
            "out_bits": most(q.act_bits, 1.0),
        }
        yield from _with_fifo("Threshold", hidden, fields, pixels * folds, wide)
        pooled = hidden * flag(q.pool > 1)
        if np.any(pooled):
            fields = {
                "in_h": out_h,
                "in_w": out_w,
                "folds": folds,
                "kernel": q.pool,
                "pe": q.pe,
                "bits": most(q.act_bits, 1.0),
                "out_w": out_w // q.pool,
            }
            busy = pixels * folds
            yield from _with_fifo("MaxPool", pooled, fields, busy, q.pe * q.act_bits)
    last = 1.0 - hidden
    if np.any(last):
        index_bits = most(clog2(q.out_channels), 1.0)
        fields = {
            "pe": q.pe,
            "folds": folds,
            "in_bits": acc_bits,
            "bias_bits": acc_bits,
            "out_bits": acc_bits + 1,
        }
        yield from _with_fifo("ChannelAdd", last, fields, pixels * folds, wide)
        fields = {
            "classes": q.out_channels,
            "pe": q.pe,
            "in_bits": acc_bits + 1,
            "index_bits": index_bits,
        }
        yield from _with_fifo("LabelSelect", last, fields, folds, wide + q.pe)
        yield "Fifo", last, {"width": index_bits, "depth": float(MIN_FIFO_DEPTH)}, 1.0


def _with_fifo(
    kind: str, present: Number, fields: Fields, cycles: Number, width: Number
) -> Iterator[_Unit]:
    yield "Fifo", present, {"width": width, "depth": float(MIN_FIFO_DEPTH)}, 0.0
    yield kind, present, fields, cycles


def _buffer_depth(q: LayerQuery, in_w: Number, folds: Number, cycles: Number) -> Number:
    """`Swu.buffer_depth`."""
    row = in_w * folds
    span = (q.kernel_h - 1) * row + q.kernel_w * folds
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
    highest = mw * where(q.in_signed > 0, half * top, (half - 1) * top)
    # Of signed ones the lowest product is a lowest weight times a highest activation, or the
    # reverse, whichever is further down.
    lowest = where(q.in_signed > 0, most(lowest, mw * (half - 1) * top), lowest)
    return most(clog2(lowest), clog2(highest + 1)) + 1


def uncalibrated(query: LayerQuery, family: str) -> str:
    """Why one layer's cost is not known; empty where it is."""
    for kind, present, fields, _ in _units(query):
        if present is None or present > 0:
            numbers = {name: float(value) for name, value in fields.items()}
            why = kernel_model(kind, family).why(numbers)
            if why:
                return why
    return ""


def complaint(query: LayerQuery) -> str:
    """What is wrong with one layer's query, in one clause; empty where nothing is."""
    q = {name: float(value) for name, value in vars(query).items()}
    for name, value in q.items():
        least_value = 0 if name in _MAY_BE_ZERO else 1
        if not value.is_integer() or value < least_value:
            return f"{name} is {value:g}, not a whole number of at least {least_value}"
    for name, (low, high) in _RANGES.items():
        if not low <= q[name] <= high:
            return f"{name} is {q[name]:g}, hardware has {low} to {high}"
    if q["activation"] and not q["act_bits"]:
        return "act_bits is 0, and the layer has an activation"
    if q["out_channels"] % q["pe"]:
        return f"pe {q['pe']:g} does not divide out_channels {q['out_channels']:g}"
    windows = max(q["kernel_h"], q["kernel_w"], q["stride_h"], q["stride_w"]) > 1
    if q["in_channels"] % q["simd"]:
        return f"simd {q['simd']:g} does not divide in_channels {q['in_channels']:g}"
    for side, kernel, pad in (("in_h", "kernel_h", "pad_h"), ("in_w", "kernel_w", "pad_w")):
        if windows and q[kernel] > q[side] + 2 * q[pad]:
            return f"{kernel} {q[kernel]:g} is larger than the padded image, {side} {q[side]:g}"
    return ""


_MAY_BE_ZERO = frozenset({"act_bits", "pad_h", "pad_w", "activation", "in_signed", "dsp", "block"})
_RANGES = {
    "weight_bits": (WEIGHT_BITS.start, WEIGHT_BITS.stop - 1),
    "in_bits": (1, MOST_BITS),
    "act_bits": (0, MOST_BITS),
    "activation": (0, 1),
    "in_signed": (0, 1),
    "dsp": (0, 1),
    "block": (0, 1),
}
"""Field -> least and greatest value."""
