"""Bases of what sums or compares the pixels of a window channel by channel."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, most, some, where
from hw_targets.cost.basis.mvu import product_cells
from hw_targets.cost.basis.terms import (
    FEW_WORDS,
    Basis,
    Fields,
    Terms,
    block_ram,
    blocks,
    carry,
    carry_pairs,
    distinct,
    further_luts,
    groups_of_banks,
    lut_ram,
    lut_ram_cell,
    resets_are_few,
)
from hw_targets.families import Family
from hw_targets.flows.yosys import LEAST_RESET

BLOCK_FOLDS, BLOCK_BITS = 64, 4096
"""What has been found so far lies in block RAM from this depth and size on (`reduce.sv`)."""


def reduce(k: Fields, family: Family) -> Basis:
    """A sum or a maximum a lane, and a memory of one word a fold."""
    pe, largest = k["pe"], k["maximum"]
    terms, registers, bram = _found(k, pe * k["out_bits"], family)
    # What is added has no bits above its own where it has no sign: on a carry chain beside the
    # LUTs none are needed there.
    added = where(k["signed"] > 0, k["out_bits"], k["bits"])
    sums = carry(k["out_bits"], family) if carry_pairs(family) else added
    # A comparison and a selection, or both in one LUT a bit.
    bits = k["bits"]
    compared = where(2 * bits <= family.lut_inputs, bits, 2 * bits - 1)
    lut = {
        **terms,
        "sums": (1 - largest) * pe * sums,
        "maxima": largest * pe * compared,
    }
    return Basis(lut, registers, dsp=0.0, bram=bram)


def depthwise(k: Fields, family: Family) -> Basis:
    """A product and a sum a lane, weights from a memory, and a memory of one word a fold."""
    pe, dsp, act_bits = k["pe"], k["dsp"], k["act_bits"]
    weight_bits = most(k["weight_bits"], 2.0)  # those of 1 bit are held in 2
    words, rom_bits = k["taps"] * k["folds"], pe * weight_bits
    large = flag(weight_bits + act_bits >= family.multiplier.least_product)
    # Times 0 or -1: no multiplication to the tool.
    asked = pe * dsp * (1 - k["act_signed"] * large * flag(act_bits <= 1))
    hard, soft = asked * large, pe - asked
    luts, cells = product_cells(family, weight_bits, act_bits, k["act_signed"], 0.0)
    refused = asked - hard
    refused_luts: Number = 0.0
    refused_cells: Number = 0.0
    if some(refused):
        made = product_cells(family, weight_bits, act_bits, k["act_signed"], 1.0)
        refused_luts = where(refused > 0, refused * made[0], 0.0)
        refused_cells = where(refused > 0, refused * made[1], 0.0)
    diagonals = ceil(weight_bits / 2) + ceil(act_bits / 2) - 1
    multiply = where(dsp > 0, 1.0, most(1.0, clog2(diagonals)))
    block = k["block"] * flag(words > 1)
    stored = (1 - block) * distinct(rom_bits, words)
    width = pe * k["acc_bits"]
    terms, registers, bram = _found(k, width, family)
    between: Number = 0.0
    if some(block):
        needed, muxed = block_ram(words, rom_bits, family, constant=True)
        bram, between = bram + block * needed, block * muxed
    grouped, groups = groups_of_banks(between, rom_bits)
    # Of several banks all are registered, and what is chosen once more, a cycle later.
    chosen = block * flag(between > 0)
    in_banks = chosen * (between + rom_bits)
    # Multipliers, far from block RAM, have a register before them.
    again = dsp * block * (1 - chosen)
    # Activations wait, in three registers or more: a shift register where a LUT can be one.
    shifted = float(family.shift_registers) * chosen * (1 - dsp) * pe * act_bits
    # Multipliers with adders of their own can take the sum in, and the registers around it.
    inside = flag(hard > 0)
    outside = 1 - inside
    lut = {
        **terms,
        "products": soft * luts + refused_luts,
        "sums": outside * pe * carry(k["acc_bits"], family),
        "sums_hard": inside * pe * carry(k["acc_bits"], family),
        "words": clog2(words),
        "rom": flag(words > FEW_WORDS) * stored,
        "rom_mux": (1 - block) * rom_bits * further_luts(words, family),
        "block_mux": between,
        "shifted": shifted,
    }
    operands = pe * act_bits
    stages = block + chosen + grouped + again
    behind = stages * operands - (2 + grouped) * shifted + (block + again) * rom_bits
    ff = {
        **registers,
        "width": outside * width,
        "width_hard": inside * width,
        # What waits in LUT RAM has registers of its own behind it.
        "stored_hard": inside * (flag(k["folds"] > 1) - _in_block(k["folds"], width)) * width,
        "latency": 1 + stages + multiply,
        "products": soft * cells + refused_cells,
        "products_hard": hard * (weight_bits + act_bits),
        "words": clog2(words),
        "rom": flag(words > 1) * stored,
        "values": outside * (operands - shifted),
        "values_hard": inside * (operands - shifted),
        "extra": outside * behind + in_banks + groups * rom_bits,
        "extra_hard": inside * behind,
    }
    # Weights that come from one bank go straight to the register behind it, and operands to those
    # of multipliers.
    straight, near = (block - chosen) * rom_bits, inside * (1 - block)
    taken = {
        "products_hard": hard * (weight_bits + act_bits),
        "rom": near * flag(words > 1) * stored,
        "values_hard": near * operands,
        "extra": outside * straight + in_banks,
        "extra_hard": inside * (straight + block * (operands + rom_bits)),
    }
    return Basis(lut, ff, dsp=hard, bram=bram, inside=taken)


def _in_block(folds: Number, width: Number) -> Number:
    """1 where what has been found so far lies in block RAM, else 0."""
    return flag(folds >= BLOCK_FOLDS) * flag(folds * width >= BLOCK_BITS)


def _found(k: Fields, width: Number, family: Family) -> tuple[Terms, Terms, Number]:
    """LUT and register terms, and block RAMs, of `lf_reduce` but for its sums or maxima."""
    folds, several = k["folds"], flag(k["folds"] > 1)
    block = _in_block(folds, width)
    soft = several - block
    counters = clog2(k["taps"]) + several * clog2(folds)
    lut: Terms = {
        "const": 1.0,
        "counters": counters,
        "memory": soft * lut_ram(folds, width, family),
        "banks": soft * width * (ceil(folds / lut_ram_cell(family).shapes[-1][0]) - 1),
        "sooner": block * clog2(folds),
        # Too few registers for a reset of their own.
        "reset": width * flag(width < LEAST_RESET) if resets_are_few(family) else 0.0,
    }
    ff: Terms = {
        "const": 1.0,
        "counters": counters + several * clog2(folds),
        "width": width,
        "sooner": block * clog2(folds),
    }
    return lut, ff, block * blocks(folds, width, family) if some(block) else block
