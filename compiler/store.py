"""Stages on disk: written whole or not at all, with paths relative to the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class _Pickler(pickle.Pickler):
    def __init__(self, stream: Any, root: Path) -> None:
        super().__init__(stream, protocol=5)
        self._root = root
        self.products: set[Path] = set()

    def persistent_id(self, item: Any) -> str | None:
        if isinstance(item, Path) and item.is_relative_to(self._root):
            self.products.add(item)
            return item.relative_to(self._root).as_posix()
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, root: Path) -> None:
        super().__init__(stream)
        self._root = root

    def persistent_load(self, name: str) -> Path:
        return self._root / name


def save(value: Any, path: Path, root: Path) -> dict[str, str]:
    """Pickle `value` to `path`; paths below `root` move with the folder.

    Returns:
        Checksums of `path` and of the files and folders that `value` names, by their place below
        `root`: what `whole` asks for.
    """
    with _whole_or_not(path) as partial, partial.open("wb") as stream:
        pickler = _Pickler(stream, root)
        pickler.dump(value)
        stream.flush()
        os.fsync(stream.fileno())
    named = sorted({path, *pickler.products})
    return {item.relative_to(root).as_posix(): checksum(item) for item in named}


def checksum(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder.

    Raises:
        OSError: there is nothing at `path`, or it cannot be read.
    """
    state = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_dir():
            state.update(file.relative_to(path).as_posix().encode() + b"\0")
            with file.open("rb") as stream:
                state.update(hashlib.file_digest(stream, "sha256").digest())
    return state.hexdigest()


def whole(checksums: Mapping[str, str], root: Path) -> bool:
    """Whether all that `save` gave checksums of is there and as it was."""
    try:
        return all(checksum(root / name) == said for name, said in checksums.items())
    except OSError:
        return False


def load(path: Path, root: Path) -> Any:
    """What `save` wrote. Only ever called on files of a run folder of this machine's user."""
    with path.open("rb") as stream:
        return _Unpickler(stream, root).load()


def write_json(value: Any, path: Path) -> None:
    """Write JSON atomically, keys in the order given."""
    with _whole_or_not(path) as partial:
        partial.write_text(json.dumps(value, indent=1) + "\n")


@contextmanager
def _whole_or_not(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place in the end; after a failure nothing is left."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
