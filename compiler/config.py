"""One TOML file is one compilation."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import passes
from hw_targets.errors import LiftFlowError
from passes.base import Pass

DEFAULT_BOARD = "ulx3s-85f"
MOST_SEED = 2**63
"""Seeds below this are taken: what torch's generators hold."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSection(_Section):
    """Which network.

    factory: what makes it, `file.py:function` or `package.module:function`; a class counts as a
    function. weights: its state dict, a .pt, .pth or .th file; None where the factory loads it.
    """

    factory: str
    weights: Path | None = None


class DataSection(_Section):
    """Which data, and the integers that the accelerator takes: round(sample / input_scale).

    source: a built-in name, a loader `file.py:function`, or an .npz. input_bits: of such an
    integer; left out, 8. input_signed: whether it has a sign; left out, where training samples
    have one. input_scale: value of one count; left out, the range of the training samples in so
    many bits.
    """

    source: str
    input_bits: int | None = Field(default=None, ge=2, le=8)
    input_signed: bool | None = None
    input_scale: float | None = Field(default=None, gt=0)


class Goals(_Section):
    """What the design must reach.

    accuracy: least share of test samples classified right, 0 to 1, or R^2 of a regression. fps:
    least frames a second, None for as many as the board gives. share: greatest share of each of
    the board's resources. clock_mhz: the accelerator's clock, None for the board's own default.
    """

    accuracy: float | None = Field(default=None, ge=0, le=1)
    fps: float | None = Field(default=None, gt=0)
    share: float = Field(default=0.7, gt=0, le=1)
    clock_mhz: float | None = Field(default=None, gt=0)


class Config(_Section):
    """A whole compilation.

    name: of the run, whose folder is `build/<name>-<board>`. board: a board's name, or the path of
    its TOML file. seed: of everything random. model: which network. data: which data. goals: what
    the design must reach. passes: pass name -> option -> value. base: folder that relative names
    start from. file: the TOML file it was read from.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    board: str = DEFAULT_BOARD
    seed: int = Field(default=0, ge=0, lt=MOST_SEED)
    model: ModelSection
    data: DataSection
    goals: Goals = Goals()
    passes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    base: Path = Path()
    file: Path | None = None

    def with_options(self, settings: Mapping[str, Mapping[str, Any]]) -> Config:
        """The same compilation with some pass options replaced."""
        merged = {name: dict(options) for name, options in self.passes.items()}
        for name, options in settings.items():
            merged.setdefault(name, {}).update(options)
        return self.model_copy(update={"passes": merged})


def load_config(path: Path) -> Config:
    """Read a compilation from TOML.

    Raises:
        LiftFlowError: the file is missing, not TOML, or a field is unknown or wrong; the first
            such field is named.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise LiftFlowError(
            "no such file", where=str(path), mend="give the TOML file of a compilation"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LiftFlowError(
            f"cannot be read ({error})", where=str(path), mend="give a readable text file"
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LiftFlowError(
            f"not valid TOML: {error}", where=str(path), mend="correct the place it names"
        ) from None
    return parse_config(raw, base=path.resolve().parent, file=path)


def parse_config(raw: Mapping[str, Any], *, base: Path, file: Path | None = None) -> Config:
    """A compilation from plain values, every field checked."""
    where = str(file) if file else "configuration"
    try:
        config = Config(**{**raw, "base": base, "file": file})
    except ValidationError as error:
        raise LiftFlowError(_first(error), where=where, mend=_mend(error)) from None
    except TypeError as error:
        raise LiftFlowError(str(error), where=where) from None
    for name, options in config.passes.items():
        check_options(name, options, where=where)
    return config


def check_options(name: str, options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Options of pass `name`, converted to the types of its fields.

    Raises:
        LiftFlowError: no such pass, no such option, or a value of the wrong type.
    """
    if name not in passes.names():
        raise LiftFlowError(
            f"no such pass {name!r}", where=where, mend=f"use one of {', '.join(passes.names())}"
        )
    kind = passes.load(name)
    fields = option_types(kind)
    converted = {}
    for option, value in options.items():
        if option not in fields:
            raise LiftFlowError(
                f"pass {name} has no option {option!r}",
                where=where,
                mend=f"it has {', '.join(fields) or 'none'}",
            )
        try:
            converted[option] = TypeAdapter(fields[option]).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise LiftFlowError(
                f"option {name}.{option} = {value!r}: {problem}",
                where=where,
                mend=f"its type is {type_name(fields[option])}",
            ) from None
    return converted


def option_types(kind: type[Pass[Any, Any]]) -> dict[str, Any]:
    """Option name -> type, from the pass's dataclass fields."""
    hints = typing.get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}  # type: ignore[arg-type]


def type_name(hint: Any) -> str:
    """A type as options' owners are told of it."""
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        return f"unknown field {place}{more}"
    if problem["type"] == "missing":
        return f"field {place} is missing{more}"
    return f"field {place} = {problem['input']!r}: {problem['msg']}{more}"


def _mend(error: ValidationError) -> str:
    problem = error.errors()[0]
    section: Any = Config
    for part in problem["loc"][:-1]:
        entry = section.model_fields.get(str(part)) if hasattr(section, "model_fields") else None
        section = entry.annotation if entry is not None else None
    if hasattr(section, "model_fields"):
        names = [name for name in section.model_fields if name not in ("base", "file")]
        return f"the fields here are {', '.join(names)}"
    return "see docs/configuration.md"
