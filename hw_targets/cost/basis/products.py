"""What one product in LUTs is made of (`lf_mvu_product`): tables, adder bits, registers.

Both operands are cut into digits of two bits; the products of digits are tables of four inputs;
those on one diagonal form a word, and the words are added in a tree with a register after every
level. A digit that an odd width fills only half has simpler tables, and words that are shorter or
shifted have shorter adders: counted here bit by bit, since multipliers are most of an accelerator.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 8
_Word = list[str | None]
"""Bit names from position 0 up; None is a constant 0, equal names are copies of one bit."""


@cache
def product_counts() -> NDArray[np.float64]:
    """(9, 9, 2, 3): [weight bits, activation bits, activation signed] -> LUTs of the tables, adder
    bits, register bits of one product. Widths are 1 to 8; index 0 is unused."""
    counts = np.zeros((MOST_BITS + 1, MOST_BITS + 1, 2, 3))
    for weight_bits in range(1, MOST_BITS + 1):
        for act_bits in range(1, MOST_BITS + 1):
            for signed in (False, True):
                counts[weight_bits, act_bits, int(signed)] = _count(weight_bits, act_bits, signed)
    return counts


def _count(weight_bits: int, act_bits: int, signed: bool) -> tuple[int, int, int]:
    tables, nodes = _words(weight_bits, act_bits, signed)
    adders = registers = 0
    level = 0
    while len(nodes) > 1 or level == 0:
        level += 1
        count = -(-len(nodes) // 2)
        sums = []
        for i in range(count):
            other = len(nodes) - 1 - i
            if other > i:
                total, used = _add(nodes[i], nodes[other], f"{level}.{i}")
                adders += used
                sums.append(total)
            else:
                sums.append(nodes[i])
        registers += sum(len({bit for bit in word if bit is not None}) for word in sums)
        nodes = sums
    return tables, adders, registers


def _words(weight_bits: int, act_bits: int, signed: bool) -> tuple[int, list[_Word]]:
    """LUTs of the digit tables, and the word of every diagonal."""
    width = weight_bits + act_bits
    w_digits, a_digits = -(-weight_bits // 2), -(-act_bits // 2)
    tables, words = 0, []
    for diagonal in range(w_digits + a_digits - 1):
        a0 = max(0, diagonal - w_digits + 1)
        w0 = max(0, w_digits - 1 - diagonal)
        fields = min(w_digits - w0, a_digits - a0)
        bits: _Word = [None] * (2 * (a0 + w0))
        for f in range(fields):
            w_top, a_top = w0 + f == w_digits - 1, a0 + f == a_digits - 1
            names, luts = _digits(
                w_top,
                signed and a_top,
                w_top and weight_bits % 2 == 1,
                a_top and act_bits % 2 == 1,
                f"{diagonal}.{f}",
            )
            tables += luts
            bits += names
        sign = bits[-1] if w0 + fields == w_digits or signed else None
        bits += [sign] * (width - len(bits))
        words.append(bits[:width])
    return tables, words


def _digits(
    w_signed: bool, a_signed: bool, w_half: bool, a_half: bool, name: str
) -> tuple[_Word, int]:
    """The four product bits of a weight and an activation digit, and the LUTs they take.

    A half digit has one bit of its own: repeated where it is a sign, below a 0 where it is not.
    """
    columns: list[list[int]] = [[], [], [], []]
    for w_bits in range(2 if w_half else 4):
        for a_bits in range(2 if a_half else 4):
            w = -w_bits if w_half and w_signed else w_bits
            a = -a_bits if a_half and a_signed else a_bits
            w -= 4 if w_signed and not w_half and w_bits >= 2 else 0
            a -= 4 if a_signed and not a_half and a_bits >= 2 else 0
            for index in range(4):
                columns[index].append((w * a) >> index & 1)
    functions: dict[tuple[int, ...], str] = {}
    bits: _Word = []
    for column in columns:
        if not any(column):
            bits.append(None)
        else:
            bits.append(functions.setdefault(tuple(column), f"{name}.{len(functions)}"))
    return bits, len(functions)


def _add(left: _Word, right: _Word, name: str) -> tuple[_Word, int]:
    """Sum of two words, and the adder bits it takes: from the lowest bit both have upwards."""
    both = [
        position
        for position, (a, b) in enumerate(zip(left, right, strict=True))
        if a is not None and b is not None
    ]
    if not both:
        return [a or b for a, b in zip(left, right, strict=True)], 0
    highest = max(
        position
        for position, (a, b) in enumerate(zip(left, right, strict=True))
        if a is not None or b is not None
    )
    low, top = both[0], min(len(left), highest + 2)
    total: _Word = [a or b for a, b in zip(left[:low], right[:low], strict=True)]
    total += [f"{name}.{position}" for position in range(low, top)]
    total += [None] * (len(left) - top)
    return total, top - low
