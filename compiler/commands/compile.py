"""`liftflow compile`: the whole way, or a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compiler.commands.console import err, out, print_json
from compiler.pass_text import parse_passes, parse_settings

BoardOption = Annotated[
    str | None, typer.Option(help="Board name, or the path of a board's TOML file.")
]


def compile_network(
    config: Annotated[Path, typer.Argument(help="TOML file of the compilation.")],
    board: BoardOption = None,
    until: Annotated[str | None, typer.Option(help="Last pass to run.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of all runs.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Pass option, PASS.OPTION=VALUE; may be repeated."),
    ] = None,
    passes: Annotated[
        str | None,
        typer.Option(
            help="Passes to run, not all: 'NAME{OPTION=VALUE,...},NAME'; prepare is understood."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random.")
    ] = None,
    dump: Annotated[bool, typer.Option(help="Write every stage as text too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile a network: prune, quantize, retrain, lower, simulate, synthesize, report.

    Interrupted, the same command goes on where it stopped; done, it does nothing.
    """
    from compiler import report
    from compiler.api import compile_model
    from compiler.instruments import Progress

    result = compile_model(
        config,
        board=board,
        until=until,
        output=output,
        options=parse_settings(setting or []),
        passes=None if passes is None else parse_passes(passes),
        seed=seed,
        dump=dump,
        instruments=[Progress(err)],
    )
    if as_json:
        print_json(report.load(result.folder).model_dump(mode="json", by_alias=True))
        return
    report.show(result.folder, out)
    if result.did_nothing:
        out.print("Nothing to do: every pass was done before, with the same inputs.")
