"""Clocks on the board: PLL dividers from the oscillator, and the serial line's divider."""

from __future__ import annotations

from dataclasses import dataclass

from hw_targets.errors import LiftFlowError

VCO_MHZ = (400.0, 800.0)
OUTPUT_MHZ = (3.125, 400.0)
PHASE_DETECTOR_MHZ = 3.125
"""Limits of the ECP5 PLL: Lattice FPGA-DS-02012, sysCLOCK PLL timing; the phase detector's least
frequency is the one Project Trellis' ecppll uses."""

_TOLERANCE = 0.01
_BEST_VCO_MHZ = 600.0


@dataclass(frozen=True)
class Pll:
    """Dividers of an EHXPLLL whose feedback is CLKOP, and the frequency in MHz that they give."""

    input_div: int
    feedback_div: int
    output_div: int
    mhz: float


def ecp5_pll(oscillator_mhz: float, clock_mhz: float) -> Pll:
    """The dividers that come nearest to `clock_mhz`.

    Among equals the least input divider (the least jitter), then the VCO nearest its middle.

    Raises:
        LiftFlowError: nothing within 1 % can be reached; names the nearest clock.
    """
    best: tuple[tuple[float, int, float], Pll] | None = None
    for input_div in range(1, 129):
        detector = oscillator_mhz / input_div
        if detector < PHASE_DETECTOR_MHZ:
            break
        for feedback_div in range(1, 81):
            mhz = detector * feedback_div
            if not OUTPUT_MHZ[0] <= mhz <= OUTPUT_MHZ[1]:
                continue
            for output_div in range(1, 129):
                vco = mhz * output_div
                if not VCO_MHZ[0] <= vco <= VCO_MHZ[1]:
                    continue
                rank = (round(abs(mhz - clock_mhz), 9), input_div, abs(vco - _BEST_VCO_MHZ))
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
