"""Where commands print: standard output for answers, standard error for what went wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 160
"""Columns of a table that nobody's terminal limits: enough for the longest names to stay whole."""

out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """`value` as JSON, and nothing else, on standard output."""
    print(json.dumps(value, indent=1))


def table(*heads: str, numbers: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in `numbers` are flush right."""
    made = Table(box=None, pad_edge=False)
    for head in heads:
        made.add_column(head, justify="right" if head in numbers else "left", overflow="fold")
    return made
