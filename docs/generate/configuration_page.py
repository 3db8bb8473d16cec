"""Reference of the configuration: every field with its type, bounds and default."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compiler.config import Config, DataSection, Goals, ModelSection
from compiler.option_help import meanings, summary
from docs.generate.markdown import code, options
from docs.generate.passes_page import toml, type_name

SECTIONS: dict[str, type[BaseModel]] = {
    "": Config,
    "model": ModelSection,
    "data": DataSection,
    "goals": Goals,
}
NOT_IN_FILES = ("base", "file")
"""Fields of `Config` that reading a file fills in."""

HEAD = """\
# Fields of a configuration

Made from the schema that files are checked against; [Configuration](../configuration.md) tells
more of each. A field that is not here is refused, with the names of those that are.

"""
TAIL = """
## [passes.NAME]

The options of pass NAME: [Passes](passes.md).
"""


def page() -> str:
    """The whole page, one section of the file each."""
    return HEAD + "\n".join(section(name) for name in SECTIONS) + TAIL


def section(name: str) -> str:
    """One section of the file."""
    kind = SECTIONS[name]
    fields = fields_of(name)
    told = meanings(kind, kind.model_fields)
    rows = [
        [
            code(field),
            code(_type(info)),
            _default(info),
            told.get(field, "").rstrip(".") + _bounds(info),
        ]
        for field, info in fields.items()
    ]
    title = f"[{name}]" if name else "At the top"
    about = " ".join(summary(kind, kind.model_fields))
    return f"## {title}\n\n{about}\n\n" + options(["field", "type", "default", "what it is"], rows)


def fields_of(name: str) -> dict[str, FieldInfo]:
    """The fields that a file may have in the section."""
    fields = SECTIONS[name].model_fields
    return {field: info for field, info in fields.items() if field not in NOT_IN_FILES}


def _type(info: FieldInfo) -> str:
    hint: Any = info.annotation
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "section"
    return "sections" if typing.get_origin(hint) is dict else type_name(hint)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "must be given"
    if info.default is None or info.default_factory or isinstance(info.default, BaseModel):
        return "left out"
    return code(toml(info.default))


def _bounds(info: FieldInfo) -> str:
    """What is left of a sentence: its full stop, and before it the bounds where there are any."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(bound, name):,}"
        for bound in info.metadata
        for name, sign in signs.items()
        if getattr(bound, name, None) is not None
    ]
    found += [f"matches `{b.pattern}`" for b in info.metadata if getattr(b, "pattern", None)]
    return f"; {', '.join(found)}." if found else "."
