"""Bases of FINN's nodes (`hw_targets.cost.finn`).

The matrix unit is what finn-hlslib's `Matrix_Vector_Activate_Stream_Batch` becomes: a vector kept
for all rows in registers with a multiplexer behind them, products, an adder tree and comparators
for every threshold. Source of the structure: Blott et al., FINN-R (TRETS 2018), and finn-hlslib.
"""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, least, most, pow2, some
from hw_targets.cost.basis.terms import Basis, Fields, blocks
from hw_targets.families import Family

ROM_WORDS = 64
"""Words of one bit that a LUT of six inputs holds."""
NEAR_WORDS = 5
"""Address bits of a register file that HLS still selects from in one level of multiplexers."""


def mvau(k: Fields, family: Family) -> Basis:
    """Products, tree and comparators of `pe` rows; a vector of registers kept for all of them."""
    pe, simd, weight_bits, act_bits = k["pe"], k["simd"], k["weight_bits"], k["act_bits"]
    lanes, acc, dsp, binary = pe * simd, k["acc_bits"], k["dsp"], k["binary"]
    sf, nf = k["mw"] / simd, k["mh"] / pe
    words, stream = sf * nf, lanes * weight_bits
    products, soft = 1 - binary, (1 - binary) * (1 - dsp)
    thresholds = (pow2(k["out_bits"]) - 1) * flag(k["out_bits"] > 0)
    kept = flag(nf > 1) * flag(sf > 1)
    control = clog2(sf) + clog2(nf) + clog2(words)
    const = 1.0 + 0.0 * lanes
    tree = products * pe * (simd - 1) * (weight_bits + act_bits)
    lut = {
        "const": const,
        "control": control,
        "rom": (1 - k["block"]) * stream * ceil(words / ROM_WORDS),
        "stream": stream,
        "xnor": binary * lanes,
        "products": soft * lanes * weight_bits * act_bits,
        "hard": products * dsp * lanes * (weight_bits + act_bits),
        "tree": tree,
        "accumulate": pe * acc,
        "compare": pe * thresholds * acc,
        "select": kept * simd * act_bits * sf,
        "enables": kept * sf,
        "far": kept * sf * most(clog2(sf) - NEAR_WORDS, 0.0),
        "vector": simd * act_bits,
    }
    ff = {
        "const": const,
        "control": control,
        "stream": stream,
        "products": products * lanes * (weight_bits + act_bits),
        "tree": tree,
        "accumulate": pe * acc,
        "compare": pe * thresholds,
        "kept": kept * simd * act_bits * sf,
        "vector": simd * act_bits,
    }
    # memstream: whole bytes wide, and a power of two deep.
    block = k["block"]
    bram = block
    if some(block):
        bram = block * blocks(pow2(clog2(words)), _bytes(stream), family)
    return Basis(lut, ff, dsp=dsp * products * lanes, bram=bram)


def window(k: Fields, _: Family) -> Basis:
    """A line buffer in LUT RAM, or every tap in registers."""
    folds, width = k["channels"] / k["simd"], k["simd"] * k["bits"]
    taps = k["kernel_h"] * k["kernel_w"]
    ahead = most(((k["stride_h"] - 1) * k["in_w"] - taps) * folds, 0.0)
    depth = ((k["kernel_h"] - 1) * k["in_w"] + k["kernel_w"]) * folds + ahead
    terms = {
        "const": 1.0 + 0.0 * width,
        "control": clog2(ceil(depth)) + clog2(folds) + clog2(k["in_w"]) + clog2(k["in_h"]),
        "width": width,
        "taps": k["parallel"] * width * taps,
    }
    buffer = (1 - k["parallel"]) * width * ceil(depth / ROM_WORDS)
    return Basis({**terms, "buffer": buffer}, terms, dsp=0.0, bram=0.0)


def padding(k: Fields, _: Family) -> Basis:
    """Counters, and a multiplexer between the stream and zeros."""
    folds, width = k["channels"] / k["simd"], k["simd"] * k["bits"]
    terms = {
        "const": 1.0 + 0.0 * width,
        "control": clog2(k["in_h"] + 2) + clog2(k["in_w"] + 2) + clog2(folds),
        "width": _bytes(width),
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def thresholding(k: Fields, _: Family) -> Basis:
    """Comparators of a binary search whose constants were optimised away with the memories."""
    pe, bits = k["pe"], k["out_bits"]
    terms = {
        "const": 1.0 + 0.0 * pe,
        "compare": pe * bits,
        "values": pe * (bits - 1) * k["in_bits"],
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def fifo(k: Fields, _: Family) -> Basis:
    """Two registers at the least depth, else shift registers of 32 words a LUT."""
    width = _bytes(k["width"])
    deep = flag(k["depth"] > 2)
    skid, kept = (1 - deep) * width, deep * width
    const, address = 1.0 + 0.0 * width, deep * clog2(k["depth"])
    lut = {
        "const": const,
        "deep": deep,
        "address": address,
        "skid": skid,
        "shift": kept * ceil(k["depth"] / 32),
        "width": kept,
    }
    ff = {"const": const, "deep": deep, "address": address, "skid": skid, "width": kept}
    return Basis(lut, ff, dsp=0.0, bram=0.0)


def width_converter(k: Fields, _: Family) -> Basis:
    """A shift register as wide as the wider side, and a word of the narrower one beside it."""
    wide, narrow = most(k["in_width"], k["out_width"]), least(k["in_width"], k["out_width"])
    down = flag(k["in_width"] > k["out_width"])
    terms = {
        "const": 1.0 + 0.0 * wide,
        "count": clog2(ceil(wide / narrow)),
        "narrow": narrow,
        "gather": (1 - down) * wide,
        "spread": down * wide,
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def label_select(k: Fields, _: Family) -> Basis:
    """One comparator and the best so far."""
    terms = {
        "const": 1.0 + 0.0 * k["in_bits"],
        "best": k["in_bits"],
        "index": clog2(k["labels"]),
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)


def _bytes(bits: Number) -> Number:
    """Bits padded to whole bytes."""
    return 8 * ceil(bits / 8)
