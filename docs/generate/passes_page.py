"""Reference of the passes: what each takes, gives and does, and its options."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any

import passes
from compiler.config import option_types
from compiler.option_help import meanings, summary
from compiler.pipeline import stage_types
from docs.generate import markdown
from docs.generate.markdown import code

HEAD = """\
# Passes

The passes in the order they run. An option is set in the section `[passes.<name>]` of the
[configuration](../configuration.md), or with `--set <name>.<option>=<value>`. Options called
`board`, `clock_mhz`, `fps`, `share` and `least_accuracy` are filled in from the compilation's board
and goals.

"""
GOALS = ("board", "clock_mhz", "fps", "share", "least_accuracy")


def page() -> str:
    """The whole page, one section for each of LiftFlow's own passes."""
    return HEAD + "\n".join(section(name) for name in passes.ORDER)


def section(name: str) -> str:
    """One pass."""
    kind = passes.load(name)
    taken, given = stage_types(kind)
    options = option_types(kind)
    about = "\n\n".join(summary(kind, options))
    text = f"## {name}\n\n`{taken.__name__}` → `{given.__name__}`\n\n{about}\n\n"
    return text + (_options(kind, options) if options else "It has no options.\n")


def _options(kind: type[Any], types: dict[str, Any]) -> str:
    told = meanings(kind, types)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    rows = [
        [
            code(name),
            code(type_name(hint)),
            _default(kind, name, defaults[name]),
            told.get(name, ""),
        ]
        for name, hint in types.items()
    ]
    return markdown.options(["option", "type", "default", "what it is"], rows)


def type_name(hint: Any) -> str:
    """A type as one meets it in a TOML file: `float`, `[int]`; None is an option left out."""
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(toml, typing.get_args(hint)))
    kinds = [kind for kind in typing.get_args(hint) if kind not in (type(None), ...)]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return ", ".join(map(type_name, kinds))
    if typing.get_origin(hint) in (tuple, list):
        return f"[{type_name(kinds[0])}]"
    return "path" if hint is Path else hint.__name__


def _default(kind: type[Any], option: str, default: object) -> str:
    if option in GOALS and kind.goals_with is None:
        return "the compilation's"
    return "left out" if default is None else code(toml(default))


def toml(value: object) -> str:
    """A default as a TOML file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)
