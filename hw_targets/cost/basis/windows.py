"""Bases of what sums or compares the pixels of a window channel by channel."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, most, some, where
from hw_targets.cost.basis.images import maximum
from hw_targets.cost.basis.mvu import TABLE_WORDS, product_cells
from hw_targets.cost.basis.terms import (
    FEW_WORDS,
    Basis,
    Fields,
    Terms,
    block_ram,
    blocks,
    carry,
    distinct,
    lut_ram,
    lut_ram_cell,
)
from hw_targets.families import Family

BLOCK_FOLDS, BLOCK_BITS = 64, 4096
"""What has been found so far lies in block RAM from this depth and size on (`reduce.sv`)."""


def reduce(k: Fields, family: Family) -> Basis:
    """A sum or a maximum a lane, and a memory of one word a fold."""
    pe, largest = k["pe"], k["maximum"]
    several = flag(k["folds"] > 1)
    in_register, in_memory = maximum(family, k["bits"])
    compared = several * in_memory + (1 - several) * in_register
    terms, registers, bram = _found(k, pe * k["out_bits"], family)
    lut = {
        **terms,
        "sums": (1 - largest) * pe * carry(k["out_bits"], family),
        "maxima": where(largest > 0, pe * compared, 0.0),
    }
    return Basis(lut, registers, dsp=0.0, bram=bram)


def depthwise(k: Fields, family: Family) -> Basis:
    """A product and a sum a lane, weights from a memory, and a memory of one word a fold."""
    pe, dsp, weight_bits, act_bits = k["pe"], k["dsp"], k["weight_bits"], k["act_bits"]
    words, rom_bits = k["taps"] * k["folds"], pe * weight_bits
    hard = pe * dsp * flag(weight_bits + act_bits >= family.multiplier.least_product)
    # Times 0 or -1: no multiplication to the tool.
    hard = hard * (1 - k["act_signed"] * flag(act_bits <= 1))
    luts, cells = product_cells(family, weight_bits, act_bits, k["act_signed"], 0.0)
    soft = pe - hard
    diagonals = ceil(weight_bits / 2) + ceil(act_bits / 2) - 1
    multiply = where(dsp > 0, 1.0, most(1.0, clog2(diagonals)))
    block = k["block"] * flag(words > 1)
    stored = (1 - block) * distinct(rom_bits, words)
    terms, registers, bram = _found(k, pe * k["acc_bits"], family)
    between: Number = 0.0
    if some(block):
        needed, muxed = block_ram(words, rom_bits, family, constant=True)
        bram, between = bram + block * needed, block * muxed
    # Multipliers with adders of their own can take the sum in.
    inside = flag(hard > 0)
    lut = {
        **terms,
        "products": soft * luts,
        "sums": (1 - inside) * pe * carry(k["acc_bits"], family),
        "sums_hard": inside * pe * carry(k["acc_bits"], family),
        "words": clog2(words),
        "rom": flag(words > FEW_WORDS) * stored,
        "rom_mux": (1 - block) * rom_bits * (ceil(words / TABLE_WORDS) - 1),
        "block_mux": between,
    }
    ff = {
        **registers,
        "latency": 1 + block + multiply,
        "products": soft * cells,
        "products_hard": hard * (weight_bits + act_bits),
        "words": clog2(words),
        "rom": flag(words > 1) * stored,
        "values": pe * act_bits,
        "extra": block * (pe * act_bits + rom_bits),
    }
    return Basis(lut, ff, dsp=hard, bram=bram)


def _found(k: Fields, width: Number, family: Family) -> tuple[Terms, Terms, Number]:
    """LUT and register terms, and block RAMs, of `lf_reduce` but for its sums or maxima."""
    folds, several = k["folds"], flag(k["folds"] > 1)
    block = several * flag(folds >= BLOCK_FOLDS) * flag(folds * width >= BLOCK_BITS)
    soft = several - block
    counters = clog2(k["taps"]) + several * clog2(folds)
    lut: Terms = {
        "const": 1.0,
        "counters": counters,
        "memory": soft * lut_ram(folds, width, family),
        "banks": soft * width * (ceil(folds / lut_ram_cell(family).shapes[-1][0]) - 1),
        "sooner": block * clog2(folds),
    }
    ff: Terms = {
        "const": 1.0,
        "counters": counters + several * clog2(folds),
        "width": width,
        "sooner": block * clog2(folds),
    }
    return lut, ff, block * blocks(folds, width, family) if some(block) else block
