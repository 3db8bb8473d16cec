"""Commands round a compilation: help, init, compare, explain, clean, doctor, passes, completion."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from report_case import full_report
from rich.console import Console
from sklearn.datasets import load_digits

from compiler import cli, store
from compiler.commands import doctor, init
from compiler.commands.clean import remove
from compiler.commands.lazy import PLACES, load
from compiler.instruments import Progress, time_left
from hw_targets.errors import LiftFlowError


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """(status, standard output, standard error) of the command."""
    monkeypatch.setattr(sys, "argv", ["liftflow", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    return int(caught.value.code or 0), said.out, said.err


def in_new_process(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout


HEAVY = "{'torch', 'numpy', 'rich', 'pydantic', 'scipy', 'finn'}"


def test_help_loads_no_command_and_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['liftflow', '--help']\nfrom compiler import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"print(sorted({HEAVY} & set(sys.modules)), 'compiler.commands.cost' in sys.modules)"
    )
    said = in_new_process(script)
    assert said.splitlines()[-1] == "[] False"
    assert all(name in said for name in PLACES)


def test_the_price_of_a_layer_needs_no_rich_console() -> None:
    script = (
        "import sys; sys.argv = ['liftflow', 'cost', '--channels', '16:32']\n"
        "from compiler import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'rich', 'scipy', 'finn', 'hw_targets.cost.planned'}"
        " & set(sys.modules)))"
    )
    assert in_new_process(script).splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PLACES)
def test_every_command_in_the_list_is_there(name: str) -> None:
    assert load(name).help


def test_completion_knows_commands_and_options() -> None:
    def completed(line: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "compiler.cli"],
            capture_output=True,
            text=True,
            env={
                "_LIFTFLOW_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(line.count(" ")),
                "PYTHONPATH": str(Path(cli.__file__).parent.parent),
            },
        )
        return done.stdout.split()

    assert completed("liftflow co") == ["compile", "compare", "cost"]
    assert completed("liftflow compile --un") == ["--until"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["polish"], "No such command 'polish'"),
        (["compil"], "Did you mean 'compile'"),
        (["compile"], "Missing argument 'config'; see liftflow compile --help"),
        (["compile", "a.toml", "--sed", "1"], "No such option: --sed"),
        (["compile", "a.toml", "--seed", "x"], "--seed"),
        (["--log-level", "loud", "boards"], "use one of debug, info, warning, error"),
        (["clean", "--from", "retrain"], "name the run"),
        (["passes", "polish"], "no such pass 'polish'"),
        (["init", "new.toml"], "--factory is missing"),
    ],
)
def test_a_bad_command_line_is_one_line_and_status_2(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = run(arguments, monkeypatch, capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_passes_tell_their_options_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["passes", "prune-filters", "--json"], monkeypatch, capsys)
    told = json.loads(out)
    assert status == 0
    assert (told["takes"], told["gives"]) == ("ScoredModel", "ScoredModel")
    assert {"name": "macs", "type": "float", "default": 0.5} in told["options"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A network for the built-in digits, with its weights."""
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        f"    return nn.Sequential(nn.Flatten(), nn.Linear({load_digits().data.shape[1]}, 10))\n"
    )
    torch.save(
        {"1.weight": torch.zeros(10, 64), "1.bias": torch.zeros(10)}, tmp_path / "weights.pt"
    )
    return tmp_path


def test_init_writes_what_compiles(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "net.toml"
    flags = ["--factory", "model.py:net", "--weights", "weights.pt", "--data", "sklearn-digits"]
    status, out, err = run(
        ["init", str(file), *flags, "--accuracy", "0.9", "--fps", "1000"], monkeypatch, capsys
    )
    assert status == 0, err
    assert f"liftflow compile {file}" in out
    written = tomllib.loads(file.read_text())
    assert written["name"] == "net"
    assert written["goals"] == {"accuracy": 0.9, "fps": 1000.0, "share": 0.7}
    assert file.read_text().count("#") > 10, "it is commented"
    arguments = ["compile", str(file), "--until", "prepare", "--output", str(project), "--json"]
    status, out, err = run(arguments, monkeypatch, capsys)
    assert status == 0, err
    assert json.loads(out)["schema"].startswith("liftflow-report/")
    assert err == "", "quiet when piped"
    status, _, err = run(["init", str(file), *flags], monkeypatch, capsys)
    assert (status, "is there already" in err) == (2, True)


def test_init_asks_on_a_terminal(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(init, "_asking", lambda: True)
    monkeypatch.setattr(sys, "stdin", StringIO("model.py:net\nsklearn-digits\nweights.pt\n"))
    status, _, err = run(["init", str(project / "net.toml")], monkeypatch, capsys)
    assert status == 0, err
    written = tomllib.loads((project / "net.toml").read_text())
    assert written["model"] == {"factory": "model.py:net", "weights": "weights.pt"}
    assert written["data"] == {"source": "sklearn-digits"}
    monkeypatch.setattr(sys, "stdin", StringIO(""))
    status, _, err = run(["init", str(project / "other.toml")], monkeypatch, capsys)
    assert (status, "interrupted" in err) == (130, True)


@pytest.mark.parametrize(
    "flags",
    [
        ["--factory", "model.py:nothing", "--data", "sklearn-digits"],
        ["--factory", "model.py:net", "--data", "none.npz"],
        ["--factory", "model.py:net", "--data", "sklearn-digits", "--share", "2"],
        ["--factory", 'model.py:net"', "--data", "sklearn-digits"],
        ["--factory", "model.py:net", "--data", "sklearn-digits", "--board", "ulx3"],
    ],
)
def test_init_writes_nothing_that_would_not_compile(
    project: Path,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = run(["init", str(project / "net.toml"), *flags], monkeypatch, capsys)
    assert (status, err.count("\n")) == (2, 1)
    assert not (project / "net.toml").exists()


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs' folders, of which the second has one pass more and another option."""
    folders = [tmp_path / "a-ulx3s-85f", tmp_path / "b-ulx3s-85f"]
    report = full_report()
    fast = report.passes[0].model_copy(update={"options": {"epochs": 1}})
    slow = report.passes[0].model_copy(update={"options": {"epochs": 9}})
    for folder, row in zip(folders, (fast, slow), strict=True):
        for name in ("01-prepare", "02-attribute"):
            (folder / name).mkdir(parents=True)
            (folder / name / "started").write_text("key")
            (folder / name / "stage.pkl").write_bytes(bytes(1000))
        written = report.model_copy(update={"passes": [row]})
        store.write_json(written.model_dump(mode="json", by_alias=True), folder / "report.json")
    return folders


def test_compare_puts_runs_side_by_side(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["compare", *map(str, runs)], monkeypatch, capsys)
    assert status == 0
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    name = full_report().passes[0].name
    assert lines[f"{name}.epochs"][-2:] == ["1", "9"]
    assert lines["accuracy, float"][-2:] == ["0.991", "0.991"]
    status, out, _ = run(["compare", *map(str, runs), "--json"], monkeypatch, capsys)
    assert [row["run"] for row in json.loads(out)] == [str(run) for run in runs]
    status, _, err = run(["compare", str(runs[0].parent)], monkeypatch, capsys)
    assert (status, "no report here" in err) == (2, True)


def test_explain_tells_why(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["explain", str(runs[0])], monkeypatch, capsys)
    assert status == 0
    assert "one less would change the modelled error by" in out
    assert "before and after compression: cosine" in out
    status, out, _ = run(["explain", str(runs[0]), "--json"], monkeypatch, capsys)
    told = json.loads(out)
    assert [row["name"] for row in told["layers"]] == [r.name for r in full_report().layers]
    assert told["insight"]["heatmaps"]
    status, _, err = run(["explain", str(runs[0]), "--layer", "x"], monkeypatch, capsys)
    assert (status, "no layer 'x'" in err) == (2, True)


def test_clean_removes_runs_and_nothing_else(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = runs[0].parent
    mine = output / "notes"
    mine.mkdir()
    (runs[0] / "mine.txt").write_text("keep")
    (runs[0] / "plan").mkdir()
    (runs[0] / "plan" / "plan.json").write_text("{}")
    status, out, _ = run(["clean", "--output", str(output)], monkeypatch, capsys)
    assert status == 0
    assert [line.split()[1:] for line in out.splitlines()[1:]] == [["2", "0.0", "MB"]] * 2
    status, _, err = run(["clean", str(mine)], monkeypatch, capsys)
    assert (status, "no run is here" in err) == (2, True)
    assert remove(runs[1], since="attribute") > 1000
    assert [path.name for path in runs[1].iterdir()] == ["01-prepare"]
    with pytest.raises(LiftFlowError, match="no pass 'attribute' ran here; use one of prepare"):
        remove(runs[1], since="attribute")
    status, _, _ = run(["clean", "--all", "--output", str(output)], monkeypatch, capsys)
    assert status == 0
    assert sorted(path.name for path in output.iterdir()) == [runs[0].name, "notes"]
    assert [path.name for path in runs[0].iterdir()] == ["mine.txt"]


def test_doctor_tells_what_is_missing_and_what_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["doctor", "--json"], monkeypatch, capsys)
    assert status == 0
    assert {"torch", "verilator", "g++", "yosys"} <= {row["tool"] for row in json.loads(out)}
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_cuda", lambda: None)
    status, out, err = run(["doctor"], monkeypatch, capsys)
    assert status == 2
    assert "missing: g++" in err
    line = next(line for line in out.splitlines() if line.startswith("g++"))
    assert "no RTL simulation" in line
    assert "apt install g++" in line
    missing = {row.tool: row for row in doctor.findings() if row.found is None}
    assert all(row.get in out for row in missing.values()), "nothing of it is lost in markup"


@pytest.mark.parametrize(("level", "lines"), [("DEBUG", 2), ("INFO", 1), ("WARNING", 0)])
def test_the_level_sets_how_much_is_told(
    level: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("liftflow"), "level", getattr(logging, level))
    console = Console(file=StringIO())
    progress = Progress(console)
    entry: Any = SimpleNamespace(name="retrain")
    record: Any = SimpleNamespace(checks=(), cached=False, seconds=1.0)
    result: Any = None
    progress.start([entry], Path())
    progress.before(entry, result)
    progress.say("epoch 3", 0.5)
    progress.after(entry, record, None)
    progress.end(result)
    assert console.file.getvalue().count("\n") == lines  # type: ignore[attr-defined]


def test_time_left_is_told_once_it_is_no_guess() -> None:
    assert time_left(10, None) == time_left(10, 0.01) == time_left(10, 1.0) == ""
    assert time_left(10, 0.25) == ", about 30 s left"
    assert time_left(60, 0.1) == ", about 9 min left"
