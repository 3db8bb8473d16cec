"""Reference of the Python interface: what `compiler` exports, stages, and what a pass is."""

from __future__ import annotations

import compiler

HEAD = """\
# Python

`import compiler` costs nothing: what it exports is loaded on first use.

"""
OTHERS = {
    "Stages": ("compiler.stages",),
    "Passes of your own": ("passes.base.Pass", "passes.base.Context", "passes.base.Check"),
    "Boards": ("hw_targets.boards.load_board", "hw_targets.boards.Board"),
    "Errors": ("hw_targets.errors",),
}
"""Heading -> what a pass or a script of one's own meets beside `compiler`'s exports."""


def page() -> str:
    """Directives of mkdocstrings, which reads the sources."""
    text = HEAD + "## compiler\n\n"
    for name in compiler.__all__:
        if compiler._HOMES[name] != "hw_targets.errors":
            text += _directive(f"{compiler._HOMES[name]}.{name}", level=3)
    for heading, names in OTHERS.items():
        text += f"## {heading}\n\n"
        for name in names:
            text += _directive(name, level=3)
    return text


def _directive(name: str, level: int) -> str:
    return f"::: {name}\n    options:\n      heading_level: {level}\n\n"
