"""Runs one step of a build plan: skipped when nothing changed, logged, its failure quoted."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from hw_targets.flows.plan import Step

_ERROR_LINE = re.compile(r"\berror\b\s*[:\]]|^\s*fatal", re.IGNORECASE)


def run_step(step: Step, folder: Path, say: Callable[[str], None]) -> None:
    """Run `step` in `folder` unless its stamp says that it has been done.

    Raises:
        LiftFlowError: the tool failed or left a product out; quotes its error and the log's path.
    """
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    stamp = logs / f"{step.name}.json"
    key = _key(step, folder)
    if _is_done(stamp, key, folder):
        say(f"{step.name}: unchanged")
        return
    stamp.unlink(missing_ok=True)
    _attempt(step, folder, logs / f"{step.name}.log", say)
    products = {name: _digest(folder / name) for name in step.products}
    stamp.write_text(json.dumps({"key": key, "products": products}, indent=2) + "\n")


def error_line(log: str) -> str:
    """The line of a tool's log that says what went wrong, or its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    found = [line for line in lines if _ERROR_LINE.search(line)]
    return (found or lines or ["no output"])[0 if found else -1]


def _attempt(step: Step, folder: Path, log_path: Path, say: Callable[[str], None]) -> None:
    for index, arguments in enumerate(step.attempts, 1):
        for product in step.products:
            (folder / product).parent.mkdir(parents=True, exist_ok=True)
            (folder / product).unlink(missing_ok=True)
        with log_path.open("wb") as log_file:
            status = subprocess.run(
                step.tool.command(arguments),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        log = log_path.read_text(errors="replace")
        absent = [name for name in step.products if not (folder / name).is_file()]
        if status == 0 and not absent:
            return
        again = step.retry_on is not None and re.search(step.retry_on, log) is not None
        if again and index < len(step.attempts):
            say(f"{step.name}: attempt {index} of {len(step.attempts)}: {error_line(log)}")
            continue
        reason = error_line(log) if status else f"left no {', '.join(absent)}"
        raise LiftFlowError(
            f"{step.tool.name} failed: {reason}", where=step.name, mend=f"the log is {log_path}"
        )


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
    return done["key"] == key and all(
        _digest(folder / name) == digest != "absent" for name, digest in products.items()
    )
