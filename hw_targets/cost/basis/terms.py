"""What a basis is, and the terms that several kernels share: constant memories, RAMs, blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hw_targets.cost.basis.arithmetic import Number, ceil, flag, least, where, whole
from hw_targets.families import Family, LutRam

Fields = Mapping[str, Number]
"""A kernel's fields by name: numbers for one kernel, columns of equal length for many."""
Terms = dict[str, Number]


@dataclass(frozen=True)
class Basis:
    """Terms of the fitted resources, and exact counts of the hard blocks."""

    lut: Terms
    ff: Terms
    dsp: Number
    bram: Number


def lut_ram_cell(family: Family) -> LutRam:
    """The family's LUT RAM; families without one have no basis, and no estimates (`model`)."""
    if family.lut_ram is None:
        raise ValueError(f"{family.name} has no LUT RAM")
    return family.lut_ram


def rom(depth: Number, family: Family) -> tuple[Number, Number]:
    """LUTs for one bit of a constant memory: those at its leaves, and multiplexers above them.

    A memory of one word is a constant; of two words every bit is the address bit, its inverse or
    constant; of four words so few functions exist that bits share them.
    """
    leaves = ceil(depth / 2**family.lut_inputs)
    shared = where(depth <= 2, 0.0, where(depth <= 4, 0.6, 1.0))
    return leaves * shared, leaves - 1


def lut_ram(depth: Number, width: Number, family: Family) -> Number:
    """LUTs of a two-port LUT RAM, by the cell's shape."""
    cell = lut_ram_cell(family)
    found: Number | None = None
    for words, bits in cell.shapes:
        luts = whole(depth, words) * whole(width, bits) * cell.luts
        found = luts if found is None else least(found, luts)
    assert found is not None
    return found


def blocks(depth: Number, width: Number, family: Family) -> Number:
    """Block RAMs of a memory: the aspect ratio that needs the fewest."""
    found: Number | None = None
    for words, bits in family.block_ram.shapes:
        count = whole(depth, words) * whole(width, bits)
        found = count if found is None else least(found, count)
    assert found is not None
    return found


def in_block_ram(depth: Number, width: Number, family: Family) -> Number:
    """1 where Yosys puts a memory without a style attribute into block RAM, else 0.

    Source: `memory_libmap`, which weighs cells by the costs in its library files and adds half a
    unit for every bit of the multiplexers between banks.
    """
    cell = lut_ram_cell(family)
    soft: Number | None = None
    for words, bits in cell.shapes:
        banks = whole(depth, words)
        cells = cell.cost * whole(width, bits) + cell.cost_width * width / bits
        cost = banks * cells + (banks - 1) * width / 2
        soft = cost if soft is None else least(soft, cost)
    assert soft is not None
    return flag(soft > family.block_ram.cost * blocks(depth, width, family))
