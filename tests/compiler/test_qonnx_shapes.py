"""QONNX files of other shapes than chains, to RTL under stalls that gives what qonnx gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import qonnx_shapes as made
from qonnx_origins import by_qonnx

from compiler.config import Goals
from compiler.pricing.folding import price
from compiler.qonnx.read import read_qonnx
from compiler.qonnx_door import Entry, open_qonnx
from compiler.stages import RtlDesign, streamed
from hw_targets.cost.planned import network_kernels
from hw_targets.flows.simulator import Stimulus
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.mvu import shared_rows
from passes.generate_rtl import design_of
from tests.hardware.side_by_side import simulator_of

FRAMES = 8
PATIENCE = 100_000

KERNELS: dict[Callable[[Path], Path], set[str]] = {
    made.depthwise: {"Depthwise", "Pad", "Swu", "Reduce"},
    made.concat: {"Concat", "Duplicate", "MaxPool", "Reduce"},
    made.sliced: {"Duplicate", "Add", "Swu"},
    made.signal: {"Depthwise", "Concat", "Duplicate", "Reduce"},
    made.least: {"ChannelAdd"},
}


def compiled(make: Callable[[Path], Path], folder: Path) -> tuple[Entry, RtlDesign, Path]:
    path = make(folder / f"{make.__name__}.onnx")
    entry = open_qonnx(
        path,
        board="pynq-z2",
        goals=Goals(fps=5000),
        until="generate-rtl",
        output=folder,
        outputs=make is not made.least,
    )
    run = entry.run([])
    assert all(check.passed for record in run.records for check in record.checks)
    return entry, cast(RtlDesign, run.last), path


@pytest.mark.slow
def test_rtl_gives_what_qonnx_gives(tmp_path: Path) -> None:
    found, designs = [], []
    for make, kernels in KERNELS.items():
        entry, model, path = compiled(make, tmp_path)
        assert {unit.kernel for unit in model.units} >= kernels, make.__name__
        design = design_of(model.name, model.finn, model.network, model.allocation)
        depths = tuple(max(2, link.stream.beats) for link in design.links)
        designs.append(dataclasses.replace(design, fifo_depths=depths))
        frames = entry.data.test_x[:FRAMES]
        outputs = by_qonnx(path, frames)
        if model.network.regression:
            answers = np.rint(streamed(outputs / model.step)).astype(np.int64)
        else:
            answers = outputs.argmax(axis=1)[:, None]
        assert len(np.unique(answers, axis=0)) > 1
        found.append((model.input.stream(frames), answers))
    simulator = simulator_of(designs, tmp_path / "rtl", optimize="-O1")
    for seed, (in_valid, out_ready) in enumerate(((1.0, 1.0), (0.5, 0.6))):
        stimuli = [
            Stimulus(frames, design.input, design.output, in_valid, out_ready)
            for (frames, _), design in zip(found, designs, strict=True)
        ]
        runs = simulator.run_channels(stimuli, seed=seed, patience=PATIENCE)
        for run, (_, answers), design in zip(runs, found, designs, strict=True):
            np.testing.assert_array_equal(run.outputs, answers, err_msg=design.name)


def test_bits_that_order_the_fractions_of_biases_are_priced(tmp_path: Path) -> None:
    _, model, _ = compiled(made.least, tmp_path)
    built = design_of(model.name, model.finn, model.network, model.allocation).instances
    planned = network_kernels(model.network, list(model.allocation.layers.values()))
    (added,) = (kernel for kernel in planned if isinstance(kernel, ChannelAdd))
    (label,) = (kernel for kernel in planned if isinstance(kernel, LabelSelect))
    assert model.network.layers[-1].rank_bits == added.shift == 2
    assert label == next(each.kernel for each in built if isinstance(each.kernel, LabelSelect))
    really = next(each.kernel for each in built if isinstance(each.kernel, ChannelAdd))
    assert added == dataclasses.replace(really, bias_bits=added.bias_bits)


def test_rows_with_the_least_weight_share_no_multiplier(tmp_path: Path) -> None:
    network, widths, _ = read_qonnx(made.least(tmp_path / "least.onnx"))
    assert (widths.weights, widths.full) == ((8, 8), (2, 2))

    def most_shared(full: tuple[int, ...]) -> int:
        space = price(network, dataclasses.replace(widths, full=full), "xc7").space
        assert space is not None
        edges = space.decided[space.of_layer(0)]
        return max(shared_rows(8, 2, pe, 25) for _, pe, _, dsp, _ in edges.tolist() if dsp)

    assert most_shared(()) == 2
    assert most_shared(widths.full) == 1
