"""AMD boards: utilisation by Yosys, and FINN's build, run where Vivado is and planned where not."""

from __future__ import annotations

import json

from compiler.stages import Implementation, Resources, RtlDesign
from hw_targets import finn_adapter
from hw_targets.boards import Board
from hw_targets.families import load_family
from hw_targets.flows import vivado, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.process import USUAL, Limit
from hw_targets.shells.accelerator import Accelerator
from passes._fit import require_fit
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
    require_fit(synthesised, budget, board.name)

    folder = ctx.workdir / "finn"
    plan = finn_plan(design, board, clock_mhz)
    bitstream = None
    if plan.missing_tools():
        plan.write(folder)
        place = f"{ctx.workdir.name}/{folder.name}"
        skipped: str | None = f"needs Vivado {vivado.RELEASES}: {vivado.run_elsewhere(place)}"
    elif board.finn_shell is None:
        plan.run(folder, ctx.say, limit=limit)
        skipped = "FINN has no shell for this board: stitched IP only"
    else:
        bitstream = plan.run(folder, ctx.say, limit=limit)[vivado.BITSTREAMS[board.finn_shell]]
        skipped = None
    if skipped:
        ctx.say(f"bitstream skipped: {skipped}", None)
    return Implementation(
        name=design.name,
        design=design,
        board=board.name,
        estimated=Resources(**design.allocation.estimate),
        synthesised=Resources(**synthesised),
        placed=Resources(),
        budget=Resources(**budget),
        clock_target_mhz=clock_mhz,
        clock_mhz=None,
        bitstream=bitstream,
        plan=folder,
        skipped=skipped,
    )


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
