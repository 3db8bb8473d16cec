"""Digests: equal content, equal digest; anything else differs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compiler.digest import digest
from compiler.frontend import load_module


@dataclass(frozen=True)
class Point:
    x: int
    y: object


def test_values() -> None:
    different = [
        None,
        0,
        False,
        0.0,
        "0",
        b"0",
        (0,),
        ((0,), ()),
        ((), (0,)),
        {"a": 0},
        {"a": 1},
        Point(0, None),
        Point(0, 0),
        np.zeros(2, np.int64),
        np.zeros(2, np.float64),
        np.zeros((2, 1), np.int64),
        ("ab", "c"),
        ("a", "bc"),
    ]
    digests = [digest(value) for value in different]
    assert len(set(digests)) == len(different)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_non_contiguous_arrays_count_by_content() -> None:
    array = np.arange(12).reshape(3, 4)
    assert digest(array.T) == digest(np.ascontiguousarray(array.T))


def test_modules_count_by_state_and_architecture() -> None:
    torch.manual_seed(0)
    one, same = nn.Linear(2, 3), nn.Linear(2, 3)
    assert digest(one) != digest(same)
    same.load_state_dict(one.state_dict())
    assert digest(one) == digest(same)
    assert digest(nn.ReLU()) != digest(nn.Sigmoid())


def test_a_users_forward_counts(tmp_path: Path) -> None:
    """Two modules alike in parameters and printed form, different in what they compute."""
    head = "from torch import nn\nclass Net(nn.Module):\n"
    text = head + "    def forward(self, x):\n        return {}\n"
    digests = []
    for body in ("x", "-x", "x"):
        path = tmp_path / "net.py"
        path.write_text(text.format(body))
        digests.append(digest(load_module("net.py:Net", tmp_path, None)))
    assert digests[0] == digests[2] != digests[1]


def test_folders_count_by_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    renamed = digest(tmp_path)
    (tmp_path / "a" / "y").write_text("2")
    last = digest(tmp_path)
    assert len({before, renamed, last}) == 3
    (tmp_path / "a" / "logs").mkdir()
    (tmp_path / "a" / "logs" / "tool.log").write_text("took 3 s")
    assert digest(tmp_path) == last, "what tools say as they run is no content"


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TypeError, match="no digest for builtins.object"):
        digest(object())
    with pytest.raises(FileNotFoundError):
        digest(Path("/no/such/file"))
