"""Package: what is in the folder, that it is the same again, and that its driver runs alone."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from implementation_case import context, design

from compiler.stages import Implementation, Resources
from hw_targets.finn_adapter import build_config
from passes.package import Package

BOARDS = Path(__file__).resolve().parents[2] / "hw_targets" / "boards"


def implementation(folder: Path, bitstream: bool = True) -> Implementation:
    plan = folder / "plan"
    (plan / "logs").mkdir(parents=True)
    (plan / "logs" / "tool.log").write_text("long")
    (plan / "run.sh").write_text("#!/bin/sh\n")
    (plan / "design.bit").write_bytes(b"bits")
    return Implementation(
        name="numbers",
        design=design(folder / "rtl"),
        board="ulx3s-85f" if bitstream else "pynq-z2",
        estimated=Resources(),
        synthesised=Resources(),
        placed=Resources(),
        budget=Resources(),
        clock_target_mhz=50.0,
        clock_mhz=61.25 if bitstream else None,
        bitstream=plan / "design.bit" if bitstream else None,
        plan=plan,
        skipped=None if bitstream else "needs Vivado: copy it",
        baud=1_000_000 if bitstream else None,
    )


def test_deployment_of_a_board_with_a_bitstream(tmp_path: Path) -> None:
    ctx = context(tmp_path / "package")
    result = Package().run(implementation(tmp_path), ctx)
    assert result.files == (
        "README.md",
        "driver.py",
        "expected.json",
        "liftflow_host/__init__.py",
        "liftflow_host/driver.py",
        "liftflow_host/protocol.py",
        "liftflow_host/samples.py",
        "model.json",
        "numbers.bit",
        "samples.npy",
    )
    model = json.loads((result.folder / "model.json").read_text())
    assert model["input"] == {"shape": [2, 2, 4], "bits": 8, "signed": False, "scale": 0.5}
    assert (model["baud"], model["clock_mhz"], model["protocol"]) == (1_000_000, 50.0, 2)
    samples = np.load(result.folder / "samples.npy")
    assert samples.dtype == np.float32
    assert np.array_equal(samples, ctx.data.test_x)
    classes = json.loads((result.folder / "expected.json").read_text())
    assert classes == ctx.data.test_y.tolist()
    readme = (result.folder / "README.md").read_text()
    for text in (
        "openFPGALoader --board ulx3s numbers.bit",
        "fujprog numbers.bit",
        "python driver.py --port /dev/ttyUSB0 samples.npy",
        "61.2 MHz",
    ):
        assert text in readme


def test_the_same_again(tmp_path: Path) -> None:
    ctx = context(tmp_path / "package")
    made = implementation(tmp_path)

    def contents() -> dict[str, bytes]:
        result = Package().run(made, ctx)
        return {name: (result.folder / name).read_bytes() for name in result.files}

    assert contents() == contents()


def test_driver_needs_nothing_of_liftflow(tmp_path: Path) -> None:
    result = Package().run(implementation(tmp_path), context(tmp_path / "package"))
    run = [sys.executable, "-S", "-E", "driver.py"]  # -S: no site-packages at all
    done = subprocess.run([*run, "--help"], cwd=result.folder, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--port" in done.stdout
    done = subprocess.run(
        [*run, "--port", "/dev/null", "samples.npy"],
        cwd=result.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pip install pyserial" in done.stderr


@pytest.mark.parametrize("samples", ["nothing.npy", "model.json"])
def test_driver_says_what_is_wrong_in_one_line(tmp_path: Path, samples: str) -> None:
    result = Package().run(implementation(tmp_path), context(tmp_path / "package"))
    done = subprocess.run(
        [sys.executable, "driver.py", "--port", "/dev/nothing", samples],
        cwd=result.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_deployment_of_a_plan(tmp_path: Path) -> None:
    made = implementation(tmp_path, bitstream=False)
    result = Package().run(made, context(tmp_path / "package"))
    assert "plan/run.sh" in result.files
    assert "driver.py" not in result.files
    assert not any("logs" in name for name in result.files)
    assert "needs Vivado: copy it" in (result.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("board", "left"), [("pynq-z2", "bit"), ("u250", "xclbin"), ("arty-a7-100t", "xpr")]
)
def test_what_finn_leaves_is_found_where_the_readme_says(
    tmp_path: Path, board: str, left: str
) -> None:
    """Its builder's own configuration says where that is; a bitstream keeps its kind of file."""
    made = dataclasses.replace(implementation(tmp_path), board=board, baud=None, flow="finn")
    built = tmp_path / f"design.{left}"
    built.write_bytes(b"bits")
    made = dataclasses.replace(made, bitstream=None if left == "xpr" else built)
    result = Package().run(made, context(tmp_path / "package"))
    text = (result.folder / "README.md").read_text()
    named = set(re.findall(r"`plan/([^`]+)`", text)) - {"plan.json"}
    output = inspect.signature(build_config).parameters["output_dir"].default
    assert {Path(name).parts[0] for name in named} == {output}
    assert {Path(name).suffix for name in named} - {""} == {f".{left}"}
    assert (f"numbers.{left}" in result.files) == (left != "xpr")
    assert ("no shell for this board" in text) == (left == "xpr")


def test_board_of_the_users_own(tmp_path: Path) -> None:
    """The board's name is none that LiftFlow knows: only its file says what it is and has."""
    own = tmp_path / "mine.toml"
    text = (BOARDS / "ulx3s-85f.toml").read_text()
    text = text.replace('name = "ulx3s-85f"', 'name = "mine"')
    text = re.sub(r"load = .*", 'load = ["openFPGALoader --cable ft232 {bitstream}"]', text)
    own.write_text(re.sub(r"(leds|button) = .*\n", "", text))
    made = implementation(tmp_path)
    mine = Package(board=str(own)).run(
        dataclasses.replace(made, board="mine"), context(tmp_path / "package")
    )
    assert "numbers.bit" in mine.files
    known = Package().run(made, context(tmp_path / "known"))
    readmes = [(each.folder / "README.md").read_text() for each in (mine, known)]
    assert "\nopenFPGALoader --cable ft232 numbers.bit\n" in readmes[0]
    assert "\nopenFPGALoader --board ulx3s numbers.bit\n# or\nfujprog numbers.bit\n" in readmes[1]
    for word in ("LEDs", "button"):
        assert [word in text for text in readmes] == [False, True]


def pynq(folder: Path, *, built: bool = True) -> Implementation:
    made = dataclasses.replace(
        implementation(folder, bitstream=built), board="pynq-z2", baud=None, flow="vivado-rtl"
    )
    (made.plan / "design.hwh").write_text("<EDKSYSTEM/>")
    (made.plan / "build").mkdir()
    (made.plan / "build" / "project.xpr").write_text("large")
    return made


def test_deployment_of_a_zynq_board(tmp_path: Path) -> None:
    result = Package().run(pynq(tmp_path), context(tmp_path / "package"))
    assert set(result.files) >= {
        "driver.py",
        "liftflow_host/frames.py",
        "liftflow_host/pynq_driver.py",
        "numbers.bit",
        "numbers.hwh",
        "plan/run.sh",
    }
    assert not any("build/" in name or "logs/" in name for name in result.files)
    model = json.loads((result.folder / "model.json").read_text())
    assert model["dma"]["input"] == {
        "lanes": 1, "bits": 8, "signed": False, "beats": 16, "beat_bytes": 1
    }  # fmt: skip
    assert "sudo python3 driver.py" in (result.folder / "README.md").read_text()
    skipped = Package().run(pynq(tmp_path / "skipped", built=False), context(tmp_path / "other"))
    assert "numbers.bit" not in skipped.files
    readme = (skipped.folder / "README.md").read_text()
    assert "needs Vivado: copy it" in readme
    assert "timing met" not in readme


PYNQ = """\
import json, pathlib
import numpy as np

class Channel:
    def transfer(self, buffer):
        self.buffer = buffer
    def wait(self):
        pass

class Dma:
    sendchannel, recvchannel = Channel(), Channel()

class Receiver(Channel):
    def wait(self):  # the stand-in accelerator: a class is the sum of a frame's bytes modulo 16
        frames = np.array(Dma.sendchannel.buffer).reshape(-1, 16)
        self.buffer[:] = frames.astype(int).sum(axis=1) % 16

class Overlay:
    def __init__(self, name):
        assert pathlib.Path(name).with_suffix(".hwh").is_file()
        self.dma = Dma
        Dma.recvchannel = Receiver()

def allocate(shape, dtype):
    return np.zeros(shape, dtype)
"""


def test_zynq_driver_runs_alone_with_what_pynq_offers(tmp_path: Path) -> None:
    """PYNQ itself runs on boards only: a module of its names stands in for it."""
    result = Package().run(pynq(tmp_path), context(tmp_path / "package"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-E", "driver.py", *arguments]
        return subprocess.run(command, cwd=result.folder, capture_output=True, text=True)

    done = run("samples.npy")
    assert (done.returncode, done.stderr) == (
        1, "error: PYNQ is missing: run this on the board, as root\n"
    )  # fmt: skip
    (result.folder / "pynq.py").write_text(PYNQ)
    done = run("--expected", "expected.json", "samples.npy")
    assert done.returncode == 0, done.stderr
    assert "60 of 60 answers are the model's" in done.stderr
    answers = json.loads((result.folder / "expected.json").read_text())
    assert done.stdout.splitlines() == [str(answer) for answer in answers]
    (result.folder / "expected.json").write_text(json.dumps([answers[0] ^ 1, *answers[1:]]))
    done = run("--expected", "expected.json", "samples.npy")
    assert done.returncode == 1
    assert "59 of 60" in done.stderr
    for arguments, said in (
        (("--bitstream", "no.bit", "samples.npy"), "no.bit is missing"),
        (("nothing.npy",), "nothing.npy"),
        (("--model", "samples.npy", "samples.npy"), "error: "),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
