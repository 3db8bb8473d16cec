"""`liftflow compile model.onnx`: a quantized network of any origin enters where lowering begins."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import passes
from compiler.api import DEFAULT_OUTPUT, default_pipeline
from compiler.config import DEFAULT_BOARD, Goals
from compiler.pipeline import Pipeline, RunResult
from compiler.pricing import folding as fold
from compiler.pricing.qonnx_chain import read_qonnx
from compiler.pricing.source import Widths
from compiler.stages import Allocation, Dataset, InputFormat, QonnxModel
from hw_targets.boards import Board, load_board
from hw_targets.cost.model import as_row, shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError, UnsupportedError
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape

FIRST = "lower-finn"
FRAMES = 100
"""Frames that the passes compare on: drawn at random, as the file has none."""
CLEANED = "model.qonnx.onnx"


@dataclass(frozen=True)
class Entry:
    """A QONNX file made ready for its board. notes: on how it was read."""

    model: QonnxModel
    data: Dataset
    pipeline: Pipeline
    folder: Path
    board: Board
    goals: Goals
    notes: tuple[str, ...]

    def run(self, instruments: Any, seed: int = 0) -> RunResult:
        """Runs what is not done yet, and writes the report."""
        from compiler import report

        result = self.pipeline.run(
            self.model, self.data, self.folder, seed=seed, instruments=instruments
        )
        report.write(result, board=self.board, goals=self.goals, data=self.data)
        return result


def open_qonnx(
    path: Path,
    *,
    board: str | None = None,
    goals: Goals | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    until: str | None = None,
    output: Path | str | None = None,
    seed: int = 0,
) -> Entry:
    """The network of a QONNX file, folded for `board`: its bits are its own, nothing is trained.

    goals: with `fps` the least hardware that reaches it, without the fastest that `share` of the
    board holds.

    Raises:
        LiftFlowError: not a QONNX file, an operation without hardware, or options of passes before
            lowering. InfeasibleError: no folding meets the goals.
    """
    chosen, goals = load_board(board or DEFAULT_BOARD), goals or Goals()
    order = list(passes.ORDER)
    names = order[order.index(FIRST) :]
    if until is not None and until not in names:
        raise LiftFlowError(
            f"a QONNX file enters at {FIRST}",
            where=f"--until {until}",
            mend=f"use one of {', '.join(names)}",
        )
    early = [name for name in options or {} if name in order and name not in names]
    if early:
        raise LiftFlowError(
            f"pass {early[0]} is not run on a QONNX file", where="--set", mend="leave it out"
        )
    pipeline = default_pipeline(board or DEFAULT_BOARD, goals, options, names).until(until)
    network, widths, notes = read_qonnx(path)
    folder = Path(output or DEFAULT_OUTPUT) / f"{network.name}-{chosen.name}"
    folder.mkdir(parents=True, exist_ok=True)
    cleaned = folder / CLEANED
    form = _clean(path, cleaned, network)
    data = _drawn(cleaned, network, form, seed)
    model = QonnxModel(
        name=network.name,
        path=cleaned.resolve(),
        input=form,
        network=network,
        allocation=_allocation(network, widths, chosen, goals),
        accuracy=1.0,
        predictions=np.asarray(data.test_y, np.int64),
    )
    return Entry(model, data, pipeline, folder, chosen, goals, notes)


def _clean(path: Path, target: Path, network: NetworkShape) -> InputFormat:
    """Write the file with constants folded and nodes numbered in `target`; its input's form."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = cleanup_model(ModelWrapper(str(path)))
    _spell_out(model)
    entry = model.graph.input[0].name
    quant = next(
        (n for n in model.graph.node if n.op_type == "Quant" and n.input[0] == entry), None
    )
    if quant is None:
        raise UnsupportedError(
            "its input has no quantizer of its own", where=str(path), mend="put a Quant node first"
        )
    scale = float(np.asarray(model.get_initializer(quant.input[1])).reshape(-1)[0])
    target.write_bytes(model.model.SerializeToString(deterministic=True))
    return InputFormat(network.input_bits, network.input_signed, scale)


def _spell_out(model: Any) -> None:
    """Give convolutions and pools the attributes that they left at ONNX' defaults."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type not in ("Conv", "MaxPool"):
            continue
        defaults: dict[str, Any] = {
            "strides": [1, 1],
            "pads": [0, 0, 0, 0],
            "dilations": [1, 1],
        }
        if node.op_type == "Conv":
            kernel = model.get_tensor_shape(node.input[1])[2:]
            defaults |= {"kernel_shape": list(kernel), "group": 1}
        for name in defaults.keys() - {each.name for each in node.attribute}:
            node.attribute.append(helper.make_attribute(name, defaults[name]))


def _drawn(path: Path, network: NetworkShape, form: InputFormat, seed: int) -> Dataset:
    """Random frames over the input's whole range, with the classes that QONNX gives them."""
    from passes._qonnx import execute

    low, high = form.limits
    integers = np.random.default_rng(seed).integers(low, high + 1, (FRAMES, *network.input_shape))
    frames = integers.astype(np.float64) * float(np.float32(form.scale))
    labels = execute(path, frames).reshape(FRAMES, -1).argmax(axis=1)
    samples = frames.astype(np.float32)
    return Dataset("random", samples, labels, samples, labels, network.classes)


def _allocation(network: NetworkShape, widths: Widths, board: Board, goals: Goals) -> Allocation:
    """Foldings of all layers, by the allocator's solver, under the file's own bits."""
    priced = fold.price(network, widths, board.family)
    if priced.space is None:
        raise LiftFlowError(
            f"cost is uncalibrated: {priced.unknown}",
            where=board.name,
            mend="use a board of another family",
        )
    clock = goals.clock_mhz or board.clock.default_mhz
    room = fold.require_room(board, goals.share)
    if goals.fps:
        found = fold.smallest(priced, room, fold.interval_of(goals.fps, clock))
    else:
        found = fold.fastest(priced, room)
    if found is None:
        raise InfeasibleError(
            f"no folding of it fits {goals.share:.0%} of the board"
            + (f" at {goals.fps:,.0f} frames a second" if goals.fps else ""),
            where=board.name,
            mend="lower --fps, raise --share, or take a larger board",
        )
    use = found.cost + as_row(shell_estimate(board))
    layers = network.layers
    weights = [layer.weights for layer in layers]
    return Allocation(
        board=board.name,
        clock_mhz=clock,
        layers={layer.name: choice for layer, choice in zip(layers, found.choices, strict=True)},
        interval=found.interval,
        estimate={name: float(count) for name, count in zip(RESOURCES, use, strict=True)},
        budget=board.budget(goals.share),
        loss=0.0,
        gap=0.0,
        mean_weight_bits=float(np.average(widths.weights, weights=weights)),
    )
