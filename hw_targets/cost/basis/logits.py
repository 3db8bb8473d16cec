"""Bases of what stands behind the last layer: the bias, and the class of the largest sum."""

from __future__ import annotations

from hw_targets.cost.basis.arithmetic import clog2, flag, pow2
from hw_targets.cost.basis.terms import Basis, Fields, rom
from hw_targets.families import Family


def channel_add(k: Fields, family: Family) -> Basis:
    """An adder a lane, its constant from a memory."""
    pe, fold = k["pe"], clog2(k["folds"])
    const = 1.0 + 0.0 * pe
    lut = {
        "const": const,
        "fold": fold,
        "sums": pe * k["out_bits"],
        "rom": pe * k["bias_bits"] * rom(k["folds"], family)[0],
    }
    ff = {
        "const": const,
        "fold": fold,
        "value": pe * k["in_bits"],
        "bias": pe * k["bias_bits"] * flag(k["folds"] > 1),
        "sums": pe * k["out_bits"],
    }
    return Basis(lut, ff, dsp=0.0, bram=0.0)


def label_select(k: Fields, _: Family) -> Basis:
    """A tree of comparators over the lanes, then the best so far."""
    pe = k["pe"]
    terms = {
        "const": 1.0 + 0.0 * pe,
        "index": k["index_bits"],
        "best": k["in_bits"],
        "tree": (pe - 1) * (k["in_bits"] + k["index_bits"]),
        "pairs": pow2(clog2(pe)) - 1,
    }
    return Basis(terms, terms, dsp=0.0, bram=0.0)
