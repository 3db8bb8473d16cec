"""What a basis is, and the terms that several kernels share: carries, constant memories, RAMs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hw_targets.cost.basis.arithmetic import (
    Number,
    ceil,
    clog2,
    expm1,
    flag,
    least,
    most,
    pow2,
    some,
    where,
    whole,
)
from hw_targets.families import Family, LutRam
from hw_targets.rtl.rom import GROUP

Fields = Mapping[str, Number]
"""A kernel's fields by name: numbers for one kernel, columns of equal length for many."""
Terms = dict[str, Number]

MANY_WORDS = 20.0
"""Words from which on no two bits of a constant memory are equal by chance."""
FEW_WORDS = 5
ROM_BITS = 16.0
"""Bits of a constant memory in logic that cost as much as one in `LutRam.cost`."""
FOUR_WAY_INPUTS = 6
WIDEST_INPUTS = {4: 7, 6: 8}
"""By a LUT's inputs, those of the largest one made of several with cells that are no LUTs.

L6MUX21 and MUXF8, as Yosys maps them.
"""
CARRY_PAIR = "CCU2C"
"""ECP5's carry cell: two bits, and what begins a chain or ends it takes one of them."""


@dataclass(frozen=True)
class Basis:
    """Terms of the fitted resources, and exact counts of the hard blocks.

    inside: what of the registers' terms blocks take in, where the flow moves registers behind them
    (`Family.output_registers`). Coefficients are fitted to what synthesis leaves before that.
    """

    lut: Terms
    ff: Terms
    dsp: Number
    bram: Number
    inside: Terms | None = None


def lut_ram_cell(family: Family) -> LutRam:
    """The family's LUT RAM; families without one have no basis, and no estimates (`model`)."""
    if family.lut_ram is None:
        raise ValueError(f"{family.name} has no LUT RAM")
    return family.lut_ram


def carry_pairs(family: Family) -> bool:
    """Whether carry chains are pairs of LUTs, and begin with one more (`ecp5_carries`)."""
    return CARRY_PAIR in family.cells["lut"]


def carry(bits: Number, family: Family) -> Number:
    """LUTs of a sum of `bits` on a carry chain.

    In pairs one more: for the first sum beside the chain, or in front of it for its first carry.
    """
    return bits + 1.0 if carry_pairs(family) else bits


def comparison(bits: Number, family: Family) -> Number:
    """LUTs of a comparison of `bits` on a carry chain: the last carry is its answer.

    In pairs that takes a LUT to hand it out, and a half that is left over.
    """
    return bits + 2.0 if carry_pairs(family) else bits


def muxes(family: Family) -> int:
    """Two-way multiplexers in a tree that one LUT holds: three are a four-way one of six inputs."""
    return 3 if family.lut_inputs >= FOUR_WAY_INPUTS else 1


def resets_are_few(family: Family) -> bool:
    """Whether the synthesis script allows a reset only to many registers together (ECP5)."""
    return carry_pairs(family)


def distinct(bits: Number, words: Number) -> Number:
    """How many of `bits` columns of a constant memory differ: equal ones share their logic.

    Of a few words only 2**words - 2 different columns exist besides the constant ones; contents
    are taken as random.
    """
    kinds = most(pow2(least(words, MANY_WORDS)) - 2, 1.0)
    return least(-kinds * expm1(-bits / kinds), bits)


def of_few(words: Number) -> tuple[Number, Number]:
    """Whether a registered constant memory is of few words but more than two, and of more.

    Of two words every bit is the address bit, its inverse or constant. Of up to five, resets select
    those that differ from all others where registers have their own, and little logic is left.
    """
    more = flag(words > FEW_WORDS)
    return flag(words > 2) - more, more


def further_luts(words: Number, family: Family) -> Number:
    """LUTs that a bit of a constant memory in logic takes beside the first.

    They lie behind multiplexers that cost nothing, as far as those go (`lf_lookup`). Those are a
    tree: what is left of the words is as many as the next power of two.
    """
    free = 2.0 ** WIDEST_INPUTS[family.lut_inputs]
    whole_trees = ceil(words / free) - 1
    left = pow2(clog2(words - whole_trees * free))
    luts = whole_trees * free / 2.0**family.lut_inputs + ceil(left / 2.0**family.lut_inputs)
    return luts - 1 + whole_trees / muxes(family)


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


def block_ram(
    depth: Number, width: Number, family: Family, *, constant: bool = False
) -> tuple[Number, Number]:
    """Block RAMs of a memory under Yosys, and the bits multiplexed between its banks.

    Banks of a constant memory can share a block: they lie side by side as one wide memory. The
    aspect ratio is the cheapest by the costs of `memory_libmap`: half a unit for every bit
    multiplexed.
    """
    found: tuple[Number, Number] | None = None
    for words, bits in family.block_ram.shapes:
        banks = whole(depth, words)
        count = whole(banks * width, bits) if constant else banks * whole(width, bits)
        cost = family.block_ram.cost * count + banks * (width / 2)
        if found is None:
            found = cost, count
        else:
            found = least(cost, found[0]), where(cost < found[0], count, found[1])
    assert found is not None
    cost, count = found
    return count, 2 * (cost - family.block_ram.cost * count) - width


def groups_of_banks(between: Number, width: Number) -> tuple[Number, Number]:
    """Of a constant memory with more banks than `GROUP`: 1, else 0, and how many groups.

    between: bits multiplexed, `width` of them a bank but the first.
    """
    width = most(width, 1.0)
    grouped = flag(between >= GROUP * width)
    return grouped, grouped * ceil((between / width + 1) / GROUP)


def constant_in_block_ram(
    depth: Number, width: Number, family: Family
) -> tuple[Number, Number, Number]:
    """Where Yosys puts a registered constant memory without a style attribute.

    1 for block RAM, else 0; block RAMs, and the bits multiplexed between banks, 0 in logic. Source:
    `memory_libmap`, to which a bit in logic costs 1 / `ROM_BITS`.
    """
    logic = depth * width / ROM_BITS
    worth = flag(logic >= family.block_ram.cost)
    if not some(worth):
        return worth, worth, worth
    count, between = block_ram(depth, width, family, constant=True)
    block = flag(logic >= family.block_ram.cost * count + between / 2)
    return block, block * count, block * between


def in_block_ram(depth: Number, width: Number, family: Family) -> Number:
    """1 where Yosys puts a memory without a style attribute into block RAM, else 0.

    Source: `memory_libmap`, which weighs cells by the costs in its library files, adds half a
    unit for every bit of the multiplexers between banks, and takes block RAM of equal costs.
    """
    cell = lut_ram_cell(family)
    soft: Number | None = None
    for words, bits in cell.shapes:
        banks = whole(depth, words)
        cells = cell.cost * whole(width, bits) + cell.cost_width * width / bits
        cost = banks * cells + (banks - 1) * width / 2
        soft = cost if soft is None else least(soft, cost)
    assert soft is not None
    return flag(soft >= family.block_ram.cost * blocks(depth, width, family))
