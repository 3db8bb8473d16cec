"""Bases of what carries streams between units: FIFOs and width converters."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import ceil, clog2, flag, least, most, some
from hw_targets.cost.basis.terms import Basis, Fields, blocks, in_block_ram, lut_ram, lut_ram_cell
from hw_targets.families import Family


def fifo(k: Fields, family: Family) -> Basis:
    """Two registers at the least depth, else a memory of one word less and a register."""
    width, words = k["width"], k["depth"] - 1
    deep = flag(k["depth"] > 2)
    const, skid = 1.0 + 0.0 * width, (1 - deep) * width
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


def width_converter(k: Fields, _: Family) -> Basis:
    """A register as wide as the wider side, filled or emptied step by step."""
    wide = most(k["in_lanes"], k["out_lanes"])
    ratio = wide / least(k["in_lanes"], k["out_lanes"])
    down = flag(k["in_lanes"] > k["out_lanes"])
    terms = {
        "const": 1.0 + 0.0 * wide,
        "count": clog2(ratio),
        "gather": (1 - down) * wide * k["bits"],
        "spread": down * wide * k["bits"],
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)
