"""Finds what a configuration names: `file.py:function` or `package.module:function`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hw_targets.errors import LiftFlowError


def locate(spec: str, base: Path) -> Callable[..., Any]:
    """The callable named by `spec`; files are looked up relative to the folder `base`.

    Raises:
        LiftFlowError: `spec` is malformed, what it names does not exist, or importing it fails.
    """
    source, separator, attribute = spec.rpartition(":")
    if not separator or not source or not attribute:
        raise LiftFlowError(
            f"{spec!r} names no function",
            mend="write file.py:function or package.module:function",
        )
    with importable(base):
        module = _from_file(spec, base / source) if source.endswith(".py") else _from_name(source)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise LiftFlowError(
            f"{source} has no {attribute!r}",
            where=spec,
            mend=f"it defines {_public_names(module)}",
        ) from None
    if not callable(found):
        raise LiftFlowError(
            f"{attribute!r} is of type {type(found).__name__}, not a function or class",
            where=spec,
        )
    result: Callable[..., Any] = found
    return result


def call(spec: str, base: Path) -> Any:
    """What the callable named by `spec` returns when called without arguments.

    Raises:
        LiftFlowError: as `locate`, or the callable raises.
    """
    function = locate(spec, base)
    try:
        with importable(base):
            return function()
    except LiftFlowError:
        raise
    except (Exception, SystemExit) as error:
        raise LiftFlowError(f"calling it raised {brief(error)}", where=spec) from error


def brief(error: BaseException, limit: int = 200) -> str:
    """`error` in one line of at most about `limit` characters."""
    text = " ".join(str(error).split())
    if len(text) > limit:
        text = text[:limit].rstrip() + " ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets a user's file import its neighbours while it is loaded or called."""
    entry = str(folder.resolve())
    _forget_namesakes(Path(entry))
    _opened.add(Path(entry))
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


_opened: set[Path] = set()
"""Folders whose files may have been imported under their plain names."""


def _forget_namesakes(folder: Path) -> None:
    """Another folder's model.py, imported by its neighbour, is not this folder's model.py."""
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        elsewhere = file.parent in _opened and file.parent != folder
        if elsewhere and name == file.stem and (folder / file.name).is_file():
            del sys.modules[name]


def _from_file(spec: str, path: Path) -> ModuleType:
    if not path.is_file():  # Of a path with a NUL in it, too, which resolve() cannot take.
        raise LiftFlowError(f"no such file: {path}", where=spec, mend="check the path")
    path = path.resolve()
    # A name of its own for every path: two users' model.py must not shadow each other, and
    # objects pickled in this process need the module to be found under its name.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module_spec = spec_from_file_location(name, path)
    assert module_spec is not None  # a .py file always has a spec and a loader
    assert module_spec.loader is not None
    module = module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        with importable(path.parent):
            module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise LiftFlowError(f"importing it raised {brief(error)}", where=str(path)) from error
    return module


def _from_name(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise LiftFlowError(
                f"no module named {name!r}",
                mend="install the package, or write file.py:function for a file",
            ) from None
        raise LiftFlowError(f"importing it raised {brief(error)}", where=name) from error
    except (Exception, SystemExit) as error:
        raise LiftFlowError(f"importing it raised {brief(error)}", where=name) from error


def _public_names(module: ModuleType, most: int = 5) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    ]
    if not own:
        return "no function or class"
    return ", ".join(own[:most]) + (", ..." if len(own) > most else "")
