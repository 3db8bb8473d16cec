"""The board shell as data: SystemVerilog sources, a generated top and pin constraints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hw_targets.boards import Board, Pins
from hw_targets.errors import LiftFlowError
from hw_targets.rtl.kernel import Stream
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.clocking import uart_divider
from hw_targets.shells.platforms import PLATFORMS, ClockSource, Platform
from hw_targets.shells.protocol import (
    IDENTIFY_REPLY,
    LATENCY,
    MOST_BYTES,
    VERSION,
    Format,
    Identity,
)

RTL = Path(__file__).parent / "rtl"

SOURCES = (
    "lf_protocol.sv",
    "lf_crc16.sv",
    "lf_reset_sync.sv",
    "lf_uart_rx.sv",
    "lf_uart_tx.sv",
    "lf_frame_rx.sv",
    "lf_frame_memory.sv",
    "lf_frame_buffer.sv",
    "lf_frame_tx.sv",
    "lf_result_buffer.sv",
    "lf_shell.sv",
)

DEFAULT_BAUD = 1_000_000


@dataclass(frozen=True)
class Shell:
    """A board's clock, reset and serial bridge round one accelerator.

    clock_mhz: the accelerator's clock as asked for; `mhz` is what the board makes of it.

    Raises:
        LiftFlowError: the board has no such shell, the clock or the baud rate can't be made, or a
            frame of the accelerator doesn't fit the protocol.
    """

    board: Board
    accelerator: Accelerator
    clock_mhz: float
    baud: int = DEFAULT_BAUD

    def __post_init__(self) -> None:
        if self.board.flow not in PLATFORMS or self.board.pins is None:
            raise LiftFlowError(
                "there is no shell for this board",
                where=self.board.name,
                mend=f"use a board of flow {' or '.join(PLATFORMS)}; `liftflow boards` lists them",
            )
        uart_divider(self.mhz, self.baud)
        for name, form in (("input", self.identity.input), ("output", self.identity.output)):
            if form.frame_bytes > MOST_BYTES - LATENCY.size:
                raise LiftFlowError(
                    f"an {name} of {form.frame_bytes} bytes a frame is over the serial protocol's "
                    f"{MOST_BYTES - LATENCY.size}",
                    where=self.board.name,
                    mend=f"use a network with a smaller {name}",
                )

    @property
    def platform(self) -> Platform:
        return PLATFORMS[self.board.flow]

    @property
    def clock(self) -> ClockSource:
        """What makes the accelerator's clock."""
        return self.platform.clock(self.oscillator_mhz, self.clock_mhz)

    @property
    def oscillator_mhz(self) -> float:
        assert self.board.clock.oscillator_mhz is not None  # a board of this flow has one
        return self.board.clock.oscillator_mhz

    @property
    def mhz(self) -> float:
        """The clock that the accelerator really gets."""
        return self.clock.mhz

    @property
    def pins(self) -> Pins:
        assert self.board.pins is not None  # __post_init__ refused otherwise
        return self.board.pins

    @property
    def top(self) -> str:
        """Name of the top module."""
        return "liftflow_" + "".join(c if c.isalnum() else "_" for c in self.board.name)

    @property
    def identity(self) -> Identity:
        """What the board answers to IDENTIFY."""
        unit = self.accelerator
        return Identity(
            version=VERSION,
            digest=unit.digest[:16],
            input=_format(unit.input),
            output=_format(unit.output),
            classes=unit.classes,
            clock_khz=round(self.mhz * 1000),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Paths of the shell's sources in the order to read them, after the accelerator's."""
        cells = (f"shell/{name}" for name in self.platform.cells)
        return (*cells, *self.simulated_sources)

    @property
    def simulated_sources(self) -> tuple[str, ...]:
        """The same without the device's cells."""
        names = (*SOURCES, *self.platform.sources, f"{self.top}.sv")
        return tuple(f"shell/{name}" for name in names)

    @property
    def constraints(self) -> str:
        """Path of the pin constraints."""
        return f"shell/{self.top}.{self.platform.suffix}"

    def files(self) -> dict[str, bytes]:
        """Path -> contents of everything the shell adds to a build."""
        own = (*self.platform.cells, *SOURCES, *self.platform.sources)
        found = {f"shell/{name}": (RTL / name).read_bytes() for name in own}
        found[f"shell/{self.top}.sv"] = self.top_source().encode()
        constraints = self.platform.constraints(self.pins, self.oscillator_mhz)
        found[self.constraints] = constraints.encode()
        return found

    def write(self, folder: Path) -> None:
        """Write `files()` below `folder`."""
        for name, data in self.files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def top_source(self) -> str:
        """The generated top: pins, clock, reset, shell and accelerator."""
        unit, leds = self.accelerator, len(self.pins.leds)
        identity = int.from_bytes(self.identity.pack(), "little")
        ports = ["input  logic clk_in", "input  logic uart_rx", "output logic uart_tx"]
        ports += [f"output logic [{leds - 1}:0] led"] if leds else []
        ports += ["input  logic button"] if self.pins.button else []
        high = len(self.pins.tie_high)
        ports += [f"output logic [{high - 1}:0] tie_high"] if high else []
        declared = ",\n    ".join(ports)
        released = "locked && button" if self.pins.button else "locked"
        shown = f"    assign led = {leds}'(last_output);\n" if leds else ""
        shown += "    assign tie_high = '1;\n" if high else ""
        return f"""\
// Top of {self.board.name}: generated, {unit.digest[:16]} at {self.mhz:g} MHz, {self.baud} baud.
module {self.top} #(
    parameter int UART_DIVIDER   = {uart_divider(self.mhz, self.baud)},
    parameter int TIMEOUT_LOG2   = 20,
    parameter int NO_RESULT_LOG2 = 26
) (
    {declared}
);
    logic clk, locked, rst, accel_rst;
    logic [15:0] last_output;
    logic [{unit.input.width - 1}:0] in_tdata;
    logic [{unit.output.width - 1}:0] out_tdata;
    logic in_tvalid, in_tready, out_tvalid, out_tready;

{self.clock.verilog}    lf_reset_sync reset_sync (.clk, .async_reset(!({released})), .rst);

    lf_shell #(
        .DIVIDER(UART_DIVIDER), .IN_WIDTH({unit.input.width}), .IN_BEATS({unit.input.beats}),
        .OUT_WIDTH({unit.output.width}), .OUT_BEATS({unit.output.beats}),
        .TIMEOUT_LOG2(TIMEOUT_LOG2), .NO_RESULT_LOG2(NO_RESULT_LOG2),
        .IDENTITY({8 * IDENTIFY_REPLY.size}'h{identity:x})
    ) shell (
        .clk, .rst, .rxd(uart_rx), .txd(uart_tx), .last_output, .accel_rst,
        .m_axis_tdata(in_tdata), .m_axis_tvalid(in_tvalid), .m_axis_tready(in_tready),
        .s_axis_tdata(out_tdata), .s_axis_tvalid(out_tvalid), .s_axis_tready(out_tready)
    );
    {unit.top} accelerator (
        .clk, .rst(accel_rst),
        .s_axis_tdata(in_tdata), .s_axis_tvalid(in_tvalid), .s_axis_tready(in_tready),
        .m_axis_tdata(out_tdata), .m_axis_tvalid(out_tvalid), .m_axis_tready(out_tready)
    );
{shown}endmodule
"""


def _format(stream: Stream) -> Format:
    """A stream as the host is told of it."""
    return Format(stream.elements, stream.bits, stream.lanes, stream.signed)
