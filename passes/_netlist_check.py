"""The netlist simulated in place of the RTL: the same answers, in as many cycles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.stages import RtlDesign
from hw_targets.errors import UnsupportedError
from hw_targets.flows import yosys
from hw_targets.flows.process import USUAL, Limit
from hw_targets.netlist import boards
from hw_targets.netlist.emit import FAMILIES
from hw_targets.netlist.read import read_netlist
from hw_targets.shells.driver import Result
from hw_targets.shells.protocol import HEADER, LATENCY
from hw_targets.shells.samples import Encoding, channels_last
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import build_netlist_simulator
from passes._shell_check import WHERE_QUICK, patience, through_the_pins
from passes.base import Context

QUICK_FRAMES = 20
QUICK = 4e9
"""Cells x clock cycles of about a minute: 8e7 a second, measured on digits beside other work."""
FRAMING = 8
"""Bytes on the line beside what is sent and what is answered."""


def check_netlist(
    shell: Shell,
    design: RtlDesign,
    folder: Path,
    answers: tuple[Result, ...],
    frames: int,
    ctx: Context,
    limit: Limit = USUAL,
) -> None:
    """The netlist on as many samples as `frames` says, `WHERE_QUICK` among them.

    folder: the finished build. answers: the RTL's, to samples from the first one on.
    """
    obj = ctx.workdir / "netlist-simulation"
    if frames == WHERE_QUICK:
        expected = answers[:QUICK_FRAMES]
        if not expected or not _quick(shell, design, folder, ctx):
            return
    else:
        expected = answers[:frames]
    what = f"{len(expected)} test samples through the netlist"
    try:
        ctx.say("compiling the netlist's simulation", None)
        simulated = boards.build(
            shell, folder / yosys.NETLIST, obj, min(len(expected), boards.MOST), limit
        )
    except UnsupportedError as error:
        if frames == WHERE_QUICK:
            ctx.say(f"netlist not simulated: {error.what}", None)
            return
        if not shell.platform.yosys_models:
            raise
        ctx.say(f"by Verilator, for {error.what}", None)
        netlist = folder / yosys.NETLIST_VERILOG
        slow = build_netlist_simulator(shell, netlist, obj, limit)
        ctx.say(what, None)
        _, found = through_the_pins(slow, design, ctx.data.test_x[: len(expected)])
        rounds: list[list[Result | None]] = [list(found)]
    else:
        expected = expected[: simulated.count]
        ctx.say(what, None)
        samples = ctx.data.test_x[: len(expected)].astype(np.float64)
        form = design.input
        encoding = Encoding(form.bits, form.signed, form.scale, channels_last(samples.shape[1:]))
        _, rounds = simulated.ask(
            encoding,
            [sample.ravel().tolist() for sample in samples],
            shell,
            patience(design, simulated.divider),
        )
    same = sum(
        all(row[at - turn] == wanted for turn, row in enumerate(rounds))
        for at, wanted in enumerate(expected)
    )
    ctx.prove(
        "the synthesised netlist answers as the RTL does, in as many cycles",
        same == len(expected),
        measured=f"{same} of {len(expected)}",
        required="all",
    )


def _quick(shell: Shell, design: RtlDesign, folder: Path, ctx: Context) -> bool:
    """Is it about a minute's work? If not, it is said that it is left out."""
    why = "its cells are simulated by Verilator alone"
    if shell.board.flow in FAMILIES:
        cells = len(read_netlist(folder / yosys.NETLIST, shell.top).cells)
        identity = shell.identity
        on_line = identity.input.frame_bytes + identity.output.frame_bytes + 2 * FRAMING
        bits = 10 * (on_line + HEADER.size + LATENCY.size)
        divider = round(shell.mhz * 1e6 / shell.baud)
        latency = design.sim.latency if design.sim else 0
        work = float(cells) * boards.ROUNDS * (bits * divider + latency)
        if work <= QUICK:
            return True
        why = f"{work / QUICK:.1f} times a minute's work"
    ctx.say(f"netlist not simulated ({why}): --set synthesize.netlist_frames=20 does it", None)
    return False
