"""Stages on disk: written whole or not at all, with paths relative to the run's folder."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any


class _Pickler(pickle.Pickler):
    def __init__(self, stream: Any, root: Path) -> None:
        super().__init__(stream, protocol=5)
        self._root = root

    def persistent_id(self, item: Any) -> str | None:
        if isinstance(item, Path) and item.is_relative_to(self._root):
            return item.relative_to(self._root).as_posix()
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, root: Path) -> None:
        super().__init__(stream)
        self._root = root

    def persistent_load(self, name: str) -> Path:
        return self._root / name


def save(value: Any, path: Path, root: Path) -> None:
    """Pickle `value` to `path`; paths below `root` move with the folder."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        _Pickler(stream, root).dump(value)
    partial.replace(path)


def load(path: Path, root: Path) -> Any:
    """What `save` wrote. Only ever called on files of a run folder of this machine's user."""
    with path.open("rb") as stream:
        return _Unpickler(stream, root).load()


def write_json(value: Any, path: Path) -> None:
    """Write JSON atomically, keys in the order given."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
