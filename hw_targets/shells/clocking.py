"""Clocks on the board: PLL dividers from the oscillator, and the serial line's divider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hw_targets.errors import LiftFlowError

VCO_MHZ = (400.0, 800.0)
OUTPUT_MHZ = (3.125, 400.0)
PHASE_DETECTOR_MHZ = 3.125
"""Limits of the ECP5 PLL: Lattice FPGA-DS-02012, sysCLOCK PLL timing; the phase detector's least
frequency is the one Project Trellis' ecppll uses."""

_TOLERANCE = 0.01


@dataclass(frozen=True)
class Pll:
    """Dividers of a PLL whose feedback is its output, and the frequency in MHz that they give."""

    input_div: int
    feedback_div: int
    output_div: int
    mhz: float


@dataclass(frozen=True)
class PllLimits:
    """What a PLL can do, in MHz. detector: least and greatest frequency of the phase detector.

    best_vco: the middle of what the VCO does.
    """

    detector: tuple[float, float]
    vco: tuple[float, float]
    output: tuple[float, float]
    best_vco: float
    input_divs: Sequence[int]
    feedback_divs: Sequence[int]
    output_divs: Sequence[int]


_ECP5 = PllLimits(
    (PHASE_DETECTOR_MHZ, math.inf), VCO_MHZ, OUTPUT_MHZ, 600.0,
    range(1, 129), range(1, 81), range(1, 129),
)  # fmt: skip

GOWIN = PllLimits(
    (3.0, 400.0), (500.0, 1200.0), (3.90625, 600.0), 850.0,
    range(1, 65), range(1, 65), (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
)  # fmt: skip
"""Limits that rPLLs of GW1NR-9 C6/I5 and GW2AR-18 C8/I7 both keep: Gowin DS117 and DS226, as
Project Apicula's gowin_pll has them; dividers: UG286."""


def ecp5_pll(oscillator_mhz: float, clock_mhz: float) -> Pll:
    """Dividers of an EHXPLLL; see `pll`. Raises LiftFlowError."""
    return pll(_ECP5, oscillator_mhz, clock_mhz)


def pll(limits: PllLimits, oscillator_mhz: float, clock_mhz: float) -> Pll:
    """The dividers that come nearest to `clock_mhz`.

    Among equals the least input divider (the least jitter), then the VCO nearest its middle.

    Raises:
        LiftFlowError: nothing within 1 % can be reached; names the nearest clock.
    """
    best: tuple[tuple[float, int, float], Pll] | None = None
    for input_div in limits.input_divs:
        detector = oscillator_mhz / input_div
        if detector < limits.detector[0]:
            break
        if detector > limits.detector[1]:
            continue
        for feedback_div in limits.feedback_divs:
            mhz = detector * feedback_div
            if not limits.output[0] <= mhz <= limits.output[1]:
                continue
            for output_div in limits.output_divs:
                vco = mhz * output_div
                if not limits.vco[0] <= vco <= limits.vco[1]:
                    continue
                rank = (round(abs(mhz - clock_mhz), 9), input_div, abs(vco - limits.best_vco))
                if best is None or rank < best[0]:
                    best = (rank, Pll(input_div, feedback_div, output_div, mhz))
    if best is None or abs(best[1].mhz - clock_mhz) > _TOLERANCE * clock_mhz:
        nearest = f"; the nearest is {best[1].mhz:g} MHz" if best else ""
        raise LiftFlowError(
            f"a clock of {clock_mhz:g} MHz can't be made from {oscillator_mhz:g} MHz{nearest}",
            where="clock",
            mend="choose another clock",
        )
    return best[1]


def uart_divider(clock_mhz: float, baud: int) -> int:
    """Clock cycles a bit.

    Raises:
        LiftFlowError: the rate is off by 1 % or more, or leaves fewer than 4 cycles a bit.
    """
    cycles = clock_mhz * 1e6 / baud
    divider = round(cycles)
    if divider < 4 or abs(divider / cycles - 1) >= _TOLERANCE:
        raise LiftFlowError(
            f"{baud} baud is {cycles:.2f} cycles a bit at {clock_mhz:g} MHz, which is not near "
            "enough to a whole number of at least 4",
            where="baud",
            mend=f"choose a slower rate, such as {round(clock_mhz * 1e6 / (divider + 1))}",
        )
    return divider
