"""What the contents of a table cost in LUTs, told by counting what differs in them.

A column is one bit of the result over all words. Synthesis makes a tree of it: leaves of as many
inputs as a LUT has, multiplexers above them by the further inputs, equal parts of any columns made
once, and nothing for what is constant or an input as it is.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.kernel import IntArray

Bits = NDArray[np.int64]

SCALE_OCTAVES = (-0.5, 1.0)
"""Where scales of networks' tables lie, as powers of two: see `rescaled`.

What is clipped at the greatest result is half of the range at most: sums have a bit to spare, and
what was quantized before hardly any.
"""
_LEAST_RESET = 8
"""Words of a table up to which no reset is made."""


@dataclass(frozen=True)
class TableLogic:
    """Counts for LUTs of four inputs and of six, means where contents are not known.

    leaves: distinct functions of a LUT's inputs, or their inverses. near_4: multiplexers between
    two leaves, far_4: those above. resets_6: conditions under which columns are constant, where
    registers are set or reset by them instead.
    """

    leaves_4: float
    near_4: float
    far_4: float
    leaves_6: float
    muxes_6: float
    resets_6: float


def table_logic(words: IntArray, out_bits: int) -> TableLogic:
    """words: (2**in_bits,) results, as integers of `out_bits` bits."""
    columns = list((np.asarray(words, dtype=np.int64)[None] >> np.arange(out_bits)[:, None]) & 1)
    near, *far = [*_muxes(columns, 4), 0]
    rests, resets = [], set()
    for column in columns:
        condition, rest = _constant_apart(column)
        rests.append(rest)
        if condition:
            resets.add(condition)
    six = _leaves(rests, 6), sum(_muxes(rests, 6)), len(resets)
    return TableLogic(_leaves(columns, 4), near, sum(far), *six)


def _leaves(columns: list[Bits], inputs: int) -> int:
    """Distinct functions of the lowest `inputs` inputs that are neither constant nor an input."""
    found = set()
    for column in columns:
        size = min(len(column), 1 << inputs)
        at = np.arange(size)
        plain = {bytes(at >> bit & 1) for bit in range(inputs)}
        rows = column.reshape(-1, size)
        for row in rows ^ rows[:, :1]:
            key = bytes(row)
            if row.any() and key not in plain:
                found.add((size, key))
    return len(found)


def _muxes(columns: list[Bits], inputs: int) -> list[int]:
    """Distinct multiplexers a level, from the lowest on."""
    found: list[set[bytes]] = []
    for column in columns:
        size, level = 2 << inputs, 0
        while size <= len(column):
            rows = column.reshape(-1, 2, size // 2)
            if level == len(found):
                found.append(set())
            differing = rows[(rows[:, 0] != rows[:, 1]).any(1)]
            # Between two constants it is the input that chooses.
            found[level] |= {bytes(row) for row in differing if (row != row[:, :1]).any()}
            size, level = 2 * size, level + 1
    return [len(level) for level in found]


def _constant_apart(column: Bits) -> tuple[tuple[tuple[int, int], ...], Bits]:
    """Takes halves off that are constant, all the same. Returns which ones, and what is left.

    Nothing is taken where nothing would be left, nor from few words.
    """
    condition: list[tuple[int, int]] = []
    rest, value = column, None
    while len(column) > _LEAST_RESET and len(rest) > 1:
        halves = rest.reshape(2, -1)
        if (halves[0] == halves[1]).all():
            rest = halves[0]
            continue
        for at, half in enumerate(halves):
            if (half == half[0]).all() and value in (None, half[0]):
                value = half[0]
                condition.append((len(half), at))
                rest = halves[1 - at]
                break
        else:
            break
    return (tuple(condition), rest) if len(rest) > 1 and condition else ((), column)


@lru_cache(maxsize=4096)
def usual_table_logic(in_bits: int, in_signed: bool, out_bits: int, out_signed: bool) -> TableLogic:
    """Of integers of one scale in another: mean over the scales that networks have."""
    scales = 2.0 ** np.linspace(*SCALE_OCTAVES, 7)
    form = in_bits, in_signed, out_bits, out_signed
    found = [astuple(table_logic(rescaled(*form, float(s)), out_bits)) for s in scales]
    return TableLogic(*np.mean(found, axis=0).tolist())


def rescaled(
    in_bits: int, in_signed: bool, out_bits: int, out_signed: bool, scale: float
) -> IntArray:
    """(2**in_bits,) integers rounded into another scale and clipped.

    scale: 1 where the greatest input becomes the greatest result.
    """
    words = 1 << in_bits
    x = np.arange(words)
    if in_signed:
        x = np.where(x < words // 2, x, x - words)
    low = -(1 << (out_bits - 1)) if out_signed else 0
    high = low + (1 << out_bits) - 1
    values: IntArray = np.clip(np.floor(x * (high / max(int(x.max()), 1) * scale) + 0.5), low, high)
    return values.astype(np.int64)
