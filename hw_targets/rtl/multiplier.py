"""A family's hard multiplier, as kernels know it: how wide its operands are."""

from __future__ import annotations

from dataclasses import fields, replace

from hw_targets.rtl.kernel import Kernel

NARROW_BITS = 18
"""Bits of a multiplier's narrower operand, signed, or as many as its wider one has."""


def sides(bits: int) -> tuple[int, int]:
    """Bits of both operands, the wider one, which has `bits`, first."""
    return bits, min(bits, NARROW_BITS)


def for_multipliers(kernel: Kernel, bits: int) -> Kernel:
    """The same kernel where multipliers' wider operands have so many bits (`Family.multiplier`)."""
    if any(field.name == "multiplier_bits" for field in fields(kernel)):
        return replace(kernel, multiplier_bits=bits)  # type: ignore[call-arg]
    return kernel
