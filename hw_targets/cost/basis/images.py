"""Bases of what works on images: sliding windows, padding, maximum pooling, upsampling."""

from __future__ import annotations

import numpy as np

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, most, some
from hw_targets.cost.basis.products import maximum_table
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    block_ram,
    blocks,
    in_block_ram,
    lut_ram,
    lut_ram_cell,
    muxes,
)
from hw_targets.families import Family


def swu(k: Fields, family: Family) -> Basis:
    """A line buffer in LUT or block RAM, written in order and read window by window."""
    width, depth = k["simd"] * k["bits"], k["buffer_depth"]
    block = in_block_ram(depth, width, family)
    # Pixels of a row that lie apart are counted, beside their words.
    apart = flag(k["dilation_w"] > 1) * flag(k["kernel_w"] > 1)
    counters = (
        clog2((1 + (k["kernel_w"] - 1) * (1 - apart)) * k["folds"] + 1)
        + apart * clog2(k["kernel_w"] + 1)
        + clog2(k["kernel_h"] + 1)
        + clog2(k["out_w"] + 1)
        + clog2(k["out_h"] + 1)
    )
    # Bits multiplexed between banks, of either kind.
    between = (1 - block) * width * (ceil(depth / lut_ram_cell(family).shapes[-1][0]) - 1)
    bram = block
    if some(block):
        needed, muxed = block_ram(depth, width, family)
        bram, between = block * needed, between + block * muxed
    const, address = 1.0, clog2(depth)
    lut = {
        "const": const,
        "address": address,
        "lines": address * flag(k["kernel_h"] > 1),
        "apart": address * apart,
        "counters": counters,
        "buffer": (1 - block) * lut_ram(depth, width, family),
        "width": width,
        "banks": between,
    }
    ff = {
        "const": const,
        "address": address,
        "counters": counters,
        "width": width,
        "fetched": (1 - block) * width,
    }
    return Basis(lut, ff, dsp=0.0, bram=bram)


def parallel_window(k: Fields, family: Family) -> Basis:
    """Rows above in LUT or block RAM, the window in registers, and a way out for its parts."""
    depth, word, beats = k["in_w"], k["above"] * k["width"], k["beats"]
    rows, parts = flag(k["above"] > 0), flag(beats > 1)
    taps = k["kernel_h"] * k["kernel_w"] * k["width"] / beats
    block = rows * in_block_ram(depth, most(word, 1.0), family)
    soft = rows - block
    column = clog2(depth + 1)
    # Of an image of one row nothing is counted but columns.
    row_wait = clog2(most(k["above"], k["stride_h"]) + 1)
    row = flag(k["in_h"] > 1) * (clog2(k["in_h"] + 1) + row_wait)
    wait = clog2(most(k["before"], k["stride_w"]) + 1)
    const, counters = 1.0, column + row
    between = soft * word * (ceil(depth / lut_ram_cell(family).shapes[-1][0]) - 1)
    bram = block
    if some(block):
        needed, muxed = block_ram(depth, most(word, 1.0), family)
        bram, between = block * needed, between + block * muxed
    lut = {
        "const": const,
        "counters": counters,
        "wait": wait,
        # It starts at another number than that of a stride on.
        "strides": wait * flag(k["stride_w"] > 1),
        "address": rows * column,
        "buffer": soft * lut_ram(depth, word, family),
        "banks": between,
        "parts": taps * ceil((beats - 1) / muxes(family)),
        "parts_many": taps * flag(beats > 2 * muxes(family)),
        "beats": parts * clog2(beats),
    }
    ff = {
        "const": const,
        "counters": counters + wait + rows * column + parts * clog2(beats),
        "window": k["kernel_h"] * (k["before"] + 1) * k["width"],
        "fetched": soft * word,
        "part": parts * taps,
    }
    return Basis(lut, ff, dsp=0.0, bram=bram)


def pad(k: Fields, _: Family) -> Basis:
    """Two counters and a multiplexer between the stream and zeros."""
    width = k["simd"] * k["bits"]
    row = (k["in_w"] + k["left"] + k["right"]) * k["folds"]
    counters = clog2(row * (k["top"] + k["bottom"] + 1)) + clog2(k["in_h"] + 1)
    terms = {"const": 1.0, "counters": counters, "width": width}
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def maxpool(k: Fields, family: Family) -> Basis:
    """Maxima of a row's pixels, then of rows, kept in two small memories."""
    pe, bits, folds = k["pe"], k["bits"], k["folds"]
    width, row = pe * bits, k["out_w"] * folds
    block = in_block_ram(row, width, family)
    counters = clog2(k["in_h"]) + clog2(k["in_w"]) + clog2(folds)
    slots = clog2(folds) + clog2(row)
    several, rows = flag(folds > 1), flag(row > 1)
    soft = (1 - block) * rows
    in_register, in_memory = maximum(family, bits)
    memories = several + rows
    const = 1.0
    lut = {
        "const": const,
        "counters": counters,
        "slots": slots,
        "maxima": pe * (memories * in_memory + (2 - memories) * in_register),
        "memories": several * lut_ram(folds, width, family) + soft * lut_ram(row, width, family),
        "banks": soft * width * (ceil(row / lut_ram_cell(family).shapes[-1][0]) - 1),
    }
    # Either memory hands its next word to registers; block RAM has its own.
    ff = {
        "const": const,
        "counters": counters,
        "slots": slots,
        "width": width,
        "fetched": width * several + width * soft,
    }
    bram = block * blocks(row, width, family) if some(block) else block
    return Basis(lut, ff, dsp=0.0, bram=bram)


def _counter(count: Number) -> Number:
    """Bits of a counter, none where there is one thing to count."""
    return clog2(count + 1) * flag(count > 1)


def upsample(k: Fields, family: Family) -> Basis:
    """A buffer of a row, or of a pixel, in LUT or block RAM, read several times."""
    width, depth = k["simd"] * k["bits"], k["buffer_depth"]
    block = in_block_ram(depth, width, family)
    address = clog2(depth)
    counters = (
        _counter(k["folds"])
        + _counter(k["in_w"]) * flag(k["scale_h"] > 1)
        + _counter(k["scale_h"])
        + _counter(k["scale_w"])
    )
    # The reader goes back a pixel, or a row.
    back = address * (flag(k["scale_w"] > 1) + flag(k["scale_h"] > 1))
    between = (1 - block) * width * (ceil(depth / lut_ram_cell(family).shapes[-1][0]) - 1)
    bram = block
    if some(block):
        needed, muxed = block_ram(depth, width, family)
        bram, between = block * needed, between + block * muxed
    lut = {
        "const": 1.0,
        "address": address,
        "back": back,
        "counters": counters,
        "buffer": (1 - block) * lut_ram(depth, width, family),
        "banks": between,
    }
    ff = {
        "const": 1.0,
        "address": address,
        "back": address * flag(back > 0),
        "counters": counters,
        "width": width,
        "fetched": (1 - block) * width,
    }
    return Basis(lut, ff, dsp=0.0, bram=bram)


def maximum(family: Family, bits: Number) -> tuple[Number, ...]:
    """LUTs of a lane's running maximum as measured (`products`): in a register, in a memory."""
    table = maximum_table(family.name)
    if isinstance(bits, np.ndarray):
        index = bits.astype(np.intp)
        return tuple(column.take(index, mode="clip") for column in table)
    last = len(table[0]) - 1
    return tuple(float(column[min(int(bits), last)]) for column in table)
