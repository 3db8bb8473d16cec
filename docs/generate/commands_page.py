"""Reference of the command line: every command with its arguments and options."""

from __future__ import annotations

import typer
from typer._click import Command, Context
from typer.core import TyperGroup

from compiler.cli import app
from compiler.commands.lazy import COMMANDS, load
from docs.generate.markdown import code, table

HEAD = """\
# Command line

What `liftflow COMMAND --help` says of every command; [Commands](../commands.md) tells of exit
statuses, sweeps and passes as text.

"""


def page() -> str:
    """The whole page, grouped as `liftflow --help` is."""
    text = HEAD + section("liftflow", typer.main.get_command(app), level=2)
    for group, entries in COMMANDS.items():
        text += f"\n## {group}\n"
        for name in entries:
            text += "\n" + section(f"liftflow {name}", load(name))
    return text


def section(name: str, command: Command, level: int = 3) -> str:
    """One command, and those below it, unless they have sections of their own."""
    context = Context(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    told = " ".join((command.help or "").split())
    rows = [
        [code(record[0]), record[1]]
        for record in (entry.get_help_record(context) for entry in command.get_params(context))
        if record is not None
    ]
    text = f"{'#' * level} {name}\n\n{told}\n\n```text\n{' '.join(usage.split())}\n```\n\n"
    text += table(["argument or option", "what it is"], rows)
    if isinstance(command, TyperGroup) and level > 2:
        for below, entry in command.commands.items():
            text += "\n" + section(f"{name} {below}", entry, level + 1)
    return text
