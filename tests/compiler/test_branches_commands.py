"""`liftflow cost` and `fit` on a network that branches: layers, branches and shell add up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from priced_case import prices

from compiler import cli
from compiler.pricing import limits
from compiler.pricing.folding import price
from compiler.pricing.source import Given, load_source
from hw_targets.cost.basis import BASES

BOARD = "ulx3s-85f"
MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AvgPool2d(3, 2, padding=1, count_include_pad={counted})
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = self.pool(torch.relu(self.inner(x) + x))
        return self.head(x.mean((2, 3)))
"""


def project(folder: Path, counted: bool) -> Path:
    (folder / "model.py").write_text(MODEL.format(counted=counted))
    rng = np.random.default_rng(0)
    samples, labels = rng.random((20, 3, 8, 8), dtype=np.float32), np.arange(20) % 4
    names = ("train_x", "train_y", "test_x", "test_y")
    np.savez(folder / "data.npz", **dict(zip(names, (samples, labels) * 2, strict=True)))
    path = folder / "net.toml"
    path.write_text(
        f'name = "net"\nboard = "{BOARD}"\n[model]\nfactory = "model.py:Net"\n'
        '[data]\nsource = "data.npz"\n'
    )
    return path


def run(
    command: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error)."""
    monkeypatch.setattr(sys, "argv", ["liftflow", command, *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err


def test_layers_branches_and_shell_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path, counted=True)

    def answer(command: str, *more: str) -> dict[str, Any]:
        status, said, error = run(
            command, [str(path), "--board", BOARD, *more, "--json"], monkeypatch, capsys
        )
        assert status == 0, error
        found: dict[str, Any] = json.loads(said)
        return found

    with prices(monkeypatch):
        found = answer("cost")
        assert [layer["name"] for layer in found["layers"]] == ["stem", "inner", "head"]
        assert [layer["act_bits"] for layer in found["layers"]] == [4, 4, 0]
        parts = [*found["layers"], found["branches"], found["shell"]]
        for name in ("lut", "ff", "dsp", "bram"):
            total = sum(part[name]["value"] for part in parts)
            assert total == pytest.approx(found["total"][name]["value"], abs=0.1)
        slower = answer("cost", "--fps", "100")
        assert slower["fps"] >= 100
        assert slower["total"]["lut"]["value"] < found["total"]["lut"]["value"]
        by_hand = answer("cost", "--pe", "2")
        assert by_hand["interval"] >= found["interval"]
        (row,) = answer("fit")["boards"]
        assert row["fps"] == pytest.approx(found["fps"])
        status, said, _ = run("cost", [str(path)], monkeypatch, capsys)
        assert status == 0
        assert "branches" in said


def test_a_unit_that_is_too_slow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with prices(monkeypatch):
        source = load_source(project(tmp_path, counted=True), Given())
        priced = price(source.network, source.widths, "ecp5")
        assert priced.space is not None
        assert priced.space.shared is not None
        unit = priced.space.shared.slowest
        assert limits.limit(priced, 10) == f"parallelism of {unit}"
        said = str(limits.too_large(priced, np.ones(4), 10, "this rate", BOARD))
        assert f"unit {unit} needs" in said


@pytest.mark.parametrize(
    ("counted", "said"), [(False, "count_include_pad=True"), (True, "was never calibrated")]
)
@pytest.mark.parametrize("command", ["cost", "fit"])
def test_what_has_no_price_says_why(
    command: str,
    counted: bool,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = project(tmp_path, counted)
    with prices(monkeypatch), pytest.MonkeyPatch.context() as patch:
        patch.delitem(BASES, "Add")
        status, printed, error = run(command, [str(path), "--board", BOARD], monkeypatch, capsys)
    assert said in printed + error
    assert status in (0, 2)
    assert "Traceback" not in error
