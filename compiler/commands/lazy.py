"""The commands by name, each imported when it is called: help need not load what it lists."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer._click import Command, Context, HelpFormatter
from typer.core import TyperCommand, TyperGroup

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Compile": {
        "init": ("init:init", "Write the TOML file of a compilation, with comments."),
        "compile": ("compile:compile_network", "Compile a network, from pruning to bitstream."),
        "sweep": ("sweep:sweep", "Compile for many boards, goals, seeds and options."),
        "report": ("report:report", "Show the tables of a finished run."),
        "explain": ("explain:explain", "Tell what the network looks at, and why its bits."),
        "compare": ("compare:compare", "Put runs side by side."),
    },
    "Ask before": {
        "cost": ("cost:cost", "Price a layer or a network."),
        "fit": ("fit:fit", "Find the boards that hold a network."),
        "explore": ("explore:explore", "Find the designs that no other beats."),
    },
    "Build and run": {
        "synth": ("synth:synth", "Build the bitstream, here, elsewhere or as an archive."),
        "run": ("run:run", "Send samples through a board, or through its simulation."),
        "export": ("export:export", "Write the quantized network of a run as a file."),
    },
    "The house": {
        "boards": ("boards:app", "List the boards LiftFlow knows, or show one."),
        "passes": ("passes:list_passes", "List the passes, or the options of one."),
        "doctor": ("doctor:doctor", "Look which tools are here, and what a missing one costs."),
        "clean": ("clean:clean", "Remove what runs left."),
    },
}
"""Group -> command -> (module of this package and what of it, one line of help)."""

PLACES = {name: entry for group in COMMANDS.values() for name, entry in group.items()}


def load(name: str) -> Command:
    """The command called `name`, with its options. Raises KeyError if there is none."""
    module, _, attribute = PLACES[name][0].partition(":")
    found: Any = getattr(import_module(f"compiler.commands.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return _command_of(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return _command_of(alone)


def _command_of(app: typer.Typer) -> Command:
    return typer.main.get_command(app)


class LazyGroup(TyperGroup):
    """A group of `PLACES`; a command's module is imported only when the command is resolved."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in PLACES.items():
            self.add_command(TyperCommand(name, help=line, short_help=line))

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in PLACES else found, rest

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for group, entries in COMMANDS.items():
            with formatter.section(group):
                formatter.write_dl([(name, line) for name, (_, line) in entries.items()])
