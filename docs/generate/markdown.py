"""Markdown as text: tables whose cells may hold anything."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; bars and line ends in cells are taken care of."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def options(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose last column tells of the others: the style sheet keeps it wide."""
    return f'<div class="options" markdown>\n\n{table(heads, rows)}\n</div>\n'


def code(text: str) -> str:
    """`text` as code, or nothing where it is empty."""
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    """Bars in code are code; elsewhere they would begin a cell."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if at % 2 else part.replace("|", "\\|") for at, part in enumerate(parts))
