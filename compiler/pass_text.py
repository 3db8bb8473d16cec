"""Passes and their options as text: `NAME{OPTION=VALUE,...},NAME` and `PASS.OPTION=VALUE`."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError

Settings = dict[str, dict[str, Any]]

_PASS = re.compile(r"(?P<name>[A-Za-z0-9_-]+)\s*(?:\{(?P<options>.*)\})?", re.DOTALL)
_OPENING, _CLOSING = "{[", "}]"


def parse_settings(settings: Sequence[str]) -> Settings:
    """`PASS.OPTION=VALUE` (a TOML value, or plain text) as pass -> option -> value.

    Raises:
        LiftFlowError: a setting has another form.
    """
    found: Settings = {}
    for setting in settings:
        place, equals, text = setting.partition("=")
        name, dot, option = place.strip().partition(".")
        if not (equals and dot and name and option):
            raise LiftFlowError(
                f"cannot read {setting!r}",
                where="--set",
                mend="write PASS.OPTION=VALUE, as in retrain.epochs=20",
            )
        found.setdefault(name, {})[option] = _value(text)
    return found


def parse_passes(text: str) -> Settings:
    """`attribute{samples=128},prune-filters{macs=0.6}` as pass -> option -> value, in that order.

    Raises:
        LiftFlowError: the text has another form, or names a pass twice.
    """
    found: Settings = {}
    for part in _split(text):
        match = _PASS.fullmatch(part)
        if match is None:
            raise _unreadable(part)
        name, options = match["name"], match["options"]
        if name in found:
            raise LiftFlowError(f"{name} is there twice", where="--passes", mend="name it once")
        found[name] = {}
        for pair in _split(options) if options and options.strip() else ():
            option, equals, value = pair.partition("=")
            if not (equals and option.strip()):
                raise _unreadable(part)
            found[name][option.strip()] = _value(value)
    return found


def reproduce(
    file: Path,
    board: str | None,
    options: Mapping[str, Mapping[str, Any]],
    passes: Mapping[str, Mapping[str, Any]] | None,
    until: str | None,
    seed: int | None,
) -> str:
    """The command line of a compilation with these arguments, for a POSIX shell."""
    words = ["liftflow", "compile", str(file)]
    for flag, value in (("--board", board), ("--until", until), ("--seed", seed)):
        if value is not None:
            words += [flag, str(value)]
    for name, chosen in options.items():
        for option, value in chosen.items():
            words += ["--set", f"{name}.{option}={json.dumps(value)}"]
    if passes is not None:
        words += ["--passes", ",".join(_as_text(*one) for one in passes.items())]
    return shlex.join(words)


def _as_text(name: str, options: Mapping[str, Any]) -> str:
    inner = ",".join(f"{option}={json.dumps(value)}" for option, value in options.items())
    return f"{name}{{{inner}}}" if inner else name


def _split(text: str) -> Iterator[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    depth, quote, start = 0, "", 0
    for index, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        elif sign == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
    if depth or quote:
        raise _unreadable(text)
    yield text[start:].strip()


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return read["value"] if len(read) == 1 else text.strip()


def _unreadable(part: str) -> LiftFlowError:
    return LiftFlowError(
        f"cannot read {part!r}",
        where="--passes",
        mend="write NAME{OPTION=VALUE,...},NAME, as in attribute{samples=128},prune-filters",
    )
