"""Bases of what works on images: sliding window, padding, maximum pooling."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import ceil, clog2, flag, some
from hw_targets.cost.basis.terms import Basis, Fields, blocks, in_block_ram, lut_ram, lut_ram_cell
from hw_targets.families import Family


def swu(k: Fields, family: Family) -> Basis:
    """A line buffer in LUT or block RAM, written in order and read window by window."""
    width, depth = k["simd"] * k["bits"], k["buffer_depth"]
    block = in_block_ram(depth, width, family)
    counters = (
        clog2(k["kernel_w"] * k["folds"] + 1)
        + clog2(k["kernel_h"] + 1)
        + clog2(k["out_w"] + 1)
        + clog2(k["out_h"] + 1)
    )
    const = 1.0 + 0.0 * width
    lut = {
        "const": const,
        "address": clog2(depth),
        "counters": counters,
        "buffer": (1 - block) * lut_ram(depth, width, family),
        "width": width,
        "banks": (1 - block) * width * (ceil(depth / lut_ram_cell(family).shapes[-1][0]) - 1),
    }
    ff = {
        "const": const,
        "address": clog2(depth),
        "counters": counters,
        "width": width,
        "fetched": (1 - block) * width,
    }
    bram = block * blocks(depth, width, family) if some(block) else block
    return Basis(lut, ff, dsp=0.0, bram=bram)


def pad(k: Fields, _: Family) -> Basis:
    """Two counters and a multiplexer between the stream and zeros."""
    width = k["simd"] * k["bits"]
    row = (k["in_w"] + k["left"] + k["right"]) * k["folds"]
    counters = clog2(row * (k["top"] + k["bottom"] + 1)) + clog2(k["in_h"] + 1)
    terms = {"const": 1.0 + 0.0 * width, "counters": counters, "width": width}
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def maxpool(k: Fields, family: Family) -> Basis:
    """Maxima of a row's pixels, then of rows, kept in two small memories."""
    width, row = k["pe"] * k["bits"], k["out_w"] * k["folds"]
    block = in_block_ram(row, width, family)
    counters = clog2(k["in_h"]) + clog2(k["in_w"]) + clog2(k["folds"])
    slots = clog2(k["folds"]) + clog2(row)
    several, rows = flag(k["folds"] > 1), flag(row > 1)
    const = 1.0 + 0.0 * width
    lut = {
        "const": const,
        "counters": counters,
        "slots": slots,
        "lanes": k["pe"],
        "compare": width,
        "row": several * lut_ram(k["folds"], width, family),
        "column": (1 - block) * rows * lut_ram(row, width, family),
    }
    # Either memory hands its next word to registers; block RAM has its own.
    ff = {
        "const": const,
        "counters": counters,
        "slots": slots,
        "width": width,
        "fetched": width * several + width * rows * (1 - block),
    }
    bram = block * blocks(row, width, family) if some(block) else block
    return Basis(lut, ff, dsp=0.0, bram=bram)
