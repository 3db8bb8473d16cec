"""QONNX files of other origins, from the file to exact RTL."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from qonnx_case import File
from typer.testing import CliRunner

from compiler.cli import app
from compiler.config import Goals
from compiler.pipeline import RunResult
from compiler.qonnx_door import open_qonnx
from compiler.stages import RtlDesign
from hw_targets.errors import InfeasibleError, LiftFlowError


def drawn(file: File, *shape: int, bits: int, scale: float) -> str:
    """Weights over the whole range of their bits."""
    half = 1 << (bits - 1)
    values = np.random.default_rng(len(file.nodes)).integers(1 - half, half, shape) * scale
    return file.quantized(file.constant(values), bits, scale=scale)


def dense() -> File:
    """As from QKeras: scales that are powers of two, so that sums lie on rounding edges often."""
    file = File(12).quant(4, signed=True, scale=0.25)
    file.add("MatMul", drawn(file, 12, 10, bits=3, scale=0.25))
    file.add("Add", file.constant(np.arange(10) / 8 - 0.5)).add("Relu").quant(3, scale=0.5)
    return file.add("MatMul", drawn(file, 10, 4, bits=4, scale=0.125))


def normed() -> File:
    """As from Brevitas: batch norm, scales of any size, a scale for each channel of weights."""
    rng = np.random.default_rng(1)
    file = File(2, 6, 6).quant(5, scale=0.031)
    scales = rng.uniform(0.01, 0.05, (6, 1, 1, 1)).astype(np.float32)
    values = rng.integers(-7, 8, (6, 2, 3, 3)) * scales
    file.add("Conv", file.quantized(file.constant(values), 4, scale=scales), pads=[1] * 4)
    moments = (rng.uniform(0.5, 2, 6), rng.normal(size=6), rng.normal(size=6), np.ones(6))
    file.add("BatchNormalization", *map(file.constant, moments)).add("Relu").quant(4, scale=0.07)
    file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).add("Flatten", axis=1)
    return file.add("MatMul", drawn(file, 54, 5, bits=5, scale=0.02))


def compiled(file: File, folder: Path, until: str, goals: Goals | None = None) -> RunResult:
    path = file.write(folder / "net.qonnx.onnx")
    entry = open_qonnx(path, board="ulx3s-85f", goals=goals, until=until, output=folder)
    return entry.run([])


def test_powers_of_two_to_simulated_rtl(tmp_path: Path) -> None:
    run = compiled(dense(), tmp_path, "simulate", Goals(fps=200_000))
    assert [record.name for record in run.records] == [
        "lower-finn",
        "fold",
        "generate-rtl",
        "simulate",
    ]
    design = cast(RtlDesign, run.last)
    assert design.sim is not None
    assert (design.sim.frames, design.sim.mismatches) == (100, 0)
    assert len(set(design.predictions.tolist())) > 2
    assert design.allocation.interval <= 250
    assert (run.folder / "report.html").is_file()
    again = compiled(dense(), tmp_path, "simulate", Goals(fps=200_000))
    assert again.did_nothing


def test_batch_norms_and_channel_scales_to_exact_rtl(tmp_path: Path) -> None:
    run = compiled(normed(), tmp_path, "generate-rtl")
    assert all(check.passed for record in run.records for check in record.checks)
    design = cast(RtlDesign, run.last)
    assert design.input.bits == 5
    assert design.input.scale == pytest.approx(0.031)
    assert [choice.weight_bits for choice in design.allocation.layers.values()] == [4, 5]
    kernels = {unit.kernel for unit in design.units}
    assert kernels >= {"Mvu", "MaxPool", "LabelSelect"}
    assert kernels & {"Threshold", "Requant"}


def test_command_line(tmp_path: Path) -> None:
    path = dense().write(tmp_path / "net.onnx")
    given = ["compile", str(path), "--output", str(tmp_path), "--share", "0.5"]
    done = CliRunner().invoke(app, [*given, "--until", "lower-finn"])
    assert done.exit_code == 0
    assert "net on ulx3s-85f" in done.stdout
    assert (tmp_path / "net-ulx3s-85f" / "01-lower-finn" / "net.dataflow.onnx").is_file()
    toml = Path(__file__).parents[2] / "examples" / "digits" / "digits.toml"
    refused = CliRunner().invoke(app, ["compile", str(toml), "--fps", "100"])
    assert "--fps is for QONNX files" in str(refused.exception)


def test_refusals(tmp_path: Path) -> None:
    path = dense().write(tmp_path / "net.onnx")
    with pytest.raises(LiftFlowError, match="a QONNX file enters at lower-finn"):
        open_qonnx(path, until="retrain", output=tmp_path)
    with pytest.raises(LiftFlowError, match="pass retrain is not run on a QONNX file"):
        open_qonnx(path, options={"retrain": {"epochs": 2}}, output=tmp_path)
    with pytest.raises(InfeasibleError, match="at 50,000,000 frames a second; lower --fps"):
        open_qonnx(path, goals=Goals(fps=5e7, share=0.01), output=tmp_path)
    floats = File(4).add("Relu").write(tmp_path / "float.onnx")
    with pytest.raises(LiftFlowError, match="no quantizers"):
        open_qonnx(floats, output=tmp_path)
    uneven = dense().add("Mul", "factors")
    uneven.constant([1.0, 2.0, 3.0, 4.0], "factors")
    with pytest.raises(LiftFlowError, match="its outputs have a scale for each channel; give"):
        compiled(uneven, tmp_path, "lower-finn")
