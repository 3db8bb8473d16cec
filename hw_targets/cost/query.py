"""Queries for layers: what one layer costs, or a million of them, without building any kernel.

A `LayerQuery` holds numbers for one layer or columns for many. Its units are the ones lowering
builds (`hw_targets.cost.layer`), priced by the same models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from operator import add

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis import Fields, Number
from hw_targets.cost.basis.arithmetic import most
from hw_targets.cost.basis.products import MOST_BITS
from hw_targets.cost.model import KernelModel, kernel_model
from hw_targets.cost.query_units import LEAST_DEPTH, LayerQuery, Parts, parts_of, units
from hw_targets.lanes import gains
from hw_targets.rtl.mvu import WEIGHT_BITS

__all__ = ["LayerCost", "LayerQuery", "complaint", "layer_cost", "uncalibrated"]

CHUNK = 4096
"""Layers a column that is worked through at once: what fits the processor's caches."""


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
    for parts, rows in _alike(query, size):
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            part = {n: v.take(chunk) if isinstance(v, np.ndarray) else v for n, v in values.items()}
            found = _many(LayerQuery(**part), parts, len(chunk), family)
            for name, column in total.items():
                column[chunk] = getattr(found, name)
    return LayerCost(**total)


def _alike(query: LayerQuery, size: int) -> Iterator[tuple[Parts, NDArray[np.intp]]]:
    """Rows that have the same units, so that none is worked out for layers without it."""
    key = np.zeros(size, dtype=np.uint8)
    for bit, part in enumerate(parts_of(query)):
        key |= np.left_shift(np.asarray(part, dtype=np.uint8), bit)
    order = np.argsort(key, kind="stable")
    found, starts = np.unique(key[order], return_index=True)
    for code, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        yield Parts(*(bool(code >> bit & 1) for bit in range(len(dataclasses.fields(Parts))))), rows


def _one(query: LayerQuery, family: str) -> LayerCost:
    """What one layer costs."""
    total: list[Number] = [0.0] * (_COUNTS + 2 * _SIDES)
    cycles: Number = 0.0
    for kind, k, busy in units(query, Parts(*map(bool, parts_of(query)))):
        model = kernel_model(kind, family)
        key = tuple(k.values())
        cost = model.kept.get(key)
        if cost is None:
            if len(model.kept) >= KEPT:
                model.kept.clear()
            cost = model.kept[key] = _unit(model, k)
        total = list(map(add, total, cost))
        cycles = most(cycles, busy)
    sides, squares = total[_COUNTS:-_SIDES], total[-_SIDES:]
    off = [sqrt(sum_ + side * side) for sum_, side in zip(squares, sides, strict=True)]
    return _bounded(total[:_COUNTS], cycles, off)


def _unit(model: KernelModel, k: Fields) -> tuple[Number, ...]:
    """Counts of one unit; its margins, of FIFOs; the squares of its margins, of others."""
    row = model.resources(k)
    spread = model.spread(row)
    sides = [side for index in _BOUNDED for side in spread[index]]
    nothing = [0.0] * _SIDES
    # FIFOs err alike: their margins are added before they are squared.
    if model.kind == "Fifo":
        return (*row, *sides, *nothing)
    return (*row, *nothing, *(side * side for side in sides))


KEPT = 1 << 14
"""Units of a kind whose costs are kept: a search asks for the same ones again and again."""
_COUNTS = 4
"""LUT, FF, DSP, block RAM."""
_BOUNDED = (0, 1, 3)
"""Places of the resources with an interval: LUTs, registers and block RAMs."""
_SIDES = 2 * len(_BOUNDED)


def _many(query: LayerQuery, parts: Parts, size: int, family: str) -> LayerCost:
    """What every layer of the columns costs; all have the same parts."""
    query = dataclasses.replace(query, dsp=float(parts.dsp), block=float(parts.block))
    total, cycles = np.zeros((_COUNTS, size)), np.zeros(size)
    squares, skids = np.zeros((_SIDES, size)), np.zeros((_SIDES, size))
    skid_rows = np.zeros((size, _COUNTS + _SIDES))
    for kind, k, busy in units(query, parts):
        if kind == "Fifo" and _is_number(k["depth"], LEAST_DEPTH):
            widths = np.asarray(k["width"], dtype=np.intp)
            skid_rows += _skids(family).take(widths, axis=0, mode="clip")
            continue
        model = kernel_model(kind, family)
        row = model.resources(k)
        spread = model.spread(row)
        for column, value in zip(total, row, strict=True):
            column += value
        # FIFOs err alike: their margins are added before they are squared.
        beside = [side for index in _BOUNDED for side in spread[index]]
        for column, side in zip(skids if kind == "Fifo" else squares, beside, strict=True):
            if isinstance(side, np.ndarray) or side:
                column += side if kind == "Fifo" else side * side
        np.maximum(cycles, busy, out=cycles)
    total += skid_rows.T[:_COUNTS]
    skids += skid_rows.T[_COUNTS:]
    np.multiply(skids, skids, out=skids)
    off = np.sqrt(np.add(squares, skids, out=squares), out=squares)
    return _bounded(list(total), cycles, list(off))


def _is_number(value: Number, number: float) -> bool:
    return not isinstance(value, np.ndarray) and value == number


@cache
def _skids(family: str) -> NDArray[np.float64]:
    """FIFOs of the least depth, which every stream has: counts and margins by width; the last row
    is that of all widths beyond the calibrated domain."""
    model = kernel_model("Fifo", family)
    widest = int(model.fit.domain["width"][1]) if model.fit else 0
    widths = np.arange(widest + 2, dtype=np.float64)
    row = model.resources({"width": widths, "depth": np.full(len(widths), LEAST_DEPTH)})
    sides = [side for index in _BOUNDED for side in model.spread(row)[index]]
    return np.stack(np.broadcast_arrays(*row, *sides), axis=1).astype(np.float64)


def _bounded(total: Sequence[Number], cycles: Number, off: Sequence[Number]) -> LayerCost:
    lut, ff, dsp, bram = total
    return LayerCost(
        *(lut, ff, dsp, bram, cycles),
        *(most(lut - off[0], 0.0), lut + off[1], most(ff - off[2], 0.0), ff + off[3]),
        *(bram - off[4], bram + off[5]),
    )


def uncalibrated(query: LayerQuery, family: str) -> str:
    """Why one layer's cost is not known; empty where it is."""
    for kind, fields, _ in units(query, Parts(*map(bool, parts_of(query)))):
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
    for axis in "hw":
        side, kernel, apart = f"in_{axis}", f"kernel_{axis}", q[f"dilation_{axis}"]
        if windows and (q[kernel] - 1) * apart >= q[side] + 2 * q[f"pad_{axis}"]:
            dilated = f" with dilation {apart:g}" if apart > 1 else ""
            return (
                f"{kernel} {q[kernel]:g}{dilated} is larger than the padded image, "
                f"{side} {q[side]:g}"
            )
    return _simd_complaint(q, windows)


def _simd_complaint(q: dict[str, float], windows: bool) -> str:
    """What is wrong with its SIMD; empty where nothing is."""
    simd, channels, taps = q["simd"], q["in_channels"], q["kernel_h"] * q["kernel_w"]
    if simd <= channels or not windows:
        wrong = bool(channels % simd)
        return f"simd {simd:g} does not divide in_channels {channels:g}" if wrong else ""
    if simd % channels or taps * channels % simd:
        return f"simd {simd:g} is not all channels of a divisor of the kernel's {taps:g} pixels"
    height, width = q["in_h"] + 2 * q["pad_h"], q["in_w"] + 2 * q["pad_w"]
    rows = (height - (q["kernel_h"] - 1) * q["dilation_h"] - 1) // q["stride_h"] + 1
    columns = (width - (q["kernel_w"] - 1) * q["dilation_w"] - 1) // q["stride_w"] + 1
    if not gains(simd / channels, taps, height * width, rows * columns):
        return f"simd {simd:g}: several pixels of the kernel a beat are no faster than one here"
    return ""


_MAY_BE_ZERO = frozenset(
    {"act_bits", "pad_h", "pad_w", "activation", "in_signed", "dsp", "block", "multiplier"}
)
_RANGES = {
    "weight_bits": (WEIGHT_BITS.start, WEIGHT_BITS.stop - 1),
    "in_bits": (1, MOST_BITS),
    "act_bits": (0, MOST_BITS),
    "activation": (0, 1),
    "in_signed": (0, 1),
    "dsp": (0, 1),
    "block": (0, 1),
    "multiplier": (0, 1),
}
"""Field -> least and greatest value."""
