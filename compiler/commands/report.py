"""`liftflow report`: the tables of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compiler.commands.console import out, print_json


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, build/<name>-<board>.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Show the tables of a finished run."""
    from compiler import report

    if as_json:
        print_json(report.load(folder).model_dump(mode="json", by_alias=True))
    else:
        report.show(folder, out)
