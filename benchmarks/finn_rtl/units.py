"""A dozen folded matrix-vector units of the networks that `benchmarks.designs` builds whole."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.designs.build import planned_kernels
from benchmarks.designs.networks import network
from hw_targets.families import Family
from hw_targets.rtl.mvu import Mvu

_CHOSEN = (
    ("jets", 1),
    ("jets", 3),
    ("wide", 2),
    ("digits", 2),
    ("digits", 3),
    ("lenet5", 1),
    ("lenet5", 2),
    ("signal", 1),
    ("strided", 1),
    ("strided", 3),
    ("cnv", 1),
    ("cnv", 5),
)
"""Network, and which of its layers."""


def units(family: Family) -> dict[str, Mvu]:
    """Name -> unit with hard multipliers, its weights in block RAM where there are several words.

    Shapes, widths, PE and SIMD are those of the network; the arithmetic is the one that FINN's RTL
    has.
    """
    found = {}
    for name, number in _CHOSEN:
        matrices = [k for k in planned_kernels(network(name)) if isinstance(k, Mvu)]
        found[f"{name} {number}"] = replace(
            matrices[number - 1],
            arithmetic="dsp",
            memory="block",
            multiplier_bits=family.multiplier.a_bits,
        )
    return found
