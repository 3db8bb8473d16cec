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
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    block_ram,
    carry,
    distinct,
    further_luts,
    groups_of_banks,
    of_few,
)
from hw_targets.families import Family
from hw_targets.rtl.multiplier import sides
from hw_targets.rtl.requant import FEW_FOLDS

FIXED_DIGITS = 1 / 3
"""Share of a constant's signed digits that are not 0 (Reitwiesner, "Binary Arithmetic", 1960)."""
FIXED_PAIRS = 3 / 4
"""Share of a constant's pairs of bits that are not 0: those have registers."""


def requant(k: Fields, family: Family) -> Basis:
    """A product, a sum and a clip a lane, constants from a memory."""
    pe, dsp, words = k["pe"], k["dsp"], k["folds"]
    mult_bits, in_bits, add_bits = k["mult_bits"], k["in_bits"], k["add_bits"]
    product, rom_bits = mult_bits + in_bits, pe * (mult_bits + add_bits)
    hard = pe * dsp * flag(product >= family.multiplier.least_product)
    soft = pe - hard
    # An unsigned value takes a bit for the sign.
    x_bits = in_bits + 1 - k["in_signed"]
    wide, narrow = most(x_bits, mult_bits), least(x_bits, mult_bits)
    across, along, low = _cut(wide, narrow, family)
    parts = across * along
    cut = hard * flag(parts > 1)
    # Registers behind the multipliers: every part of an operand with every one of the other.
    in_parts = along * wide + across * narrow
    # Bits that the sum of the upper parts has.
    upper = k["sum_bits"] - low
    added = carry(upper, family) + flag(parts > 2) * carry(least(upper, product - low + 1), family)
    diagonals = ceil(mult_bits / 2) + ceil(in_bits / 2) - 1
    multiply = where(dsp > 0, 1.0, most(1.0, clog2(diagonals)))
    block = k["block"] * flag(words > 1)
    stored = (1 - block) * distinct(rom_bits, words)
    few, more = of_few(words)
    bram: Number = 0.0
    between: Number = 0.0
    if some(block):
        needed, muxed = block_ram(words, rom_bits, family, constant=True)
        bram, between = block * needed, block * muxed
    grouped, groups = groups_of_banks(between, rom_bits)
    # Of several banks all are registered, and what is chosen once more, a cycle later.
    chosen = block * flag(between > 0)
    in_banks = chosen * (between + rom_bits)
    # Multipliers, far from block RAM and from constants of many LUTs, have a register before them.
    far = dsp * (1 - block) * flag(words > FEW_FOLDS)
    again = dsp * block * (1 - chosen)
    # Values wait, in three registers or more: a shift register where a LUT can be one.
    shifted = float(family.shift_registers) * chosen * (1 - dsp) * pe * in_bits
    sums = pe * carry(k["sum_bits"], family)
    inside = flag(hard > 0) * flag(parts == 1)
    # Values and what is added to them, behind block RAM, where multipliers do not take them in.
    delayed = float(family.shift_registers) * block * hard * (in_bits + add_bits)
    # Bits below the shift only carry.
    kept = most(k["sum_bits"] - k["shift"], 1.0)
    # Bits that tell whether a result lies outside: its sign and those above, or those above a
    # result without one. With none of the latter, what is negative is all that is clipped.
    signed, above = k["out_signed"], most(kept - k["out_bits"], 0.0)
    outside = where(signed > 0, above + flag(above > 0), most(above - 1, 0.0))
    # One LUT tells all zeros or all ones of few bits, trees for either of more.
    beyond = most(outside - (family.lut_inputs - 1), 0.0)
    clipped, rectified = pe * k["out_bits"] * flag(outside > 0), 1 - signed
    stages = block + chosen + grouped + again
    # A constant's product is a sum for every digit of it that is not 0.
    digits = mult_bits * where(words > 1, 1.0, FIXED_DIGITS)
    lut = {
        "const": 1.0,
        "fold": clog2(words),
        "products": soft * digits * in_bits,
        "parts": cut * added,
        "sums": (1 - inside) * sums,
        "sums_hard": inside * sums,
        "clip": signed * pe * outside,
        "clip_far": signed * pe * beyond,
        "clip_unsigned": rectified * pe * outside,
        "clipped": signed * clipped,
        "clipped_unsigned": rectified * clipped,
        "rectified": rectified * pe * k["out_bits"] * flag(outside == 0),
        "rom": more * stored,
        "rom_few": few * stored,
        "rom_mux": (1 - block) * rom_bits * further_luts(words, family),
        "block_mux": between,
        "shifted": shifted,
        "delayed": delayed,
    }
    ff = {
        "const": 1.0,
        "fold": clog2(words),
        "latency": 3 + stages + far + multiply + flag(cut > 0),
        "products": soft * product * diagonals * where(words > 1, 1.0, FIXED_PAIRS),
        "products_hard": hard * in_parts,
        "parts": cut * (k["sum_bits"] + upper),
        "values": (1 - inside) * (pe * in_bits - shifted),
        "values_hard": inside * (pe * in_bits - shifted),
        "rom": (1 - inside) * flag(words > 1) * stored,
        "rom_hard": inside * flag(words > 1) * stored,
        "waiting": flag(words > 1) * pe * add_bits * multiply,
        "sums": (1 - inside) * pe * kept,
        "sums_hard": inside * pe * kept,
        "clipped": pe * k["out_bits"],
        "extra": stages * pe * in_bits
        - (2 + grouped) * shifted
        + (block + again) * rom_bits
        + in_banks
        + groups * rom_bits,
        "far": far * (rom_bits + pe * in_bits),
    }
    # Operands go to the registers of multipliers, of the constants the part that is one.
    operands, near = pe * (in_bits + mult_bits), flag(hard > 0) * (1 - block) * (1 - far)
    part = near * flag(words > 1) * stored * mult_bits / (mult_bits + add_bits)
    taken = {
        "products_hard": hard * in_parts,
        "values": near * (1 - inside) * pe * in_bits,
        "values_hard": near * inside * pe * in_bits,
        "rom": (1 - inside) * part,
        "rom_hard": inside * part,
        "extra": (block - chosen) * rom_bits + in_banks + flag(hard > 0) * block * operands,
        "far": flag(hard > 0) * far * operands,
    }
    return Basis(lut, ff, dsp=hard * parts, bram=bram, inside=taken)


def _cut(wide: Number, narrow: Number, family: Family) -> tuple[Number, Number, Number]:
    """Parts of the wider and of the narrower operand, and bits below the upper parts' sum.

    As `lf_requant` cuts them: where an operand has more bits than the multiplier's side, one fewer
    of them, and a 0 for a sign, are its lower part.
    """
    longest, shortest = sides(family.multiplier.a_bits)
    across, along = 1 + flag(wide > longest), 1 + flag(narrow > shortest)
    return across, along, where(along > 1, shortest - 1.0, longest - 1.0)


_OF_FOUR = ("leaves_4", "near_4", "far_4")
_OF_SIX = ("leaves_6", "muxes_6", "resets_6")


def table(k: Fields, family: Family) -> Basis:
    """What differs in the contents (`table_logic`). A sign passes through; of few words not all
    columns differ, and where only the input has a sign, all below zero are one word.
    """
    lanes = k["lanes"]
    rectified = k["in_signed"] * (1 - k["out_signed"])
    address = most(k["in_bits"] - rectified, 0.0)
    columns = least(k["out_bits"], most(pow2(address) - 1, 1.0))
    made = _OF_FOUR if family.lut_inputs == 4 else _OF_SIX
    lut = {"const": 1.0, **{name[:-2]: lanes * k[name] for name in made}}
    return Basis(lut, {"const": 1.0, "columns": lanes * columns}, dsp=0.0, bram=0.0)
