"""Zynq boards by Vivado alone: the IP simulated, counted by Yosys, built where Vivado is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler.stages import Implementation, Resources, RtlDesign
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import vivado_reports, vivado_rtl, vivado_timing, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import USUAL, Limit
from hw_targets.flows.remote import Host
from hw_targets.flows.simulator import PATIENCE
from hw_targets.rtl.kernel import IntArray
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.dma_shell import DmaShell
from hw_targets.shells.dma_simulator import FOLDER, Bytes, SimulatedDma, build_dma_simulator
from hw_targets.shells.frames import Samples
from passes._fit import estimated, require_fit
from passes.base import Context

STALLS = 0.5
"""Probability that a word is offered, or taken, in a cycle."""

PATIENCE_FRAMES = 20
"""A simulated IP counts as stuck after so many latencies without a transfer."""


@dataclass(frozen=True)
class Job:
    """What to implement, where, and within which limits."""

    design: RtlDesign
    board: Board
    clock_mhz: float
    share: float
    seeds: int
    shell_frames: int
    allow_missed_clock: bool = False
    on: str = ""
    limit: Limit = USUAL

    @property
    def shell(self) -> DmaShell:
        """The DMA shell round the design's accelerator. Raises LiftFlowError."""
        unit = Accelerator.read(self.design.folder, self.design.network.classes)
        return DmaShell(self.board, unit)

    def plan(self) -> BuildPlan:
        """The build of the bitstream."""
        return vivado_rtl.plan(
            self.shell,
            self.design.folder,
            self.clock_mhz,
            self.seeds,
            allow_missed_clock=self.allow_missed_clock,
        )


@dataclass(frozen=True)
class Reports:
    """What Vivado's reports say: resources, the slowest clock's (reached, wanted) MHz, W."""

    resources: dict[str, float]
    clock: tuple[float, float] | None
    power_w: float


def implement(job: Job, ctx: Context) -> Implementation:
    """Figures of the IP, and bitstream and figures of the whole design if Vivado is here.

    Raises:
        InfeasibleError: more resources than the share of the board; names each with its numbers.
        LiftFlowError: a tool failed, or no directive met the clock.
        VerificationError: the simulated IP answered otherwise than the model.
    """
    design, board, shell = job.design, job.board, job.shell
    family, budget = load_family(board.family), board.budget(job.share)
    counting = vivado_rtl.utilisation(shell, design.folder, family)
    counted = counting.run(ctx.workdir / "utilisation", ctx.say, limit=job.limit)
    synthesised = yosys.resources(counted[yosys.STATISTICS], family)
    require_fit(synthesised, board, job.share)
    frames = check_shell(shell, design, job.shell_frames, ctx)

    folder = ctx.workdir / vivado_rtl.FOLDER
    plan = job.plan()
    made: Reports | None = None
    skipped: str | None = None
    if plan.missing_tools() and not job.on:
        plan.write(folder)
        place = f"{ctx.workdir.name}/{folder.name}"
        skipped = f"needs Vivado: {vivado_rtl.run_elsewhere(place)}"
        ctx.say(f"bitstream skipped: {skipped}", None)
    else:
        build(plan, folder, job.on, ctx, job.limit)
        made = reports(folder)
        require_fit(made.resources, board, job.share)
        _prove_clock(made, job, ctx)
    return Implementation(
        name=design.name,
        design=design,
        board=board.name,
        estimated=estimated(design, board),
        synthesised=Resources(**synthesised),
        placed=Resources(**made.resources) if made else Resources(),
        budget=Resources(**budget),
        clock_target_mhz=job.clock_mhz,
        clock_mhz=made.clock[0] if made and made.clock else None,
        bitstream=folder / vivado_rtl.BITSTREAM if made else None,
        plan=folder,
        skipped=skipped,
        shell_frames=frames,
        power_w=made.power_w if made else None,
        flow="vivado-rtl",
    )


def build(plan: BuildPlan, folder: Path, on: str, ctx: Context, limit: Limit = USUAL) -> None:
    """Run the plan here, or on machine `on` and bring its products here. Raises LiftFlowError."""
    if on:
        Host(on).run(plan, folder, ctx.say, limit)
    else:
        plan.run(folder, ctx.say, limit=limit)


def reports(folder: Path) -> Reports:
    """Read the reports that a build left in its folder. Raises LiftFlowError."""
    return Reports(
        vivado_reports.utilization(folder / vivado_rtl.UTILIZATION),
        vivado_timing.timing(folder / vivado_rtl.TIMING).slowest,
        vivado_reports.power(folder / vivado_rtl.POWER),
    )


def _prove_clock(made: Reports, job: Job, ctx: Context) -> None:
    if made.clock is None:
        ctx.say("the timing report bears out no clock: none is claimed", None)
        return
    reached, wanted = made.clock
    if job.allow_missed_clock and reached < wanted:
        ctx.say(f"the clock is missed, as allowed: {reached:.1f} of {wanted:g} MHz", None)
        return
    ctx.prove(
        "the clock is met by the placed and routed design",
        reached >= wanted,
        measured=f"{reached:.1f} MHz",
        required=f"{wanted:g} MHz",
    )


def check_shell(shell: DmaShell, design: RtlDesign, frames: int, ctx: Context) -> int:
    """Send test samples through the simulated IP, packed as the driver does; how many there were.

    Once all in one packet, once each in one of its own, with random stalls.
    """
    samples = ctx.data.test_x[:frames]
    if not len(samples):
        return 0
    form = design.input
    host = Samples(tuple(samples.shape[1:]), float(form.scale), shell.input)
    packed = shell.input.pack(host.elements(samples))
    ctx.say("compiling the simulated IP", None)
    simulated = build_dma_simulator(shell, design.folder, ctx.workdir / FOLDER)
    expected = np.asarray(design.predictions[: len(samples)]).reshape(len(samples), -1)
    what = "outputs" if design.network.regression else "class"
    latency = design.sim.latency if design.sim else 0
    patience = max(PATIENCE, PATIENCE_FRAMES * latency)
    for packets, how in ((1, "one packet"), (len(samples), "packets of one frame")):
        ctx.say(f"{len(samples)} test samples in {how}", None)
        answers = _answers(simulated, shell, packed.reshape(packets, -1), len(samples), patience)
        right = int((answers == expected).all(axis=1).sum())
        ctx.prove(
            f"the simulated IP, driven as a DMA does with random stalls, gives the model's {what} "
            f"({how})",
            right == len(samples),
            measured=f"{right} of {len(samples)}",
            required="all",
        )
    return len(samples)


def _answers(
    simulated: SimulatedDma, shell: DmaShell, packets: Bytes, frames: int, patience: int
) -> IntArray:
    """(frames, output elements), from packets of as many frames each."""
    size = frames // len(packets) * shell.output.frame_bytes
    words = -(-size // shell.word_bytes(shell.output))
    packed, _ = simulated.run(
        packets, words, in_valid=STALLS, out_ready=STALLS, seed=1, patience=patience
    )
    answers: IntArray = shell.output.unpack(np.concatenate(packed))
    return answers
