"""Requantization: a multiplier, an addition and a shift a channel, then a clip to the output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.kernel import IntArray, Stream, pack, require
from hw_targets.rtl.multiplier import sides
from hw_targets.rtl.mvu import PRODUCT
from hw_targets.rtl.rom import ROM, Constants, RomKernel, side_by_side

MOST_SHIFT = 50
MOST_MULT_BITS = 35
"""What two multipliers of 18 bits take. Few layers need more than 25, where steps are close."""
FEW_FOLDS = 16
"""Behind more words of constants in logic than these a multiplier has registers of its own."""
ANY_SLOPE = 1 << 12
"""More levels a step than any line needs; with `MOST_SHIFT` it fits into a machine word."""


@dataclass(frozen=True)
class Requant(RomKernel):
    """`out = clip((x * mult[c] + add[c]) >> shift)` to the range of `out_bits`; sums are exact.

    multiplier_bits: width of a multiplier's wider operand. Operands that are wider than a
        multiplier's (`sides`) are cut in two, and what their parts give is added a cycle later.
    """

    module: ClassVar[str] = "lf_requant"
    source: ClassVar[str] = "requant.sv"
    uses: ClassVar[tuple[str, ...]] = (PRODUCT, ROM)

    channels: int
    pe: int
    pixels: int
    in_bits: int
    in_signed: bool
    out_bits: int
    out_signed: bool
    mult_bits: int
    add_bits: int
    shift: int
    arithmetic: Literal["lut", "dsp"] = "dsp"
    multiplier_bits: int = 18

    def __post_init__(self) -> None:
        sizes = self.channels, self.pe, self.pixels, self.in_bits, self.out_bits
        require(
            min(*sizes, self.mult_bits, self.add_bits) >= 1,
            "requant: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0,
            "requant: pe must divide channels: {kernel}",
            kernel=self,
        )
        require(
            0 <= self.shift <= MOST_SHIFT,
            "requant: shift must be 0..{most}: {kernel}",
            most=MOST_SHIFT,
            kernel=self,
        )

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.pe

    @property
    def sum_bits(self) -> int:
        """Bits that hold every `x * mult + add` of the formats (two's complement)."""
        in_low = -(1 << (self.in_bits - 1)) if self.in_signed else 0
        in_high = in_low + (1 << self.in_bits) - 1
        mult, add = 1 << (self.mult_bits - 1), 1 << (self.add_bits - 1)
        products = [x * m for x in (in_low, in_high) for m in (-mult, mult - 1)]
        low, high = min(products) - add, max(products) + add - 1
        return max((-low - 1).bit_length(), high.bit_length()) + 1

    @property
    def in_multipliers(self) -> bool:
        """Whether multipliers make the products: not of operands in more than two parts."""
        longest = max(self.in_bits + 1, self.mult_bits)
        return self.arithmetic == "dsp" and longest < 2 * sides(self.multiplier_bits)[1]

    @property
    def read_again(self) -> bool:
        """Whether constants in logic have a register more, the multiplier's."""
        return self.in_multipliers and not self.rom_banks and self.folds > FEW_FOLDS

    @property
    def parts(self) -> int:
        """Multipliers a lane, where it has any."""
        x_bits = self.in_bits + (not self.in_signed)
        operands = sorted((x_bits, self.mult_bits), reverse=True)
        pairs = zip(operands, sides(self.multiplier_bits), strict=True)
        return prod(1 + (operand > side) for operand, side in pairs)

    @property
    def constants(self) -> Constants:
        return Constants("auto", self.folds, self.pe * (self.mult_bits + self.add_bits))

    @property
    def input(self) -> Stream:
        return Stream(self.pe, self.in_bits, self.in_signed, self.pixels * self.folds)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.out_bits, self.out_signed, self.pixels * self.folds)

    @property
    def cycles(self) -> int:
        return self.pixels * self.folds

    def parameters(self) -> dict[str, int | str]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "IN_BITS": self.in_bits,
            "IN_SIGNED": int(self.in_signed),
            "OUT_BITS": self.out_bits,
            "OUT_SIGNED": int(self.out_signed),
            "MULT_BITS": self.mult_bits,
            "ADD_BITS": self.add_bits,
            "SHIFT": self.shift,
            "SUM_BITS": self.sum_bits,
            "USE_DSP": int(self.in_multipliers),
            "MULTIPLIER_BITS": self.multiplier_bits,
            "ROM_BANKS": self.rom_banks,
        }

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `fold` holds, for each of its channels, `{add, mult}`."""
        mult, add = self._constants(arrays)
        mask = (1 << self.mult_bits) - 1
        # Both together may have more bits than a machine word.
        both = (add.astype(object) << self.mult_bits) | (mult & mask).astype(object)
        rows = side_by_side(both.reshape(self.folds, self.pe), self.rom_banks)
        return {"CONSTANTS": [pack(row, self.mult_bits + self.add_bits) for row in rows]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        mult, add = self._constants(arrays)
        values = np.asarray(frames, dtype=np.int64).reshape(len(frames), -1, self.channels)
        low = -(1 << (self.out_bits - 1)) if self.out_signed else 0
        shifted = (values * mult + add) >> self.shift
        clipped = np.clip(shifted, low, low + (1 << self.out_bits) - 1)
        return np.asarray(clipped.reshape(len(frames), -1), dtype=np.int64)

    def _constants(self, arrays: Mapping[str, IntArray]) -> tuple[IntArray, IntArray]:
        found = []
        for name, bits in (("mult", self.mult_bits), ("add", self.add_bits)):
            values = np.asarray(arrays[name], dtype=np.int64)
            require(
                values.shape == (self.channels,),
                "requant: {name} has shape {shape}, not (channels,) = {expected}",
                name=name,
                shape=values.shape,
                expected=(self.channels,),
            )
            limit = 1 << (bits - 1)
            require(
                bool(values.min() >= -limit and values.max() < limit),
                "requant: {name} does not fit into {bits} bits",
                name=name,
                bits=bits,
            )
            found.append(values)
        return found[0], found[1]


@dataclass(frozen=True)
class Fit:
    """Constants of `Requant`: mult and add (channels,), one shift for all."""

    mult: IntArray
    add: IntArray
    shift: int


def fit(
    step: NDArray[np.float64],
    bias: NDArray[np.float64],
    out_scale: float,
    least: int,
    most: int,
    in_low: int,
    in_high: int,
) -> Fit | None:
    """Constants that give the same integer as thresholds for every accumulator there can be.

    Accumulator `a` of channel c stands for `a * step[c] + bias[c]`. Wanted is, for all integers in
    `in_low .. in_high`, `clip((a * mult[c] + add[c]) >> shift, least, most)` equal to
    `least + #{k in least+1 .. most: a >= ceil(((k - 1/2) * out_scale - bias[c]) / step[c])}`.

    step, bias: (channels,), steps positive. None as of `fit_steps`.
    """
    require(bool((step > 0).all()), "requant: steps must be positive")
    levels = np.arange(least + 1, most + 1, dtype=np.int64)
    edges = np.ceil(((levels - 0.5) * out_scale - bias[:, None]) / step[:, None])
    reached_at = np.clip(edges, in_low, in_high + 1).astype(np.int64)
    return fit_steps(reached_at, least, most, in_low, in_high)


def fit_steps(steps: IntArray, least: int, most: int, in_low: int, in_high: int) -> Fit | None:
    """Constants that give `least + #{k: a >= steps[c, k]}` for every `a` in `in_low .. in_high`.

    The line `a * mult + add` must have reached `k << shift` at a threshold, and not a step before.
    Any two of these conditions bound the slope, and between integers no other rounding is left:
    a slope within all bounds has an integer `add`. The least shift is taken at which every channel
    has such a `mult`, and of those the least: more bits of the one or the other are never fewer of
    the sum.

    steps: (channels, most - least), ascending; what lies outside of the range asks for nothing.
    None where no `mult` of `MOST_MULT_BITS`, nor one whose products are machine words, fits at any
    shift up to `MOST_SHIFT`: the slopes that thresholds rounded to integers allow are too narrow.
    """
    levels = np.arange(least + 1, most + 1, dtype=np.int64)
    # One beyond the range: never reached.
    reached_at = np.clip(steps, in_low, in_high + 1).astype(np.int64)
    slopes = np.array([_slopes(levels, row, in_low, in_high) for row in reached_at])
    lower, upper = slopes[:, 0], slopes[:, 1]
    for shift in range(MOST_SHIFT + 1):
        # Open intervals of quotients of integers, slopes not below 0.
        mult = np.maximum((lower[:, 0] << shift) // lower[:, 1] + 1, 0)
        highest = -(-(upper[:, 0] << shift) // upper[:, 1]) - 1
        widest = int(mult.max())
        if widest >= 1 << (MOST_MULT_BITS - 1) or widest * max(-in_low, in_high) >= 1 << 62:
            return None
        if (mult > highest).any():
            continue
        add = np.zeros_like(mult)
        for channel, row in enumerate(reached_at):
            low, high = _additions(levels << shift, row, in_low, in_high, int(mult[channel]))
            # The one nearest to zero takes the fewest bits.
            add[channel] = min(max(0, low), high)
        found = Fit(mult, add, shift)
        require(
            _exact(found, levels, reached_at, in_low, in_high),
            "requant: constants for {low}..{high} are not exact",
            low=in_low,
            high=in_high,
        )
        return found
    return None


def _slopes(
    levels: IntArray, reached_at: IntArray, in_low: int, in_high: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Open interval of slopes (levels a step) of the lines that lie right at all thresholds.

    Its ends as (rise, run). Of quotients of integers below 2**26, those that are equal as floats
    are equal.
    """
    above, below = reached_at <= in_high, reached_at > in_low
    x = np.where(below, reached_at - 1, in_high)[below]
    run = x[:, None] - reached_at[above]
    rise = levels[below][:, None] - levels[above]
    # Line at least `levels` at `reached_at`, and less at x: slope * run < rise.
    found = []
    for side, none in ((run < 0, (-1, 1)), (run > 0, (ANY_SLOPE, 1))):
        rises, runs = rise[side], run[side]
        if not len(runs):
            found.append(none)
            continue
        slopes = rises / runs
        at = int(slopes.argmax() if none[0] < 0 else slopes.argmin())
        sign = 1 if runs[at] > 0 else -1
        found.append((sign * int(rises[at]), sign * int(runs[at])))
    return found[0], found[1]


def _additions(
    targets: IntArray, reached_at: IntArray, in_low: int, in_high: int, mult: int
) -> tuple[int, int]:
    """Least and greatest `add` that is right at all thresholds, for one `mult`."""
    above, below = reached_at <= in_high, reached_at > in_low
    least = targets[above] - reached_at[above] * mult
    most = targets[below] - 1 - (reached_at[below] - 1) * mult
    widest = 1 << 62
    return int(least.max(initial=-widest)), int(most.min(initial=widest))


def _exact(found: Fit, levels: IntArray, reached_at: IntArray, in_low: int, in_high: int) -> bool:
    """Whether both sides of every threshold, and the ends of the range, come out right.

    Between them the count does not change, and the line, which does not fall, neither.
    """
    least, most = int(levels[0]) - 1, int(levels[-1])
    ends = np.tile([in_low, in_high], (len(reached_at), 1))
    points = np.clip(np.concatenate([reached_at - 1, reached_at, ends], axis=1), in_low, in_high)
    lines = (points * found.mult[:, None] + found.add[:, None]) >> found.shift
    counts = least + np.stack(
        [np.searchsorted(row, at, "right") for row, at in zip(reached_at, points, strict=True)]
    )
    return bool((np.clip(lines, least, most) == counts).all() and (found.mult >= 0).all())
