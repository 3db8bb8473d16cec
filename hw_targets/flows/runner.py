"""Runs one step of a build plan: skipped when nothing changed, logged, its failure quoted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw_targets.errors import LiftFlowError
from hw_targets.flows import process
from hw_targets.flows.process import Group, Limit

if TYPE_CHECKING:
    from hw_targets.flows.plan import Step

_ERROR_LINE = re.compile(r"\berror\b\s*[:\]]|^\s*fatal", re.IGNORECASE)


def run_step(step: Step, folder: Path, say: Callable[[str], None], limit: Limit) -> None:
    """Run `step` in `folder` unless its stamp says that it has been done.

    A step that fails leaves its log and none of its products.

    Raises:
        LiftFlowError: the tool failed, crashed, came to no end, or left a product out or one that
            is none; quotes its error and the log's path.
    """
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    stamp = logs / f"{step.name}.json"
    key = _key(step, folder)
    if _is_done(stamp, key, folder):
        say(f"{step.name}: unchanged")
        return
    stamp.unlink(missing_ok=True)
    try:
        _attempt(step, folder, logs / f"{step.name}.log", say, limit)
    except BaseException:
        for product in step.products:
            (folder / product).unlink(missing_ok=True)
        raise
    products = {name: _digest(folder / name) for name in step.products}
    stamp.write_text(json.dumps({"key": key, "products": products}, indent=2) + "\n")


def error_line(log: str) -> str:
    """The line of a tool's log that says what went wrong, or its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    found = [line for line in lines if _ERROR_LINE.search(line)]
    return process.quoted((found or lines or ["no output"])[0 if found else -1])


@dataclass(frozen=True)
class _Tried:
    """An attempt that came to an end. text: of its log."""

    status: int
    text: str
    absent: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.status == 0 and not self.absent

    def worth_another(self, step: Step) -> bool:
        """Is it a failure that another attempt may do without?"""
        again = step.retry_on is not None and re.search(step.retry_on, self.text) is not None
        return again and self.status >= 0


def _attempt(step: Step, folder: Path, log: Path, say: Callable[[str], None], limit: Limit) -> None:
    """Make the products, by the earliest attempt that can."""
    tried, before = _try(step, 0, folder, log, limit), 0
    others = _beside if step.beside else _in_turn
    with closing(others(step, folder, log, limit)) as rest:
        while not tried.good:
            before += 1
            if before == len(step.attempts) or not tried.worth_another(step):
                raise _failed(step, tried, log)
            say(f"{step.name}: attempt {before} of {len(step.attempts)}: {error_line(tried.text)}")
            tried = next(rest)
    _check(step, folder, log)


def _in_turn(step: Step, folder: Path, log: Path, limit: Limit) -> Generator[_Tried, None, None]:
    """All attempts but the first, each when it is asked for."""
    for index in range(1, len(step.attempts)):
        yield _try(step, index, folder, log, limit)


def _beside(step: Step, folder: Path, log: Path, limit: Limit) -> Generator[_Tried, None, None]:
    """All attempts but the first at the same time, each in a folder of its own.

    What the last one that is asked for made is in `folder`; those behind it are ended.
    """
    group = Group()
    places = [folder / "attempts" / f"{step.name}-{i + 1}" for i in range(len(step.attempts))]

    def attempt(index: int) -> _Tried:
        place = places[index]
        shutil.rmtree(place, ignore_errors=True)
        for name in step.inputs:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            _same_file(folder / name, place / name)
        return _try(step, index, place, place / "log", limit, group)

    with process.beside(max(1, min(len(places) - 1, os.cpu_count() or 1))) as pool:
        coming = [pool.submit(attempt, index) for index in range(1, len(places))]
        try:
            for place, tried in zip(places[1:], coming, strict=True):
                found = tried.result()
                (place / "log").replace(log)
                for name in step.products if found.good else ():
                    (place / name).replace(folder / name)
                yield found
        except GeneratorExit:
            pass  # the others are not wanted any more
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            group.end()
    shutil.rmtree(folder / "attempts", ignore_errors=True)


def _same_file(source: Path, target: Path) -> None:
    """A second name of a file; no symbolic link, which tools in WebAssembly do not follow out."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without
        shutil.copyfile(source, target)


def _try(
    step: Step, index: int, folder: Path, log: Path, limit: Limit, group: Group | None = None
) -> _Tried:
    """One attempt in `folder`. Raises LiftFlowError: it cannot start, or its time is over."""
    for product in step.products:
        (folder / product).parent.mkdir(parents=True, exist_ok=True)
        (folder / product).unlink(missing_ok=True)
    status = process.call(
        step.tool.command(step.attempts[index]),
        tool=step.tool.name,
        where=step.name,
        cwd=folder,
        limit=limit,
        minutes=step.minutes,
        log=log,
        group=group,
    ).status
    absent = tuple(name for name in step.products if not _there(folder / name))
    return _Tried(status, process.read_log(log), absent)


def _failed(step: Step, tried: _Tried, log: Path) -> LiftFlowError:
    tool, mend = step.tool.name, f"the log is {log}"
    if tried.status < 0:
        what = process.died(tool, tried.status, tried.text)
    else:
        reason = error_line(tried.text) if tried.status else f"left no {', '.join(tried.absent)}"
        what = f"{tool} failed: {reason}"
    return LiftFlowError(what, where=step.name, mend=mend)


def _there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _check(step: Step, folder: Path, log_path: Path) -> None:
    """Look at the products before the step counts as done: a later run would not look again."""
    for name, check in step.checks.items():
        try:
            check(folder / name)
        except LiftFlowError as error:
            raise LiftFlowError(
                f"{step.tool.name} left a {name} that is none: {error.what}",
                where=step.name,
                mend=f"run the same command again; the log is {log_path}",
            ) from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def _key(step: Step, folder: Path) -> str:
    parts = [step.tool.name, step.tool.version, repr(step.attempts)]
    parts += [f"{name}:{_digest(folder / name)}" for name in sorted(step.inputs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_done(stamp: Path, key: str, folder: Path) -> bool:
    if not stamp.is_file():
        return False
    try:
        done = json.loads(stamp.read_text())
        products = dict(done["products"])
    except (ValueError, KeyError, TypeError):
        return False  # cut off while being written: do the step again
    return done.get("key") == key and all(
        _digest(folder / name) == digest != "absent" for name, digest in products.items()
    )
