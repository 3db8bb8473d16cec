"""Finished runs on disk: folders, options and stages of their passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compiler import store
from hw_targets.errors import LiftFlowError


def pass_folder(root: Path, name: str) -> Path:
    """The folder of a finished pass of run `root`: the newest, where passes have changed places.

    Raises:
        LiftFlowError: the pass has not run there.
    """
    found = sorted(root.glob(f"[0-9][0-9]-{name}/pass.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise LiftFlowError(
            f"pass {name} has not run here",
            where=str(root),
            mend=f"give the folder of a run, build/<name>-<board>, that came to {name}",
        )
    return found[-1].parent


def stage(root: Path, name: str) -> Any:
    """What pass `name` of run `root` gave.

    Raises:
        LiftFlowError: it has not run there, or what it left was changed since.
    """
    root = root.resolve()
    folder = pass_folder(root, name)
    if not store.whole(_record(folder).get("sha256", {}), root):
        raise LiftFlowError(
            "was changed since the pass left it", where=str(folder), mend="compile again"
        )
    return store.load(folder / "stage.pkl", root)


def options(root: Path, name: str) -> dict[str, Any]:
    """Options that pass `name` of run `root` had. Raises LiftFlowError if it has not run there."""
    return dict(_record(pass_folder(root, name))["options"])


def _record(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "pass.json").read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise LiftFlowError(
            f"cannot be read ({error})", where=str(folder / "pass.json"), mend="compile again"
        ) from None
