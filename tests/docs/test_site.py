"""The site builds without a warning, loads nothing from elsewhere, and covers what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from typer._click import Context

import compiler
import passes
from compiler.commands.lazy import PLACES, load
from compiler.config import option_types
from compiler.option_help import meanings, summary
from docs.generate import (
    boards_page,
    commands_page,
    configuration_page,
    passes_page,
    python_page,
    way,
)
from hw_targets.boards import board_names, load_board

ROOT = Path(__file__).parents[2]


def rows(text: str) -> dict[str, list[str]]:
    """First cell -> the others, of every table row."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in cells}


@pytest.mark.parametrize("name", passes.ORDER)
def test_every_option_of_every_pass_is_told(name: str) -> None:
    section = passes_page.page().split(f"\n## {name}\n")[1].split("\n## ")[0]
    told = rows(section)
    for option in option_types(passes.load(name)):
        type_name, default, meaning = told[f"`{option}`"]
        assert len(meaning) > 8, (
            f"{name}.{option} is not told of in the pass's docstring: {meaning!r}"
        )
        assert re.fullmatch(r"`(\[?(int|float|str|bool|path|\"[\w-]+\")\]?(, )?)+`", type_name)
        assert default


def test_types_are_those_of_a_toml_file() -> None:
    name = passes_page.type_name
    assert [name(hint) for hint in (int, float | None, tuple[int, ...], Path | None)] == [
        "int", "float", "[int]", "path"
    ]  # fmt: skip
    assert name(Literal["finn", "vivado"]) == '"finn", "vivado"'


def test_meanings_end_where_the_next_begins() -> None:
    class Told:
        """Does a thing. kept: not an option.

        first: what it is, "a: b" too. second, third: of both,
        over two lines; fourth: after a semicolon.

        A paragraph on its own.
        """

    options = ("first", "second", "third", "fourth", "untold")
    assert meanings(Told, options) == {
        "first": 'what it is, "a: b" too.',
        "second": "of both, over two lines.",
        "third": "of both, over two lines.",
        "fourth": "after a semicolon.",
    }
    assert summary(Told, options) == [
        "Does a thing. kept: not an option.",
        "A paragraph on its own.",
    ]
    assert meanings(Told, ()) == {}


def test_every_field_of_a_configuration_is_told() -> None:
    page = configuration_page.page()
    for section in configuration_page.SECTIONS:
        told = rows(configuration_page.section(section))
        assert configuration_page.section(section) in page
        for field in configuration_page.fields_of(section):
            meaning = told[f"`{field}`"][-1]
            assert re.match(r"\w.{8}", meaning), f"{section}.{field} is not told of: {meaning!r}"
    assert rows(page)["`share`"][1:] == [
        "`0.7`",
        "greatest share of each of the board's resources; > 0, ≤ 1.",
    ]


def test_every_command_and_its_options_are_told() -> None:
    page = commands_page.page()
    for name in PLACES:
        command = load(name)
        section = page.split(f"\n### liftflow {name}\n")[1].split("\n### ")[0]
        for entry in command.get_params(Context(command)):
            assert entry.opts[0] in section, f"{name} {entry.opts}"
    assert "#### liftflow boards show" in page
    assert "--log-level" in page


def test_every_board_and_every_export_is_told() -> None:
    page = boards_page.page()
    for name in board_names():
        assert f"\n## {name}\n" in page
        assert all(source.split("|")[0] in page for source in load_board(name).sources.values())
    page = python_page.page()
    for name in compiler.__all__:
        home = compiler._HOMES[name]
        assert f"::: {home}.{name}\n" in page or f"::: {home}\n" in page


def test_the_picture_is_that_of_the_passes() -> None:
    wanted = way.picture()
    assert way.FILE.read_text() == wanted, "python -m docs.generate.way"
    assert all(f">{name}</text>" in wanted for name in passes.ORDER)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_at_the_top_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    assert links
    for link in links:
        assert "://" in link or (ROOT / link).exists(), link


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error, as in `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']?(\w+:)?//"
        r"|<link[^>]*rel=[\"']?(?:stylesheet|preload|preconnect|icon)[^>]*href=[\"']?(\w+:)?//"
        r"|url\([\"']?(\w+:)?//"
    )
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 40
    for page in pages:
        found = loading.search(page.read_text())
        assert not found, f"{page.relative_to(site)}: {found}"


def test_the_site_has_what_the_sources_say(site: Path) -> None:
    python = (site / "reference" / "python.html").read_text()
    assert 'id="compiler.api.compile_model"' in python
    assert "the module's data set; only with a module" in python
    assert 'id="prune-filters"' in (site / "reference" / "passes.html").read_text()
    assert "<svg" in (site / "how.html").read_text()
    assert not list(site.rglob("*.py")), "the generators are no pages"
    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    assert any("icebreaker" in entry["location"] for entry in found)
