"""Passes as text, and passes and boards that other packages add."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import passes
from compiler.api import default_pipeline, open_task
from compiler.config import Goals, parse_config
from compiler.pass_text import parse_passes
from compiler.pipeline import source_digest
from hw_targets import boards
from hw_targets.errors import LiftFlowError


def test_passes_as_text() -> None:
    assert parse_passes("attribute{samples=128},prune-filters{macs=0.6}") == {
        "attribute": {"samples": 128},
        "prune-filters": {"macs": 0.6},
    }
    text = 'a{x=[1, 2],y="p,q}",z=plain words,on=true} , b{}, c'
    told = {"x": [1, 2], "y": "p,q}", "z": "plain words", "on": True}
    assert parse_passes(text) == {"a": told, "b": {}, "c": {}}


@pytest.mark.parametrize(
    "text",
    ["", "a,", "a{", "a}", "a{x}", "a{=1}", "a{x=1}}", 'a{x="}', "a{x=1}b", "a b", "a{x=1},a"],
)
def test_unreadable_passes(text: str) -> None:
    with pytest.raises(LiftFlowError, match="--passes"):
        parse_passes(text)


def test_only_the_passes_named_run_in_their_order() -> None:
    raw = {
        "name": "net",
        "model": {"factory": "examples/digits/model.py:DigitsNet"},
        "data": {"source": "sklearn-digits"},
        "passes": {"attribute": {"samples": 7, "target": "true"}},
    }
    config = parse_config(raw, base=Path(__file__).parent.parent.parent)
    task = open_task(config, passes=parse_passes("attribute{samples=128},prune-filters{macs=0.6}"))
    prepare, attribute, prune = task.pipeline.passes
    assert (prepare.name, attribute.name, prune.name) == ("prepare", "attribute", "prune-filters")
    assert (attribute.samples, attribute.target, prune.macs) == (128, "true", 0.6)


def test_passes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(LiftFlowError, match="quantize takes ScoredModel, but prepare"):
        default_pipeline("ulx3s-85f", Goals(), names=["prepare", "quantize"])


PASS = '''
from dataclasses import dataclass
from typing import ClassVar

from compiler.stages import ScoredModel
from passes import Pass


@dataclass(frozen=True)
class Rank(Pass[ScoredModel, ScoredModel]):
    """Ranks."""

    name: ClassVar[str] = "rank"
    after: ClassVar[str | None] = "attribute"
    share: float = 0.5
    count: int = 3

    def run(self, model, ctx):
        return model
'''
ENTRIES = """
[liftflow.passes]
rank = other_package.rank:Rank
broken = other_package.none:Rank
prepare = other_package.rank:Rank

[liftflow.boards]
my-board = other_package
lost-board = other_package
ulx3s-85f = other_package
"""


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package installed beside LiftFlow, with a pass and a board."""
    package = tmp_path / "other_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rank.py").write_text(PASS)
    own = Path(boards.__file__).parent / "ulx3s-25f.toml"
    shutil.copy(own, package / "my-board.toml")
    text = (package / "my-board.toml").read_text()
    (package / "my-board.toml").write_text(text.replace('"ulx3s-25f"', '"my-board"'))
    described = tmp_path / "other_package-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1\n")
    (described / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    for known in (passes._added, boards._added, boards.load_board):
        known.cache_clear()
    yield package
    monkeypatch.undo()
    for known in (passes._added, boards._added, boards.load_board):
        known.cache_clear()
    for name in ("other_package", "other_package.rank"):
        sys.modules.pop(name, None)


def test_a_pass_of_another_package_runs_where_it_is_named(other_package: Path) -> None:
    assert passes.names()[-2:] == ("rank", "broken")
    plain = [step.name for step in default_pipeline("ulx3s-85f", Goals()).passes]
    assert "rank" not in plain
    way = default_pipeline("ulx3s-85f", Goals(share=0.3), {"rank": {"count": 5}}).passes
    names = [step.name for step in way]
    assert names[names.index("attribute") + 1] == "rank"
    rank = way[names.index("rank")]
    assert (rank.share, rank.count) == (0.3, 5), "goals and options are filled in"
    before = source_digest("other_package.rank")
    source_digest.cache_clear()
    (other_package / "rank.py").write_text(PASS + "\n")
    assert source_digest("other_package.rank") != before, "its sources count in its key"
    with pytest.raises(LiftFlowError, match="pass broken of package other-package: cannot be"):
        default_pipeline("ulx3s-85f", Goals(), {"broken": {}})


def test_a_board_of_another_package_is_a_board(other_package: Path) -> None:
    assert {"my-board", "ulx3s-85f"} <= set(boards.board_names())
    assert boards.load_board("my-board").part == boards.load_board("ulx3s-25f").part
    assert boards.board_path("my-board") == other_package / "my-board.toml"
    assert boards.board_path("ulx3s-85f").parent == Path(boards.__file__).parent
    with pytest.raises(LiftFlowError, match="has no lost-board.toml"):
        boards.load_board("lost-board")
