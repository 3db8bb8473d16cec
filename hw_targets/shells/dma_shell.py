"""The shell between a DMA of AMD's and the accelerator, as data: widths, sources, a top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hw_targets.boards import Board
from hw_targets.errors import LiftFlowError
from hw_targets.rtl.kernel import Stream
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.frames import Layout

RTL = Path(__file__).parent / "rtl"
SOURCES = ("lf_dma_in.sv", "lf_dma_out.sv", "lf_dma_shell.sv")
TOP = "liftflow_dma"

LENGTH_BITS = 26
"""Of the DMA's length registers, the most that AMD's AXI DMA has (PG021, c_sg_length_width)."""

_NARROWEST = 4
"""Bytes of the narrowest bus to memory that AXI DMA has (PG021, c_m_axi_mm2s_data_width)."""


@dataclass(frozen=True)
class Processor:
    """A processing system beside the logic.

    name: for people. parts: how names of its devices begin. port_bytes: width of its ports to
    memory. address_bits: of those ports.
    """

    name: str
    parts: tuple[str, ...]
    port_bytes: int
    address_bits: int


PROCESSORS: Mapping[str, Processor] = {
    # UG585 (Zynq-7000), AXI_HP interfaces; UG1085 (Zynq UltraScale+), S_AXI_HP*_FPD.
    "zynq7": Processor("Zynq-7000", ("xc7z",), 8, 32),
    "zynqmp": Processor("Zynq UltraScale+", ("xczu", "xck24", "xck26"), 16, 40),
}


def processor_of(board: Board) -> str:
    """Key in `PROCESSORS` of the board's processing system.

    Raises:
        LiftFlowError: it has none that this shell is for; says what to use.
    """
    for key, processor in PROCESSORS.items():
        if board.part.startswith(processor.parts):
            return key
    kinds = " or ".join(processor.name for processor in PROCESSORS.values())
    raise LiftFlowError(
        f"vivado-rtl wants the processing system of a {kinds}, and {board.part} has none",
        where=board.name,
        mend=_instead(board),
    )


def _instead(board: Board) -> str:
    if board.flow != "vivado":
        return "leave synthesize.flow at auto: open tools make this board's bitstream"
    if board.finn_shell:
        return "use synthesize.flow=finn: FINN's Vitis flow makes this board's bitstream"
    return "use synthesize.flow=finn: FINN makes a stitched IP for a Vivado project of your own"


@dataclass(frozen=True)
class DmaShell:
    """The accelerator with streams as a DMA of `board` has them.

    Raises:
        LiftFlowError: the board has no processing system of a kind that is known here.
    """

    board: Board
    accelerator: Accelerator

    def __post_init__(self) -> None:
        processor_of(self.board)

    @property
    def processor(self) -> Processor:
        return PROCESSORS[processor_of(self.board)]

    @property
    def input(self) -> Layout:
        """Frames in memory, as the host writes them."""
        return _layout(self.accelerator.input)

    @property
    def output(self) -> Layout:
        """Frames in memory, as the host reads them."""
        return _layout(self.accelerator.output)

    def word_bytes(self, layout: Layout) -> int:
        """Width of the DMA's stream: a beat, within what the ports to memory carry in a cycle."""
        return min(max(layout.beat_bytes, _NARROWEST), self.processor.port_bytes)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the shell's sources in the order to read them, after the accelerator's."""
        return (*SOURCES, f"{TOP}.v")

    def files(self) -> dict[str, bytes]:
        """Name -> contents of what the shell adds to the accelerator's own files."""
        found = {name: (RTL / name).read_bytes() for name in SOURCES}
        return {**found, f"{TOP}.v": self.top_source().encode()}

    def top_source(self) -> str:
        """The generated top. It is Verilog: Vivado packages no IP with a SystemVerilog top."""
        unit = self.accelerator
        into, out = self.word_bytes(self.input), self.word_bytes(self.output)
        return f"""\
// {unit.top} {unit.digest[:16]} between the streams of a DMA: generated.
module {TOP} (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_RESET aresetn" *)
    input  wire aclk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire aresetn,
{_ports("s_axis", into, "input ", "output")},
{_ports("m_axis", out, "output", "input ")}
);
    wire rst = !aresetn;  // made synchronous by the reset block of the design

    wire [{unit.input.width - 1}:0] to_tdata;
    wire [{unit.output.width - 1}:0] from_tdata;
    wire to_tvalid, to_tready, from_tvalid, from_tready;

    lf_dma_shell #(
        .IN_WORD_BYTES({into}), .IN_BEAT_BYTES({self.input.beat_bytes}),
        .IN_WIDTH({unit.input.width}), .IN_BEATS({unit.input.beats}),
        .OUT_WORD_BYTES({out}), .OUT_BEAT_BYTES({self.output.beat_bytes}),
        .OUT_WIDTH({unit.output.width}), .OUT_BEATS({unit.output.beats})
    ) shell (
        .clk(aclk), .rst(rst),
{_bound("s_axis")},
{_bound("m_axis")},
        .to_tdata(to_tdata), .to_tvalid(to_tvalid), .to_tready(to_tready),
        .from_tdata(from_tdata), .from_tvalid(from_tvalid), .from_tready(from_tready)
    );
    {unit.top} accelerator (
        .clk(aclk), .rst(rst),
        .s_axis_tdata(to_tdata), .s_axis_tvalid(to_tvalid), .s_axis_tready(to_tready),
        .m_axis_tdata(from_tdata), .m_axis_tvalid(from_tvalid), .m_axis_tready(from_tready)
    );
endmodule
"""


def _layout(stream: Stream) -> Layout:
    octets = -(-stream.width // 8)
    beat_bytes = 1 << (octets - 1).bit_length()
    return Layout(stream.lanes, stream.bits, stream.signed, stream.beats, beat_bytes)


def _ports(prefix: str, word_bytes: int, there: str, back: str) -> str:
    return f"""\
    {there} wire [{8 * word_bytes - 1}:0] {prefix}_tdata,
    {there} wire [{word_bytes - 1}:0] {prefix}_tkeep,
    {there} wire {prefix}_tlast,
    {there} wire {prefix}_tvalid,
    {back} wire {prefix}_tready"""


def _bound(prefix: str) -> str:
    parts = ("tdata", "tkeep", "tlast", "tvalid", "tready")
    return ",\n".join(f"        .{prefix}_{part}({prefix}_{part})" for part in parts)
