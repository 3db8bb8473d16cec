"""What differs between the shells of device families: clocking, sources and pin constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hw_targets.boards import Pins
from hw_targets.errors import LiftFlowError
from hw_targets.shells.clocking import GOWIN, ecp5_pll, pll


@dataclass(frozen=True)
class ClockSource:
    """Clock of the shell in MHz, and the Verilog that makes `clk` and `locked` from `clk_in`."""

    mhz: float
    verilog: str


@dataclass(frozen=True)
class Platform:
    """A device family's part of a shell.

    clock: (oscillator MHz, clock MHz asked for) -> the source; raises LiftFlowError. constraints:
    (pins, oscillator MHz) -> text of the file that ends in `suffix`. cells: sources with the
    interfaces of device cells, for synthesis alone; models: what simulation has in their place.
    netlist_models: further models that netlists need; yosys_models: those of Yosys' own library,
    paths in its share, read with yosys_defines.
    """

    clock: Callable[[float, float], ClockSource]
    constraints: Callable[[Pins, float], str]
    suffix: str
    sources: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    netlist_models: tuple[str, ...] = ()
    yosys_models: tuple[str, ...] = ()
    yosys_defines: tuple[str, ...] = ()


def _ecp5_clock(oscillator_mhz: float, clock_mhz: float) -> ClockSource:
    made = ecp5_pll(oscillator_mhz, clock_mhz)
    return ClockSource(
        made.mhz,
        f"""\
    lf_ecp5_pll #(
        .INPUT_DIV({made.input_div}), .FEEDBACK_DIV({made.feedback_div}),
        .OUTPUT_DIV({made.output_div})
    ) pll (
        .clk_in, .clk_out(clk), .locked
    );
""",
    )


def _gowin_clock(oscillator_mhz: float, clock_mhz: float) -> ClockSource:
    made = pll(GOWIN, oscillator_mhz, clock_mhz)
    return ClockSource(
        made.mhz,
        f"""\
    lf_gowin_pll #(
        .INPUT_DIV({made.input_div}), .FEEDBACK_DIV({made.feedback_div}),
        .OUTPUT_DIV({made.output_div}), .INPUT_MHZ("{oscillator_mhz:g}")
    ) pll (
        .clk_in, .clk_out(clk), .locked
    );
""",
    )


def _oscillator(oscillator_mhz: float, clock_mhz: float) -> ClockSource:
    """The oscillator itself: what iCE40 UltraPlus reaches is not far above it."""
    if abs(clock_mhz - oscillator_mhz) > 0.01 * oscillator_mhz:
        raise LiftFlowError(
            f"a clock of {clock_mhz:g} MHz can't be made: the shell has the oscillator's",
            where="clock",
            mend=f"choose {oscillator_mhz:g} MHz",
        )
    return ClockSource(oscillator_mhz, "    assign clk = clk_in;\n    assign locked = 1'b1;\n")


def _lpf(pins: Pins, oscillator_mhz: float) -> str:
    """The PLL's output clock is derived from the oscillator's by nextpnr."""
    options = {"clk_in": "PULLMODE=NONE", "uart_rx": "PULLMODE=UP", "button": "PULLMODE=UP"}
    lines = [f'FREQUENCY PORT "clk_in" {oscillator_mhz:g} MHZ;']
    for port, ball in placed(pins):
        drive = "NONE DRIVE=4" if port.startswith("led") else "UP DRIVE=4"
        chosen = options.get(port, f"PULLMODE={drive}")
        lines.append(f'LOCATE COMP "{port}" SITE "{ball}";')
        lines.append(f'IOBUF PORT "{port}" {chosen} IO_TYPE={pins.io_standard};')
    return "\n".join(lines) + "\n"


def _pcf(pins: Pins, _oscillator_mhz: float) -> str:
    """iCE40 pins have one standard a bank, which the board's supply sets."""
    pulled = {"uart_rx", "button"}
    return "".join(
        f"set_io {'-pullup yes ' if port in pulled else ''}{port} {ball}\n"
        for port, ball in placed(pins)
    )


def _cst(pins: Pins, _oscillator_mhz: float) -> str:
    """LEDs and button may have another standard than the rest, as their bank has another supply."""
    pulled = {"clk_in": "NONE", "uart_rx": "UP", "button": "UP"}
    lines = []
    for port, ball in placed(pins):
        slow = port == "button" or port.startswith("led")
        standard = (pins.slow_standard if slow else None) or pins.io_standard
        pull = f" PULL_MODE={pulled[port]}" if port in pulled else ""
        lines.append(f'IO_LOC "{port}" {ball};\nIO_PORT "{port}" IO_TYPE={standard}{pull};')
    return "\n".join(lines) + "\n"


def placed(pins: Pins) -> list[tuple[str, str]]:
    """(port of the top, ball) of every pin."""
    found = [("clk_in", pins.clk), ("uart_tx", pins.uart_tx), ("uart_rx", pins.uart_rx)]
    found += [(f"led[{index}]", ball) for index, ball in enumerate(pins.leds)]
    found += [("button", pins.button)] if pins.button else []
    return found + [(f"tie_high[{index}]", ball) for index, ball in enumerate(pins.tie_high)]


PLATFORMS: Mapping[str, Platform] = {
    "ecp5": Platform(
        clock=_ecp5_clock,
        constraints=_lpf,
        suffix="lpf",
        sources=("lf_ecp5_pll.sv",),
        cells=("lf_ecp5_cells.sv",),
        models=("ehxplll.sv",),
        netlist_models=("ecp5_cells.sv",),
        yosys_models=("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    ),
    "ice40": Platform(
        clock=_oscillator,
        constraints=_pcf,
        suffix="pcf",
        yosys_models=("ice40/cells_sim.v",),
        # Verilator takes defaults of ports for initial values of what is connected to them.
        yosys_defines=("NO_ICE40_DEFAULT_ASSIGNMENTS",),
    ),
    "gowin": Platform(
        clock=_gowin_clock,
        constraints=_cst,
        suffix="cst",
        sources=("lf_gowin_pll.sv",),
        cells=("lf_gowin_cells.sv",),
        models=("rpll.sv",),
    ),
}
"""Flow of a board -> its platform; boards of other flows have no shell."""
