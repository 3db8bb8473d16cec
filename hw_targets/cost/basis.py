"""Physical basis of every kernel: what its hardware is made of, in countable terms.

A resource is a weighted sum of the terms, the weights fitted to synthesis results
(`hw_targets/cost/data`). Terms are never negative and never shrink when a width, a fold's
parallelism or a depth grows, so neither does an estimate. Multipliers and block RAMs are not
fitted: they are counted exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hw_targets.cost.features import Column, Columns
from hw_targets.cost.products import product_counts
from hw_targets.families import Family, LutRam
from hw_targets.rtl.threshold import BLOCK_ROM_BITS

Terms = dict[str, Column]

FEW_WORDS = 8
READ_FIRST_DEPTH = 32
"""Threshold memories deeper than this are read a clock cycle ahead (`lf_threshold`)."""


@dataclass(frozen=True)
class Basis:
    """Terms of the fitted resources, and exact counts of the hard blocks; columns of (n,)."""

    lut: Terms
    ff: Terms
    dsp: Column
    bram: Column


def _clog2(value: Column) -> Column:
    """Address bits of `value` words: ceil(log2(value)), 0 for one word."""
    return np.ceil(np.log2(np.maximum(value, 1.0)) - 1e-9)


def _rom(depth: Column, family: Family) -> tuple[Column, Column]:
    """LUTs for one bit of a constant memory: those at its leaves, and multiplexers above them.

    A memory of one word is a constant; of two words every bit is the address bit, its inverse or
    constant; of four words so few functions exist that bits share them.
    """
    leaves = np.ceil(depth / 2**family.lut_inputs)
    shared = np.where(depth <= 2, 0.0, np.where(depth <= 4, 0.6, 1.0))
    return leaves * shared, leaves - 1


def _cell(family: Family) -> LutRam:
    """The family's LUT RAM; families without one have no basis, and no estimates (`model`)."""
    if family.lut_ram is None:
        raise ValueError(f"{family.name} has no LUT RAM")
    return family.lut_ram


def _lut_ram(depth: Column, width: Column, family: Family) -> Column:
    """LUTs of a two-port LUT RAM, by the cell's shape."""
    cell = _cell(family)
    shapes = [
        np.ceil(depth / words) * np.ceil(width / bits) * cell.luts for words, bits in cell.shapes
    ]
    return np.asarray(np.minimum.reduce(shapes))


def _blocks(depth: Column, width: Column, family: Family) -> Column:
    """Block RAMs of a memory: the aspect ratio that needs the fewest."""
    shapes = [
        np.ceil(depth / words) * np.ceil(width / bits) for words, bits in family.block_ram.shapes
    ]
    return np.asarray(np.minimum.reduce(shapes))


def _in_block_ram(depth: Column, width: Column, family: Family) -> Column:
    """1 where Yosys puts a memory without a style attribute into block RAM, else 0.

    Source: `memory_libmap`, which weighs cells by the costs in its library files and adds half a
    unit for every bit of the multiplexers between banks.
    """
    cell = _cell(family)
    options = []
    for words, bits in cell.shapes:
        banks = np.ceil(depth / words)
        cells = cell.cost * np.ceil(width / bits) + cell.cost_width * width / bits
        options.append(banks * cells + (banks - 1) * width / 2)
    soft = np.asarray(np.minimum.reduce(options))
    hard = family.block_ram.cost * _blocks(depth, width, family)
    return np.where(soft > hard, 1.0, 0.0)


def _mvu(k: Columns, family: Family) -> Basis:
    """Digits of two bits multiply in tables; their diagonals are added, then the lanes."""
    lanes, simd, pe = k["pe"] * k["simd"], k["simd"], k["pe"]
    sf, nf = k["column_folds"], k["row_folds"]
    words = sf * nf
    one = np.ones_like(lanes)
    asked = lanes * k["dsp"]
    hard = asked * (k["weight_bits"] + k["act_bits"] >= family.multiplier.least_product)
    soft = lanes - asked
    # Among few words many weight bits are constant or equal, and what they feed gets simpler.
    fixed = (words <= 1).astype(np.float64)
    many = (words > FEW_WORDS).astype(np.float64)
    few = 1 - fixed - many
    block = k["block"] * (1 - fixed)
    vector, rom_bits = simd * k["act_bits"], lanes * k["weight_bits"]

    rom_leaves, rom_muxes = _rom(words, family)
    replay = (nf > 1).astype(np.float64)
    buffer = np.where(sf <= 2, 2.0, np.where(sf <= 16, 16.0, 2.0 ** _clog2(sf)))
    block_buffer = replay * (buffer >= 128) * (buffer * vector >= 4096)
    extra = np.maximum(block_buffer, block)

    diagonals = np.ceil(k["weight_bits"] / 2) + np.ceil(k["act_bits"] / 2) - 1
    widths = (k[name].astype(np.intp) for name in ("weight_bits", "act_bits", "act_signed"))
    tables, adders, product_registers = np.moveaxis(product_counts()[tuple(widths)], -1, 0)
    product = k["weight_bits"] + k["act_bits"]
    multiply = np.where(k["dsp"] > 0, 1.0, np.maximum(1.0, _clog2(diagonals)))
    levels = _clog2(simd)
    tree_adders, tree_registers = _tree(simd, product)
    control = _clog2(sf) + _clog2(nf) + _clog2(words)
    positions = replay * 3 * (_clog2(buffer) + 1)
    sums = pe * k["acc_bits"] * (sf > 1)
    tree = pe * tree_adders
    lut = {
        "const": one,
        "control": control,
        "positions": positions,
        "tables": soft * many * tables,
        "adders": soft * many * adders,
        "tree": (1 - k["dsp"]) * many * tree,
        "few": few * (soft * (tables + adders) + (1 - k["dsp"]) * tree),
        "fixed": fixed * (soft * (tables + adders) + (1 - k["dsp"]) * tree),
        "tree_hard": tree * k["dsp"],
        # Too small for the multiplier the tool would take: its own multiplier in LUTs.
        "refused": (asked - hard) * k["weight_bits"] * k["act_bits"],
        "accumulate": sums,
        "rom": (1 - block) * rom_bits * rom_leaves,
        "rom_mux": (1 - block) * rom_bits * rom_muxes,
        "replay": (replay - block_buffer) * _lut_ram(buffer, vector, family),
        "vector": replay * vector,
    }
    ff = {
        "const": one,
        "control": control,
        "positions": positions,
        "latency": 2 * (1 + extra + multiply + levels),
        "products": soft * product_registers,
        "products_hard": asked * product,
        "tree": pe * tree_registers * (1 - k["dsp"]),
        "tree_hard": pe * tree_registers * k["dsp"],
        "accumulate": sums + pe * k["acc_bits"],
        "rom": (1 - fixed) * (1 - block) * rom_bits,
        "vector": (1 - block_buffer) * vector,
        "extra": extra * (vector + rom_bits * (1 - fixed)),
    }
    return Basis(
        lut,
        ff,
        dsp=hard,
        bram=block * _blocks(words, rom_bits, family)
        + block_buffer * _blocks(buffer, vector, family),
    )


def _tree(terms: Column, bits: Column) -> tuple[Column, Column]:
    """Bits added and bits registered in a binary adder tree, a register after every level."""
    added, registered = np.zeros_like(terms), np.zeros_like(terms)
    left, level = terms.copy(), 0
    while left.max() > 1:
        level += 1
        busy = left > 1
        added += np.where(busy, np.floor(left / 2) * (bits + level), 0.0)
        left = np.ceil(left / 2)
        registered += np.where(busy, left * (bits + level), 0.0)
    return added, registered


def _threshold(k: Columns, family: Family) -> Basis:
    """A binary search: one comparison a result bit, its threshold from a memory a lane."""
    pe, bits, width = k["pe"], k["out_bits"], k["in_bits"] + 1
    rom, rom_mux, bram, registers, folds, reads, memory = (np.zeros_like(pe) for _ in range(7))
    for stage in range(int(bits.max())):
        used = (bits > stage).astype(np.float64)
        depth = k["folds"] * 2.0**stage
        block = used * (depth * width >= BLOCK_ROM_BITS)
        read = used * ((block > 0) | (depth > READ_FIRST_DEPTH))
        bram += block * _blocks(depth, width, family)
        leaves, muxes = _rom(depth, family)
        rom += (used - block) * width * leaves
        rom_mux += (used - block) * width * muxes
        # The input value is dead after the last comparison, the first prefix bits are empty.
        values = used * (bits > stage + 1) * k["in_bits"]
        registers += values + used * (stage + 1) + read * (k["in_bits"] + stage)
        folds += (used * (bits > stage + 1) + read) * _clog2(k["folds"])
        reads += read
        memory += (read - block) * width
    zero = np.zeros_like(pe)
    fixed = (k["folds"] <= 1).astype(np.float64)
    lut = {
        "const": np.ones_like(pe),
        "fold": _clog2(k["folds"]),
        "stages": bits + reads,
        "compare": pe * width * (bits - fixed),
        "compare_fixed": pe * width * fixed,
        "rom": pe * rom,
        "rom_mux": pe * rom_mux,
    }
    ff = {
        "fold": _clog2(k["folds"]),
        "folds": folds,
        "stages": bits + reads,
        "lanes": pe * registers,
        "read": pe * memory,
    }
    return Basis(lut, ff, dsp=zero, bram=pe * bram)


def _swu(k: Columns, family: Family) -> Basis:
    width, depth = k["simd"] * k["bits"], k["buffer_depth"]
    block = _in_block_ram(depth, width, family)
    counters = (
        _clog2(k["kernel_w"] * k["folds"] + 1)
        + _clog2(k["kernel_h"] + 1)
        + _clog2(k["out_w"] + 1)
        + _clog2(k["out_h"] + 1)
    )
    lut = {
        "const": np.ones_like(width),
        "address": _clog2(depth),
        "counters": counters,
        "buffer": (1 - block) * _lut_ram(depth, width, family),
        "width": width,
        "banks": (1 - block) * width * (np.ceil(depth / _cell(family).shapes[-1][0]) - 1),
    }
    ff = {
        "const": np.ones_like(width),
        "address": _clog2(depth),
        "counters": counters,
        "width": width,
        "fetched": (1 - block) * width,
    }
    return Basis(lut, ff, dsp=np.zeros_like(width), bram=block * _blocks(depth, width, family))


def _pad(k: Columns, _: Family) -> Basis:
    width = k["simd"] * k["bits"]
    row = (k["in_w"] + k["left"] + k["right"]) * k["folds"]
    counters = _clog2(row * (k["top"] + k["bottom"] + 1)) + _clog2(k["in_h"] + 1)
    terms = {"const": np.ones_like(width), "counters": counters, "width": width}
    zero = np.zeros_like(width)
    return Basis(terms, terms, dsp=zero, bram=zero)


def _maxpool(k: Columns, family: Family) -> Basis:
    width, row = k["pe"] * k["bits"], k["out_w"] * k["folds"]
    block = _in_block_ram(row, width, family)
    counters = _clog2(k["in_h"]) + _clog2(k["in_w"]) + _clog2(k["folds"])
    lut = {
        "const": np.ones_like(width),
        "counters": counters,
        "slots": _clog2(k["folds"]) + _clog2(row),
        "lanes": k["pe"],
        "compare": width,
        "row": np.where(k["folds"] > 1, _lut_ram(k["folds"], width, family), 0.0),
        "column": (1 - block) * np.where(row > 1, _lut_ram(row, width, family), 0.0),
    }
    # Either memory hands its next word to registers; block RAM has its own.
    fetched = width * (k["folds"] > 1) + width * (row > 1) * (1 - block)
    ff = {
        "const": np.ones_like(width),
        "counters": counters,
        "slots": _clog2(k["folds"]) + _clog2(row),
        "width": width,
        "fetched": fetched,
    }
    return Basis(lut, ff, dsp=np.zeros_like(width), bram=block * _blocks(row, width, family))


def _channel_add(k: Columns, family: Family) -> Basis:
    pe = k["pe"]
    fixed = (k["folds"] <= 1).astype(np.float64)
    lut = {
        "const": np.ones_like(pe),
        "fold": _clog2(k["folds"]),
        "sums": pe * k["out_bits"],
        "rom": pe * k["bias_bits"] * _rom(k["folds"], family)[0],
    }
    ff = {
        "const": np.ones_like(pe),
        "fold": _clog2(k["folds"]),
        "value": pe * k["in_bits"],
        "bias": pe * k["bias_bits"] * (1 - fixed),
        "sums": pe * k["out_bits"],
    }
    zero = np.zeros_like(pe)
    return Basis(lut, ff, dsp=zero, bram=zero)


def _label_select(k: Columns, _: Family) -> Basis:
    pe = k["pe"]
    pairs = 2.0 ** _clog2(pe) - 1
    terms = {
        "const": np.ones_like(pe),
        "index": k["index_bits"],
        "best": k["in_bits"],
        "tree": (pe - 1) * (k["in_bits"] + k["index_bits"]),
        "pairs": pairs,
    }
    zero = np.zeros_like(pe)
    return Basis(terms, terms, dsp=zero, bram=zero)


def _fifo(k: Columns, family: Family) -> Basis:
    width, words = k["width"], k["depth"] - 1
    deep = (k["depth"] > 2).astype(np.float64)
    block = deep * _in_block_ram(words, width, family)
    lut = {
        "const": np.ones_like(width),
        "skid": (1 - deep) * width,
        "deep": deep,
        "address": deep * _clog2(words),
        "memory": (deep - block) * _lut_ram(words, width, family),
        "banks": (deep - block) * width * (np.ceil(words / _cell(family).shapes[-1][0]) - 1),
        "block": block * width,
    }
    ff = {
        "const": np.ones_like(width),
        "skid": (1 - deep) * width,
        "deep": deep,
        "address": deep * _clog2(words),
        "output": (deep - block) * width,
        "block": block * width,
    }
    return Basis(lut, ff, dsp=np.zeros_like(width), bram=block * _blocks(words, width, family))


def _width_converter(k: Columns, _: Family) -> Basis:
    wide = np.maximum(k["in_lanes"], k["out_lanes"])
    ratio = wide / np.minimum(k["in_lanes"], k["out_lanes"])
    down = (k["in_lanes"] > k["out_lanes"]).astype(np.float64)
    terms = {
        "const": np.ones_like(wide),
        "count": _clog2(ratio),
        "gather": (1 - down) * wide * k["bits"],
        "spread": down * wide * k["bits"],
    }
    zero = np.zeros_like(wide)
    return Basis(terms, terms, dsp=zero, bram=zero)


BASES: dict[str, Callable[[Columns, Family], Basis]] = {
    "Mvu": _mvu,
    "Threshold": _threshold,
    "Swu": _swu,
    "Pad": _pad,
    "MaxPool": _maxpool,
    "ChannelAdd": _channel_add,
    "LabelSelect": _label_select,
    "Fifo": _fifo,
    "WidthConverter": _width_converter,
}
"""Kernel class name -> its basis."""
