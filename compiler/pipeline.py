"""Runs passes in order; caches by content, resumes where an earlier run stopped.

Each pass has a folder `NN-<pass>` in the run's folder with its products, `stage.pkl` (what it
gave) and `pass.json` (key, digest, options, checks, seconds). `pass.json` is written last: a
folder without it was interrupted, and is taken up again when its key still fits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
import sys
import time
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from compiler import store
from compiler.digest import digest, digest_file
from compiler.instruments import Instrument, Instruments
from compiler.run_lock import exclusive
from compiler.stages import Dataset
from hw_targets.boards import board_path
from hw_targets.errors import LiftFlowError
from passes._distributed import ALONE, Team, call
from passes.base import Check, Context, Pass

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class PassRecord:
    """What became of one pass in a run."""

    name: str
    folder: Path
    key: str
    digest: str
    seconds: float
    cached: bool
    options: dict[str, Any]
    tools: dict[str, str]
    checks: tuple[Check, ...]


@dataclass
class RunResult:
    """A finished run: its folder, a record a pass, and the stages, read when asked for."""

    folder: Path
    records: list[PassRecord] = field(default_factory=list)
    _stages: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def did_nothing(self) -> bool:
        """True when every pass was found done already."""
        return all(record.cached for record in self.records)

    def __contains__(self, name: str) -> bool:
        return any(record.name == name for record in self.records)

    def stage(self, name: str) -> Any:
        """The stage that pass `name` gave. Raises KeyError if the run did not reach it."""
        if name not in self._stages:
            record = next((r for r in self.records if r.name == name), None)
            if record is None:
                raise KeyError(name)
            self._stages[name] = store.load(record.folder / "stage.pkl", self.folder)
        return self._stages[name]

    @property
    def last(self) -> Any:
        """The stage the last pass of the run gave."""
        return self.stage(self.records[-1].name)


class Pipeline:
    """Passes in order. Raises TypeError when a pass does not take what the one before it gives."""

    def __init__(self, passes: Sequence[Pass[Any, Any]]) -> None:
        self.passes = tuple(passes)
        for before, after in zip(self.passes, self.passes[1:], strict=False):
            given, taken = stage_types(type(before))[1], stage_types(type(after))[0]
            if not issubclass(given, taken):
                raise TypeError(
                    f"{after.name} takes {taken.__name__}, "
                    f"but {before.name} before it gives {given.__name__}"
                )

    def until(self, name: str | None) -> Pipeline:
        """The same pipeline, ending with pass `name`."""
        if name is None:
            return self
        names = [entry.name for entry in self.passes]
        if name not in names:
            raise LiftFlowError(
                f"no such pass {name!r}", where="--until", mend=f"use one of {', '.join(names)}"
            )
        return Pipeline(self.passes[: names.index(name) + 1])

    def run(
        self,
        model: Any,
        data: Dataset,
        folder: Path,
        *,
        seed: int = 0,
        device: str = "cpu",
        instruments: Sequence[Instrument] = (),
        team: Team = ALONE,
    ) -> RunResult:
        """Run every pass that is not done yet, in `folder`, alone there among processes.

        A run that is refused before any pass leaves no folder.

        team: the processes that torchrun started, of which this is the first.

        Raises whatever a pass raises; what was finished before stays, and the next run goes on
        from there.
        """
        folder = folder.resolve()
        with exclusive(folder):
            return self._run(model, data, folder, seed, device, instruments, team)

    def _run(
        self,
        model: Any,
        data: Dataset,
        folder: Path,
        seed: int,
        device: str,
        instruments: Sequence[Instrument],
        team: Team,
    ) -> RunResult:
        watch = Instruments(instruments)
        result = RunResult(folder)
        base = digest((digest(data), seed, device))
        contexts = [
            Context(
                workdir=folder / f"{index:02d}-{entry.name}",
                data=data,
                seed=seed,
                device=device,
                say=watch.say,
            )
            for index, entry in enumerate(self.passes, 1)
        ]
        carried = digest(model)
        current: Any = model
        watch.start(self.passes, folder)
        try:
            refused = False
            for place, (entry, context) in enumerate(zip(self.passes, contexts, strict=True)):
                key = cache_key(entry, carried, base)
                record = _finished(entry, context.workdir, key, folder)
                if record is None:
                    if not refused:
                        self._refuse(contexts, start=len(result.records))
                        refused = True
                    if current is None:
                        current = result.stage(result.records[-1].name)
                        self._foresee(current, start=place)
                    watch.before(entry, context)
                    record, current = _execute(entry, current, context, key, folder, team)
                    result._stages = {entry.name: current}
                else:
                    current = None
                result.records.append(record)
                carried = record.digest
                watch.after(entry, record, None if record.cached else current)
                if current is not None:
                    self._foresee(current, start=place + 1)
        finally:
            watch.end(result)
        return result

    def _refuse(self, contexts: Sequence[Context], start: int) -> None:
        """Let every pass still to run say now whether it can run here at all."""
        for entry, context in list(zip(self.passes, contexts, strict=True))[start:]:
            entry.refuse(context)

    def _foresee(self, stage: Any, start: int) -> None:
        """Let every pass still to run say whether it will refuse what comes of this stage."""
        for entry in self.passes[start:]:
            entry.foresee(stage)


def stage_types(kind: type[Pass[Any, Any]]) -> tuple[type, type]:
    """(what a pass takes, what it gives), read from its `Pass[In, Out]` base."""
    for base in getattr(kind, "__orig_bases__", ()):
        if typing.get_origin(base) is Pass:
            taken, given = typing.get_args(base)
            return taken, given
    raise TypeError(f"{kind.__name__} does not say its stages: derive from Pass[In, Out]")


def options_of(entry: Pass[Any, Any]) -> dict[str, Any]:
    """The pass's options as plain values."""
    return dataclasses.asdict(entry)  # type: ignore[call-overload, no-any-return]


def tool_versions(entry: Pass[Any, Any]) -> dict[str, str]:
    """Distribution -> version of the tools the pass uses; "missing" where not installed."""
    return {name: _version(name) for name in entry.tools}


def cache_key(entry: Pass[Any, Any], carried: str, base: str) -> str:
    """Key of a pass: options, input digest, data and seed, tool versions, its own sources."""
    module = type(entry).__module__
    sources = tuple(source_digest(name) for name in (module, *entry.uses))
    options = {
        name: value for name, value in options_of(entry).items() if name not in entry.unkeyed
    }
    files = [digest_file(path) for path in map(_file_of, options, options.values()) if path]
    return digest((entry.name, options, files, carried, base, tool_versions(entry), sources))


def _file_of(option: str, value: Any) -> Path | None:
    """The file that an option names, a user's own board: its content counts, not its name."""
    if option == "board" and value:
        return board_path(value)
    named = isinstance(value, str) and value.endswith((".toml", ".npy"))
    return Path(value) if named and Path(value).is_file() else None


@cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


@cache
def source_digest(module: str) -> str:
    """Digest of a module's or package's sources, code and data files alike, wherever they lie."""
    place = _ROOT.joinpath(*module.split("."))
    if not (place.is_dir() or place.with_suffix(".py").is_file()):
        place = Path(getattr(sys.modules.get(module), "__file__", None) or place).with_suffix("")
    files = (
        sorted(p for p in place.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        if place.is_dir()
        else [place.with_suffix(".py")]
    )
    state = hashlib.sha256()
    for path in files:
        if path.is_file():
            state.update(path.relative_to(place.parent).as_posix().encode())
            state.update(bytes.fromhex(digest_file(path)))
    return state.hexdigest()


def _finished(entry: Pass[Any, Any], folder: Path, key: str, root: Path) -> PassRecord | None:
    """The record of a pass that is done, and whose products are as it left them."""
    try:
        note = json.loads((folder / "pass.json").read_bytes())
        if note["key"] != key or not store.whole(note["sha256"], root):
            return None
        return PassRecord(
            name=entry.name,
            folder=folder,
            key=key,
            digest=note["digest"],
            seconds=note["seconds"],
            cached=True,
            options=note["options"],
            tools=note["tools"],
            checks=tuple(Check(**check) for check in note["checks"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # Not there, cut off, or of another version.


def _short_of_memory(error: RuntimeError) -> str | None:
    """Where torch found too little memory, "GPU" or "machine"; None for another error."""
    text = str(error).lower()
    # By name, as importing torch would cost seconds. Libraries of CUDA's own have their own words.
    cuda = type(error).__name__ == "OutOfMemoryError" or "cuda error: out of memory" in text
    if cuda or "cublas_status_alloc_failed" in text:
        return "GPU"
    return "machine" if "defaultcpuallocator: can't allocate memory" in text else None


def _execute(
    entry: Pass[Any, Any], model: Any, context: Context, key: str, root: Path, team: Team
) -> tuple[PassRecord, Any]:
    folder = context.workdir
    started = folder / "started"
    (folder / "pass.json").unlink(missing_ok=True)
    if not (started.is_file() and started.read_text() == key):
        # Not an interrupted run of the same thing: nothing in here can be of use.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started.write_text(key)
    began = time.monotonic()
    try:
        stage = call(entry, model, context, team)
    except RuntimeError as error:
        place = _short_of_memory(error)
        if place is None:
            raise
        lower = f"lower {entry.name}.batch" if "batch" in options_of(entry) else ""
        elsewhere = "set CUDA_VISIBLE_DEVICES= to compile on the CPU" if place == "GPU" else ""
        mends = ", or ".join(filter(None, (lower, elsewhere)))
        raise LiftFlowError(
            f"the {place} has too little memory",
            where=entry.name,
            mend=mends or "use a smaller network or data set",
        ) from error
    seconds = time.monotonic() - began
    checksums = store.save(stage, folder / "stage.pkl", root)
    record = PassRecord(
        name=entry.name,
        folder=folder,
        key=key,
        digest=digest(stage),
        seconds=seconds,
        cached=False,
        options=json.loads(json.dumps(options_of(entry), default=str)),
        tools=tool_versions(entry),
        checks=tuple(context.checks),
    )
    note = {
        "pass": entry.name,
        "key": key,
        "digest": record.digest,
        "sha256": checksums,
        "seconds": round(seconds, 3),
        "options": record.options,
        "tools": record.tools,
        "checks": [dataclasses.asdict(check) for check in record.checks],
    }
    store.write_json(note, folder / "pass.json")
    return record, stage
