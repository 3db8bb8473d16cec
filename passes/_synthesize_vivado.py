"""AMD boards: utilisation by Yosys, and FINN's build, run where Vivado is and planned where not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.stages import Implementation, Resources, RtlDesign
from hw_targets import finn_adapter
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import finn_reports, vivado, vivado_timing, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import USUAL, Limit
from hw_targets.shells.accelerator import Accelerator
from passes._fit import estimated, require_fit
from passes.base import Context


def implement(
    design: RtlDesign,
    board: Board,
    clock_mhz: float,
    share: float,
    ctx: Context,
    limit: Limit = USUAL,
) -> Implementation:
    """Figures of the accelerator alone, and a bitstream if Vivado is here.

    Raises:
        InfeasibleError: more resources than the share of the board; names each with its numbers.
        LiftFlowError: a tool failed.
    """
    family = load_family(board.family)
    budget = board.budget(share)
    unit = Accelerator.read(design.folder, design.network.classes)
    counted = vivado.utilisation(unit, design.folder, family).run(
        ctx.workdir / "utilisation", ctx.say, limit=limit
    )
    synthesised = yosys.resources(counted[yosys.STATISTICS], family)
    require_fit(synthesised, board, share)

    folder = ctx.workdir / "finn"
    plan = finn_plan(design, board, clock_mhz)
    bitstream, read = None, Read()
    if plan.missing_tools():
        plan.write(folder)
        place = f"{ctx.workdir.name}/{folder.name}"
        skipped: str | None = f"needs Vivado {vivado.RELEASES}: {vivado.run_elsewhere(place)}"
    elif board.finn_shell is None:
        plan.run(folder, ctx.say, limit=limit)
        skipped = "FINN has no shell for this board: stitched IP only"
    else:
        bitstream = plan.run(folder, ctx.say, limit=limit)[vivado.BITSTREAMS[board.finn_shell]]
        read = reports(folder / vivado.OUTPUT)
        skipped = None
    if skipped:
        ctx.say(f"bitstream skipped: {skipped}", None)
    return Implementation(
        name=design.name,
        design=design,
        board=board.name,
        estimated=estimated(design, board),
        synthesised=Resources(**synthesised),
        placed=Resources(**read.resources),
        budget=Resources(**budget),
        clock_target_mhz=clock_mhz,
        clock_mhz=read.clock_mhz,
        bitstream=bitstream,
        plan=folder,
        skipped=skipped,
        vendor_fps=read.fps,
        flow="finn",
    )


@dataclass(frozen=True)
class Read:
    """What FINN's reports say: resources, clock in MHz, frames a second by who says it."""

    resources: Mapping[str, float] = field(default_factory=dict)
    clock_mhz: float | None = None
    fps: Mapping[str, float] = field(default_factory=dict)


def reports(output: Path) -> Read:
    """Read what FINN's builder left in its output folder; it makes no report of power.

    Raises:
        LiftFlowError: a report is not what FINN writes.
    """
    fps, counted, clock = {}, {}, None
    for name, file, reader in (
        ("FINN's estimate", finn_reports.ESTIMATE, finn_reports.estimated_fps),
        ("FINN's simulation", finn_reports.SIMULATED, finn_reports.simulated_fps),
    ):
        if (output / file).is_file():
            fps[name] = reader(output / file)
    if (output / finn_reports.RESOURCES).is_file():
        counted = finn_reports.resources(output / finn_reports.RESOURCES)
    if (output / finn_reports.TIMING).is_file():
        slowest = vivado_timing.timing(output / finn_reports.TIMING).slowest
        clock = slowest[0] if slowest else None
    return Read(counted, clock, fps)


def finn_plan(design: RtlDesign, board: Board, clock_mhz: float) -> BuildPlan:
    """FINN's builder configuration, folding and graph, as a plan."""
    config = finn_adapter.build_config(
        part=board.part,
        clock_mhz=clock_mhz,
        board=board.finn_board,
        shell=board.finn_shell,
        output_dir=vivado.OUTPUT,
    )
    folding = finn_adapter.vendor_folding(design.finn, dict(design.folding), board.part)
    return vivado.finn(
        design.name,
        {
            "config.json": config.encode(),
            "folding.json": (json.dumps(folding, indent=2) + "\n").encode(),
            "model.onnx": design.finn,
        },
        shell=board.finn_shell,
    )
