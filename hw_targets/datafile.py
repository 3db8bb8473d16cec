"""Reading small TOML data files into frozen schemas, every fault told in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hw_targets.errors import LiftFlowError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        LiftFlowError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LiftFlowError(
            f"cannot be read: {error}", where=str(path), mend="name a readable TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LiftFlowError(
            f"not TOML: {error}", where=str(path), mend="correct the line it names"
        ) from error


def validated(schema: type[Model], values: dict[str, Any], path: Path) -> Model:
    """`values` as a `schema`.

    Raises:
        LiftFlowError: a field is missing, unknown or of the wrong kind; names file and field.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise LiftFlowError(
            f"{field}: {first['msg']}", where=str(path), mend=f"correct {field} in this file"
        ) from error


def unknown_name(kind: str, name: str, known: Sequence[str]) -> LiftFlowError:
    """The error for a name that is not among `known`: lists the nearest ones, or all."""
    near = get_close_matches(name.lower(), known, n=4, cutoff=0.5) or list(known)
    return LiftFlowError(f"no {kind} called {name!r}", mend=f"known: {', '.join(near)}")
