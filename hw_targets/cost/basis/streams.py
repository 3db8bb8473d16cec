"""Bases of what carries streams between units: FIFOs, width converters, branches and joints."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import ceil, clog2, flag, least, most, some
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    blocks,
    carry,
    carry_pairs,
    in_block_ram,
    lut_ram,
    lut_ram_cell,
    resets_are_few,
)
from hw_targets.families import Family
from hw_targets.flows.yosys import LEAST_RESET
from hw_targets.rtl.fifo import FAR_DEPTH


def fifo(k: Fields, family: Family) -> Basis:
    """Two registers at the least depth, else a memory and the one or two words behind it.

    Of the two, block RAM has the first inside; where the flow moves registers, both.
    """
    width, far = k["width"], flag(k["depth"] >= FAR_DEPTH)
    words = k["depth"] - 1 - far
    deep = flag(k["depth"] > 2)
    const, skid = 1.0, (1 - deep) * width
    if not some(deep):
        return Basis({"const": const, "skid": skid}, {"const": const, "skid": skid}, 0.0, 0.0)
    block = deep * in_block_ram(words, width, family)
    soft, in_block, address = deep - block, block * width, deep * clog2(words)
    bank = lut_ram_cell(family).shapes[-1][0]
    lut = {
        "const": const,
        "skid": skid,
        "deep": deep,
        "address": address,
        "memory": soft * lut_ram(words, width, family),
        "banks": soft * width * (ceil(words / bank) - 1),
        "block": in_block,
    }
    ff = {
        "const": const,
        "skid": skid,
        "deep": deep,
        "address": address,
        "output": soft * (1 + far) * width + far * in_block,
        "block": in_block,
    }
    bram = block * blocks(words, width, family) if some(block) else block
    return Basis(lut, ff, dsp=0.0, bram=bram, inside={"output": far * in_block})


def width_converter(k: Fields, family: Family) -> Basis:
    """A register as wide as the wider side, filled or emptied step by step.

    Filled from the top it needs no multiplexers; emptied it has one a bit, but for the last word,
    behind which zeros move in: its registers are reset instead, where resets may be that few.
    """
    wide = most(k["in_lanes"], k["out_lanes"])
    narrow = least(k["in_lanes"], k["out_lanes"])
    down = flag(k["in_lanes"] > k["out_lanes"])
    width, last = wide * k["bits"], narrow * k["bits"]
    least_reset = LEAST_RESET if resets_are_few(family) else 1
    terms = {"const": 1.0, "down": down, "count": clog2(ceil(wide / narrow))}
    lut = {**terms, "muxes": down * (width - flag(last >= least_reset) * last)}
    return Basis(lut, {**terms, "word": width}, dsp=0.0, bram=0.0)


def duplicate(k: Fields, _: Family) -> Basis:
    """Wires, and who has taken the present beat: a bit a copy."""
    terms = {"const": 1.0, "copies": k["copies"]}
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def add(k: Fields, family: Family) -> Basis:
    """An adder a lane with a register behind it."""
    lanes, bits = k["lanes"], k["bits"] + 1
    # The topmost bit comes from the carry chain itself where that is beside the LUTs.
    sums = carry(bits, family) if carry_pairs(family) else k["bits"]
    lut = {"const": 1.0, "sums": lanes * sums}
    return Basis(lut, {"const": 1.0, "bits": lanes * bits}, dsp=0.0, bram=0.0)


def concat(k: Fields, family: Family) -> Basis:
    """A selection by a bit a stream, a register behind it and a counter of beats."""
    streams, width = k["streams"], k["lanes"] * k["bits"]
    count = clog2(most(k["most_folds"], 2.0))
    # A LUT takes a bit and its selection of as many streams as it has pairs of inputs, every
    # further one what has been found so far too.
    pairs = family.lut_inputs // 2
    chained = (family.lut_inputs - 1) // 2
    luts = 1 + ceil(most(streams - pairs, 0.0) / chained)
    control = {"const": 1.0, "streams": streams, "count": count}
    lut = {**control, "ends": streams * count, "select": width * luts}
    return Basis(lut, {**control, "width": width}, dsp=0.0, bram=0.0)
