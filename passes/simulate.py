"""Runs the test split through the RTL: exactness, FIFO depths, cycles."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from compiler.stages import RtlDesign, SimReport
from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import SimRun, Simulator, build
from hw_targets.flows.verilator import toolchain
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import IntArray
from hw_targets.rtl.label_select import LabelSelect
from passes._fifo_sizing import least_depths
from passes.base import Context, Pass
from passes.generate_rtl import design_of

SIZING_FRAMES = 6
SLACK = 0.005
"""How much longer the interval may become by shrinking FIFOs, relative."""
LEAST_SHARE_OF_BOUND = 0.95


@dataclass(frozen=True)
class Simulate(Pass[RtlDesign, RtlDesign]):
    """Verilator simulation of the whole accelerator over the whole test split.

    FIFO depths come first: a build whose FIFOs take their depth at run time is measured with ever
    smaller ones. The final RTL then runs without stalls, for throughput and
    latency, and with random stalls on both sides. Classes must equal the quantized network's on
    every frame, and the logits before the arg-max the integer model's, bit for bit.

    in_valid, out_ready: share of cycles in which the stalled run offers input and takes output.
    deepest_fifo: greatest depth that sizing considers, in words.
    """

    name: ClassVar[str] = "simulate"
    tools: ClassVar[tuple[str, ...]] = ("verilator",)
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.rtl",
        "hw_targets.flows",
        "passes._fifo_sizing",
        "passes.generate_rtl",
    )

    in_valid: float = 0.6
    out_ready: float = 0.6
    deepest_fifo: int = 1024

    def refuse(self, ctx: Context) -> None:
        toolchain()

    def run(self, model: RtlDesign, ctx: Context) -> RtlDesign:
        design = design_of(model.name, model.finn, model.network, model.allocation)
        frames = model.input.stream(ctx.data.test_x)
        depths = self._size_fifos(design, frames[:SIZING_FRAMES], ctx)
        design = dataclasses.replace(design, fifo_depths=depths)
        folder = ctx.workdir / "rtl"
        manifest = design.write(folder)
        cut = self._before_argmax(design)
        ctx.say("compiling the simulators", None)
        with ThreadPoolExecutor(2) as pool:
            whole = pool.submit(build, folder, manifest.top, manifest.sources, ctx.workdir / "sim")
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
        quiet = simulator.run(frames, design.input, design.output, seed=ctx.seed)
        seconds = time.monotonic() - began
        ctx.say(f"{len(frames)} frames with random stalls", None)
        stalled = self._stalled(simulator, design, frames, ctx)
        mismatches = 0
        for title, result in (("", quiet), (" with random stalls", stalled)):
            classes = result.outputs[:, 0]
            wrong = int((classes != model.predictions).sum())
            mismatches += wrong
            ctx.prove(
                f"the RTL gives the quantized network's class for every test sample{title}",
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
            accuracy=float((quiet.outputs[:, 0] == ctx.data.test_y).mean()),
            interval=quiet.frame_cycles,
            bound=bound,
            latency=quiet.latency,
            fifo_depths={link.name: link.depth for link in design.links},
            stalled_frames=len(frames),
        )
        ctx.say(f"{quiet.total_cycles / max(seconds, 1e-9):,.0f} cycles a second", 1.0)
        return dataclasses.replace(model, folder=folder, digest=manifest.digest, sim=report)

    def _size_fifos(self, design: Design, frames: IntArray, ctx: Context) -> tuple[int, ...]:
        """Least depths that keep the throughput of deep FIFOs."""
        names = [link.name for link in design.links]
        deep = dataclasses.replace(design, fifo_depths=(self.deepest_fifo,) * len(names))
        ctx.say(f"sizing {len(names)} FIFOs", None)
        folder = ctx.workdir / "sizing"
        manifest = deep.write(folder)
        simulator = build(
            folder,
            manifest.top,
            manifest.sources,
            ctx.workdir / "sizing-sim",
            links=names,
            sizing=True,
        )

        def measure(depths: tuple[int, ...]) -> int | None:
            try:
                result = simulator.run(
                    frames,
                    design.input,
                    design.output,
                    seed=ctx.seed,
                    patience=_patience(design),
                    depths=depths,
                )
            except VerificationError:
                return None
            return max(result.frame_cycles, design.bound_cycles)

        widths = [link.stream.width for link in design.links]
        return least_depths(measure, widths, self.deepest_fifo, slack=SLACK)

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
        simulator = build(folder, manifest.top, manifest.sources, ctx.workdir / "logits-sim")
        *_, expected = cut.reference(frames)
        result = self._stalled(simulator, cut, frames, ctx)
        return int((result.outputs != expected).any(axis=1).sum())


def _patience(design: Design) -> int:
    """Cycles without a transfer that mean a deadlock."""
    return 20 * design.bound_cycles + 10_000
