"""Writes the dataflow graph as a self-contained folder of RTL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from compiler.stages import Allocation, DataflowModel, FinnUnits, RtlDesign, UnitReport
from hw_targets import finn_adapter
from hw_targets.boards import load_board
from hw_targets.cost import estimate
from hw_targets.cost.latency import design_latency
from hw_targets.families import load_family
from hw_targets.network import NetworkShape
from hw_targets.rtl.design import Design
from hw_targets.rtl.finn_mvu import sources_present
from hw_targets.rtl.multiplier import for_multipliers
from passes._finn_units import check_names, check_planned, with_finn
from passes._score import agreeing
from passes.base import Context, Pass

OURS = FinnUnits()


@dataclass(frozen=True)
class GenerateRtl(Pass[DataflowModel, RtlDesign]):
    """One of our kernels for every node of the folded FINN graph, stitched into one top module.

    Proves that the kernels' integer models, chained, give the quantized network's class, or its
    outputs, for every test sample. FIFOs have their least depth here; `simulate` measures what
    they need.

    board: a board's name or TOML file, whose family the kernels' cost is estimated for. finn: names
    of layers, as in `["conv1", "fc2"]`, whose matrix-vector unit is the one of FINN's RTL library
    (that of the finn-plus installed here) instead of ours, for comparison. It is simulated and
    synthesised with the rest. FINN's RTL has no depthwise unit, none for weights or inputs of 1
    bit, and none whose SIMD is the whole row; what it costs is unknown before synthesis, and so is
    what the design does.
    """

    name: ClassVar[str] = "generate-rtl"
    tools: ClassVar[tuple[str, ...]] = ("finn-plus", "qonnx")
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.rtl",
        "hw_targets.cost",
        "hw_targets.boards",
        "hw_targets.finn_adapter",
        "hw_targets.lanes",
        "passes._finn_units",
        "passes._score",
    )

    board: str = "ulx3s-85f"
    finn: tuple[str, ...] = ()

    def refuse(self, ctx: Context) -> None:
        if self.finn:
            sources_present()

    def foresee(self, stage: object) -> None:
        """Layers there are not, depthwise ones, and units that were allocated and FINN has not."""
        network, allocation = getattr(stage, "network", None), getattr(stage, "allocation", None)
        if self.finn and network is not None:
            check_names(self.finn, network)
            if allocation is not None:
                check_planned(self.finn_units(), network, allocation)

    def finn_units(self) -> FinnUnits:
        multiplier = load_family(load_board(self.board).family).multiplier
        return FinnUnits(self.finn, multiplier.cell) if self.finn else OURS

    def run(self, model: DataflowModel, ctx: Context) -> RtlDesign:
        finn_units = self.finn_units()
        check_names(self.finn, model.network)
        design = design_of(model.name, model.path, model.network, model.allocation, finn_units)
        ctx.say("integer model over the test split", None)
        frames = model.input.stream(ctx.data.test_x)
        *_, answers = design.reference(frames)
        right = agreeing(answers, model.predictions)
        what = "outputs" if model.network.regression else "class"
        claim = f"the kernels' integer models give the quantized network's {what}"
        ctx.prove(
            f"{claim} for every test sample",
            right == len(frames),
            measured=f"{right} of {len(frames)} equal",
            required="all",
        )
        folder = ctx.workdir / "rtl"
        manifest = design.write(folder)
        family = load_board(self.board).family
        units = tuple(
            UnitReport(
                name=unit.name,
                kernel=type(unit.kernel).__name__,
                cycles=unit.kernel.cycles,
                resources=estimate(unit.kernel, family).as_dict(),
            )
            for unit in design.units
        )
        ctx.prove(
            "no unit is slower than the folding says",
            design.bound_cycles <= model.allocation.interval,
            measured=f"{design.bound_cycles} cycles",
            required=f"at most {model.allocation.interval}",
        )
        return RtlDesign(
            name=model.name,
            folder=folder,
            digest=manifest.digest,
            input=model.input,
            network=model.network,
            allocation=model.allocation,
            predictions=model.predictions,
            units=units,
            latency_estimate=design_latency(design.units, design.links),
            finn=model.path,
            folding=model.folding,
            step=model.step,
            finn_units=finn_units,
        )


def design_of(
    name: str,
    graph: Path,
    network: NetworkShape,
    allocation: Allocation,
    finn_units: FinnUnits = OURS,
) -> Design:
    """The folded FINN graph as a chain of our kernels, FIFOs of least depth between them.

    Width converters keep the interval of the allocation, as they do in its estimate, and rows share
    the multipliers that it has. finn_units: layers whose matrix-vector unit is FINN's instead.

    Raises:
        UnsupportedError: FINN's RTL has no unit like that of a layer named in `finn_units`.
    """
    interval = allocation.interval
    instances = tuple(
        replace(each, kernel=for_multipliers(each.kernel, allocation.multiplier_bits))
        for each in finn_adapter.instances(graph, network, allocation.layers, interval)
    )
    return Design(name, with_finn(instances, finn_units), pace=interval)
