"""Build plans: digest, resuming, retrying, what a failure says."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows import archive, nextpnr
from hw_targets.flows.plan import BuildPlan, Step
from hw_targets.flows.runner import error_line
from hw_targets.flows.tools import PYTHON, YOSYS, Tool
from hw_targets.flows.yosys import NETLIST

COPY = "import sys; open('log', 'a').write('x'); open('out', 'w').write(open('in').read())"


def plan(code: str = COPY, text: bytes = b"1", **changes: object) -> BuildPlan:
    step = Step("copy", PYTHON, (("-c", code),), ("in",), ("out",))
    made = BuildPlan("test", {"in": text}, (step,), ("out",))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_digest_counts_everything_that_matters(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"1")
    assert plan().digest == plan().digest == plan(files={"in": source}).digest
    others = {plan(text=b"2").digest, plan(code="pass").digest, plan(products=()).digest}
    assert len({plan().digest, *others}) == 4


def test_runs_once_and_again_only_when_something_changed(tmp_path: Path) -> None:
    def runs() -> int:
        return len((tmp_path / "log").read_text())

    assert plan().run(tmp_path)["out"].read_text() == "1"
    plan().run(tmp_path)
    assert runs() == 1
    plan(text=b"2").run(tmp_path)
    assert runs() == 2
    (tmp_path / "out").write_text("damaged")
    assert plan(text=b"2").run(tmp_path)["out"].read_text() == "2"
    (tmp_path / "logs" / "copy.json").write_text("{")  # interrupted while writing
    plan(text=b"2").run(tmp_path)
    assert runs() == 4


def test_goes_on_after_the_step_it_stopped_at(tmp_path: Path) -> None:
    first = plan().steps[0]
    second = Step("second", PYTHON, (("-c", "open('end', 'w').write('x')"),), ("out",), ("end",))
    both = plan(steps=(first, second), products=("end",))
    both.run(tmp_path, until="copy")
    assert not (tmp_path / "end").exists()
    both.run(tmp_path)
    assert (tmp_path / "end").exists()
    assert (tmp_path / "log").read_text() == "x"


def test_another_attempt_only_for_the_failure_it_can_mend(tmp_path: Path) -> None:
    fail = "import sys; print('clock missed'); sys.exit(1)"
    step = Step("try", PYTHON, (("-c", fail), ("-c", COPY)), ("in",), ("out",), "clock missed")
    plan(steps=(step,)).run(tmp_path)
    hopeless = replace(step, retry_on="another reason")
    with pytest.raises(LiftFlowError, match="clock missed"):
        plan(steps=(hopeless,)).run(tmp_path / "hopeless")


MISSED = "import sys; print('clock missed'); sys.exit(1)"


def attempts(folder: Path, *codes: str) -> BuildPlan:
    """A step that misses its clock at first, and then tries `codes` side by side."""
    tried = [f"import os, time; top = {str(folder)!r}; {code}" for code in codes]
    calls = tuple(("-c", code) for code in (MISSED, *tried))
    step = Step("try", PYTHON, calls, ("in",), ("sub/out",), "clock missed", beside=True)
    return plan(steps=(step,), products=("sub/out",))


def there(name: str) -> str:
    """Code that waits until another attempt has left a file called `name`."""
    return f"\nwhile not os.path.exists(top + '/{name}'): time.sleep(0.01)\n"


def leave(name: str) -> str:
    return f"\nopen(top + '/{name}', 'w').close()\n"


MAKE = "\nopen('sub/out', 'w').write(open('in').read() + {!r})\n"


def test_attempts_side_by_side_and_the_earliest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    # The second of the two is done first, the first one needs it to have begun.
    both = attempts(tmp_path, there("late") + MAKE.format("a"), MAKE.format("b") + leave("late"))
    said: list[str] = []
    made = both.run(tmp_path, lambda text, _: said.append(text))
    assert made["sub/out"].read_text() == "1a"
    assert "try: attempt 1 of 3: clock missed" in said
    assert not (tmp_path / "attempts").exists()
    both.run(tmp_path, lambda text, _: said.append(text))
    assert said[-1] == "try: unchanged"


def test_attempts_behind_the_one_that_counts_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    first = there("begun") + MAKE.format("a")
    endless = leave("begun") + "time.sleep(600)"
    began = time.monotonic()
    made = attempts(tmp_path, first, endless, endless).run(tmp_path)
    assert made["sub/out"].read_text() == "1a"
    assert time.monotonic() - began < 60


def test_attempts_that_all_miss_are_an_error(tmp_path: Path) -> None:
    missed = "\nprint('clock missed by', {})\nraise SystemExit(1)"
    hopeless = attempts(tmp_path, missed.format(2), missed.format(3))
    with pytest.raises(LiftFlowError, match="clock missed by 3"):
        hopeless.run(tmp_path)
    assert "clock missed by 3" in (tmp_path / "logs" / "try.log").read_text()
    assert not (tmp_path / "sub" / "out").exists()
    assert not (tmp_path / "attempts").exists()
    crash = attempts(tmp_path, "\nraise SystemExit('ERROR: no such cell')", "pass")
    with pytest.raises(LiftFlowError, match="no such cell"):
        crash.run(tmp_path)


COUNTER = """
module top(input clk, output led);
  reg [15:0] count = 0;
  always @(posedge clk) count <= count + 1;
  assign led = count[15];
endmodule
"""


@pytest.mark.slow
def test_the_real_tool_places_with_another_seed(tmp_path: Path) -> None:
    pins = "set_io clk 35\nset_io led 11\n"
    place, _ = nextpnr.steps(load_board("icebreaker"), "pins.pcf", 2000.0, seeds=3)
    script = f"read_verilog top.v; synth_ice40 -top top -json {NETLIST}"
    yosys = Step("yosys", YOSYS, (("-p", script),), ("top.v",), (NETLIST,))
    files = {"top.v": COUNTER.encode(), "pins.pcf": pins.encode()}
    said: list[str] = []
    hopeless = BuildPlan("test", files, (yosys, place), place.products)
    with pytest.raises(LiftFlowError, match=r"MHz \(FAIL at 2000"):
        hopeless.run(tmp_path, lambda text, _: said.append(text))
    assert sum("(FAIL at 2000" in text for text in said) == 2
    step, _ = nextpnr.steps(load_board("icebreaker"), "pins.pcf", 12.0, seeds=3)
    # A seed that cannot, then one that can.
    mixed = replace(step, attempts=(place.attempts[0], step.attempts[1]))
    BuildPlan("test", files, (yosys, mixed), step.products).run(tmp_path)
    assert nextpnr.report(tmp_path / "pnr.json", "ice40").slowest_mhz > 12


def test_failure_quotes_the_tool_and_names_the_log(tmp_path: Path) -> None:
    code = "import sys; print('Info: fine'); print('ERROR: no such cell'); print('x'); sys.exit(2)"
    with pytest.raises(LiftFlowError) as caught:
        plan(code).run(tmp_path)
    assert "ERROR: no such cell" in str(caught.value)
    assert str(tmp_path / "logs" / "copy.log") in str(caught.value)
    with pytest.raises(LiftFlowError, match="left no out"):
        plan("pass").run(tmp_path)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("a\nfile.sv:3: error: bad\nb", "file.sv:3: error: bad"),
        ("Build failed: 0 errors\nlast", "last"),
        ("", "no output"),
    ],
)
def test_error_line(log: str, line: str) -> None:
    assert error_line(log) == line


def test_missing_tool_says_how_to_get_it(tmp_path: Path) -> None:
    tool = Tool("no-such-tool-here", "ask the vendor")
    missing = plan(requires=(tool,))
    assert missing.missing_tools() == (tool,)
    with pytest.raises(MissingToolError, match="ask the vendor"):
        missing.run(tmp_path)
    assert not plan(requires=(YOSYS,)).missing_tools()


def test_script_runs_the_same_steps_elsewhere(tmp_path: Path) -> None:
    plan().write(tmp_path)
    subprocess.run(["sh", "-n", tmp_path / "run.sh"], check=True)
    environment = {"PYTHON": PYTHON.command(())[0], "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", tmp_path / "run.sh"], check=True, env=environment)
    assert (tmp_path / "out").read_text() == "1"
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["digest"] == plan().digest


def by_script(plan: BuildPlan, folder: Path) -> subprocess.CompletedProcess[str]:
    plan.write(folder)
    environment = {"PYTHON": PYTHON.command(())[0], "PATH": "/usr/bin:/bin"}
    script = ["sh", str(folder / "run.sh")]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def test_script_goes_on_where_it_stopped(tmp_path: Path) -> None:
    luck = "import os, sys; os.path.exists('luck') or sys.exit('ERROR: no luck')"
    second = Step(
        "second",
        PYTHON,
        (("-c", f"{luck}; open('sub/my end', 'w').write('x')"),),
        ("out",),
        ("sub/my end",),
    )
    both = plan(steps=(plan().steps[0], second), products=("sub/my end",))
    done = by_script(both, tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (1, ["copy", "second"])
    assert done.stderr.splitlines()[0] == "error: second failed: ERROR: no luck"
    (tmp_path / "luck").touch()
    done = by_script(both, tmp_path)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["copy: unchanged", "second"])
    assert (tmp_path / "log").read_text() == "x"
    (tmp_path / "out").write_text("damaged")
    assert by_script(both, tmp_path).stdout.splitlines() == ["copy", "second: unchanged"]


def test_script_names_the_tool_that_is_missing(tmp_path: Path) -> None:
    done = by_script(plan(requires=(Tool("no-such-tool-here", "ask the vendor"),)), tmp_path)
    assert done.returncode == 127
    assert done.stderr == "error: no-such-tool-here is missing: ask the vendor\n"


def test_archive_is_the_same_again_and_unpacks_to_a_plan(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"1")
    assert archive.packed(plan()) == archive.packed(plan(files={"in": source}))
    archive.write(plan(), tmp_path / "plan.tar.gz")
    with tarfile.open(tmp_path / "plan.tar.gz") as packed:
        assert sorted(packed.getnames()) == ["in", "plan.json", "run.sh"]
        assert packed.getmember("run.sh").mode == 0o755
    with pytest.raises(LiftFlowError, match=r"plan.zip is no name .* end it with .tar.gz"):
        archive.write(plan(), tmp_path / "plan.zip")
