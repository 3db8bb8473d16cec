"""The open flow: shell simulated whole, netlist, placement, bitstream, each held to its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compiler.stages import FloatArray, Implementation, Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import nextpnr, open_tools, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import USUAL, Limit, beside
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.driver import LiftFlowDevice, Result
from hw_targets.shells.protocol import Identity
from hw_targets.shells.samples import Encoding, channels_last
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import (
    FOLDER,
    SimulatedBoard,
    SimulatedPort,
    build_netlist_simulator,
    build_simulator,
)
from passes._fit import estimated, require_fit
from passes.base import Context

PATIENCE_FRAMES = 20
PATIENCE_BITS = 100
"""A simulated board counts as silent after so many latencies and bits of its serial line."""


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
        synthesis = pool.submit(_synthesise, plan, folder, job, budget, ctx)
        answers = check_shell(shell, design, job.shell_frames, ctx, job.limit)
        synthesised = synthesis.result()
        placement = pool.submit(_place, plan, folder, job, budget, ctx)
        if job.netlist_frames:
            netlist = folder / yosys.NETLIST_VERILOG
            wanted = answers[: job.netlist_frames]
            check_netlist(shell, design, netlist, wanted, ctx, job.limit)
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


def _synthesise(
    plan: BuildPlan, folder: Path, job: Job, budget: dict[str, float], ctx: Context
) -> dict[str, float]:
    """Resources of the netlist, checked before the long placement."""
    *_, netlist, _place_and_route, _pack = plan.steps
    plan.run(folder, ctx.say, until=netlist.name, limit=job.limit)
    synthesised = yosys.resources(folder / yosys.STATISTICS, load_family(job.board.family))
    require_fit(synthesised, budget, job.board.name)
    return synthesised


def _place(
    plan: BuildPlan, folder: Path, job: Job, budget: dict[str, float], ctx: Context
) -> tuple[dict[str, float], float]:
    """(resources placed, MHz reached)."""
    plan.run(folder, ctx.say, limit=job.limit)
    report = nextpnr.report(folder / nextpnr.REPORT, job.board.flow)
    require_fit(report.resources, budget, job.board.name)
    return report.resources, report.slowest_mhz


def check_shell(
    shell: Shell, design: RtlDesign, frames: int, ctx: Context, limit: Limit = USUAL
) -> tuple[Result, ...]:
    """Send test samples through the simulated pins; the answers, every one the model's."""
    samples = ctx.data.test_x[:frames]
    if not len(samples):
        return ()
    ctx.say("compiling the simulated board", None)
    simulated = build_simulator(shell, design.folder, ctx.workdir / FOLDER, limit=limit)
    ctx.say(f"{len(samples)} test samples through the pins", None)
    identity, answers = _through_the_pins(simulated, design, samples)
    ctx.prove(
        "the simulated board says which design it carries",
        identity == shell.identity,
        measured=identity.digest,
        required=shell.identity.digest,
    )
    right = sum(
        answer.outputs == tuple(np.atleast_1d(expected).tolist())
        for answer, expected in zip(answers, design.predictions, strict=False)
    )
    what = "outputs" if design.network.regression else "class"
    ctx.prove(
        f"the simulated board, driven at its serial pins, gives the model's {what}",
        right == len(samples),
        measured=f"{right} of {len(samples)}",
        required="all",
    )
    return answers


def check_netlist(
    shell: Shell,
    design: RtlDesign,
    netlist: Path,
    expected: tuple[Result, ...],
    ctx: Context,
    limit: Limit = USUAL,
) -> None:
    """The netlist in place of the RTL, on the same samples: the same answers in the same cycles."""
    ctx.say("compiling the netlist's simulation", None)
    obj = ctx.workdir / "netlist-simulation"
    simulated = build_netlist_simulator(shell, netlist, obj, limit)
    ctx.say(f"{len(expected)} test samples through the netlist", None)
    _, answers = _through_the_pins(simulated, design, ctx.data.test_x[: len(expected)])
    same = sum(answer == wanted for answer, wanted in zip(answers, expected, strict=True))
    ctx.prove(
        "the synthesised netlist answers as the RTL does, in as many cycles",
        same == len(expected),
        measured=f"{same} of {len(expected)}",
        required="all",
    )


def _through_the_pins(
    simulated: SimulatedBoard, design: RtlDesign, samples: FloatArray
) -> tuple[Identity, tuple[Result, ...]]:
    form = design.input
    encoding = Encoding(form.bits, form.signed, form.scale, channels_last(samples.shape[1:]))
    latency = design.sim.latency if design.sim else 1_000_000
    patience = PATIENCE_FRAMES * latency + PATIENCE_BITS * simulated.divider
    with SimulatedPort(simulated, patience) as port:
        device = LiftFlowDevice(port, encoding)
        identity = device.identify()
        batch = device.infer([sample.ravel().tolist() for sample in samples.astype(np.float64)])
    return identity, batch.results
