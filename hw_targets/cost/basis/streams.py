"""Bases of what carries streams between units: FIFOs and width converters."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import ceil, clog2, flag, least, most, some
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    blocks,
    in_block_ram,
    lut_ram,
    lut_ram_cell,
    resets_are_few,
)
from hw_targets.families import Family
from hw_targets.flows.yosys import LEAST_RESET


def fifo(k: Fields, family: Family) -> Basis:
    """Two registers at the least depth, else a memory of one word less and a register."""
    width, words = k["width"], k["depth"] - 1
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
        "output": soft * width,
        "block": in_block,
    }
    bram = block * blocks(words, width, family) if some(block) else block
    return Basis(lut, ff, dsp=0.0, bram=bram)


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
