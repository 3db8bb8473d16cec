"""Content digests of everything that travels between passes."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_INSTALLED = frozenset({"torch", "torchvision", "brevitas", "passes"})
"""Packages whose versions or sources are part of every key already."""
_LOGS = "logs"
"""Folder of a build plan for what its tools say as they run: seconds and places, no content."""


def digest(value: Any) -> str:
    """SHA-256 of a stage, array, module, file or folder by content: equal content, equal digest.

    Modules count by architecture (printed form, a graph's code, the source of a user's own classes)
    and state, paths by what they point at, logs left out. Raises TypeError for a type whose content
    is not known, rather than guessing.
    """
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()


def digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _feed(state: hashlib._Hash, value: Any) -> None:
    kind = type(value).__name__
    if value is None or isinstance(value, str | bytes | bool | int | float):
        _text(state, f"{kind}:{value!r}")
    elif isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        _text(state, f"array:{array.dtype.str}:{array.shape}")
        state.update(array.tobytes())
    elif isinstance(value, Path):
        _feed_path(state, value)
    elif isinstance(value, Mapping):
        _text(state, f"mapping:{len(value)}")
        for key in sorted(value, key=str):
            _text(state, str(key))
            _feed(state, value[key])
    elif isinstance(value, list | tuple):
        _text(state, f"sequence:{len(value)}")
        for item in value:
            _feed(state, item)
    elif dataclasses.is_dataclass(value):
        _text(state, f"{type(value).__module__}.{kind}")
        for entry in dataclasses.fields(value):
            _text(state, entry.name)
            _feed(state, getattr(value, entry.name))
    else:
        _feed_torch(state, value)


def _feed_torch(state: hashlib._Hash, value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        _feed(state, value.detach().cpu().contiguous().numpy())
    elif isinstance(value, torch.nn.Module):
        _text(state, f"module:{value!r}:{getattr(value, 'code', '')}")
        for source in sorted({_source_of(type(part)) for part in value.modules()}):
            _text(state, source)
        _feed(state, dict(value.state_dict()))
    elif isinstance(value, torch.device | torch.dtype | torch.Size):
        _text(state, repr(value))
    else:
        raise TypeError(f"no digest for {type(value).__module__}.{type(value).__name__}")


def _source_of(kind: type) -> str:
    """Source of a class of the user's own, whose `forward` its printed form does not show."""
    if kind.__module__.partition(".")[0] in _INSTALLED:
        return ""
    try:
        return inspect.getsource(inspect.getmodule(kind) or kind)
    except (OSError, TypeError):
        return ""  # Made at run time: a GraphModule, whose code counts already.


def _feed_path(state: hashlib._Hash, path: Path) -> None:
    if path.is_dir():
        for entry in sorted(item for item in path.rglob("*") if item.is_file()):
            name = entry.relative_to(path)
            if _LOGS not in name.parts[:-1]:
                _text(state, name.as_posix())
                state.update(bytes.fromhex(digest_file(entry)))
    elif path.is_file():
        _text(state, path.name)
        state.update(bytes.fromhex(digest_file(path)))
    else:
        raise FileNotFoundError(path)


def _text(state: hashlib._Hash, text: str) -> None:
    data = text.encode()
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)
