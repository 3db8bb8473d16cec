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
    """What pass `name` of run `root` gave. Raises LiftFlowError if it has not run there."""
    root = root.resolve()
    return store.load(pass_folder(root, name) / "stage.pkl", root)


def options(root: Path, name: str) -> dict[str, Any]:
    """Options that pass `name` of run `root` had. Raises LiftFlowError if it has not run there."""
    record = json.loads((pass_folder(root, name) / "pass.json").read_text())
    return dict(record["options"])
