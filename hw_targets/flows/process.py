"""Calls of outside tools: each has a time limit, and ends with all that it started.

A tool runs in a session of its own, so that its whole process group can be ended. The price is
that Ctrl-C does not reach it: whoever waits for tools in threads takes them from `beside`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from hw_targets.errors import LiftFlowError

LAST_LINES = 3
LONGEST = 400
"""Lines and characters of a tool's own words that an error quotes."""
HEAD, TAIL = 1 << 26, 1 << 16
"""Bytes of a log that are looked at: a tool gone wild can write more than fits in memory."""

_running: set[int] = set()


@dataclass(frozen=True)
class Limit:
    """How long a call of a tool may take.

    minutes: None for what the step takes for a hang. more: how to give it more time, one clause.
    """

    minutes: float | None = None
    more: str = "run the same command again"

    @classmethod
    def asked(cls, minutes: float | None, option: str) -> Limit:
        """What a person gave by `option`, as they write it; 0 or None for what is usual."""
        return cls(minutes or None, f"give it more time with {option}")

    def seconds(self, usual_minutes: float) -> float:
        return 60 * (usual_minutes if self.minutes is None else self.minutes)


USUAL = Limit()


class Group:
    """Calls that are ended together, from another thread than theirs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False
        self._leaders: set[int] = set()

    def end(self) -> None:
        """Kill all that run, and whatever is started later."""
        with self._lock:
            self._over = True
            for leader in self._leaders:
                _kill(leader)

    @contextmanager
    def holding(self, leader: int) -> Iterator[None]:
        with self._lock:
            self._leaders.add(leader)
            if self._over:
                _kill(leader)
        try:
            yield
        finally:
            with self._lock:
                self._leaders.discard(leader)


@dataclass(frozen=True)
class Ended:
    """Exit status, negative for a signal, and what went to pipes."""

    status: int
    out: bytes = b""
    err: bytes = b""


def call(
    command: Sequence[str],
    *,
    tool: str,
    where: str,
    cwd: Path | None = None,
    limit: Limit,
    minutes: float,
    log: Path | None = None,
    data: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    group: Group | None = None,
) -> Ended:
    """Run a tool to its end.

    Args:
        tool, where: its name and the step it belongs to, for errors.
        minutes: how long it may take where `limit` says nothing.
        log: file for its output; without one, output and errors come back.
        data: its standard input.
        group: what it may be ended with.

    Raises:
        LiftFlowError: it cannot be started, or its time is over; it is ended then, with every
            process that it started.
    """
    seconds = limit.seconds(minutes)
    with _output(log) as stream:
        process = _start(
            command, tool, cwd, environment, stream or subprocess.PIPE,
            subprocess.STDOUT if stream else subprocess.PIPE,
            subprocess.DEVNULL if data is None else subprocess.PIPE,
        )  # fmt: skip
        try:
            with group.holding(process.pid) if group else nullcontext():
                out, err = process.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise overdue(tool, seconds, limit, where=where, log=log) from None
        finally:
            _running.discard(process.pid)
            if process.returncode is None:
                end(process)
    return Ended(process.returncode, out or b"", err or b"")


def start(
    command: Sequence[str], *, tool: str, cwd: Path | None = None, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """A tool that is talked to through pipes, its errors too without a `log`; `end` ends it.

    Raises:
        LiftFlowError: it cannot be started.
    """
    with _output(log) as stream:
        return _start(
            command, tool, cwd, None, subprocess.PIPE, stream or subprocess.PIPE, subprocess.PIPE
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a tool that was started here, and everything that it started."""
    _kill(process.pid)
    process.wait()
    _running.discard(process.pid)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # what was not written yet has nowhere to go
                pipe.close()


def end_all() -> None:
    """Kill all tools that run: nobody waits for them any more."""
    for leader in tuple(_running):
        _kill(leader)


def _kill(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


@contextmanager
def beside(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that call tools; an interruption ends the tools instead of waiting for them."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield pool
        except Exception:
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


class Watch:
    """Ends a process when the block takes longer than `seconds`; `expired` tells that it did."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.expired = False
        self._process = process
        self._timer = threading.Timer(seconds, self._over)
        self._timer.daemon = True

    def __enter__(self) -> Watch:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def _over(self) -> None:
        self.expired = True
        _kill(self._process.pid)


def overdue(
    tool: str, seconds: float, limit: Limit, *, where: str, log: Path | None = None
) -> LiftFlowError:
    """The error for a tool whose time was over."""
    place = f"; its log is {log}" if log else ""
    return LiftFlowError(
        f"{tool} came to no end in {told(seconds)} and was ended{place}",
        where=where,
        mend=limit.more,
    )


def told(seconds: float) -> str:
    """A span of time in words."""
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"


def died(tool: str, status: int, log: str) -> str:
    """What a tool ended by a signal said last; asks for a negative status."""
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    why = " (too little memory ends processes so)" if -status == signal.SIGKILL else ""
    return f"{tool} was killed by {name}{why}; its last words: {last_lines(log)}"


def last_lines(log: str) -> str:
    """The last lines of a tool's output, on one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return quoted(" | ".join(lines[-LAST_LINES:]), last=True) or "none"


def quoted(text: str, *, last: bool = False) -> str:
    """A tool's words as one may print them: no control characters, no endless line."""
    clean = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    if len(clean) <= LONGEST:
        return clean
    return f"... {clean[-LONGEST:]}" if last else f"{clean[:LONGEST]} ..."


def read_log(path: Path) -> str:
    """A log, of a very long one its beginning and its end."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(len(head), size - TAIL))
        return (head + stream.read(TAIL)).decode(errors="replace")


@contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    if log is None:
        yield None
        return
    with log.open("wb") as stream:
        yield stream


def _start(
    command: Sequence[str],
    tool: str,
    cwd: Path | None,
    environment: Mapping[str, str] | None,
    out: int | IO[bytes],
    err: int | IO[bytes],
    stdin: int,
) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except OSError as error:
        raise LiftFlowError(
            f"{tool} cannot be started: {(error.strerror or str(error)).lower()}",
            where=str(command[0]),
            mend="install it anew, or allow it to be run",
        ) from error
    _running.add(process.pid)
    return process
