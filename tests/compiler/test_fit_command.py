"""`liftflow fit`: the boards that hold a network, as fast as the allocator finds them to be."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qonnx_case import File, small
from quant_case import context, digits_data, digits_shape, scored

from compiler import cli
from compiler.pricing.fit import Verdict, fit
from compiler.pricing.source import Source, Widths
from hw_targets.boards import board_names, load_board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.network import LayerShape, NetworkShape
from passes.allocate import Allocate

LENET = NetworkShape(
    "lenet",
    (
        LayerShape("c1", "conv", 1, 6, (28, 28), (5, 5), padding=(2, 2, 2, 2), pool=2),
        LayerShape("c2", "conv", 6, 16, (14, 14), (5, 5), pool=2),
        LayerShape("f1", "dense", 400, 120),
        LayerShape("f2", "dense", 120, 84),
        LayerShape("f3", "dense", 84, 10, activation=False),
    ),
    (1, 28, 28),
    8,
    False,
    10,
)


def source(network: NetworkShape, weight_bits: int = 4, act_bits: int = 4) -> Source:
    acts = tuple(act_bits if layer.activation else 0 for layer in network.layers)
    return Source(Path("net"), network, Widths((weight_bits,) * len(network.layers), acts))


def boards_of(network: NetworkShape, *names: str, fps: float | None = None) -> list[Verdict]:
    boards = [load_board(name) for name in names or board_names()]
    return fit(source(network), boards, 0.7, None, fps)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(small().write(tmp_path / "small.onnx"))


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `liftflow fit`."""
    monkeypatch.setattr(sys, "argv", ["liftflow", "fit", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err


def listed(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, dict[str, Any]]:
    """Board -> what is said of it, in order."""
    status, said, error = run([*arguments, "--json"], monkeypatch, capsys)
    assert status == 0, error
    return {each["board"]: each for each in json.loads(said)["boards"]}


@pytest.mark.parametrize("name", ["ulx3s-25f", "ulx3s-85f", "pynq-z2"])
def test_a_board_is_as_fast_as_the_allocator_finds_it(name: str, tmp_path: Path) -> None:
    data, board = digits_data(), load_board(name)
    task = Allocate(
        board=name,
        clock_mhz=board.clock.default_mhz,
        share=0.7,
        mean_weight_bits=4.0,
        weight_bits=(4,),
        act_bits=(4,),
        sensitivity="mse",
    )
    allocated = task.run(scored(digits_shape(), data), context(tmp_path, data)).allocation
    assert allocated is not None
    (found,) = boards_of(digits_shape(), name)
    assert found.status == "fits"
    assert found.cost is not None
    assert found.cost.interval == allocated.interval
    assert found.fps == board.clock.default_mhz * 1e6 / allocated.interval
    assert found.cost.total.lut is not None
    assert found.cost.total.lut <= allocated.budget["lut"]


def test_a_larger_board_of_a_family_is_no_slower() -> None:
    rates = {
        found.board.name: found.fps / found.clock_mhz
        for found in boards_of(LENET, "ulx3s-12f", "ulx3s-25f", "ulx3s-45f", "ulx3s-85f")
    }
    assert rates["ulx3s-12f"] <= rates["ulx3s-25f"] <= rates["ulx3s-45f"] <= rates["ulx3s-85f"]
    assert rates["ulx3s-85f"] > 0


def worked(task: Callable[[], object]) -> float:
    """Seconds of this process's work."""
    began = time.process_time()
    task()
    return time.process_time() - began


def test_every_board_is_listed_and_only_calibrated_ones_fit() -> None:
    one = min(worked(lambda: boards_of(LENET, "ulx3s-85f")) for _ in range(3))
    began = time.process_time()
    found = boards_of(LENET)
    took = time.process_time() - began
    assert took < 2 * len(found) * one, "none much slower than another"
    assert sorted(verdict.board.name for verdict in found) == list(board_names())
    for verdict in found:
        if verdict.board.family not in calibrated_families():
            assert (verdict.status, verdict.why) == ("unknown", "uncalibrated")
            assert verdict.cost is None
            assert verdict.fps == 0
    rates = [verdict.fps for verdict in found]
    assert rates == sorted(rates, reverse=True)
    assert found[0].binds


def test_a_rate_asked_for_takes_the_least_hardware() -> None:
    fastest = {found.board.name: found for found in boards_of(LENET)}
    wanted = 1000.0
    found = boards_of(LENET, fps=wanted)
    fitting = [each for each in found if each.status == "fits"]
    assert [each.board.name for each in fitting] == [
        each.board.name
        for each in sorted(
            (each for each in fastest.values() if each.fps >= wanted),
            key=lambda each: (each.board.resources.lut, each.board.name),
        )
    ]
    for each in fitting:
        best = fastest[each.board.name]
        assert each.fps >= wanted
        assert each.cost is not None
        assert best.cost is not None
        assert each.cost.total.lut is not None
        assert best.cost.total.lut is not None
        assert each.cost.total.lut <= best.cost.total.lut + 1


def test_a_board_whose_shell_was_never_measured_is_unknown() -> None:
    board = load_board("ulx3s-85f").model_copy(update={"name": "bare", "flow": "ice40"})
    (found,) = fit(source(LENET), [board], 0.7, None, None)
    assert found.status == "unknown"
    assert "shell of flow 'ice40' was never measured" in found.why


def test_too_small_a_board_says_what_it_lacks() -> None:
    (found,) = fit(source(LENET, 8, 8), [load_board("ulx3s-12f")], 0.2, None, None)
    assert found.status == "too large"
    assert set(found.binds.split(", ")) & {"LUT", "BRAM"}
    assert found.cost is not None
    assert found.cost.total.lut is not None
    assert found.cost.total.lut > 0.2 * found.board.resources.lut
    assert found.fps == 0


def test_what_a_layer_cannot_do_any_faster_binds() -> None:
    (found,) = boards_of(LENET, "ulx3s-85f")
    assert found.binds == "parallelism of c1"
    assert found.cost is not None
    # All pixels of the kernel at once: a cycle for every pixel of the padded image.
    assert found.cost.interval == 32 * 32


def test_the_command_agrees_with_cost(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = listed([model, "--board", "ulx3s-25f", "--board", "pynq-z2"], monkeypatch, capsys)
    assert set(found) == {"ulx3s-25f", "pynq-z2"}
    for board, said in found.items():
        monkeypatch.setattr(sys, "argv", ["liftflow", "cost", model, "--board", board, "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        cost = json.loads(capsys.readouterr().out)
        assert said["interval"] == cost["interval"]
        assert said["total"] == cost["total"]
    assert found["ulx3s-25f"]["shell_counted"]
    assert not found["pynq-z2"]["shell_counted"]


def test_filters_and_tables(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = listed([model, "--family", "xc7", "--family", "versal"], monkeypatch, capsys)
    assert {each["family"] for each in found.values()} == {"xc7", "versal"}
    status, said, _ = run([model], monkeypatch, capsys)
    assert status == 0
    assert "unknown: uncalibrated family versal: " in said
    assert "* the shell that the vendor's tools add is not counted" in said
    _, said, _ = run([model, "--fps", "1000"], monkeypatch, capsys)
    assert "smallest board that reaches 1,000 frames a second: " in said
    _, said, _ = run([model, "--fps", "1e8", "--board", "ulx3s-85f"], monkeypatch, capsys)
    assert "none that is known" in said
    assert "ulx3s-85f (parallelism of conv2)" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.onnx"], "none.onnx: no such file"),
        (["small.onnx", "--board", "zork"], "no board called 'zork'"),
        (["small.onnx", "--family", "zork"], "no family called 'zork'"),
        (["small.onnx", "--board", "pynq-z2", "--family", "ecp5"], "no board is of family ecp5"),
        (["small.onnx", "--fps", "0"], "--fps: 0; give it above 0"),
        (["small.onnx", "--share", "-1"], "--share: -1"),
        (["small.onnx", "--clock", "-1"], "--clock-mhz: -1"),
        (["small.onnx", "--act-bits", "4"], "leave out --act-bits"),
        (["small.onnx", "--weight-bits", "9"], "--weight-bits: 9 bits; give 1 to 8"),
        (["float.onnx"], "it has no quantizers"),
    ],
)
def test_faults_are_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    small().write(tmp_path / "small.onnx")
    File(8).add("Relu").write(tmp_path / "float.onnx")
    status, out, error = run(arguments, monkeypatch, capsys)
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_a_qonnx_file_needs_neither_torch_nor_finn(model: str) -> None:
    code = (
        "import sys; from compiler import cli; sys.argv = ['liftflow', 'fit', sys.argv[1], "
        "'--json']\ntry: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'finn', 'brevitas'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, model], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip().endswith("[]")
