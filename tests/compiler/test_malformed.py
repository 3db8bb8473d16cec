"""Whatever file is malformed: status 2, one line that names it, and nothing left half written."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from qonnx_case import small
from report_case import full_report

from compiler import cli, report
from compiler.commands.cost import _answer_line
from compiler.config import load_config
from compiler.pass_text import parse_passes
from compiler.qonnx.read import read_qonnx
from hw_targets import boards
from hw_targets.errors import LiftFlowError

GOOD = """
name = "net"
[model]
factory = "model.py:net"
weights = "weights.pt"
[data]
source = "data.npz"
"""
MODEL = """
from torch import nn


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def needs(size):
    return net()


def leaves():
    raise SystemExit(0)


def nothing():
    return None


def scalar():
    class Sum(nn.Module):
        def forward(self, x):
            return x.sum()

    return Sum()
"""
Content = bytes | dict[str, Any] | None


def state() -> dict[str, torch.Tensor]:
    return {"1.weight": torch.zeros(3, 16), "1.bias": torch.zeros(3)}


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 1, 4, 4), dtype=np.float32), np.arange(24) % 3
    return {"train_x": x, "train_y": y, "test_x": x[:9], "test_y": y[:9]}


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def npz(**changes: Any) -> bytes:
    stream = io.BytesIO()
    kept = {k: v for k, v in {**arrays(), **changes}.items() if v is not None}
    np.savez(stream, **kept)
    return stream.getvalue()


def with_header(header: bytes) -> bytes:
    """An archive whose train_x says in its header what it does not hold."""
    stream = io.BytesIO(npz(train_x=None))
    with zipfile.ZipFile(stream, "a") as archive:
        plain = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        archive.writestr("train_x.npy", plain)
    return stream.getvalue()


class Calls:
    """What a weights file must not be able to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("called"),))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "weights.pt").write_bytes(saved(state()))
    (tmp_path / "data.npz").write_bytes(npz())
    (tmp_path / "net.toml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        before = {path: path.stat().st_size for path in project.rglob("*")}
        monkeypatch.setattr(sys, "argv", ["liftflow", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        assert caught.value.code == 2, said
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
        assert len(said.err) < 1000
        left = {path for path in project.rglob("*") if "__pycache__" not in path.parts}
        assert not any(path.is_file() and path.name != "run.lock" for path in left - before.keys())
        return said.err

    return run


FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def only_liftflow_errors(call: Callable[[], object]) -> None:
    with contextlib.suppress(LiftFlowError):
        call()


def compiled(refused: Callable[..., str]) -> str:
    return refused("compile", "net.toml", "--output", "build", "--until", "prepare")


def replaced(*pairs: tuple[str, str]) -> bytes:
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


TOMLS = {
    "empty": (b"", "field name is missing"),
    "not text": (b"\xff\xfe\x00", "net.toml: cannot be read"),
    "no TOML": (b"name", "net.toml: not valid TOML"),
    "cut off": (GOOD[:-4].encode(), "net.toml: not valid TOML"),
    "twice the same": (replaced(("[data]", '[data]\nsource = "a"')), "not valid TOML"),
    "too deep": (b"a = " + b"[" * 5000, "net.toml: not valid TOML"),
    "a path for a name": (replaced(('"net"', '"../net"')), "field name"),
    "a list for a name": (replaced(('"net"', "[1]")), "field name"),
    "a long name": (replaced(('"net"', f'"{"n" * 300}"')), "name"),
    "text for a seed": (replaced(('"net"', '"net"\nseed = "one"')), "field seed"),
    "too great a seed": (replaced(('"net"', f'"net"\nseed = {2**70}')), "seed"),
    "a number for a board": (replaced(('"net"', '"net"\nboard = 3')), "field board"),
    "an unknown board": (replaced(('"net"', '"net"\nboard = "ulx"')), "no board called 'ulx'"),
    "text for a section": (replaced(("[model]", 'goals = "high"\n[model]')), "field goals"),
    "no number of frames": (GOOD.encode() + b"[goals]\nfps = nan\n", "goals.fps"),
    "endless frames": (GOOD.encode() + b"[goals]\nfps = inf\n", "goals.fps"),
    "no number of a share": (GOOD.encode() + b"[goals]\nshare = nan\n", "goals.share"),
    "no scale": (GOOD.encode() + b"input_scale = inf\n", "data.input_scale"),
    "half a bit": (GOOD.encode() + b"input_bits = 3.5\n", "data.input_bits"),
    "text for passes": (replaced(("[model]", 'passes = "all"\n[model]')), "field passes"),
    "a number for a pass": (GOOD.encode() + b"[passes]\nretrain = 3\n", "passes.retrain"),
    "no number of an option": (
        GOOD.encode() + b"[passes.prune-filters]\nmacs = nan\n",
        "prune-filters",
    ),
    "a NUL in a path": (replaced(("model.py:net", "mo\\u0000del.py:net")), "del.py:net"),
    "a NUL in data": (replaced(("data.npz", "da\\u0000ta.npz")), "ta.npz"),
    "no function": (replaced(("model.py:net", "model.py")), "names no function"),
    "arguments wanted": (replaced(("model.py:net", "model.py:needs")), "model.py:needs"),
    "a factory that leaves": (replaced(("model.py:net", "model.py:leaves")), "model.py:leaves"),
    "a factory of nothing": (replaced(("model.py:net", "model.py:nothing")), "NoneType"),
    "a network of one number": (
        replaced(("model.py:net", "model.py:scalar"), ('weights = "weights.pt"', "")),
        "model.py:scalar",
    ),
}
OTHERS: dict[str, tuple[str, Content, str]] = {
    "a model that does not parse": ("model.py", b"def net(:", "model.py"),
    "a model that leaves": ("model.py", b"raise SystemExit(0)", "model.py"),
    "a model of bytes": ("model.py", b"\x00\x01", "model.py"),
    "empty weights": ("weights.pt", b"", "weights.pt"),
    "rubbish for weights": ("weights.pt", b"rubbish", "weights.pt"),
    "weights cut off": ("weights.pt", saved(state())[:-200], "weights.pt"),
    "a list of weights": ("weights.pt", saved([1, 2]), "no state dict"),
    "weights that call": ("weights.pt", saved({"1.weight": Calls()}), "more than tensors"),
    "a pickle that calls": ("weights.pt", pickle.dumps(Calls()), "weights.pt"),
    "weights of another shape": (
        "weights.pt",
        saved({**state(), "1.bias": torch.zeros(4)}),
        "of another shape",
    ),
    "weights too few": ("weights.pt", saved({"1.bias": torch.zeros(3)}), "1 missing"),
    "weights of no number": (
        "weights.pt",
        saved({**state(), "1.bias": torch.full((3,), torch.nan)}),
        "not finite",
    ),
    "empty data": ("data.npz", b"", "data.npz"),
    "rubbish for data": ("data.npz", b"PK rubbish", "data.npz"),
    "data cut off": ("data.npz", npz()[:-100], "data.npz"),
    "data without labels": ("data.npz", npz(train_y=None), "it must hold"),
    "objects for data": ("data.npz", npz(train_x=np.array([{}, 1], object)), "data.npz"),
    "text for data": ("data.npz", npz(train_x=np.array(["a"] * 24)), "no array of numbers"),
    "a single number": ("data.npz", npz(train_x=np.float32(1)), "labels of shape"),
    "samples of no number": (
        "data.npz",
        npz(test_x=np.full((9, 1, 4, 4), np.nan, np.float32)),
        "not all finite",
    ),
    "fewer labels": ("data.npz", npz(train_y=np.arange(9) % 3), "24 samples"),
    "no samples": (
        "data.npz",
        npz(test_x=np.zeros((0, 1, 4, 4)), test_y=np.zeros(0, int)),
        "empty",
    ),
    "labels below nothing": ("data.npz", npz(train_y=np.arange(24) % 3 - 1), "labels range"),
    "one class": (
        "data.npz",
        npz(train_y=np.zeros(24, int), test_y=np.zeros(9, int)),
        "at least two",
    ),
    "samples of five axes": (
        "data.npz",
        npz(train_x=np.zeros((24, 1, 1, 4, 4)), test_x=np.zeros((9, 1, 1, 4, 4))),
        "has shape",
    ),
    "samples of other sizes": (
        "data.npz",
        npz(train_x=np.zeros((24, 1, 5, 5)), test_x=np.zeros((9, 1, 5, 5))),
        "model.py:net",
    ),
    "a header that lies": (
        "data.npz",
        with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}\n"),
        "data.npz",
    ),
}


@pytest.mark.parametrize("case", TOMLS)
def test_a_malformed_configuration(project: Path, refused: Callable[..., str], case: str) -> None:
    content, says = TOMLS[case]
    (project / "net.toml").write_bytes(content)
    assert says in compiled(refused)


@pytest.mark.parametrize("case", OTHERS)
def test_a_malformed_model_or_data(project: Path, refused: Callable[..., str], case: str) -> None:
    name, content, says = OTHERS[case]
    assert isinstance(content, bytes)
    (project / name).write_bytes(content)
    assert says in compiled(refused)
    assert not (project / "called").exists()


@pytest.mark.parametrize("name", ["net.toml", "weights.pt", "data.npz", "model.py"])
def test_a_folder_for_a_file(project: Path, refused: Callable[..., str], name: str) -> None:
    (project / name).unlink()
    (project / name).mkdir()
    assert name in compiled(refused)


def test_a_file_for_the_folder_of_runs(project: Path, refused: Callable[..., str]) -> None:
    (project / "build").write_text("")
    assert "build" in compiled(refused)


BOARD = (Path(boards.__file__).parent / "ulx3s-12f.toml").read_text()
BOARDS = {
    "empty": ("", "name: Field required"),
    "no TOML": ("name =", "not TOML"),
    "cut off": (BOARD[:200], "own.toml"),
    "an unknown family": (BOARD.replace('"ecp5"', '"ecp9"', 1), "ecp9"),
    "fewer than no LUTs": (BOARD.replace("lut = ", "lut = -"), "resources.lut"),
    "a clock of no number": (BOARD.replace("default_mhz = ", "default_mhz = nan #"), "clock"),
    "no sources": (BOARD.partition("[sources]")[0], "sources"),
    "an unknown field": ("speed = 3\n" + BOARD, "speed"),
}


@pytest.mark.parametrize("case", BOARDS)
def test_a_malformed_board(project: Path, refused: Callable[..., str], case: str) -> None:
    text, says = BOARDS[case]
    assert text != BOARD
    (project / "own.toml").write_text(text)
    said = refused("boards", "show", "own.toml")
    assert "own.toml" in said
    assert says in said


def plain_onnx(*nodes: onnx.NodeProto, shape: tuple[Any, ...] = (1, 4)) -> bytes:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [given], [gives])
    return helper.make_model(graph).SerializeToString()


QONNX = {
    "empty": (b"", "net.onnx"),
    "rubbish": (b"rubbish", "net.onnx"),
    "no network": (plain_onnx(), "net.onnx"),
    "cut off": (plain_onnx(helper.make_node("Relu", ["x"], ["y"]))[:-9], "net.onnx"),
    "not quantized": (plain_onnx(helper.make_node("Relu", ["x"], ["y"])), "net.onnx"),
    "no such operation": (plain_onnx(helper.make_node("Sin", ["x"], ["y"])), "net.onnx"),
    "an input from nowhere": (plain_onnx(helper.make_node("Relu", ["z"], ["y"])), "net.onnx"),
    "in a circle": (plain_onnx(helper.make_node("Relu", ["y"], ["y"])), "net.onnx"),
    "no shape": (plain_onnx(helper.make_node("Relu", ["x"], ["y"]), shape=("n", "m")), "net.onnx"),
}


@settings(FUZZ, max_examples=100)
@given(st.data())
def test_any_damage_to_a_good_qonnx_file_is_read_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = small().write(tmp_path / "net.onnx")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(1, 9))] = data.draw(st.binary(max_size=3))
    path.write_bytes(bytes(content))
    only_liftflow_errors(lambda: read_qonnx(path))


@pytest.mark.parametrize("case", QONNX)
def test_a_malformed_qonnx_file(project: Path, refused: Callable[..., str], case: str) -> None:
    content, says = QONNX[case]
    (project / "net.onnx").write_bytes(content)
    assert says in refused("cost", "net.onnx", "--input-bits", "4")


def report_json(**changes: Any) -> bytes:
    told = full_report().model_dump(mode="json", by_alias=True)
    return json.dumps({k: v for k, v in {**told, **changes}.items() if v is not ...}).encode()


REPORTS = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "not text": b"\xff\xfe",
    "too deep": b"[" * 100_000,
    "another version": report_json(schema="liftflow-report/0"),
    "a field too few": report_json(passes=...),
    "a field too many": report_json(more=1),
    "text for layers": report_json(layers="all"),
}


@pytest.mark.parametrize("command", ["report", "explain", "compare"])
@pytest.mark.parametrize("case", REPORTS)
def test_a_malformed_report(
    project: Path, refused: Callable[..., str], case: str, command: str
) -> None:
    (project / "run").mkdir()
    (project / "run" / "report.json").write_bytes(REPORTS[case])
    assert "report.json" in refused(command, "run")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ulx3s-85f", "model.py:net", "data.npz", "prune-filters", 0.5, 4, 16]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["factory", "source", "macs", "fps", "retrain", "epochs"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
SECTIONS = st.sampled_from(
    ["name", "board", "seed", "model", "data", "goals", "passes", "base", "x"]
)


def as_toml(value: Any) -> str:
    """An inline value; None has none, and stands as a bare word."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@FUZZ
@given(st.dictionaries(SECTIONS, VALUES, max_size=5))
def test_any_toml_is_read_or_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "any.toml"
    lines = "".join(f"{key} = {as_toml(value)}\n" for key, value in values.items())
    path.write_text(lines, errors="replace")
    only_liftflow_errors(lambda: load_config(path))


@FUZZ
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_any_damage_to_a_good_toml_is_read_or_refused(
    tmp_path: Path, place: int, damage: bytes
) -> None:
    path = tmp_path / "any.toml"
    good = GOOD.encode()
    path.write_bytes(good[:place] + damage + good[place + 1 :])
    only_liftflow_errors(lambda: load_config(path))


FIELDS = ("in_channels", "out_channels", "in_bits", "weight_bits", "act_bits", "pe", "simd")
COUNTS = st.sampled_from([1, 2, 3, 4, 8, 16, 0.5, 10**9]) | VALUES


@FUZZ
@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, COUNTS), optional={"board": VALUES}))
def test_any_line_of_json_is_answered_or_refused(values: dict[str, Any]) -> None:
    only_liftflow_errors(lambda: _answer_line(json.dumps(values), "ulx3s-85f", None))


@FUZZ
@given(st.dictionaries(st.sampled_from([*full_report().model_dump(by_alias=True)]), VALUES))
def test_any_report_is_read_or_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "report.json").write_bytes(report_json(**values))
    only_liftflow_errors(lambda: report.load(tmp_path))


@FUZZ
@given(st.text(alphabet="ab{}[]=,\"'. 1\n", max_size=20))
def test_any_text_of_passes_is_read_or_refused(text: str) -> None:
    only_liftflow_errors(lambda: parse_passes(text))
