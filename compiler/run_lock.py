"""One compilation a folder at a time, also where a killed one left its tools running."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hw_targets.errors import LiftFlowError

LOCK = "run.lock"
TRIES = 100
"""To make a folder that another process keeps removing."""
PATIENCE = 5.0
"""Seconds for killed processes to be gone."""
MARK = "LIFTFLOW_RUN"
"""Environment variable of everything that a compilation starts: the folder it works in."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """The run's folder for this process alone, until the block ends or the process does.

    It is made where it is missing. If the block leaves nothing in it, it is removed again: a
    compilation that was refused is no run.

    Tools that an earlier, killed compilation left behind here are ended first: they would go on
    writing beside the ones started anew.

    Raises:
        LiftFlowError: another compilation works in this folder.
    """
    missing = [each for each in folder.parents if not each.exists()]
    with _locked(folder) as lock:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        _end(f"{MARK}={folder}")
        before = os.environ.get(MARK)
        os.environ[MARK] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ[MARK]
            else:
                os.environ[MARK] = before
            _remove_unused(folder, missing)


def _locked(folder: Path) -> TextIO:
    """The folder's lock, taken. Raises LiftFlowError where another process has it."""
    path = folder / LOCK
    for left in reversed(range(TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        except (FileNotFoundError, FileExistsError):
            if left:
                continue  # Another process removed the folder, unused, between two steps of ours.
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
            raise LiftFlowError(
                f"another compilation works here, process {holder}",
                where=str(folder),
                mend="wait for it, or give another --output",
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()  # Its file was removed meanwhile: it keeps nobody out.
    raise FileNotFoundError(errno.ENOENT, "is removed again and again", str(folder))


def _remove_unused(folder: Path, missing: Sequence[Path]) -> None:
    """Remove a folder that holds its lock alone, with the parents that were made for it."""
    with suppress(OSError):  # It is gone, holds something, or is not to be written to.
        if {each.name for each in folder.iterdir()} <= {LOCK}:
            (folder / LOCK).unlink(missing_ok=True)
            for each in (folder, *missing):
                each.rmdir()


def _end(mark: str) -> None:
    """Kill what carries the mark, and wait until it is gone: a write under way comes to its end."""
    until = time.monotonic() + PATIENCE
    while (left := _marked(mark)) and time.monotonic() < until:
        for process in left:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    """Processes of this user that carry the mark; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = entry.stat().st_uid == os.getuid()
            marks = (entry / "environ").read_bytes().split(b"\0") if ours else []
        except OSError:
            continue  # It ended meanwhile.
        if mark.encode() in marks and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found
