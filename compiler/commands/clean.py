"""`liftflow clean`: removes what runs left, and nothing that is not a run's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from compiler.commands.console import print_columns
from compiler.run_lock import LOCK, exclusive
from hw_targets.errors import LiftFlowError

_PASS_FOLDER = re.compile(r"\d\d-[a-z0-9-]+")
STARTED = "started"
"""What the pipeline puts first into a pass's folder."""

OWN_FILES = ("report.json", "report.html", "verification.json", "explore.json", LOCK)
"""Files of a run beside its passes' folders."""

BUILD = "plan"
"""Folder in which `liftflow synth` builds; it holds plan.json."""


def clean(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs' folders; none lists them.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("build"),
    everything: Annotated[bool, typer.Option("--all", help="Every run in that folder.")] = False,
    since: Annotated[
        str | None, typer.Option("--from", help="Only this pass and those behind it.")
    ] = None,
) -> None:
    """Remove what runs left, or list it: pass folders and reports, nothing else beside them."""
    if not runs and not everything:
        if since is not None:
            raise LiftFlowError("--from is of a run", where="clean", mend="name the run, or --all")
        _list(output)
        return
    chosen = runs or _runs(output)
    for run in chosen:
        if not pass_folders(run):
            raise LiftFlowError("no run is here", where=str(run), mend="give the folder of a run")
    for run in chosen:
        with exclusive(run.resolve()):
            freed = remove(run, since)
        print(f"{run}: {size_text(freed)} freed")


def pass_folders(run: Path) -> list[Path]:
    """Folders of the passes of a run, in their order; none where there is no run."""
    if not run.is_dir():
        return []
    return sorted(
        path
        for path in run.iterdir()
        if _PASS_FOLDER.fullmatch(path.name)
        and not path.is_symlink()
        and (path / STARTED).is_file()
    )


def remove(run: Path, since: str | None = None) -> int:
    """Remove a run, or its passes from `since` on; the bytes that became free.

    Raises:
        LiftFlowError: the run has no such pass.
    """
    gone = pass_folders(run)
    if since is not None:
        names = [path.name[3:] for path in gone]
        if since not in names:
            raise LiftFlowError(
                f"no pass {since!r} ran here", where=str(run), mend=f"use one of {', '.join(names)}"
            )
        gone = gone[names.index(since) :]
    gone += [path for path in [run / BUILD] if (path / "plan.json").is_file()]
    files = [run / name for name in OWN_FILES if (run / name).is_file()]
    freed = sum(map(_size, gone)) + sum(path.stat().st_size for path in files)
    for path in files:
        path.unlink()
    for path in reversed(gone):
        shutil.rmtree(path)
    if not any(run.iterdir()):
        run.rmdir()
    return freed


def size_text(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _runs(output: Path) -> list[Path]:
    if not output.is_dir():
        raise LiftFlowError("no such folder", where=str(output), mend="give it with --output")
    return [path for path in sorted(output.iterdir()) if pass_folders(path)]


def _list(output: Path) -> None:
    rows = [("run", "passes", "size")]
    for run in _runs(output):
        folders = pass_folders(run)
        rows.append((str(run), str(len(folders)), size_text(sum(map(_size, folders)))))
    print_columns(rows, numbers=(1, 2))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
