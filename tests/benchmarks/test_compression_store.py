"""Rows survive an interrupted benchmark, and a damaged file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compression.store import Store, read
from hw_targets.errors import LiftFlowError


def test_what_is_done_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    store = Store(file)
    store.add({"method": "a", "seed": 0, "level": 0.5})
    store.add({"method": "a", "seed": 0, "level": 0.7, "done": True})
    store.add({"method": "b", "seed": 0, "level": 0.5})
    again = Store(file)
    assert again.has(method="a", seed=0)
    assert not again.has(method="a", seed=1)
    assert not again.has(method="b", seed=0)


def test_an_interrupted_experiment_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    store = Store(file)
    store.add({"method": "a", "level": 0.5, "done": True})
    store.add({"method": "b", "level": 0.5})
    store.drop(method="b")
    assert read(file) == [{"method": "a", "level": 0.5, "done": True}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"method": "a", "done": true}\n{"method": "b", "do')
    assert read(file) == [{"method": "a", "done": True}]
    store = Store(file)
    store.drop(method="b")
    store.add({"method": "b"})
    assert [row["method"] for row in read(file)] == ["a", "b"]


def test_another_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"method": "a"\n{"method": "b"}\n')
    with pytest.raises(LiftFlowError, match=r"rows\.jsonl:1"):
        read(file)
