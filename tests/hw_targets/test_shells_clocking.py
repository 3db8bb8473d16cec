"""PLL dividers and the serial line's divider."""

from __future__ import annotations

import pytest

from hw_targets.errors import LiftFlowError
from hw_targets.shells.clocking import GOWIN, VCO_MHZ, ecp5_pll, pll, uart_divider


@pytest.mark.parametrize("mhz", [12.5, 25, 40, 50, 60, 75, 80, 100, 133, 200])
def test_pll_is_within_its_limits_and_near(mhz: float) -> None:
    pll = ecp5_pll(25.0, mhz)
    assert pll.mhz == pytest.approx(mhz, rel=0.01)
    assert pll.mhz == pytest.approx(25.0 * pll.feedback_div / pll.input_div)
    assert VCO_MHZ[0] <= pll.mhz * pll.output_div <= VCO_MHZ[1]


def test_pll_of_the_default_clock_is_that_of_ecppll() -> None:
    pll = ecp5_pll(25.0, 50.0)
    assert (pll.input_div, pll.feedback_div, pll.output_div, pll.mhz) == (1, 2, 12, 50.0)


@pytest.mark.parametrize("mhz", [0.5, 3.0, 48.0, 500.0])
def test_unreachable_clock_is_refused(mhz: float) -> None:
    with pytest.raises(LiftFlowError, match=r"can't be made from 25 MHz; the nearest is"):
        ecp5_pll(25.0, mhz)


@pytest.mark.parametrize("mhz", [4.5, 13.5, 27, 48, 54, 60, 81, 100, 135])
def test_gowin_s_pll_is_within_its_limits_and_near(mhz: float) -> None:
    made = pll(GOWIN, 27.0, mhz)
    assert made.mhz == pytest.approx(mhz, rel=0.01)
    assert made.mhz == pytest.approx(27.0 * made.feedback_div / made.input_div)
    assert 500 <= made.mhz * made.output_div <= 1200
    assert made.output_div in GOWIN.output_divs
    assert 27.0 / made.input_div >= 3


def test_uart_divider() -> None:
    assert uart_divider(50.0, 1_000_000) == 50
    assert uart_divider(66.6667, 1_000_000) == 67
    with pytest.raises(LiftFlowError, match="baud"):
        uart_divider(12.5, 1_000_000 * 5)
    with pytest.raises(LiftFlowError, match=r"5\.56 cycles a bit"):
        uart_divider(16.6667, 3_000_000)
