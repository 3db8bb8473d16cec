"""The guides are done as they stand: files written, commands run, refusals as printed."""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide_case import blocks, follow

import passes
from compiler.commands.lazy import PLACES, load
from compiler.config import parse_config
from hw_targets import boards

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS.parent / "examples"
PAGES = sorted([DOCS / "start.md", *DOCS.glob("guides/*.md")])
OTHERS = [
    page
    for page in sorted([DOCS.parent / "README.md", *DOCS.glob("*.md"), *EXAMPLES.glob("*/*.md")])
    if page not in PAGES and blocks(page)
]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with the repository's examples, that imports come from."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
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


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_snippets_of_other_pages_hold(page: Path, workplace: Path) -> None:
    for block in blocks(page):
        if block.kind == "toml":
            known = tomllib.loads(block.text)
            if "name" in known:
                parse_config(known, base=workplace)
        elif block.kind == "python" and "compile_model" not in block.text:
            exec(compile(block.text, str(page), "exec"), {"__name__": "__main__"})
        elif block.kind == "python":
            compile(block.text, str(page), "exec")
        elif block.kind == "sh":
            _commands_exist(block.text, page)


def _commands_exist(text: str, page: Path) -> None:
    """Every `liftflow COMMAND --option` in a block is one; nothing is run."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        called = next((at for at, word in enumerate(words) if Path(word).name == "liftflow"), None)
        if called is None or words[called + 1].startswith("-"):
            continue
        name = words[called + 1]
        assert name in PLACES, f"{page.name}: {line}"
        known = {option for entry in load(name).params for option in entry.opts}
        used = {word.split("=")[0] for word in words[called + 2 :] if word.startswith("--")}
        assert used <= known | {"--help"}, f"{page.name}: {line}: {used - known}"


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
    with pytest.raises(AssertionError, match="--boards"):
        _commands_exist("liftflow fit net.toml \\\n  --boards x", page)
    with pytest.raises(AssertionError, match="liftflow price"):
        _commands_exist(".venv/bin/liftflow price net.toml", page)
