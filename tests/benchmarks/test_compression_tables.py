"""Tables tell means, spreads and the best; without rows there is no page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compression import tables
from benchmarks.compression.store import Store


def rows(method: str, values: dict[float, list[float]]) -> list[dict[str, Any]]:
    return [
        {"method": method, "seed": seed, "level": level, "before": accuracy}
        for level, of_seeds in values.items()
        for seed, accuracy in enumerate(of_seeds)
    ]


def test_a_table_tells_means_and_spreads_best_first() -> None:
    found = rows("l1", {0.3: [0.5, 0.6], 0.5: [0.2, 0.2]})
    found += rows("deeplift", {0.3: [0.8, 0.8], 0.5: [0.1, 0.15]})
    assert tables.table(found, "before") == [
        "| method | 0.3 | 0.5 | seeds |",
        "| --- | --- | --- | --- |",
        "| deeplift | **80.0 ± 0.0** | 12.5 ± 3.5 | 2 |",
        "| l1 | 55.0 ± 7.1 | **20.0 ± 0.0** | 2 |",
    ]


def test_a_verdict_tells_ahead_level_and_behind() -> None:
    found = rows("l1", {0.3: [0.5, 0.6], 0.5: [0.2, 0.2], 0.7: [0.2, 0.3]})
    found += rows("taylor", {0.3: [0.4, 0.4], 0.5: [0.1, 0.1], 0.9: [0.1, 0.1]})
    found += rows("deeplift-contribution", {0.3: [0.9, 0.9]})  # no rival
    found += rows("deeplift", {0.3: [0.8, 0.8], 0.5: [0.1, 0.15], 0.7: [0.2, 0.28], 1: [0.1, 0.1]})
    assert tables.verdict(found, "before") == (
        "DeepLIFT against the best without it: ahead of l1 at 0.3 (+25.0), behind l1 at 0.5 (-7.5),"
        " level with l1 at 0.7 (-1.0)."
    )
    alone = rows("l1", {0.3: [0.5]}) + rows("deeplift", {0.3: [0.6]})
    assert tables.verdict(alone, "before").endswith(
        "ahead of l1 at 0.3 (+10.0). One seed only: no spread is known."
    )
    assert tables.verdict(rows("l1", {0.3: [0.5]}), "before") == ""


def test_what_is_not_measured_stays_empty() -> None:
    found = rows("uniform", {3.0: [0.5]}) + rows("mse", {2.5: [0.3], 3.0: [0.6]})
    assert tables.table(found, "before")[2:] == [
        "| uniform |  | 50.0 | 1 |",
        "| mse | **30.0** | **60.0** | 1 |",
    ]


def test_the_page_has_every_task_and_what_was_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "structured-mlp.jsonl")
    about = {"tested": 100, "samples": 8, "tuned": 0, "trained": 0, "float": 0.9, "done": True}
    store.add({**rows("deeplift", {0.3: [0.8]})[0], **about})
    store.add({"method": "lrp", "seed": 0, "level": None, "refused": "no rule for Add", **about})
    tables.write(tmp_path, tmp_path / "docs")
    page = (tmp_path / "docs/compression-results.md").read_text()
    assert "| deeplift | **80.0** | 1 |" in page
    assert "`lrp` does not apply: no rule for Add" in page
    assert "(compression/structured-mlp.svg)" in page
    assert "<svg" in (tmp_path / "docs/compression/structured-mlp.svg").read_text()


def test_no_results_are_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tables", "--results", str(tmp_path), "--docs", str(tmp_path / "docs")]
    monkeypatch.setattr(sys, "argv", asked)
    assert tables.main() == 2
    assert "no results" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()
