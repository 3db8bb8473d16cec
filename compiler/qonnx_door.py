"""`liftflow compile model.onnx`: a quantized network of any origin enters where lowering begins."""

from __future__ import annotations

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
from compiler.pricing.source import Widths
from compiler.qonnx.ending import Read
from compiler.qonnx.original import execute_original, require_alike
from compiler.qonnx.read import read
from compiler.stages import Allocation, Dataset, InputFormat, LabelArray, QonnxModel, streamed
from hw_targets.boards import Board, load_board
from hw_targets.cost.model import as_row
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES, load_family
from hw_targets.network import NetworkShape

FIRST = "lower-finn"
FRAMES = 100
"""Frames that the passes compare on: drawn at random, as the file has none."""
COMPARED = 4
"""Frames on which the file as it was read is compared with the file itself."""
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
    outputs: bool = False,
) -> Entry:
    """The network of a QONNX file, folded for `board`: its bits are its own, nothing is trained.

    goals: with `fps` the least hardware that reaches it, without the fastest that `share` of the
    board holds. outputs: they are the answer, not the class of the greatest.

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
    found = read(path, outputs=outputs)
    network = found.network
    folder = Path(output or DEFAULT_OUTPUT) / f"{network.name}-{chosen.name}"
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / CLEANED
    written.write_bytes(found.model.model.SerializeToString(deterministic=True))
    assert found.entry.scale is not None
    form = InputFormat(network.input_bits, network.input_signed, found.entry.scale)
    data, answers = _drawn(path, written, found, form, seed)
    model = QonnxModel(
        name=network.name,
        path=written.resolve(),
        input=form,
        network=network,
        allocation=_allocation(network, found.widths, chosen, goals),
        accuracy=1.0,
        predictions=answers,
        step=found.step,
    )
    return Entry(model, data, pipeline, folder, chosen, goals, found.notes)


def _drawn(
    path: Path, written: Path, found: Read, form: InputFormat, seed: int
) -> tuple[Dataset, LabelArray]:
    """Random frames over the input's whole range, and what QONNX gives of them.

    Raises:
        VerificationError: the file that was written does not compute what the one given does.
    """
    from passes._qonnx import execute

    network = found.network
    levels = np.arange(form.limits[0], form.limits[1] + 1)
    if found.kind:
        levels = np.array([-1, 1] if found.kind == "BipolarQuant" else [-1, 0, 1])
    elif found.entry.narrow:
        levels = levels[1:] if form.signed else levels[:-1]
    shape = (FRAMES, *network.input_shape)
    integers = np.random.default_rng(seed).choice(levels, shape)
    frames = integers.astype(np.float64) * float(np.float32(form.scale))
    outputs = execute(written, frames)
    few = execute_original(path, found.begin, found.end, frames[:COMPARED])
    require_alike(path, outputs[:COMPARED], few)
    samples = frames.astype(np.float32)
    if not network.regression:
        labels = outputs.reshape(FRAMES, -1).argmax(axis=1)
        return Dataset("random", samples, labels, samples, labels, network.classes), labels
    counts = np.rint(streamed(outputs / found.step)).astype(np.int64)
    wanted = outputs.astype(np.float32)
    return Dataset("random", samples, wanted, samples, wanted, 0), counts


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
    room = fold.require_room(board, goals.share, network)
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
    use = found.cost + as_row(shell_estimate(board, network))
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
        multiplier_bits=load_family(board.family).multiplier.a_bits,
    )
