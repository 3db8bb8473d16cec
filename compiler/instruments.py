"""Progress, timing, dumps and the verification ledger: watch passes from outside."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler import store

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from compiler.pipeline import PassRecord, RunResult
    from passes.base import Context, Pass


class Instrument:
    """Hooks round passes; override what is needed."""

    def start(self, passes: Sequence[Pass[Any, Any]], folder: Path) -> None:
        """Before the first pass."""

    def before(self, entry: Pass[Any, Any], context: Context) -> None:
        """Before a pass runs (not called for one found done)."""

    def say(self, text: str, share: float | None) -> None:
        """A pass tells how far it is."""

    def after(self, entry: Pass[Any, Any], record: PassRecord, stage: Any) -> None:
        """After a pass ran or was found done; `stage` is None in the latter case."""

    def end(self, result: RunResult) -> None:
        """After the last pass, or after a failure."""


class Instruments(Instrument):
    """Several instruments as one."""

    def __init__(self, members: Iterable[Instrument]) -> None:
        self._members = tuple(members)

    def start(self, passes: Sequence[Pass[Any, Any]], folder: Path) -> None:
        for member in self._members:
            member.start(passes, folder)

    def before(self, entry: Pass[Any, Any], context: Context) -> None:
        for member in self._members:
            member.before(entry, context)

    def say(self, text: str, share: float | None = None) -> None:
        for member in self._members:
            member.say(text, share)

    def after(self, entry: Pass[Any, Any], record: PassRecord, stage: Any) -> None:
        for member in self._members:
            member.after(entry, record, stage)

    def end(self, result: RunResult) -> None:
        for member in self._members:
            member.end(result)


class Progress(Instrument):
    """A line a pass on the console, with a live status line and the time left on a terminal.

    How much is told is the level of the logger `liftflow`: every word of a pass at debug, the
    passes at info, nothing above.
    """

    def __init__(self, console: Console) -> None:
        level = logging.getLogger("liftflow").getEffectiveLevel()
        self._console = console
        self._lines = level <= logging.INFO
        self._words = level <= logging.DEBUG
        self._live = self._lines and console.is_terminal
        self._status: Status | None = None
        self._name = ""
        self._count = 0
        self._total = 0
        self._began = 0.0

    def start(self, passes: Sequence[Pass[Any, Any]], folder: Path) -> None:
        self._total = len(passes)
        self._count = 0

    def before(self, entry: Pass[Any, Any], context: Context) -> None:
        self._name = entry.name
        self._began = time.monotonic()
        if self._live:
            self._status = self._console.status(f"[bold]{entry.name}")
            self._status.start()

    def say(self, text: str, share: float | None) -> None:
        percent = "" if share is None else f" {share:4.0%}"
        if self._words:
            self._console.print(f"      {self._name}:{percent} {text}", highlight=False)
        if self._status is not None:
            elapsed = time.monotonic() - self._began
            timing = f"{elapsed:.0f} s{time_left(elapsed, share)}"
            self._status.update(f"[bold]{self._name}[/]{percent}  {text}  [dim]{timing}")

    def after(self, entry: Pass[Any, Any], record: PassRecord, stage: Any) -> None:
        self._stop()
        self._count += 1
        if not self._lines:
            return
        place = f"[dim]{self._count:2d}/{self._total}[/]"
        proofs = len(record.checks)
        proven = f"[green]{proofs} checked[/]" if proofs else ""
        spent = "[dim]done before[/]" if record.cached else f"{record.seconds:6.1f} s"
        self._console.print(f"{place} {entry.name:<14} {spent:>8}  {proven}", highlight=False)

    def end(self, result: RunResult) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


LEAST_SHARE = 0.05
"""Of a pass that must be done before its time left is guessed."""


def time_left(elapsed: float, share: float | None) -> str:
    """The words for what is left of a pass, `share` done in `elapsed` s; none while a guess."""
    if share is None or not LEAST_SHARE <= share < 1.0:
        return ""
    left = elapsed * (1.0 - share) / share
    return f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left"


class Dumps(Instrument):
    """Writes each stage as readable text, `dump.txt` in the pass's folder."""

    def after(self, entry: Pass[Any, Any], record: PassRecord, stage: Any) -> None:
        if stage is not None:
            (record.folder / "dump.txt").write_text(describe(stage) + "\n")


class Ledger(Instrument):
    """Writes `verification.json`: every claim proven on the way, pass by pass."""

    def end(self, result: RunResult) -> None:
        if result.did_nothing:
            return
        ledger = {
            record.name: [dataclasses.asdict(check) for check in record.checks]
            for record in result.records
        }
        store.write_json(ledger, result.folder / "verification.json")


class Timing(Instrument):
    """Keeps the seconds of every pass that ran, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def after(self, entry: Pass[Any, Any], record: PassRecord, stage: Any) -> None:
        if not record.cached:
            self.seconds[entry.name] = record.seconds


def describe(value: Any, indent: str = "") -> str:
    """A stage as text: one field a line, arrays by shape, modules by their printed form."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        lines = [type(value).__name__]
        for entry in dataclasses.fields(value):
            inner = describe(getattr(value, entry.name), indent + "  ")
            lines.append(f"{indent}  {entry.name}: {inner}")
        return "\n".join(lines)
    if isinstance(value, dict):
        lines = [f"{len(value)} entries"]
        lines += [f"{indent}  {key}: {describe(value[key], indent + '  ')}" for key in value]
        return "\n".join(lines)
    if isinstance(value, tuple | list) and any(dataclasses.is_dataclass(v) for v in value):
        return "\n".join(["", *(f"{indent}  - {describe(v, indent + '    ')}" for v in value)])
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Path):
        return value.name
    return str(value).replace("\n", "\n" + indent + "  ")
