"""A compilation that is killed, doubled, or short of disk: resumed soundly or refused clearly."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from compiler import store
from compiler.run_lock import LOCK, MARK, exclusive
from hw_targets.errors import LiftFlowError

NET = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    )
"""
TOML = """
name = "net"
[model]
factory = "model.py:net"
[data]
source = "sklearn-digits"
[goals]
fps = 1000
[passes.retrain]
epochs = 4
"""
KILLS = 3
HEAVY = [
    *("torch", "torch.onnx", "captum.attr", "brevitas.nn", "passes._brevitas_train"),
    *("scipy.stats", "sklearn.datasets", "qonnx.core.modelwrapper", "onnxruntime"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(NET)
    (tmp_path / "net.toml").write_text(TOML)
    return tmp_path / "net.toml"


def compile_to_rtl(config: str, output: str) -> None:
    from compiler.api import compile_model

    compile_model(config, output=output, until="generate-rtl")


def started(config: Path, output: Path) -> ForkServerProcess:
    """A compilation in a process of its own, which finds torch and FINN imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    process = context.Process(target=compile_to_rtl, args=(str(config), str(output)))
    process.start()
    return process


def test_killed_at_random_moments_it_comes_to_the_same_end(config: Path, tmp_path: Path) -> None:
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    began = time.monotonic()
    whole = started(config, calm)
    whole.join()
    assert whole.exitcode == 0
    seconds = time.monotonic() - began
    moments = random.Random(0)
    before: dict[Path, int] = {}
    for _ in range(KILLS):
        process = started(config, stormy)
        process.join(moments.uniform(0.1, 1.0) * seconds)
        process.kill()
        process.join()
        now = {path: path.stat().st_mtime_ns for path in stormy.glob("*/*/pass.json")}
        assert {path: now.get(path) for path in before} == before, "nothing done is done again"
        before = now
    last = started(config, stormy)
    last.join()
    assert last.exitcode == 0
    digests = [
        [json.loads(path.read_text())["digest"] for path in sorted(folder.glob("*/*/pass.json"))]
        for folder in (calm, stormy)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 14


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from compiler.run_lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with (
        pytest.raises(LiftFlowError, match=f"works here, process {other.pid}; wait for it"),
        exclusive(tmp_path),
    ):
        pass
    other.kill()
    other.communicate()
    with exclusive(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
        assert os.environ[MARK] == str(tmp_path)
    assert MARK not in os.environ


def test_many_that_are_refused_at_once_never_share_a_folder(tmp_path: Path) -> None:
    """Folders come and go under them; a file that two would make at once fails one of them."""
    hold = (
        "import os, sys; from contextlib import suppress; from pathlib import Path\n"
        "from compiler.run_lock import exclusive; from hw_targets.errors import LiftFlowError\n"
        "folder, held = Path(sys.argv[1]) / 'build' / 'net', 0\n"
        "while held < 50:\n"
        "    with suppress(LiftFlowError), exclusive(folder):\n"
        "        alone = os.open(folder / 'alone', os.O_CREAT | os.O_EXCL)\n"
        "        os.close(alone); os.unlink(folder / 'alone'); held += 1\n"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert said == ["", ""]
    assert not (tmp_path / "build" / "net").exists()


def test_tools_that_a_killed_compilation_left_are_ended(tmp_path: Path) -> None:
    def sleeper(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(folder)})

    left, foreign = sleeper(tmp_path), sleeper(tmp_path / "other")
    with exclusive(tmp_path):
        assert left.wait(10) == -signal.SIGKILL
        assert foreign.poll() is None
    foreign.kill()
    foreign.wait()


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(config: Path, tmp_path: Path) -> None:
    """No file may grow beyond 2000 bytes, which the first stage does."""
    command = [sys.executable, "-m", "compiler.cli", "compile", str(config), "--until", "prepare"]
    command += ["--output", str(tmp_path / "build")]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))

    # Byte code is not written: Python takes what was cut off for written, and cannot read it then.
    full = subprocess.run(
        [command[0], "-B", *command[1:]], capture_output=True, text=True, preexec_fn=small
    )
    assert full.returncode == 2, full.stderr
    assert full.stderr.startswith("error: ")
    assert full.stderr.count("\n") == 1
    assert not list(tmp_path.glob("build/*/*/pass.json"))
    assert not list(tmp_path.glob("build/*/report.*"))
    subprocess.run(command, capture_output=True, check=True)
    assert list(tmp_path.glob("build/*/01-prepare/pass.json"))


NAMESPACE = ["unshare", "--mount", "--map-root-user"]
"""What lets a test mount a file system that nobody else sees."""
DISK = """
set -u
disk() { mount -t tmpfs -o "$1" tmpfs "$BUILD"; }
try() { "$@" 2> "$LOGS/$step"; echo "$step $?"; ls -R "$BUILD" > "$LOGS/$step.files"; }
disk size=16k,mode=755
step=full; try "$@"
mount -o remount,ro "$BUILD"
step=readonly; try "$@"
mount -o remount,rw,size=64m "$BUILD"
step=good; try "$@"
"""


def may_mount() -> bool:
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs a mount namespace of its own (unshare)")
def test_a_full_and_a_read_only_file_system(config: Path, tmp_path: Path) -> None:
    build, logs = tmp_path / "build", tmp_path / "logs"
    build.mkdir()
    logs.mkdir()
    command = [sys.executable, "-m", "compiler.cli", "compile", str(config), "--until", "prepare"]
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", DISK, "disk", *command, "--output", str(build)],
        env={**os.environ, "BUILD": str(build), "LOGS": str(logs)},
        capture_output=True,
        text=True,
    )
    statuses = [line.split() for line in done.stdout.splitlines() if line[-1:].isdigit()]
    assert [line for line in statuses if len(line) == 2] == [
        ["full", "2"], ["readonly", "2"], ["good", "0"]
    ], done.stderr  # fmt: skip
    full, read_only = (logs / "full").read_text(), (logs / "readonly").read_text()
    assert full.startswith("error: ")
    assert "no space left on device; free some space; the same command goes on" in full
    assert "read-only file system; give another folder with --output" in read_only
    for text in (full, read_only):
        assert text.count("\n") == 1, text
    left = (logs / "full.files").read_text()
    assert "pass.json" not in left
    assert ".partial" not in left
    assert "pass.json" in (logs / "good.files").read_text()


@pytest.mark.parametrize("what", ["stage.pkl", "note.json"])
def test_a_write_that_fails_leaves_nothing(what: str, tmp_path: Path) -> None:
    """No file may grow beyond 1000 bytes."""
    code = (
        "import resource, sys; from pathlib import Path; from compiler import store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "path = Path(sys.argv[1])\n"
        "write = store.write_json if path.suffix == '.json' else "
        "lambda value, path: store.save(value, path, path.parent)\n"
        "write(list(range(9999)), path)"
    )
    path = tmp_path / what
    path.write_text("before")
    done = subprocess.run([sys.executable, "-Bc", code, path], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_checksums_tell_what_changed(tmp_path: Path) -> None:
    product = tmp_path / "made"
    (product / "deep").mkdir(parents=True)
    (product / "deep" / "file").write_text("one")
    sums = store.save({"folder": product}, tmp_path / "stage.pkl", tmp_path)
    assert sums.keys() == {"made", "stage.pkl"}
    assert store.whole(sums, tmp_path)
    (product / "deep" / "file").rename(product / "deep" / "name")
    assert not store.whole(sums, tmp_path)
    (product / "deep" / "name").rename(product / "deep" / "file")
    assert store.whole(sums, tmp_path)
    (tmp_path / "stage.pkl").unlink()
    assert not store.whole(sums, tmp_path)
