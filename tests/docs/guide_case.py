"""A guide's blocks, written and run as a reader would: files by their titles, commands in order."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler import cli

_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block. note: the comment in front of it, "not run: WHY" or "fails: STATUS"."""

    kind: str
    title: str | None
    note: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(found["kind"], found["title"], found["note"] or "", found["text"])
        for found in _BLOCK.finditer(page.read_text())
    ]


def follow(page: Path, folder: Path) -> int:
    """Does what the page says, in `folder`, which is where one works; how many commands were run.

    Blocks with a title are written, `sh` blocks run, Python without a title is run, TOML must be
    TOML, and lines of `text` blocks that begin with "error:" must have been printed just before.
    """
    count, printed = 0, ""
    for block in blocks(page):
        if block.note.startswith("not run: "):
            printed = ""
        elif block.title:
            path = folder / block.title
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
            if block.title == "pyproject.toml":
                _installed(folder, block.text)
        elif block.kind == "sh":
            status = int(block.note.removeprefix("fails: ")) if block.note else 0
            printed = ""
            for line in block.text.replace("\\\n", " ").splitlines():
                found, said = _run(shlex.split(line, comments=True))
                assert found == status, f"{page.name}: {line}: status {found}\n{said}"
                printed, count = printed + said, count + 1
        elif block.kind == "python":
            exec(compile(block.text, str(page), "exec"), {"__name__": "__main__"})
        elif block.kind == "toml":
            tomllib.loads(block.text)
        for line in block.text.splitlines() if block.kind == "text" else ():
            said_so = not line.startswith("error:") or line in printed
            assert said_so, f"{page.name}: {line!r} is not what came:\n{printed}"
    return count


def _run(words: list[str]) -> tuple[int, str]:
    """(status, what it printed) of `liftflow ...` or `python FILE`, in this process."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            if words[0] == "liftflow":
                with _arguments(words):
                    cli.main()
            elif words[0] == "python" and len(words) == 2:
                with _arguments(words[1:]):
                    runpy.run_path(words[1], run_name="__main__")
            else:
                raise AssertionError(f"cannot run {words}: say in a comment why it is not run")
        except SystemExit as end:
            return int(end.code or 0), printed.getvalue()
    return 0, printed.getvalue()


@contextlib.contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = words
    try:
        yield
    finally:
        sys.argv = before


def _installed(folder: Path, text: str) -> None:
    """What `pip install -e .` leaves: the package's name and its entry points."""
    project = tomllib.loads(text)["project"]
    described = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    described.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (described / "METADATA").write_text(head)
    lines: list[str] = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (described / "entry_points.txt").write_text(os.linesep.join(lines))
