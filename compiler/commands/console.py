"""Where commands print: standard output for answers, standard error for what went wrong.

`out` and `err` are made on first use: what prints JSON or a few plain lines never loads rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    out: Console
    err: Console

PIPED_WIDTH = 160
"""Columns of a table that nobody's terminal limits: enough for the longest names to stay whole."""


@cache
def __getattr__(name: str) -> Any:
    if name not in ("out", "err"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    if name == "err":
        return Console(stderr=True)
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def print_json(value: Any) -> None:
    """`value` as JSON, and nothing else, on standard output."""
    print(json.dumps(value, indent=1))


def table(*heads: str, numbers: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in `numbers` are flush right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for head in heads:
        made.add_column(head, justify="right" if head in numbers else "left", overflow="fold")
    return made


def print_columns(rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> None:
    """A small table at once, without rich; the columns in `numbers` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
