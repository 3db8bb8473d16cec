"""The kills' benchmark: what it finds is seen, its row is sound, its page is what the row says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kills import __main__ as kills
from benchmarks.kills import tables

PASSES = """
import json, sys, time
from pathlib import Path
output = Path(sys.argv[sys.argv.index("--output") + 1])
for name in ("01-first", "02-second", "03-third"):
    folder = output / "net-board" / name
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "pass.json"
    (folder / "started").touch()
    if note.exists() and {careful}:
        continue
    time.sleep(0.2)
    digest = name if {exact} else str(time.time())
    (folder / "part").write_text(json.dumps({{"digest": digest, "seconds": 0.2}}))
    (folder / "part").replace(note)
"""


def measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, careful: bool = True, exact: bool = True
) -> dict[str, Any]:
    """The benchmark of a program with three passes; it may do them again, or never alike."""
    script = folder / "passes.py"
    script.write_text(PASSES.format(careful=careful, exact=exact))
    monkeypatch.setattr(kills, "command", lambda *_: [sys.executable, str(script)])
    return kills.measure(Path("net.toml"), 4, 0, None, [], folder)


def test_a_program_that_goes_on_where_it_was_is_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = measured(tmp_path, monkeypatch)
    assert len(result["kills"]) == 4
    assert result["same_digests"] == result["runs"] >= 1
    assert result["passes_done_again"] == result["passes_with_another_digest"] == []
    within = {kill["within"] for kill in result["kills"]}
    assert within <= {"", "01-first", "02-second", "03-third"}
    assert result["done_before_seconds"] < result["undisturbed_seconds"]


def test_what_is_done_again_or_otherwise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = measured(tmp_path, monkeypatch, careful=False)
    assert "01-first" in careless["passes_done_again"]
    (tmp_path / "other").mkdir()
    vague = measured(tmp_path / "other", monkeypatch, exact=False)
    assert vague["same_digests"] == 0
    assert vague["passes_with_another_digest"] == ["01-first", "02-second", "03-third"]
    page = tables.page({**vague, "passes_done_again": ["01-first"]})
    assert "the bitstream among it: 0 (others: 01-first, 02-second, 03-third)." in page
    assert "were done again: 1 (01-first)." in page


@pytest.mark.skipif(not kills.RESULTS.is_file(), reason="needs benchmarks/kills/results.json")
def test_the_page_is_what_the_row_says() -> None:
    result = json.loads(kills.RESULTS.read_text())
    assert tables.PAGE.read_text() == tables.page(result)
    assert len(result["kills"]) == 20
    assert "16-synthesize" in result["passes"]
    assert result["same_digests"] == result["runs"]
    assert result["passes_done_again"] == []
