"""The RTL of the whole board, simulated at its pins with test samples."""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.stages import FloatArray, RtlDesign
from hw_targets.flows.process import USUAL, Limit
from hw_targets.shells.driver import LiftFlowDevice, Result
from hw_targets.shells.protocol import Identity
from hw_targets.shells.samples import Encoding, channels_last
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import (
    DIVIDER,
    FOLDER,
    SimulatedBoard,
    SimulatedPort,
    build_simulator,
)
from passes.base import Context

WHERE_QUICK = -1
"""As many samples as usual, where that is about a minute's work."""
USUAL_FRAMES, LEAST_FRAMES = 50, 5
QUICK_CYCLES = 2e7
"""Clock cycles of a board that are simulated in one or two minutes."""
LINE_BITS = 10
"""On the serial line for a byte."""
PATIENCE_FRAMES = 20
PATIENCE_BITS = 100
"""A simulated board counts as silent after so many latencies and bits of its serial line."""


def check_shell(
    shell: Shell,
    design: RtlDesign,
    frames: int,
    ctx: Context,
    limit: Limit = USUAL,
    least: int = 0,
) -> tuple[Result, ...]:
    """Send test samples through the simulated pins; the answers, every one the model's.

    frames: samples to send, `least` at least; `WHERE_QUICK` for `USUAL_FRAMES`, or fewer where
    they are large.
    """
    wanted = _quick(design) if frames == WHERE_QUICK else frames
    samples = ctx.data.test_x[: max(wanted, least)]
    if not len(samples):
        return ()
    ctx.say("compiling the simulated board", None)
    simulated = build_simulator(shell, design.folder, ctx.workdir / FOLDER, limit=limit)
    ctx.say(f"{len(samples)} test samples through the pins", None)
    identity, answers = through_the_pins(simulated, design, samples)
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


def _quick(design: RtlDesign) -> int:
    """Samples that `QUICK_CYCLES` are enough for; most of them pass on the serial line."""
    sent = prod(design.network.input_shape) * -(-design.input.bits // 8)
    cycles = sent * LINE_BITS * DIVIDER + (design.sim.interval if design.sim else 0)
    return int(min(max(QUICK_CYCLES // cycles, LEAST_FRAMES), USUAL_FRAMES))


def patience(design: RtlDesign, divider: int) -> int:
    """Clock cycles to wait for an answer. divider: of them a bit of the line."""
    latency = design.sim.latency if design.sim else 1_000_000
    return PATIENCE_FRAMES * latency + PATIENCE_BITS * divider


def through_the_pins(
    simulated: SimulatedBoard, design: RtlDesign, samples: FloatArray
) -> tuple[Identity, tuple[Result, ...]]:
    """What the board says it is, and its answers to samples, by the host driver."""
    form = design.input
    encoding = Encoding(form.bits, form.signed, form.scale, channels_last(samples.shape[1:]))
    with SimulatedPort(simulated, patience(design, simulated.divider)) as port:
        device = LiftFlowDevice(port, encoding)
        identity = device.identify()
        batch = device.infer([sample.ravel().tolist() for sample in samples.astype(np.float64)])
    return identity, batch.results
