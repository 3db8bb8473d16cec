"""The frontend's model side: what it loads, and the one line it gives for what it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from compiler.frontend.model import load_module
from hw_targets.errors import LiftFlowError

MODEL = """
import torch
from torch import nn

SIZE = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(SIZE, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.fc(x))


def make():
    return Net().double().train()


def broken():
    raise RuntimeError("no such\\n variant")


def number():
    return 3


def needs(width):
    return Net()
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


def save(base: Path, state: dict[str, object], name: str = "w.pt") -> Path:
    torch.save(state, base / name)
    return Path(name)


def state(base: Path) -> dict[str, torch.Tensor]:
    return {k: v + 1 for k, v in load_module("net.py:Net", base).state_dict().items()}


def message(factory: str, base: Path, weights: Path | None = None) -> str:
    with pytest.raises(LiftFlowError) as caught:
        load_module(factory, base, weights)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_class_and_function_are_made_in_eval_mode_and_float32(base: Path) -> None:
    for factory in ("net.py:Net", "net.py:make"):
        made = load_module(factory, base)
        assert not made.training
        assert {p.dtype for p in made.parameters()} == {torch.float32}


def test_dotted_module(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(load_module("torch.nn:Identity", base), nn.Identity)
    (base / "liftflow_neighbour.py").write_text(MODEL)
    assert load_module("liftflow_neighbour:Net", base) is not None


def test_two_files_of_one_name_do_not_shadow_each_other(base: Path) -> None:
    other = base / "other"
    other.mkdir()
    (other / "net.py").write_text(MODEL.replace("SIZE = 4", "SIZE = 7"))
    first, second = load_module("net.py:Net", base), load_module("net.py:Net", other)
    assert first.get_parameter("fc.weight").shape == (2, 4)
    assert second.get_parameter("fc.weight").shape == (2, 7)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    ],
)
def test_weights_are_filled_in(base: Path, wrap: object) -> None:
    wanted = state(base)
    made = load_module("net.py:Net", base, save(base, wrap(wanted)))  # type: ignore[operator]
    assert torch.equal(made.get_parameter("fc.weight"), wanted["fc.weight"])
    assert torch.equal(made.get_buffer("norm.running_mean"), wanted["norm.running_mean"])


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("net.py", "names no function"),
        ("nope.py:Net", "no such file"),
        ("no_such_package.net:Net", "no module named 'no_such_package.net'"),
        ("net.py:Missing", "has no 'Missing'; it defines Net, make"),
        ("net.py:SIZE", "is of type int, not a function"),
        ("net.py:broken", "calling it raised RuntimeError: no such variant"),
        ("net.py:number", "returned int, not a torch.nn.Module"),
        ("net.py:needs", "calling it raised TypeError"),
    ],
)
def test_factory_errors_are_one_line(base: Path, factory: str, says: str) -> None:
    assert says in message(factory, base)


def test_a_file_that_does_not_import(base: Path) -> None:
    (base / "bad.py").write_text("import nothing_of_that_name\n")
    assert "importing it raised ModuleNotFoundError" in message("bad.py:Net", base)


def test_weight_errors_are_one_line(base: Path) -> None:
    good = state(base)
    assert "no such weights file" in message("net.py:Net", base, Path("none.pt"))
    (base / "w.safetensors").write_bytes(b"x")
    assert "torch.save" in message("net.py:Net", base, Path("w.safetensors"))
    (base / "junk.pt").write_bytes(b"junk")
    assert "junk.pt" in message("net.py:Net", base, Path("junk.pt"))
    torch.save(nn.Linear(2, 2), base / "module.pt")
    assert "more than tensors" in message("net.py:Net", base, Path("module.pt"))
    assert "no state dict" in message("net.py:Net", base, save(base, {"epoch": 3}))
    poisoned = {**good, "fc.bias": torch.tensor([float("nan"), 0.0])}
    assert "not finite (fc.bias)" in message("net.py:Net", base, save(base, {**poisoned}))


def test_mismatched_keys_are_counted_and_named(base: Path) -> None:
    wrong: dict[str, object] = {**state(base), "head.weight": torch.zeros(1)}
    del wrong["fc.bias"]
    wrong["fc.weight"] = torch.zeros(2, 5)
    text = message("net.py:Net", base, save(base, wrong))
    assert "1 missing (fc.bias)" in text
    assert "1 unexpected (head.weight)" in text
    assert "1 of another shape (fc.weight (2, 5) instead of (2, 4))" in text
