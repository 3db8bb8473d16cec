"""The open flow: shell simulated whole, netlist, placement, bitstream, each held to its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from compiler.stages import Implementation, Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import nextpnr, open_tools, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import Limit, beside
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.shell import Shell
from passes._fit import estimated, require_fit
from passes._netlist_check import check_netlist
from passes._shell_check import check_shell
from passes.base import Context


@dataclass(frozen=True)
class Job:
    """What to implement, where, and within which limits."""

    design: RtlDesign
    board: Board
    clock_mhz: float
    share: float
    baud: int
    seeds: int
    shell_frames: int
    netlist_frames: int = 0
    allow_missed_clock: bool = False
    limit: Limit = field(default_factory=Limit)

    @property
    def shell(self) -> Shell:
        """The board's shell round the design's accelerator. Raises LiftFlowError."""
        unit = Accelerator.read(self.design.folder, self.design.network.classes)
        return Shell(self.board, unit, self.clock_mhz, self.baud)

    def plan(self) -> BuildPlan:
        """The build of the bitstream."""
        return open_tools.plan(
            self.shell, self.design.folder, self.seeds, allow_missed_clock=self.allow_missed_clock
        )


def implement(job: Job, ctx: Context) -> Implementation:
    """Bitstream and figures of a board with a shell.

    Raises:
        InfeasibleError: more resources than the share of the board; names each with its numbers.
        LiftFlowError: a tool failed, or no seed met the clock.
        VerificationError: the simulated shell answered otherwise than the model, or the netlist
            otherwise than the shell.
    """
    design, board = job.design, job.board
    shell = job.shell
    plan = job.plan()
    folder = ctx.workdir / "plan"
    budget = board.budget(job.share)
    # The tools run beside the simulations: each uses one core.
    with beside(1) as pool:
        synthesis = pool.submit(_synthesise, plan, folder, job, ctx)
        answers = check_shell(shell, design, job.shell_frames, ctx, job.limit, job.netlist_frames)
        synthesised = synthesis.result()
        placement = pool.submit(_place, plan, folder, job, ctx)
        if job.netlist_frames:
            check_netlist(shell, design, folder, answers, job.netlist_frames, ctx, job.limit)
        placed, reached = placement.result()
    if job.allow_missed_clock and reached < shell.mhz:
        ctx.say(f"the clock is missed, as allowed: {reached:.1f} of {shell.mhz:g} MHz", None)
    else:
        ctx.prove(
            "the clock is met by the placed and routed design",
            reached >= shell.mhz,
            measured=f"{reached:.1f} MHz",
            required=f"{shell.mhz:g} MHz",
        )
    return Implementation(
        name=design.name,
        design=design,
        board=board.name,
        estimated=estimated(design, board),
        synthesised=Resources(**synthesised),
        placed=Resources(**placed),
        budget=Resources(**budget),
        clock_target_mhz=shell.mhz,
        clock_mhz=reached,
        bitstream=folder / nextpnr.TARGETS[board.flow].bitstream,
        plan=folder,
        shell_frames=len(answers),
        baud=job.baud,
    )


def _synthesise(plan: BuildPlan, folder: Path, job: Job, ctx: Context) -> dict[str, float]:
    """Resources of the netlist, checked before the long placement."""
    *_, netlist, _place_and_route, _pack = plan.steps
    plan.run(folder, ctx.say, until=netlist.name, limit=job.limit)
    synthesised = yosys.resources(folder / yosys.STATISTICS, load_family(job.board.family))
    require_fit(synthesised, job.board, job.share)
    return synthesised


def _place(plan: BuildPlan, folder: Path, job: Job, ctx: Context) -> tuple[dict[str, float], float]:
    """(resources placed, MHz reached)."""
    plan.run(folder, ctx.say, limit=job.limit)
    report = nextpnr.report(folder / nextpnr.REPORT, job.board.flow)
    require_fit(report.resources, job.board, job.share)
    return report.resources, report.slowest_mhz
