"""Tools that hang, crash or write rubbish, as stand-ins in the place of the real ones."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.families import load_family
from hw_targets.flows import netlist, nextpnr, process, verilator, vivado, yosys
from hw_targets.flows.plan import BuildPlan, Step
from hw_targets.flows.process import Limit
from hw_targets.flows.remote import Host
from hw_targets.flows.simulator import Simulator
from hw_targets.flows.tools import PYTHON, Tool
from hw_targets.rtl.kernel import Stream
from hw_targets.shells.simulator import SimulatedBoard, SimulatedPort

SOON = Limit.asked(0.015, "--minutes")
"""0.9 seconds."""
HANG = """\
import os, time
child = os.fork()
if child: open('child', 'w').write(str(child))
time.sleep(99)"""
CRASH = """\
import os, signal
os.write(2, b'one\\nlast words\\n')
os.kill(os.getpid(), signal.SIGSEGV)"""

Standin = Callable[[str, str], Tool]


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standin:
    """Puts a Python script in the place of a tool's command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, code: str) -> Tool:
        path = folder / name
        path.write_text(f"#!{sys.executable} -S\n{code}\n")
        path.chmod(0o755)
        return Tool(name, "unpack it")

    return put


def run(step: Step, tool: Tool, folder: Path, limit: Limit = SOON) -> None:
    inputs: dict[str, bytes | Path] = dict.fromkeys(step.inputs, b"1")
    BuildPlan("bad", inputs, (replace(step, tool=tool),), step.products).run(folder, limit=limit)


def steps() -> list[Step]:
    """One of each tool of the plans."""
    (synthesise,) = netlist.steps((), load_family("ice40"))
    placed = nextpnr.steps(load_board("ulx3s-12f"), "pins.lpf", 50.0, seeds=2)
    return [synthesise, *placed, *vivado.finn("net", {"model.onnx": b"1"}, shell=None).steps]


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.name)
def test_a_hang_ends_with_all_it_started(step: Step, standin: Standin, tmp_path: Path) -> None:
    tool = standin(f"hanging-{step.name}", HANG)
    folder = tmp_path / "plan"
    began = time.monotonic()
    with pytest.raises(LiftFlowError) as caught:
        run(step, tool, folder)
    assert time.monotonic() - began < 5
    assert str(caught.value) == (
        f"{step.name}: {tool.name} came to no end in 0.9 seconds and was ended; its log is "
        f"{folder / 'logs' / step.name}.log; give it more time with --minutes"
    )
    assert ended(folder / "child"), "the tool's own child lives on"


def ended(note: Path) -> bool:
    """Whether the process whose number is in the note soon is gone, or waits to be buried."""
    with suppress(psutil.NoSuchProcess):
        child = psutil.Process(int(note.read_text()))
        until = time.monotonic() + 3
        while child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.01)
        return child.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.name)
def test_a_crash_tells_signal_and_last_words(step: Step, standin: Standin, tmp_path: Path) -> None:
    write = f"import os\nfor name in {step.products!r}: open(name, 'w').write('half')\n"
    tool = standin(f"crashing-{step.name}", write + CRASH)
    with pytest.raises(LiftFlowError, match=r"killed by SIGSEGV; its last words: one \| last word"):
        run(step, tool, tmp_path / "plan")
    assert not [name for name in step.products if (tmp_path / "plan" / name).exists()]


WRITES = "for name, text in {0!r}: open(name, 'w', encoding='latin-1').write(text)"
NETLIST = [(yosys.NETLIST, "{}"), (yosys.NETLIST_VERILOG, "x")]
CELLS = nextpnr.TARGETS["ecp5"].cells.values()
PLACED = {cell: {"used": 1} for each in CELLS for cell in each}


def cells(**counts: float) -> str:
    return json.dumps({"design": {"num_cells_by_type": counts}})


def report(used: object = 1, **clock: float) -> str:
    utilization = {**PLACED, "TRELLIS_COMB": {"used": used}}
    return json.dumps({"utilization": utilization, "fmax": {"clk": clock}})


@pytest.mark.parametrize(
    ("number", "product", "text", "said"),
    [
        (0, yosys.STATISTICS, "\x89rubbish", "stat.json that is none: not a Yosys statistics file"),
        (0, yosys.STATISTICS, "", "left no stat.json"),
        (0, yosys.STATISTICS, "{}", "statistics file .'design'"),
        (0, yosys.STATISTICS, cells(LUT4=-3), "-3 cells of type LUT4"),
        (0, yosys.STATISTICS, cells(LUT4=1e300), "cells of type LUT4"),
        (0, yosys.STATISTICS, cells(LUT4=float("inf")), "not a Yosys statistics file"),
        (0, yosys.STATISTICS, cells(), "a netlist of no cells"),
        (0, yosys.NETLIST, '{"modules": {', "netlist.json that is none: not a whole netlist"),
        (1, nextpnr.REPORT, "nonsense", "pnr.json that is none: not a nextpnr report"),
        (1, nextpnr.REPORT, report(achieved=50.0), "nextpnr report .'constraint'"),
        (1, nextpnr.REPORT, report(achieved=50.0, constraint=0.0), r"clock clk of \(50.0, 0.0\)"),
        (1, nextpnr.REPORT, report(achieved=float("nan"), constraint=1.0), "clock clk of .nan"),
        (1, nextpnr.REPORT, report(-1, achieved=50.0, constraint=1.0), "it counts {'lut': -1.0}"),
        (1, nextpnr.TARGETS["ecp5"].layout, "", "left no design.config"),
        (2, "design.bit", "not one", "design.bit that is none: not a bitstream"),
    ],
)
def test_rubbish_is_no_product_and_the_next_run_makes_it(
    number: int, product: str, text: str, said: str, standin: Standin, tmp_path: Path
) -> None:
    step = steps()[number]
    right = {
        yosys.STATISTICS: cells(LUT4=3),
        **dict(NETLIST),
        nextpnr.REPORT: report(achieved=60.0, constraint=50.0),
        nextpnr.TARGETS["ecp5"].layout: "x",
        "design.bit": "\xff\xff\xbd\xb3",
    }
    made = {name: right[name] for name in step.products}
    tool = standin("writer", WRITES.format(list({**made, product: text}.items())))
    with pytest.raises(LiftFlowError, match=said) as caught:
        run(step, tool, tmp_path / "plan", Limit())
    assert f"log is {tmp_path}/plan/logs/{step.name}.log" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [name for name in step.products if (tmp_path / "plan" / name).exists()]
    standin("writer", WRITES.format(list(made.items())))
    run(step, tool, tmp_path / "plan", Limit())


def test_a_tool_that_cannot_be_started(standin: Standin, tmp_path: Path) -> None:
    tool = standin("broken", "")
    Path(tool.command(())[0]).write_bytes(b"\x00\x01")
    with pytest.raises(LiftFlowError, match="broken cannot be started: exec format error; install"):
        run(steps()[0], tool, tmp_path / "plan")


def test_endless_and_unprintable_words_stay_one_short_line(
    standin: Standin, tmp_path: Path
) -> None:
    noise = "import os\nos.write(1, b'error: \\x1b[1m\\xff' * 99)\nraise SystemExit(1)"
    tool = standin("noisy", noise)
    with pytest.raises(LiftFlowError) as caught:
        run(steps()[0], tool, tmp_path / "plan")
    assert len(caught.value.what) < 500
    assert "\x1b" not in str(caught.value)


def test_the_script_has_the_limits_too(tmp_path: Path) -> None:
    slow = Step("slow", PYTHON, (("-c", HANG),), (), ("out",), minutes=60)
    BuildPlan("script", {}, (slow,), ("out",)).write(tmp_path)
    environment = {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "LIFTFLOW_MINUTES": "0.01"}
    done = psutil.Popen(
        ["sh", str(tmp_path / "run.sh")], env=environment, stdout=-1, stderr=-1, text=True
    )
    _, errors = done.communicate(timeout=9)
    assert done.returncode == 1
    assert errors.startswith("error: slow came to no end in 0.01 minutes and was ended; its log is")
    assert ended(tmp_path / "child")


def compile_with(code: str, standin: Standin, monkeypatch: pytest.MonkeyPatch, obj: Path) -> Path:
    """Builds a register's simulation with a C++ compiler that does `code`."""
    monkeypatch.setenv("CXX", "standin-g++")
    standin("standin-g++", code)
    source = obj.parent / "top.sv"
    source.write_text("module top(input logic clk); endmodule\n")
    harness = obj.parent / "main.cpp"
    harness.write_text("int main() { return 0; }\n")
    return verilator.build(
        top="top", sources=[source], harness=harness, prefix="Vtop", obj=obj, limit=SOON
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (HANG, r"standin-g\+\+ came to no end in 0.9 seconds .* log is .*\.log; give it more time"),
        (CRASH, r"standin-g\+\+ was killed by SIGSEGV; its last words: one \| last words; the log"),
        ("", r"compiling the simulator: left no \w+\.o; the log is"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe'); sys.exit(1)", "the log is"),
    ],
)
def test_a_compiler_gone_wrong(
    code: str, said: str, standin: Standin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    obj = tmp_path / "obj"
    obj.mkdir()
    (obj / verilator.PROGRAM).write_text("of another design")
    with pytest.raises(LiftFlowError, match=said):
        compile_with(code, standin, monkeypatch, obj)
    assert not (obj / verilator.PROGRAM).exists()


@pytest.mark.parametrize("code", [HANG, CRASH, ""])
def test_verilators_runtime_is_whole_or_not_there(
    code: str, standin: Standin, tmp_path: Path
) -> None:
    tools = verilator.Toolchain(tmp_path, standin("g++", code).command(())[0], tmp_path)
    with pytest.raises(LiftFlowError, match="compiling Verilator's runtime: .*log is"):
        tools.runtime(SOON)
    assert not list(tmp_path.glob("*.o"))


REPORT = {
    "cycles": 100,
    "stuck": -1,
    "channels": [{"frame": 1, "sent": 1, "received": 1, "first_in": [3], "last_out": [9]}],
}
SAYS = """\
import sys
job = open(sys.argv[1]).read().split()
open(job[-1], 'wb').write(bytes({1}))
print({0!r})"""


def simulate(code: str, standin: Standin) -> None:
    program = Path(standin("sim", code).command(())[0])
    stream = Stream(1, 8, False, 1)
    found = Simulator(program, program.parent, (), SOON).run(
        np.zeros((1, 1), dtype=np.int64), stream, stream
    )
    assert found.total_cycles == 100
    assert not list(program.parent.glob("*.log"))


def test_a_simulator_in_order(standin: Standin) -> None:
    simulate(SAYS.format(json.dumps(REPORT), 4), standin)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (HANG, "the simulator came to no end in 0.9 seconds and was ended; its log is .*sim-.*log"),
        (CRASH, "the simulator was killed by SIGSEGV; its last words"),
        ("print('bad'); raise SystemExit(7)", "ended with status 7; its last words: bad"),
        (SAYS.format("not JSON", 4), "gave no report that can be .*not JSON"),
        (SAYS.format("[1]", 4), "gave no report that can be"),
        (SAYS.format("", 4), "gave no report that can be"),
        (SAYS.format("{}", 4), "gave no report that can be .KeyError: 'stuck'"),
        (SAYS.format(json.dumps(REPORT), 3), "gave no report that can be .ValueError"),
        (SAYS.format(json.dumps({**REPORT, "cycles": 5}), 4), "5 cycles, the last output in 9"),
        (SAYS.format(json.dumps({**REPORT, "channels": []}), 4), "IndexError"),
    ],
)
def test_a_simulator_gone_wrong(code: str, said: str, standin: Standin) -> None:
    with pytest.raises(LiftFlowError, match=said) as caught:
        simulate(code, standin)
    assert not isinstance(caught.value, VerificationError), "sizing would take it for a deadlock"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (HANG, "the simulated board came to no end in 0.9 seconds .* give it more time with"),
        (CRASH, "killed by SIGSEGV; its last words"),
        (
            # It answers when it is asked: one that has ended by then is another fault.
            "import sys; sys.stdin.buffer.read(1); sys.stdout.buffer.write(b'\\xff' * 64)",
            "4294967295 bytes where 5 were",
        ),
    ],
)
def test_a_simulated_board_gone_wrong(code: str, said: str, standin: Standin) -> None:
    program = Path(standin("board", code).command(())[0])
    board = SimulatedBoard(program, program.parent, 25.0, 50.0, 8, SOON)
    with SimulatedPort(board, 1000) as port, pytest.raises(LiftFlowError, match=said):
        port.read(5)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([HANG], "me@there: ssh came to no end in 0.9 seconds and was ended; check the connection"),
        ([CRASH], "me@there: "),
        (["", "", "", "print('rubbish')"], "the products came back as 'rubbish'; run the same"),
        (["", "", "", ""], "me@there: the products came back as 'nothing'; run the same"),
        (["", "", HANG], "the build came to no end in .* seconds and was ended; give it more"),
    ],
)
def test_ssh_gone_wrong(codes: Sequence[str], said: str, standin: Standin, tmp_path: Path) -> None:
    """The stand-in does one thing after the other: send, start, follow, fetch."""
    acts = tmp_path / "acts"
    acts.mkdir()
    for number, code in enumerate(codes):
        (acts / f"{number}.py").write_text(code)
    standin(
        "ssh",
        f"import os, sys\nfrom pathlib import Path\nos.chdir({str(acts)!r})\n"
        "first = min(Path().glob('*.py'))\ncode = first.read_text()\nfirst.unlink()\nexec(code)",
    )
    step = Step("copy", PYTHON, (("-c", ""),), (), ("out",), minutes=0.0)
    plan = BuildPlan("away", {}, (step,), ("out",))
    with pytest.raises(LiftFlowError, match=said) as caught:
        Host("me@there", connections=0, minutes=0.015).run(plan, tmp_path / "here", limit=SOON)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "here" / "out").exists()


def test_an_interruption_ends_the_tools_that_threads_wait_for(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), process.beside(1) as pool:  # noqa: PT012
        waiting = pool.submit(
            process.call, ["sleep", "60"], tool="sleep", where="here", limit=Limit(), minutes=9.0
        )
        while not waiting.running():
            time.sleep(0.01)
        time.sleep(0.2)
        raise KeyboardInterrupt
    assert waiting.result().status == -9
    assert time.monotonic() - began < 5
