"""Gathers a report from the stages of a run."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from compiler import __version__
from compiler.config import Goals
from compiler.digest import digest
from compiler.insight import weighed_margins
from compiler.pipeline import RunResult
from compiler.report.front import explored, front
from compiler.report.insight import section
from compiler.report.schema import (
    Accuracy,
    Attribution,
    CheckRow,
    Compression,
    FifoRow,
    LayerRow,
    MarginRow,
    Outputs,
    PassRow,
    Performance,
    Report,
    ResourceRow,
    UnitRow,
)
from compiler.report.verdict import verdict
from compiler.stages import (
    Allocation,
    BitMargin,
    Dataset,
    Deployment,
    FloatModel,
    Implementation,
    Insight,
    LayerChoice,
    QonnxModel,
    QuantModel,
    Relevance,
    RtlDesign,
    ScoredModel,
    SimReport,
)
from hw_targets.boards import Board
from hw_targets.network import LayerShape
from hw_targets.quantizers import chosen_quantizer, possible

RESOURCES = ("lut", "ff", "dsp", "bram")


def fingerprint(result: RunResult) -> str:
    """Digest of the keys of all passes, and of what was explored: what the report is made of."""
    return digest([*(record.key for record in result.records), explored(result.folder)])


def build_report(
    result: RunResult, *, board: Board, goals: Goals, data: Dataset, command: str | None = None
) -> Report:
    """The report of a run, as far as it went. `command` makes it anew."""
    stages = _latest(result)
    final: ScoredModel | None = stages.get(ScoredModel)
    quant: QuantModel | None = stages.get(QuantModel)
    rtl: RtlDesign | None = stages.get(RtlDesign)
    made: Implementation | None = stages.get(Implementation)
    allocation = final.allocation if final else None
    score: Literal["accuracy", "R^2"] = "R^2" if data.regression else "accuracy"
    accuracy = _accuracy(result, stages, len(data.test_y))
    resources = _resources(board, allocation, made, rtl)
    performance = _performance(allocation, rtl, made)
    sim = rtl.sim if rtl else None
    return Report(
        name=result.folder.name.removesuffix(f"-{board.name}"),
        board=board.name,
        part=board.part,
        dataset=data.name,
        fingerprint=fingerprint(result),
        command=command,
        versions=_versions(result),
        verdict=verdict(goals.model_dump(), score, accuracy, resources, performance, sim),
        goals=goals.model_dump(),
        score=score,
        accuracy=accuracy,
        outputs=_outputs(stages.get(QonnxModel)),
        compression=_compression(final, quant),
        resources=resources,
        performance=performance,
        power_w=made.power_w if made else None,
        layers=_layers(final, first_relevance(result), weighed_margins(result)),
        units=[
            UnitRow(
                name=unit.name,
                kernel=unit.kernel,
                cycles=unit.cycles,
                **{name: unit.resources.get(name) for name in RESOURCES},
            )
            for unit in (rtl.units if rtl else ())
        ],
        history=[
            {"epoch": index, "loss": epoch.loss, "accuracy": epoch.accuracy}
            for index, epoch in enumerate(quant.history if quant else (), 1)
        ],
        untrained=quant.untrained if quant else "",
        verification=[
            CheckRow(
                pass_name=record.name,
                claim=check.claim,
                measured=check.measured,
                required=check.required,
                passed=check.passed,
            )
            for record in result.records
            for check in record.checks
        ],
        passes=[
            PassRow(
                name=record.name,
                digest=record.digest,
                seconds=round(record.seconds, 2),
                options=record.options,
                tools=record.tools,
            )
            for record in result.records
        ],
        skipped=[made.skipped] if made and made.skipped else [],
        files=_files(result, rtl, made, stages.get(Deployment)),
        insight=section(insight_of(result)),
        attribution=_attribution(final),
        fifos=_fifos(sim),
        front=front(result, allocation),
    )


def first_relevance(result: RunResult) -> Relevance | None:
    """Relevance before anything was pruned."""
    if "attribute" not in result:
        return None
    scored: ScoredModel = result.stage("attribute")
    return scored.relevance


def _fifos(sim: SimReport | None) -> list[FifoRow]:
    if sim is None:
        return []
    return [
        FifoRow(name=name, depth=depth, held=sim.fifo_held.get(name))
        for name, depth in sim.fifo_depths.items()
    ]


def _attribution(scored: ScoredModel | None) -> Attribution | None:
    if scored is None:
        return None
    relevance = scored.relevance
    return Attribution(
        criterion=relevance.criterion,
        target=relevance.target,
        reference=relevance.reference,
        samples=relevance.samples,
        completeness_delta=relevance.completeness_delta,
    )


def _versions(result: RunResult) -> dict[str, str]:
    found = {"LiftFlow": __version__, "Python": platform.python_version()}
    for record in result.records:
        found |= record.tools
    return found


def insight_of(result: RunResult) -> Insight | None:
    """What `explain` found, where the run came so far."""
    if "explain" not in result:
        return None
    quant: QuantModel = result.stage("explain")
    return quant.insight


def _latest(result: RunResult) -> dict[type, Any]:
    """The last stage of each type that the run gave."""
    found: dict[type, Any] = {}
    for record in result.records:
        stage = result.stage(record.name)
        found[type(stage)] = stage
    return found


def _accuracy(result: RunResult, stages: dict[type, Any], samples: int) -> list[Accuracy]:
    rows = []
    prepared: FloatModel | None = stages.get(FloatModel)
    if prepared and prepared.accuracy is not None:
        rows.append(Accuracy(stage="float", value=prepared.accuracy, samples=samples))
    scored: ScoredModel | None = stages.get(ScoredModel)
    if scored and scored.pruned:
        rows.append(Accuracy(stage="pruned", value=scored.pruned.accuracy, samples=samples))
    if scored and scored.accuracy != (scored.pruned.accuracy if scored.pruned else scored.accuracy):
        rows.append(Accuracy(stage="fine-tuned", value=scored.accuracy, samples=samples))
    quant: QuantModel | None = stages.get(QuantModel)
    if quant and "retrain" in result:
        rows.append(Accuracy(stage="quantized", value=quant.accuracy, samples=samples))
    rtl: RtlDesign | None = stages.get(RtlDesign)
    if rtl and rtl.sim:
        rows.append(Accuracy(stage="RTL", value=rtl.sim.accuracy, samples=rtl.sim.frames))
    return rows


def _outputs(model: QonnxModel | None) -> Outputs | None:
    if model is None or not model.network.regression:
        return None
    return Outputs(shape=list(model.network.output_shape), step=model.step)


def _compression(scored: ScoredModel | None, quant: QuantModel | None) -> Compression | None:
    if scored is None or scored.pruned is None:
        return None
    pruned = scored.pruned
    allocation = scored.allocation
    after = None
    if allocation:
        after = sum(
            layer.weights * allocation.layers[layer.name].weight_bits
            for layer in scored.network.layers
        )
        if quant and quant.codebooks:  # indices and entries, as they would be stored
            after = sum(
                book.stored_bits(allocation.layers[name].weight_bits)
                for name, book in quant.codebooks.items()
            )
    return Compression(
        macs_before=pruned.macs_before,
        macs_after=pruned.macs_after,
        weights_before=pruned.weights_before,
        weights_after=pruned.weights_after,
        weight_bits_before=32 * pruned.weights_before,
        weight_bits_after=after,
        mean_weight_bits=allocation.mean_weight_bits if allocation else None,
    )


def _resources(
    board: Board,
    allocation: Allocation | None,
    made: Implementation | None,
    rtl: RtlDesign | None = None,
) -> list[ResourceRow]:
    if allocation is None:
        return []
    # What was estimated for another board, or with our units for FINN's, is no estimate of this.
    other = allocation.board != board.name or (rtl is not None and rtl.finn_units.layers)
    estimate = {} if other else allocation.estimate
    counted = RESOURCES + (("uram",) if made and made.placed.uram is not None else ())
    return [
        ResourceRow(
            resource=name.upper(),
            estimated=estimate.get(name),
            synthesised=getattr(made.synthesised, name) if made else None,
            placed=getattr(made.placed, name) if made else None,
            available=float(getattr(board.resources, name)),
        )
        for name in counted
    ]


def _folded(allocation: Allocation | None) -> bool:
    """Was hardware allocated? Of a network that branches only bits are."""
    return allocation is not None and any(v is not None for v in allocation.estimate.values())


def _performance(
    allocation: Allocation | None, rtl: RtlDesign | None, made: Implementation | None
) -> Performance | None:
    if allocation is None or not _folded(allocation):
        return None
    hertz = allocation.clock_mhz * 1e6
    bound = rtl.sim.bound if rtl and rtl.sim else allocation.interval
    sim = rtl.sim if rtl else None
    return Performance(
        clock_target_mhz=allocation.clock_mhz,
        clock_reached_mhz=made.clock_mhz if made else None,
        interval_bound=bound,
        interval_measured=sim.interval if sim else None,
        latency_estimated=rtl.latency_estimate if rtl else None,
        latency_measured=sim.latency if sim else None,
        fps_estimated=hertz / bound,
        fps_measured=hertz / sim.interval if sim else None,
        fps_vendor=dict(made.vendor_fps) if made else {},
    )


def _layers(
    scored: ScoredModel | None, first: Relevance | None, margins: Mapping[str, BitMargin]
) -> list[LayerRow]:
    if scored is None:
        return []
    total = sum(float(layer.channels.sum()) for layer in scored.relevance.layers.values())
    rows = []
    for layer in scored.network.layers:
        choice = scored.allocation.layers.get(layer.name) if scored.allocation else None
        relevance = scored.relevance.layers.get(layer.name)
        before = scored.pruned.channels_before if scored.pruned else {}
        folded = choice if _folded(scored.allocation) else None
        rows.append(
            LayerRow(
                name=layer.name,
                kind=layer.kind,
                channels_before=before.get(layer.name, layer.out_channels),
                channels_after=layer.out_channels,
                macs=layer.macs,
                weights=layer.weights,
                relevance=float(relevance.channels.sum()) / total if relevance and total else None,
                scores_before=_scores(first, layer.name),
                scores_after=_scores(scored.relevance, layer.name),
                weight_bits=choice.weight_bits if choice else None,
                act_bits=choice.act_bits if choice else None,
                pe=folded.pe if folded else None,
                simd=folded.simd if folded else None,
                lanes=asdict(folded.lanes) if folded else None,
                arithmetic=folded.arithmetic if folded else None,
                quantizer=_quantizer(layer, folded) if folded else None,
                cycles=folded.cycles if folded else None,
                margin=_margin(scored, margins.get(layer.name)),
            )
        )
    return rows


def _quantizer(layer: LayerShape, choice: LayerChoice) -> str | None:
    """What makes a layer's accumulators activations; None where nothing does."""
    if not layer.activation or not choice.act_bits:
        return None
    return possible(chosen_quantizer(choice), layer.out_channels, choice.act_bits)


def _scores(relevance: Relevance | None, layer: str) -> list[float]:
    found = relevance.layers.get(layer) if relevance else None
    return [] if found is None else [float(f"{value:.4g}") for value in found.channels]


def _margin(scored: ScoredModel, margin: BitMargin | None) -> MarginRow | None:
    """Changes as shares of the error of all weights and activations."""
    if margin is None or scored.allocation is None or scored.allocation.loss <= 0:
        return None
    error, whole = margin.error, scored.allocation.loss
    return MarginRow(
        less=None if margin.less is None else (margin.less - error) / whole,
        more=None if margin.more is None else (margin.more - error) / whole,
        step=margin.step,
        weights=margin.weights,
    )


def _files(
    result: RunResult,
    rtl: RtlDesign | None,
    made: Implementation | None,
    deployment: Deployment | None,
) -> dict[str, str]:
    named = {
        "rtl": rtl.folder if rtl else None,
        "bitstream": made.bitstream if made else None,
        "build plan": made.plan if made else None,
        "deployment": deployment.folder if deployment else None,
    }
    return {
        name: path.relative_to(result.folder).as_posix()
        for name, path in named.items()
        if path is not None
    }
