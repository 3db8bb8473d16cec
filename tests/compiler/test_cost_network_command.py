"""`liftflow cost MODEL`: the run's own figures, layer by layer, and one line for every fault."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from qonnx_case import File, small
from quant_case import context as room
from quant_case import digits_data, digits_shape, scored

from compiler import cli
from compiler.commands.console import out
from compiler.pricing.source import Given, load_source
from compiler.stages import QonnxModel
from hw_targets.boards import load_board
from hw_targets.cost.network import network_cost
from passes.allocate import Allocate
from passes.export_qonnx import ExportQonnx
from passes.quantize import Quantize

BOARD = "ulx3s-25f"
RESOURCES = ("lut", "ff", "dsp", "bram")


@cache
def exported() -> QonnxModel:
    """Digits with bits and folding by the allocator, as QONNX."""
    folder, data = Path(mkdtemp(prefix="liftflow-cost-")), digits_data()
    model = scored(digits_shape(), data, epochs=1)
    task = Allocate(board=BOARD, clock_mhz=50.0, share=0.5, mean_weight_bits=3.5, sensitivity="mse")
    model = task.run(model, room(folder / "allocate", data))
    quantized = Quantize().run(model, room(folder / "quantize", data))
    return ExportQonnx().run(quantized, room(folder / "export", data))


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `liftflow cost`."""
    monkeypatch.setattr(sys, "argv", ["liftflow", "cost", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err


def answer(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    status, said, error = run([*arguments, "--json"], monkeypatch, capsys)
    assert status == 0, error
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An untrained network in a TOML file, and a small QONNX file."""
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(\n"
        "        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),\n"
        "        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),\n"
        "        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),\n"
        "        nn.Linear(84, 10),\n    )\n"
    )
    samples = np.random.default_rng(0).random((20, 1, 28, 28), dtype=np.float32)
    labels = np.arange(20) % 10
    names = ("train_x", "train_y", "test_x", "test_y")
    np.savez(tmp_path / "data.npz", **dict(zip(names, (samples, labels) * 2, strict=True)))
    (tmp_path / "lenet.toml").write_text(
        'name = "lenet"\nboard = "ulx3s-45f"\n[model]\nfactory = "model.py:net"\n'
        '[data]\nsource = "data.npz"\n[goals]\nshare = 0.6\n'
    )
    small().write(tmp_path / "small.onnx")
    return tmp_path


def test_a_run_s_own_export_costs_what_its_allocation_says() -> None:
    model = exported()
    allocation = model.allocation
    assert allocation is not None
    source = load_source(model.path, Given())
    own = tuple(allocation.layers.values())
    assert source.widths.weights == tuple(choice.weight_bits for choice in own)
    assert source.widths.acts == tuple(choice.act_bits for choice in own)
    assert len(set(source.widths.weights)) > 1, "bits differ between layers"
    board = load_board(BOARD)
    # Through the door even fractions that float32 makes of whole biases are ordered, in bits more.
    *hidden, last = source.network.layers
    assert last.rank_bits > 0
    whole = replace(source.network, layers=(*hidden, replace(last, rank_bits=0)))
    found = network_cost(whole, own, board.family, board)
    for name, value in allocation.estimate.items():
        assert value is not None
        assert found.total.as_dict()[name] == pytest.approx(value)
    assert found.interval == allocation.interval


def test_the_command_finds_the_run_s_folding_or_a_cheaper_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported()
    allocation = model.allocation
    assert allocation is not None
    flags = ["--board", BOARD, "--clock-mhz", "50", "--share", "0.5"]
    told = [str(model.path), *flags, "--interval", str(allocation.interval)]
    found = answer(told, monkeypatch, capsys)
    assert found["interval"] <= allocation.interval
    assert allocation.estimate["lut"] is not None
    assert found["total"]["lut"]["value"] <= allocation.estimate["lut"] * 1.01
    fastest = answer([str(model.path), *flags], monkeypatch, capsys)
    assert fastest["interval"] <= allocation.interval
    folds = [
        f"--fold={layer['name']}={choice.pe}:{choice.simd}"
        for layer, choice in zip(found["layers"], allocation.layers.values(), strict=True)
    ]
    by_hand = answer([str(model.path), *flags[:4], *folds], monkeypatch, capsys)
    # By hand the other units keep up with the matrix.
    assert by_hand["interval"] <= allocation.interval
    assert by_hand["folding"] == "as given"


def test_layers_and_shell_add_up(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer([str(project / "small.onnx")], monkeypatch, capsys)
    assert found["board"] == "ulx3s-85f"
    for name in RESOURCES:
        parts = [*found["layers"], found["shell"]]
        total = sum(part[name]["value"] for part in parts)
        assert found["total"][name]["value"] == pytest.approx(total, abs=0.05)
        assert found["total"][name]["low"] <= found["total"][name]["value"]
        assert found["total"][name]["value"] <= found["total"][name]["high"]
    assert [(e["weight_bits"], e["act_bits"]) for e in found["layers"]] == [(3, 5), (4, 4), (6, 0)]
    assert found["fps"] == pytest.approx(found["clock_mhz"] * 1e6 / found["interval"], rel=1e-6)
    assert found["interval"] == max(layer["cycles"] for layer in found["layers"])
    assert found["of_which"]["fifos"]["lut"]["value"] > 0
    assert found["total"]["inside"]


def test_a_model_in_toml_at_the_bits_of_flags(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(project / "lenet.toml")
    bits = ["--weight-bits", "3", "--act-bits", "2"]
    found = answer([config, *bits], monkeypatch, capsys)
    assert found["board"] == "ulx3s-45f"
    assert found["folding"] == "the fastest in 60% of the board"
    assert [e["name"] for e in found["layers"]] == [
        "conv2d_0",
        "conv2d_3",
        "linear_7",
        "linear_9",
        "linear_11",
    ]
    assert [(e["weight_bits"], e["act_bits"]) for e in found["layers"]] == 4 * [(3, 2)] + [(3, 0)]
    board = load_board("ulx3s-45f")
    for name, most in board.budget(0.6).items():
        assert found["total"][name]["value"] <= most
    slower = answer([config, *bits, "--fps", "100"], monkeypatch, capsys)
    assert slower["fps"] >= 100
    assert slower["total"]["lut"]["value"] < found["total"]["lut"]["value"]
    wider = answer([config, "--fps", "100"], monkeypatch, capsys)
    assert [layer["weight_bits"] for layer in wider["layers"]] == [4] * 5
    assert slower["total"]["lut"]["value"] < wider["total"]["lut"]["value"]


def test_a_family_has_no_shell(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(project / "small.onnx")
    found = answer([model, "--family", "ecp5", "--interval", "5000"], monkeypatch, capsys)
    assert found["board"] is None
    assert found["shell"] is None
    assert found["clock_mhz"] == 50
    assert found["interval"] <= 5000
    least = answer([model, "--family", "ecp5"], monkeypatch, capsys)
    counted = [(least["total"][name], found["total"][name]) for name in ("lut", "dsp", "bram")]
    # It may take more of one for less of another, not more of all.
    assert any(one["value"] < other["value"] for one, other in counted)


def test_unknown_is_never_zero(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [str(project / "small.onnx"), "--board", "vck190", "--pe", "1"]
    found = answer(told, monkeypatch, capsys)
    assert found["total"]["lut"] is None
    assert not found["total"]["inside"]
    assert found["shell"] is None
    assert found["interval"] > 0
    _, said, _ = run(told, monkeypatch, capsys)
    assert "uncalibrated family" in said
    assert "vendor's tools add is not counted" in said


def test_the_table_tells_every_layer(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = run([str(project / "small.onnx")], monkeypatch, capsys)
    assert status == 0
    for word in ("conv2", "matmul9", "shell", "total", "of which FIFOs", "frames a second"):
        assert word in said


def test_a_narrow_terminal_gets_a_narrow_table(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(out, "width", 80)
    _, said, _ = run([str(project / "small.onnx")], monkeypatch, capsys)
    assert "90 % from" in said
    table = said[said.index("layer") : said.index("frames a second")].splitlines()
    assert all(line.split()[0] != "(" and len(line) <= 80 for line in table if line.strip())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.toml"], "none.toml: no such file"),
        (["none.onnx"], "none.onnx: no such file"),
        (["."], "is a folder"),
        (["model.py"], "neither .toml nor .onnx"),
        (["empty.toml"], "field name is missing"),
        (["empty.onnx"], "empty.onnx: the file is empty"),
        (["rubbish.onnx"], "rubbish.onnx: not an ONNX file"),
        (["float.onnx"], "float.onnx: it has no quantizers"),
        (["small.onnx", "--weight-bits", "4"], "leave out --weight-bits"),
        (["small.onnx", "--input-bits", "8"], "leave out --input-bits"),
        (["small.onnx", "--signed"], "--signed: a sign without a width; give --input-bits"),
        (["lenet.toml", "--weight-bits", "0"], "--weight-bits: 0 bits; give 1 to 8"),
        (["lenet.toml", "--act-bits", "-2"], "--act-bits: -2 bits; give 1 to 8"),
        (["lenet.toml", "--input-bits", "8"], "set input_bits in the [data] section"),
        (["small.onnx", "--board", "zork"], "zork"),
        (["small.onnx", "--family", "zork"], "no family called 'zork'"),
        (["small.onnx", "--family", "versal"], "uncalibrated; use a calibrated family"),
        (["small.onnx", "--board", "vck190"], "family versal is uncalibrated"),
        (["small.onnx", "--board", "zcu104", "--family", "xc7"], "do not go together"),
        (["small.onnx", "--pe", "3"], "layer conv2: PE 3 does not divide its 8 outputs"),
        (["small.onnx", "--pe", "0"], "layer conv2: PE 0 does not divide"),
        (["small.onnx", "--fold", "matmul9=1:3"], "layer matmul9: SIMD 3 does not divide"),
        (["small.onnx", "--fold", "matmul9"], "write LAYER=PE:SIMD"),
        (["small.onnx", "--fold", "fc=1:1"], "no layer 'fc'; layers: conv2, matmul9, matmul14"),
        (["small.onnx", "--pe", "2", "--fps", "10"], "do not go together"),
        (["small.onnx", "--fps", "-3"], "--fps: -3; give it above 0"),
        (["small.onnx", "--interval", "0"], "--interval: 0; give it above 0"),
        (["small.onnx", "--share", "1.5"], "--share: 1.5; give it above 0, up to 1"),
        (["small.onnx", "--clock-mhz", "0"], "--clock-mhz: 0"),
        (["small.onnx", "--fps", "1e9"], "leaves 0 cycles a frame, layer conv2 needs"),
        (["small.onnx", "--share", "0.008"], "the smallest folding needs about"),
        (["small.onnx", "--channels", "3:4"], "--channels is of one layer"),
        (["--fps", "3"], "--fps is of a network"),
    ],
)
def test_faults_are_one_line(
    arguments: list[str],
    said: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    (project / "empty.toml").touch()
    (project / "empty.onnx").touch()
    shutil.copy(project / "data.npz", project / "rubbish.onnx")
    File(8).add("Relu").write(project / "float.onnx")
    status, told, error = run(arguments, monkeypatch, capsys)
    assert status == 2
    assert told == ""
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
