"""QONNX files that this project's exporter did not make, to RTL that gives what qonnx gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import qonnx_origins as made
from numpy.typing import NDArray

from compiler.config import Goals
from compiler.qonnx.read import read
from compiler.qonnx_door import Entry, open_qonnx
from compiler.stages import RtlDesign, streamed

FRAMES = 12
Layout = Callable[[NDArray[Any]], NDArray[Any]]


def same(frames: NDArray[Any]) -> NDArray[Any]:
    return frames


def opened(path: Path, until: str) -> Entry:
    """The file's network with little hardware, which simulates soon."""
    return open_qonnx(
        path,
        board="ulx3s-85f",
        goals=Goals(fps=2000),
        until=until,
        output=path.parent,
        options={"simulate": {"cycles": 60_000}} if until == "simulate" else None,
    )


def exact(path: Path, until: str = "simulate", layout: Layout = same) -> RtlDesign:
    """Compiles a file, and compares what comes out with qonnx's own executor.

    layout: from frames as the accelerator takes them to those that the file takes.
    """
    entry = opened(path, until)
    run = entry.run([])
    design = cast(RtlDesign, run.last)
    assert all(check.passed for record in run.records for check in record.checks)
    outputs = made.by_qonnx(path, layout(entry.data.test_x[:FRAMES]))
    if design.network.regression:
        counts = np.rint(streamed(outputs / design.step)).astype(np.int64)
        np.testing.assert_array_equal(counts, design.predictions[:FRAMES])
    else:
        classes = outputs.reshape(FRAMES, -1).argmax(axis=1)
        np.testing.assert_array_equal(classes, design.predictions[:FRAMES])
        assert len(set(design.predictions.tolist())) > 1
    if until == "simulate":
        assert design.sim is not None
        assert design.sim.mismatches == 0
    return design


def kernels(design: RtlDesign) -> set[str]:
    return {unit.kernel for unit in design.units}


def test_a_network_that_qonnx_ships(tmp_path: Path) -> None:
    """Image to image, opset 11, quantizers of an old domain, weights among the graph's inputs."""
    design = exact(made.espcn(tmp_path / "espcn.onnx", side=4))
    assert design.network.regression
    assert design.network.quantized_end
    assert design.network.output_shape == (3, 8, 8)
    assert kernels(design) >= {"Upsample", "Mvu", "Pad"}


@pytest.mark.parametrize(("weight_bits", "act_bits"), [(1, 1), (1, 2), (2, 2)])
def test_the_zoo_s_tfc(weight_bits: int, act_bits: int, tmp_path: Path) -> None:
    path = made.tfc(tmp_path / "tfc.onnx", weight_bits, act_bits)
    found = read(path)
    assert "mul1, sub2, in front of the input's quantizer" in found.notes[0]
    design = exact(path, "generate-rtl", lambda frames: (frames + 1) / 2)
    assert [c.weight_bits for c in design.allocation.layers.values()] == [
        weight_bits + (weight_bits > 1)  # two bits with -2 take three here
    ] * 3


def test_tfc_of_one_bit_in_rtl(tmp_path: Path) -> None:
    design = exact(made.tfc(tmp_path / "t.onnx", 1, 1), layout=lambda frames: (frames + 1) / 2)
    assert [choice.act_bits for choice in design.allocation.layers.values()] == [1, 1, 0]


@pytest.mark.parametrize("batch", ["unk__1", 1])
def test_as_qkeras_converted(batch: str | int, tmp_path: Path) -> None:
    path = made.keras(tmp_path / "keras.onnx", batch)
    until = "simulate" if batch == 1 else "generate-rtl"
    design = exact(path, until, lambda frames: frames.transpose(0, 2, 3, 1))
    assert design.network.chain
    assert design.network.layers[0].padding == (1, 1, 1, 1)


@pytest.mark.parametrize("padded", [False, True])
def test_signs_by_hand(padded: bool, tmp_path: Path) -> None:
    """Where a convolution pads, -1 and 1 need a 0 between them; elsewhere a bit will do."""
    path = made.xnor(tmp_path / "xnor.onnx", padded)
    design = exact(path, "generate-rtl" if padded else "simulate")
    network = design.network
    first = next(unit for unit in network.units if unit.quantizer)
    assert (first.kind, first.signed) == (("quant", True) if padded else ("relu", False))
    assert {choice.weight_bits for choice in design.allocation.layers.values()} == {1}


def test_as_brevitas_exports(tmp_path: Path) -> None:
    """A residual block, batch norms that are not fused, a float bias at the end."""
    design = exact(made.brevitas(tmp_path / "brevitas.onnx"))
    assert kernels(design) >= {"Duplicate", "Add", "MaxPool", "ChannelAdd", "LabelSelect"}
