"""Runs one step of a build plan: skipped when nothing changed, logged, its failure quoted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hw_targets.errors import LiftFlowError
from hw_targets.flows import process
from hw_targets.flows.process import Limit

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


def _attempt(
    step: Step, folder: Path, log_path: Path, say: Callable[[str], None], limit: Limit
) -> None:
    tool, mend = step.tool.name, f"the log is {log_path}"
    for index, arguments in enumerate(step.attempts, 1):
        for product in step.products:
            (folder / product).parent.mkdir(parents=True, exist_ok=True)
            (folder / product).unlink(missing_ok=True)
        status = process.call(
            step.tool.command(arguments),
            tool=tool,
            where=step.name,
            cwd=folder,
            limit=limit,
            minutes=step.minutes,
            log=log_path,
        ).status
        log = process.read_log(log_path)
        if status < 0:
            raise LiftFlowError(process.died(tool, status, log), where=step.name, mend=mend)
        absent = [name for name in step.products if not _there(folder / name)]
        if status == 0 and not absent:
            _check(step, folder, log_path)
            return
        again = step.retry_on is not None and re.search(step.retry_on, log) is not None
        if again and index < len(step.attempts):
            say(f"{step.name}: attempt {index} of {len(step.attempts)}: {error_line(log)}")
            continue
        reason = error_line(log) if status else f"left no {', '.join(absent)}"
        raise LiftFlowError(f"{tool} failed: {reason}", where=step.name, mend=mend)


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
