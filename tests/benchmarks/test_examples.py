"""The examples' benchmark: its rows, what it keeps, its page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compression.store import Store
from benchmarks.examples import __main__ as command
from benchmarks.examples import measure, tables
from compiler.stages import Dataset

ROW: dict[str, Any] = {
    "name": "unet", "board": "ulx3s-85f", "macs": 4_939_808, "units": 40, "weight_bits": [2, 4, 8],
    "act_bits": [4], "exact": {"fold": [3, 3], "simulate": [4, 4]}, "frames": 100, "mismatches": 0,
    "interval": 1010, "bound": 1000, "latency": 2000, "fifo_bits": 1234, "sizing_s": None,
    "total_s": 61.4, "key": "abc",
}  # fmt: skip


def test_all_examples_with_networks_of_their_own_are_measured() -> None:
    folders = {path.parent.name for path in measure.EXAMPLES.glob("*/*.toml")}
    assert set(measure.NAMES) == folders - {"digits", "tiny"}
    assert set(tables.BY_SIZE) == set(measure.NAMES)


def test_a_part_of_the_data_is_the_same_every_time() -> None:
    x = np.arange(40, dtype=np.float32)[:, None]
    data = Dataset("d", x, np.arange(40) % 2, x, np.arange(40) % 2, 2)
    first, second = measure._part(data, 7), measure._part(data, 7)
    assert first.test_x.shape == (7, 1)
    assert len(np.unique(first.test_x)) == 7
    np.testing.assert_array_equal(first.test_x, second.test_x)
    np.testing.assert_array_equal(first.test_y, first.test_x[:, 0] % 2)


def test_failures_are_rows_and_results_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "r.jsonl"

    def fails(*_: Any) -> Any:
        raise ValueError("no\nway")

    monkeypatch.setattr(command, "measure", fails)
    assert command.one("unet", 5, results) == 1
    (row,) = Store(results).rows
    assert row["failed"] == "ValueError: no way"
    assert command.line(row) == "unet: ValueError: no way"
    assert "Not done:\n\n- unet: ValueError: no way" in tables.page([row])

    monkeypatch.setattr(command, "measure", lambda *_: dict(ROW))
    assert command.one("unet", 5, results) == command.one("unet", 5, results) == 0
    (row,) = Store(results).rows
    assert row["done"]
    assert row["frames"] == 100
    page = tables.page([row])
    assert "| unet | ulx3s-85f | 4,939,808 | 40 | 2 to 8 | 4 | 7 of 7 | 100 | 0 | 1,010 |" in page
    assert "Not done" not in page


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "late"
    with (tmp_path / "log").open("w") as log:
        late = ["sh", "-c", f"(sleep 2; touch {marker}) & wait"]
        assert command.within(late, 1, log) is None
        assert command.within(["sh", "-c", "exit 3"], 60, log) == 3
    time.sleep(1.5)
    assert not marker.exists()
