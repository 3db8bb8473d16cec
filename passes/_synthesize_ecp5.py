"""The open flow: shell simulated whole, netlist, placement, bitstream, each held to its limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.stages import Implementation, Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import ecp5, nextpnr_ecp5, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.driver import LiftFlowDevice
from hw_targets.shells.samples import Encoding, channels_last
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import FOLDER, SimulatedPort, build_simulator
from passes._fit import require_fit
from passes.base import Context

PATIENCE_FRAMES = 20
"""The simulated board is given this many times the latency before it counts as silent."""


@dataclass(frozen=True)
class Job:
    """What to implement, where, and within which limits."""

    design: RtlDesign
    board: Board
    clock_mhz: float
    share: float
    baud: int
    seeds: int
    allow_missed_clock: bool = False

    @property
    def shell(self) -> Shell:
        """The board's shell round the design's accelerator. Raises LiftFlowError."""
        unit = Accelerator.read(self.design.folder, self.design.network.classes)
        return Shell(self.board, unit, self.clock_mhz, self.baud)

    def plan(self) -> BuildPlan:
        """The build of the bitstream."""
        return ecp5.plan(
            self.shell, self.design.folder, self.seeds, allow_missed_clock=self.allow_missed_clock
        )


def implement(job: Job, frames: int, ctx: Context) -> Implementation:
    """Bitstream and figures of an ECP5 board.

    Raises:
        InfeasibleError: more resources than the share of the board; names each with its numbers.
        LiftFlowError: a tool failed, or no seed met the clock.
        VerificationError: the simulated shell answered otherwise than the model.
    """
    design, board = job.design, job.board
    shell = job.shell
    plan = job.plan()
    folder = ctx.workdir / "plan"
    budget = board.budget(job.share)
    # The tools run beside the simulation: each uses one core.
    with ThreadPoolExecutor(max_workers=1) as pool:
        built = pool.submit(_build, plan, folder, board, budget, ctx)
        checked = check_shell(shell, design, frames, ctx)
        synthesised, placed, reached = built.result()
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
        estimated=Resources(**design.allocation.estimate),
        synthesised=Resources(**synthesised),
        placed=Resources(**placed),
        budget=Resources(**budget),
        clock_target_mhz=shell.mhz,
        clock_mhz=reached,
        bitstream=folder / nextpnr_ecp5.BITSTREAM,
        plan=folder,
        shell_frames=checked,
        baud=job.baud,
    )


def _build(
    plan: BuildPlan, folder: Path, board: Board, budget: dict[str, float], ctx: Context
) -> tuple[dict[str, float], dict[str, float], float]:
    """(synthesised, placed, MHz reached); resources are checked before the long placement too."""
    plan.run(folder, ctx.say, until="synthesise")
    synthesised = yosys.resources(folder / yosys.STATISTICS, load_family(board.family))
    require_fit(synthesised, budget, board.name)
    plan.run(folder, ctx.say)
    report = nextpnr_ecp5.report(folder / nextpnr_ecp5.REPORT)
    require_fit(report.resources, budget, board.name)
    return synthesised, report.resources, report.slowest_mhz


def check_shell(shell: Shell, design: RtlDesign, frames: int, ctx: Context) -> int:
    """Send test samples through the simulated pins; how many were answered as the model does."""
    samples = np.asarray(ctx.data.test_x[:frames], dtype=np.float64)
    if not len(samples):
        return 0
    ctx.say("compiling the simulated board", None)
    simulated = build_simulator(shell, design.folder, ctx.workdir / FOLDER)
    form = design.input
    encoding = Encoding(form.bits, form.signed, form.scale, channels_last(samples.shape[1:]))
    latency = design.sim.latency if design.sim else 1_000_000
    ctx.say(f"{len(samples)} test samples through the pins", None)
    with SimulatedPort(simulated, PATIENCE_FRAMES * latency) as port:
        device = LiftFlowDevice(port, encoding)
        identity = device.identify()
        batch = device.infer([sample.ravel().tolist() for sample in samples])
    ctx.prove(
        "the simulated board says which design it carries",
        identity == shell.identity,
        measured=identity.digest,
        required=shell.identity.digest,
    )
    right = sum(
        result.outputs == tuple(np.atleast_1d(expected).tolist())
        for result, expected in zip(batch.results, design.predictions, strict=False)
    )
    what = "outputs" if design.network.regression else "class"
    ctx.prove(
        f"the simulated board, driven at its serial pins, gives the model's {what}",
        right == len(samples),
        measured=f"{right} of {len(samples)}",
        required="all",
    )
    return right
