"""`liftflow cost`: answers for flags and for lines of JSON, one line for every fault."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest

from compiler import cli


def run(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str = "",
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of the command."""
    monkeypatch.setattr(sys, "argv", ["liftflow", "cost", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    with pytest.raises(SystemExit) as done:
        cli.main()
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err


LAYER = ["--channels", "16:32", "--size", "16x16", "--kernel", "3", "--pad", "1"]
FOLDED = {"pe": 4, "simd": 8}
DENSE = {"in_channels": 16, "out_channels": 32, "in_bits": 4, "weight_bits": 4, "act_bits": 4}


def test_a_layer_by_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = run([*LAYER, "--pe", "4", "--simd", "8", "--json"], monkeypatch, capsys)
    assert status == 0
    answer: dict[str, Any] = json.loads(said)
    assert answer["cycles"] == 16 * 16 * (9 * 16 // 8) * (32 // 4)
    assert answer["inside"]
    lut = answer["lut"]
    assert lut["low"] < lut["value"] < lut["high"]
    assert answer["dsp"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_what_is_not_calibrated_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said, _ = run([*LAYER, "--board", "vck190", "--json"], monkeypatch, capsys)
    answer = json.loads(said)
    assert status == 0
    assert answer["lut"] is None
    assert not answer["inside"]
    assert "versal" in answer["why"]
    _, said, _ = run([*LAYER, "--board", "vck190"], monkeypatch, capsys)
    assert "uncalibrated" in said


def test_lines_are_answered_one_by_one_and_bad_ones_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({**DENSE, **FOLDED}),
        "nonsense",
        json.dumps({**DENSE, **FOLDED, "board": "pynq-z2", "clock_mhz": 50}),
        json.dumps({**DENSE, "pe": 5, "simd": 8}),
        json.dumps({**DENSE, **FOLDED, "board": "nowhere"}),
        json.dumps({**DENSE, **FOLDED, "depth": 3}),
        json.dumps({**DENSE, **FOLDED, "in_bits": "four"}),
        json.dumps([1]),
    ]
    status, said, error = run(["--lines"], monkeypatch, capsys, "\n".join(lines) + "\n")
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == len(lines)
    assert [("error" in answer) for answer in answers] == [False, True, False] + 5 * [True]
    assert answers[2]["board"] == "pynq-z2"
    assert answers[2]["clock_mhz"] == 50
    assert "pe 5 does not divide out_channels 32" in answers[3]["error"]
    assert status == 2
    assert error.startswith("error: standard input: 6 of the lines")


SIDE_BY_SIDE = ("--size", "25x25", "--kernel", "5", "--stride", "5")
"""Windows that share no pixel."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--channels", "16:-3"], "out_channels is -3"),
        (["--channels", "16:32", "--bits", "4:0:4"], "weight_bits is 0"),
        (["--channels", "16:32", "--bits", "9:4:4"], "in_bits is 9"),
        (["--channels", "16:32", "--pe", "3"], "pe 3 does not divide"),
        (["--channels", "16:32", "--simd", "5"], "simd 5 does not divide"),
        (["--channels", "1:6", "--size", "28x28", "--kernel", "5", "--simd", "10"], "25 pixels"),
        (["--channels", "1:6", *SIDE_BY_SIDE, "--simd", "25"], "no faster than one"),
        (["--channels", "16:32", "--board", "zork"], "zork"),
        (["--channels", "16x32"], "--channels"),
        (["--channels", "16:32", "--kernel", "5", "--size", "3x3"], "kernel_h 5 is larger"),
        (["--channels", "16:32", "--clock-mhz", "-1"], "clock_mhz"),
        ([], "--channels"),
    ],
)
def test_faults_are_one_line(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, error = run(arguments, monkeypatch, capsys)
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert said in error.replace("\n", " ")
    assert "Traceback" not in error


def test_neither_torch_nor_finn_is_imported() -> None:
    code = (
        "import sys; from compiler import cli; sys.argv = ['liftflow', 'cost', '--channels', "
        "'16:32', '--json']\ntry: cli.main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'finn', 'scipy', 'onnx', 'qonnx'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("[]")
