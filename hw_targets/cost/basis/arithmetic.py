"""Arithmetic that one formula is written in for one kernel (numbers) and for many (columns).

A query for one layer must not pay for arrays of one element, and a million of them not for a
loop: the basis is written once, in these functions and the operators that both kinds have.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Column: TypeAlias = NDArray[np.float64]
Number: TypeAlias = float | Column

MANTISSA_BITS = 52
EXPONENT_BIAS = 1023
"""Layout of IEEE 754 doubles."""


def ceil(value: Number) -> Number:
    """Least integer not below `value`."""
    return np.ceil(value) if isinstance(value, np.ndarray) else float(math.ceil(value))


def whole(value: Number, part: float) -> Number:
    """How many parts of a size hold `value`: their quotient, rounded up."""
    return np.ceil(value / part) if isinstance(value, np.ndarray) else -(-value // part)


def clog2(words: Number) -> Number:
    """Address bits of a whole number of words: ceil(log2(words)), 0 for one word or none."""
    if isinstance(words, np.ndarray):
        # The exponent of a float is exact where a logarithm is rounded. That of 1/2 is 0 here.
        bits = np.maximum(words - 1.0, 0.5).view(np.int64)
        exponents = np.right_shift(bits, MANTISSA_BITS, out=bits)
        found: Column = exponents.astype(np.float64) - (EXPONENT_BIAS - 1)
        return found
    return float((int(words) - 1).bit_length()) if words > 1 else 0.0


def pow2(exponent: Number) -> Number:
    """2 to the power of an integer that a double holds (-1022 to 1023)."""
    if isinstance(exponent, np.ndarray):
        biased = (exponent + EXPONENT_BIAS).astype(np.int64)
        found: Column = np.left_shift(biased, MANTISSA_BITS, out=biased).view(np.float64)
        return found
    return float(2.0**exponent)


def quotient(value: Number, part: Number) -> Number:
    """Whole parts in a value, both whole numbers of less than 2**26: their quotient rounded down.

    A correctly rounded division of such numbers never reaches the next integer, and takes a tenth
    of the time of NumPy's own rounding division.
    """
    if isinstance(value, np.ndarray) or isinstance(part, np.ndarray):
        return np.floor(value / part)
    return value // part


def expm1(exponent: Number) -> Number:
    """e to the power of `exponent`, less 1, to full precision near 0."""
    return np.expm1(exponent) if isinstance(exponent, np.ndarray) else math.expm1(exponent)


def least(left: Number, right: Number) -> Number:
    """The smaller of the two, element by element; unknown (NaN) where `left` is."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.minimum(left, right)
    return right if right < left else left


def most(left: Number, right: Number) -> Number:
    """The larger of the two, element by element; unknown (NaN) where `left` is."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.maximum(left, right)
    return right if right > left else left


def where(condition: bool | NDArray[np.bool_], then: Number, otherwise: Number) -> Number:
    """`then` where the condition holds, else `otherwise`."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, then, otherwise)
    return then if condition else otherwise


def some(value: Number | NDArray[np.bool_]) -> bool:
    """Whether any of it is not 0: what follows can be left out where nothing is."""
    return bool(value.any()) if isinstance(value, np.ndarray) else bool(value)


def flag(condition: bool | NDArray[np.bool_]) -> Number:
    """1 where the condition holds, else 0."""
    if isinstance(condition, np.ndarray):
        return condition.astype(np.float64)
    return 1.0 if condition else 0.0
