"""The command line: one clear line and exit status 2 for whatever a user can mend."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from compiler import cli

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        return self.fc(x.flatten(1))

class Wavy(Net):
    def forward(self, x):
        x = nn.functional.max_pool2d(torch.sin(self.conv1(x)), 2)
        return self.fc(x.flatten(1))

class Upside(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 2, 2)
        self.act = nn.GELU()
        self.fc = nn.Linear(2 * 9 * 9, 3)

    def forward(self, x):
        return self.fc(self.act(self.up(x)).flatten(1))

def broken():
    raise RuntimeError("no luck")

def number():
    return 7
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    x = rng.random((60, 1, 8, 8), dtype=np.float32)
    y = rng.integers(0, 3, 60)
    np.savez(tmp_path / "data.npz", train_x=x, train_y=y, test_x=x[:20], test_y=y[:20])
    np.savez(
        tmp_path / "wide.npz",
        train_x=x[:, :, :, :7],
        train_y=y,
        test_x=x[:5, :, :, :7],
        test_y=y[:5],
    )
    torch.save({"conv1.weight": torch.zeros(4, 1, 5, 5)}, tmp_path / "other.pt")
    return tmp_path


def toml(folder: Path, **fields: str) -> Path:
    """A compilation with some fields replaced; `goals` is the whole section."""
    path = folder / "net.toml"
    path.write_text(
        f"""
name = "net"
board = "{fields.get("board", "ulx3s-85f")}"
[model]
factory = "{fields.get("factory", "model.py:Net")}"
{f'weights = "{fields["weights"]}"' if "weights" in fields else ""}
[data]
source = "{fields.get("source", "data.npz")}"
[goals]
{fields.get("goals", "")}
"""
    )
    return path


def fails(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run the command; it must end with status 2 and one line on standard error, given back."""
    monkeypatch.setattr(sys, "argv", ["liftflow", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err.strip()
    assert caught.value.code == 2, said
    assert said.startswith("error: ")
    assert "\n" not in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"board": "ulx3s"}, "ulx3s-85f"),
        ({"board": "none.toml"}, "none.toml"),
        ({"factory": "model.py:Nett"}, "Nett"),
        ({"factory": "models.py:Net"}, "models.py"),
        ({"factory": "no.such.module:Net"}, "no.such.module"),
        ({"factory": "model.py:broken"}, "no luck"),
        ({"factory": "model.py:number"}, "int"),
        ({"weights": "none.pt"}, "none.pt"),
        ({"weights": "other.pt"}, "conv1.weight"),
        ({"source": "none.npz"}, "none.npz"),
        ({"source": "wide.npz"}, "fc"),
        ({"factory": "model.py:Wavy"}, "sin"),
        ({"factory": "model.py:Upside"}, "ConvTranspose2d"),
        ({"factory": "model.py:Upside"}, "GELU"),
        ({"goals": "fps = 1e9"}, "frames a second"),
        ({"goals": "share = 0.001"}, "allowed"),
        ({"goals": "speed = 3"}, "goals.speed"),
    ],
)
def test_bad_input(
    project: Path,
    fields: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = time.monotonic()
    arguments = ["compile", str(toml(project, **fields)), "--output", str(project / "build")]
    assert said in fails(arguments, monkeypatch, capsys)
    assert time.monotonic() - began < 60, "refused before any long work"
    assert not list(project.glob("build/*/*-retrain"))


def test_bad_arguments(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(toml(project))
    assert "no such pass" in fails(["compile", config, "--until", "polish"], monkeypatch, capsys)
    assert "PASS.OPTION=VALUE" in fails(["compile", config, "--set", "x"], monkeypatch, capsys)
    assert "has no option" in fails(
        ["compile", config, "--set", "retrain.epoch=1"], monkeypatch, capsys
    )
    assert "no report here" in fails(["report", str(project)], monkeypatch, capsys)


def test_missing_tool(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project))
    said = fails(["compile", str(toml(project))], monkeypatch, capsys)
    assert "g++" in said
    assert "apt" in said or "install" in said


def test_help_and_boards_answer_at_once() -> None:
    """Neither imports torch nor FINN."""
    script = (
        "import sys; from compiler import cli; from hw_targets.boards import load_board;"
        "load_board('pynq-z2'); print(sorted({'torch', 'finn', 'brevitas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_boards_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["liftflow", "boards", "--json"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    boards = json.loads(capsys.readouterr().out)
    assert {"ulx3s-85f", "pynq-z2"} <= {board["name"] for board in boards}


def test_a_board_is_shown_with_its_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["liftflow", "boards", "show", "zcu104"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "xczu7ev-ffvc1156-2-e" in said
    assert "230,400" in said
    assert "DS891" in said


def test_showing_an_unknown_board_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "zcu104" in fails(["boards", "show", "zcu105"], monkeypatch, capsys)
