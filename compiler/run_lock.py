"""One compilation a folder at a time, also where a killed one left its tools running."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hw_targets.errors import LiftFlowError

LOCK = "run.lock"
PATIENCE = 5.0
"""Seconds for killed processes to be gone."""
MARK = "LIFTFLOW_RUN"
"""Environment variable of everything that a compilation starts: the folder it works in."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """The run's folder for this process alone, until the block ends or the process does.

    Tools that an earlier, killed compilation left behind here are ended first: they would go on
    writing beside the ones started anew.

    Raises:
        LiftFlowError: another compilation works in this folder.
    """
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LiftFlowError(
                f"another compilation works here, process {lock.read().strip() or 'unknown'}",
                where=str(folder),
                mend="wait for it, or give another --output",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        mark = f"{MARK}={folder}"
        _end(mark)
        before = os.environ.get(MARK)
        os.environ[MARK] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ[MARK]
            else:
                os.environ[MARK] = before


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
