"""`liftflow passes`: the passes in order, each with its options, read from its dataclass."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from compiler.commands.console import out, print_json, table
from hw_targets.errors import LiftFlowError


def list_passes(
    name: Annotated[str | None, typer.Argument(help="One pass, to be told all of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the passes in order with their options and defaults, or tell all of one."""
    import passes

    if name is not None and name not in passes.names():
        raise LiftFlowError(
            f"no such pass {name!r}", where="passes", mend=f"use one of {', '.join(passes.names())}"
        )
    described = [describe(one) for one in ([name] if name else passes.names())]
    if as_json:
        print_json(described if name is None else described[0])
        return
    if name is not None:
        out.print(f"[bold]{name}[/]  {described[0]['takes']} → {described[0]['gives']}")
        out.print(described[0]["help"], highlight=False, markup=False)
        out.print()
    listed = table("pass", "option", "type", "default")
    for one in described:
        for index, option in enumerate(one["options"] or [{"name": "", "type": "", "default": ""}]):
            listed.add_row(
                one["name"] if index == 0 else "",
                option["name"],
                option["type"],
                str(option["default"]),
            )
    out.print(listed)


def describe(name: str) -> dict[str, Any]:
    """What pass `name` takes, gives and does, and its options, as JSON has it."""
    from compiler.pass_source import described

    return described(name) or imported(name)


def imported(name: str) -> dict[str, Any]:
    """The same by the class itself."""
    import passes
    from compiler.api import option_defaults
    from compiler.pipeline import stage_types

    kind = passes.load(name)
    taken, given = stage_types(kind)
    return {
        "name": name,
        "takes": taken.__name__,
        "gives": given.__name__,
        "help": inspect.cleandoc(kind.__doc__ or ""),
        "options": [
            {"name": option, "type": type_name, "default": default}
            for option, (type_name, default) in option_defaults(name).items()
        ],
    }
