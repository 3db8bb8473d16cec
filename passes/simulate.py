"""Runs the test split through the RTL: exactness, FIFO depths, cycles."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.stages import RtlDesign, SimReport, TargetArray, streamed
from hw_targets.flows.process import Limit, beside
from hw_targets.flows.simulator import SimRun, Simulator, build
from hw_targets.flows.verilator import toolchain
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import IntArray
from hw_targets.rtl.label_select import LabelSelect
from passes._fifo_measure import FifoBench, patience
from passes._fifo_sizing import Sizing
from passes._score import agreeing, r_squared
from passes.base import Context, Pass
from passes.generate_rtl import design_of

LEAST_FRAMES = 3
LEAST_SHARE_OF_BOUND = 0.95


@dataclass(frozen=True)
class Simulate(Pass[RtlDesign, RtlDesign]):
    """Verilator simulation of the whole accelerator over the test split, or a part of it.

    FIFO depths come first: a build whose FIFOs take their depth at run time is measured with deep
    ones and then with ever smaller ones. The final RTL then runs without stalls, for throughput and
    latency, and with random stalls on both sides. Classes must equal the quantized network's on
    every frame, and the logits before the arg-max the integer model's, bit for bit; of a regression
    all outputs must.

    in_valid, out_ready: share of cycles in which the stalled run offers input and takes output.
    deepest_fifo: greatest depth that sizing considers, in words. sizing_cycles: clock cycles that
    it simulates, about. cycles: clock cycles that a run may take; the test samples it has time for,
    at least 3, are spread evenly over the split. tool_minutes: what a call of Verilator, g++ or the
    simulator may take, 0 for 2 hours to compile and 6 to simulate.
    """

    name: ClassVar[str] = "simulate"
    unkeyed: ClassVar[tuple[str, ...]] = ("tool_minutes",)
    tools: ClassVar[tuple[str, ...]] = ("verilator",)
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.cost",
        "hw_targets.rtl",
        "hw_targets.flows",
        "passes._fifo_measure",
        "passes._fifo_sizing",
        "passes._finn_units",
        "passes._score",
        "passes.generate_rtl",
    )

    in_valid: float = 0.6
    out_ready: float = 0.6
    deepest_fifo: int = 65536
    sizing_cycles: int = 60_000_000
    cycles: int = 20_000_000
    tool_minutes: float = 0.0

    def __post_init__(self) -> None:
        self.require({"tool_minutes": (self.tool_minutes >= 0, "0 or more")})

    @property
    def limit(self) -> Limit:
        return Limit.asked(self.tool_minutes, "--set simulate.tool_minutes=MINUTES")

    def refuse(self, ctx: Context) -> None:
        toolchain()

    def run(self, model: RtlDesign, ctx: Context) -> RtlDesign:
        design = design_of(
            model.name, model.finn, model.network, model.allocation, model.finn_units
        )
        chosen = self._chosen(design.bound_cycles, len(ctx.data.test_x))
        frames = model.input.stream(ctx.data.test_x[chosen])
        predictions = model.predictions[chosen]
        sizing = self._size_fifos(design, ctx)
        design = dataclasses.replace(design, fifo_depths=sizing.depths)
        folder = ctx.workdir / "rtl"
        manifest = design.write(folder)
        cut = self._before_argmax(design)
        ctx.say("compiling the simulators", None)
        with beside(2) as pool:
            whole = pool.submit(
                build, folder, manifest.top, manifest.sources, ctx.workdir / "sim", limit=self.limit
            )
            logits = pool.submit(self._wrong_logits, cut, frames, ctx) if cut else None
            simulator, wrong = whole.result(), logits.result() if logits else None
        if wrong is not None:
            ctx.prove(
                "the RTL's logits equal the integer model's, bit for bit, with random stalls",
                wrong == 0,
                measured=f"{len(frames) - wrong} of {len(frames)} frames equal",
                required="all",
            )

        ctx.say(f"{len(frames)} frames without stalls", None)
        began = time.monotonic()
        quiet = simulator.run(
            frames, design.input, design.output, seed=ctx.seed, patience=patience(design)
        )
        seconds = time.monotonic() - began
        ctx.say(f"{len(frames)} frames with random stalls", None)
        stalled = self._stalled(simulator, design, frames, ctx)
        mismatches, what = 0, "outputs" if model.network.regression else "class"
        for title, result in (("", quiet), (" with random stalls", stalled)):
            wrong = len(frames) - agreeing(result.outputs, predictions)
            mismatches += wrong
            ctx.prove(
                f"the RTL gives the quantized network's {what} for every frame{title}",
                wrong == 0,
                measured=f"{len(frames) - wrong} of {len(frames)} equal",
                required="all",
            )
        bound = design.bound_cycles
        ctx.prove(
            "throughput in simulation reaches the folding's bound",
            quiet.frame_cycles * LEAST_SHARE_OF_BOUND <= bound,
            measured=f"{bound / quiet.frame_cycles:.1%} ({quiet.frame_cycles} cycles a frame)",
            required=f"at least {LEAST_SHARE_OF_BOUND:.0%} of one frame in {bound} cycles",
        )
        report = SimReport(
            frames=len(frames),
            mismatches=mismatches,
            accuracy=self._accuracy(model, quiet.outputs, ctx.data.test_y[chosen]),
            interval=quiet.frame_cycles,
            bound=bound,
            latency=quiet.latency,
            fifo_depths={link.name: link.depth for link in design.links},
            fifo_held={
                link.name: held for link, held in zip(design.links, sizing.held, strict=True)
            },
            stalled_frames=len(frames),
        )
        ctx.say(f"{quiet.total_cycles / max(seconds, 1e-9):,.0f} cycles a second", 1.0)
        return dataclasses.replace(model, folder=folder, digest=manifest.digest, sim=report)

    def _accuracy(self, model: RtlDesign, outputs: IntArray, wanted: TargetArray) -> float:
        if model.network.regression:
            return r_squared(outputs * model.step, streamed(wanted))
        return float((outputs[:, 0] == wanted).mean())

    def _size_fifos(self, design: Design, ctx: Context) -> Sizing:
        """Least depths that keep the throughput of deep FIFOs."""
        ctx.say(f"sizing {len(design.links)} FIFOs", None)
        bench = FifoBench.of(
            design, ctx.workdir / "sizing", deepest=self.deepest_fifo, seed=ctx.seed,
            limit=self.limit,
        )  # fmt: skip
        return bench.least_depths(self.sizing_cycles)

    def _chosen(self, interval: int, count: int) -> NDArray[np.int64]:
        """Indices of the test samples that are simulated."""
        frames = min(count, max(LEAST_FRAMES, self.cycles // interval))
        return np.unique(np.linspace(0, count - 1, frames).astype(np.int64))

    def _stalled(
        self, simulator: Simulator, design: Design, frames: IntArray, ctx: Context
    ) -> SimRun:
        seed = int(ctx.rng("stalls").integers(1 << 31))
        return simulator.run(
            frames,
            design.input,
            design.output,
            in_valid=self.in_valid,
            out_ready=self.out_ready,
            seed=seed,
            patience=int(patience(design) / (self.in_valid * self.out_ready)),
        )

    def _before_argmax(self, design: Design) -> Design | None:
        """The design without its arg-max, so that the logits come out; None if it has none."""
        *kept, last = design.instances
        if not isinstance(last.kernel, LabelSelect):
            return None
        cut = Design("logits", tuple(kept), pace=max(design.pace, last.kernel.cycles))
        depths = {link.name: link.depth for link in design.links}
        return dataclasses.replace(cut, fifo_depths=tuple(depths[link.name] for link in cut.links))

    def _wrong_logits(self, cut: Design, frames: IntArray, ctx: Context) -> int:
        """Frames whose logits the RTL gets wrong."""
        folder = ctx.workdir / "logits"
        manifest = cut.write(folder)
        simulator = build(
            folder, manifest.top, manifest.sources, ctx.workdir / "logits-sim", limit=self.limit
        )
        *_, expected = cut.reference(frames)
        result = self._stalled(simulator, cut, frames, ctx)
        return int((result.outputs != expected).any(axis=1).sum())
