"""The guides are done as they stand: files written, commands run, refusals as printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_case import blocks, follow

import passes
from hw_targets import boards

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([DOCS / "start.md", *DOCS.glob("guides/*.md")])


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with the repository's examples, that imports come from."""
    (tmp_path / "examples").symlink_to(DOCS.parent / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    caches = (passes._added, boards._added, boards.load_board)
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_guide_can_be_followed(page: Path, workplace: Path) -> None:
    count = follow(page, workplace)
    assert count >= (0 if page.stem == "desk" else 2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_says_why(page: Path) -> None:
    found = blocks(page)
    assert found
    for block in found:
        assert not block.note or block.note.startswith(("not run: ", "fails: ")), block
        assert block.kind, f"{page.name}: a block without a language: {block.text!r}"
    assert page.read_text().count("```") == 2 * len(found), "a block that is not read"


def test_a_guide_that_rots_is_noticed(workplace: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nliftflow boards show ulx3s-99f\n```\n")
    with pytest.raises(AssertionError, match="status 2"):
        follow(page, workplace)
    page.write_text(
        "<!-- fails: 2 -->\n```sh\nliftflow boards show none\n```\n\n```text\nerror: other\n```\n"
    )
    with pytest.raises(AssertionError, match="is not what came"):
        follow(page, workplace)
    page.write_text('```python title="a.py"\nraise SystemExit(3)\n```\n\n```sh\npython a.py\n```\n')
    with pytest.raises(AssertionError, match="status 3"):
        follow(page, workplace)
