"""Bases of what works on every value by itself: requantization and tables."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import (
    Number,
    ceil,
    clog2,
    flag,
    least,
    most,
    pow2,
    some,
    where,
)
from hw_targets.cost.basis.mvu import TABLE_WORDS
from hw_targets.cost.basis.terms import FEW_WORDS, Basis, Fields, block_ram, carry, distinct
from hw_targets.families import Family


def requant(k: Fields, family: Family) -> Basis:
    """A product, a sum and a clip a lane, constants from a memory."""
    pe, dsp, words = k["pe"], k["dsp"], k["folds"]
    mult_bits, in_bits, add_bits = k["mult_bits"], k["in_bits"], k["add_bits"]
    product, rom_bits = mult_bits + in_bits, pe * (mult_bits + add_bits)
    hard = pe * dsp * flag(product >= family.multiplier.least_product)
    # Of one word, factors are constants and products a few sums.
    soft, fixed = pe - hard, flag(words <= 1)
    # The wider operand is cut into parts of a bit less than the multiplier's wider side, but for
    # the topmost: lower parts have no sign. So has an unsigned value, which takes a bit for it.
    wide = most(in_bits + 1 - k["in_signed"], mult_bits)
    side = float(max(family.multiplier.a_bits, family.multiplier.b_bits))
    parts = 1 + ceil(most(wide - side, 0.0) / (side - 1))
    diagonals = ceil(mult_bits / 2) + ceil(in_bits / 2) - 1
    multiply = where(dsp > 0, 1.0, most(1.0, clog2(diagonals)))
    block = k["block"] * flag(words > 1)
    stored = (1 - block) * distinct(rom_bits, words)
    bram: Number = 0.0
    between: Number = 0.0
    if some(block):
        needed, muxed = block_ram(words, rom_bits, family, constant=True)
        bram, between = block * needed, block * muxed
    sums = pe * carry(k["sum_bits"], family)
    inside = flag(hard > 0)
    lut = {
        "const": 1.0,
        "fold": clog2(words),
        "products": (1 - fixed) * soft * mult_bits * in_bits,
        "products_fixed": fixed * soft * mult_bits * in_bits,
        "parts": hard * (parts - 1) * product,
        "sums": (1 - inside) * sums,
        "sums_hard": inside * sums,
        # Bits above the result: all alike, or it is clipped.
        "clip": pe * most(k["sum_bits"] - k["shift"] - k["out_bits"], 0.0),
        "clipped": pe * k["out_bits"],
        "rom": flag(words > FEW_WORDS) * stored,
        "rom_mux": (1 - block) * rom_bits * (ceil(words / TABLE_WORDS) - 1),
        "block_mux": between,
    }
    ff = {
        "const": 1.0,
        "fold": clog2(words),
        "latency": 3 + block + multiply,
        "products": (1 - fixed) * soft * product * diagonals,
        "products_fixed": fixed * soft * product * diagonals,
        "products_hard": hard * product,
        "values": (1 - inside) * pe * in_bits,
        "values_hard": inside * pe * in_bits,
        "rom": (1 - inside) * flag(words > 1) * stored,
        "rom_hard": inside * flag(words > 1) * stored,
        "waiting": flag(words > 1) * pe * add_bits * multiply,
        "sums": (1 - inside) * pe * k["sum_bits"],
        "sums_hard": inside * pe * k["sum_bits"],
        "clipped": pe * k["out_bits"],
        "extra": block * (pe * in_bits + rom_bits),
    }
    return Basis(lut, ff, dsp=hard * parts, bram=bram)


def table(k: Fields, family: Family) -> Basis:
    """A tree of LUTs a bit, as large as a rescaling of integers makes it.

    Its results ascend: the first bit changes once over the inputs, every further one twice as
    often, until no leaf of the tree is constant. A sign passes through; where only the input has
    one, all below zero are one word. Of few words not all columns differ.
    """
    lanes = k["lanes"]
    both, rectified = k["in_signed"] * k["out_signed"], k["in_signed"] * (1 - k["out_signed"])
    address = most(k["in_bits"] - rectified, 0.0)
    columns = least(k["out_bits"], most(pow2(address) - 1, 1.0))
    made, levels = columns - both, most(address - family.lut_inputs, 0.0)
    split = lanes * flag(levels > 0)
    # Columns with fewer changes than the tree has leaves.
    early = most(least(made, levels - both), 0.0)
    changes = (1 + both) * (pow2(early) - 1) + (made - early) * pow2(levels)
    lut = {
        "const": 1.0,
        # Of few words, a column may be an input as it is.
        "columns": (lanes - split) * made * (1 - pow2(1 - most(address, 1.0))),
        "leaves": split * changes,
        "split": split * made,
        "rectified": rectified * lanes * columns * flag(k["in_bits"] > family.lut_inputs),
    }
    return Basis(lut, {"const": 1.0, "columns": lanes * columns}, dsp=0.0, bram=0.0)
