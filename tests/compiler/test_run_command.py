"""`liftflow run` on a run whose accelerator is the stand-in, its whole board simulated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from implementation_case import context
from run_case import finished
from typer.testing import CliRunner

from compiler.cli import app
from hw_targets.errors import LiftFlowError, VerificationError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("runs") / "numbers-ulx3s-85f")


def run(*arguments: object) -> str:
    """Standard output; raises what the command raised."""
    done = CliRunner().invoke(app, ["run", *map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.stdout


def test_simulated_board_answers_as_the_model_does(folder: Path, tmp_path: Path) -> None:
    said = run(folder, "--simulate", "--divider", 8).splitlines()
    assert len(said) == 14
    assert said[0] == f"{context(tmp_path).data.test_y[0]}\t0.3 us"
    assert said[-2].startswith("batch of 12 in ")
    assert said[-2].endswith("latency 0.3 us in the accelerator (simulated)")
    assert said[-1] == "12 of 12 answers are the model's"
    # A second time nothing is compiled where `synthesize` left a simulation.
    shutil.copytree(folder / "shell-simulation", folder / "16-synthesize" / "shell-simulation")
    shutil.rmtree(folder / "shell-simulation")
    np.save(tmp_path / "one.npy", context(tmp_path).data.test_x[3])
    found = json.loads(run(folder, tmp_path / "one.npy", "--simulate", "--json"))
    assert found["answers"] == [[int(context(tmp_path).data.test_y[3])]]
    assert found["latency_us"] == [17 / 50]
    assert found["agreeing"] is None
    assert not (folder / "shell-simulation").exists()
    expected = folder / "17-package" / "deploy" / "expected.json"
    expected.write_text(json.dumps([0] * 12))
    with pytest.raises(VerificationError, match="of 12 answers are the model's"):
        run(folder, "--simulate")


def test_refusals_are_one_line(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((3, 5)))
    for arguments, message in (
        ((folder,), "give one of --port and --simulate"),
        ((folder, "--port", "x", "--simulate"), "give one of"),
        ((folder, "--simulate", "--divider", 3), "use at least 4"),
        ((folder, "--port", tmp_path / "no"), "No such file or directory.*; check port, cable"),
        ((folder, tmp_path / "wrong.npy", "--port", "x"), r"\(3, 5\), not samples of 2 x 2 x 4"),
        ((tmp_path, "--simulate"), "pass package has not run here; give the folder of a run"),
    ):
        with pytest.raises(LiftFlowError, match=message) as caught:
            run(*arguments)
        assert "\n" not in str(caught.value)


def test_a_board_without_our_serial_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no serial line of ours; run FINN's driver"):
        run(finished(tmp_path / "numbers", baud=None), "--port", "x")
    chosen = {"board": "pynq-z2", "flow": "vivado-rtl"}
    plan = tmp_path / "plan"
    plan.mkdir()
    rtl = finished(tmp_path / "rtl", baud=None, bitstream=None, plan=plan, **chosen)
    with pytest.raises(LiftFlowError, match="run driver.py of the deployment on the board itself"):
        run(rtl, "--port", "x")
