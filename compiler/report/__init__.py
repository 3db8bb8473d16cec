"""The report of a run: `report.json` (versioned schema), `report.html`, and the closing table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compiler import store
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from rich.console import Console

    from compiler.config import Goals
    from compiler.pipeline import RunResult
    from compiler.report.schema import Report
    from compiler.stages import Dataset
    from hw_targets.boards import Board

JSON_NAME = "report.json"
HTML_NAME = "report.html"


def write(
    result: RunResult, *, board: Board, goals: Goals, data: Dataset, command: str | None = None
) -> None:
    """Write both report files into the run's folder, unless they tell of this very run already."""
    from compiler.report.build import build_report, fingerprint, insight_of
    from compiler.report.html import render

    if result.did_nothing:
        try:
            same = load(result.folder).fingerprint == fingerprint(result)
            if same and (result.folder / HTML_NAME).is_file():
                return
        except LiftFlowError:
            pass  # Missing or of another version: made anew below.
    report = build_report(result, board=board, goals=goals, data=data, command=command)
    store.write_json(report.model_dump(mode="json", by_alias=True), result.folder / JSON_NAME)
    partial = result.folder / (HTML_NAME + ".partial")
    partial.write_text(render(report, insight_of(result)))
    partial.replace(result.folder / HTML_NAME)


def load(folder: Path) -> Report:
    """Read a run's report.json.

    Raises:
        LiftFlowError: there is none, or it is of another schema.
    """
    from pydantic import ValidationError

    from compiler.report.schema import Report

    path = folder / JSON_NAME
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError:
        raise LiftFlowError(
            "no report here", where=str(folder), mend="give the folder of a finished run"
        ) from None
    except ValidationError as error:
        raise LiftFlowError(
            f"not a report of this version ({error.error_count()} fields differ)",
            where=str(path),
            mend="compile again",
        ) from None


def show(folder: Path, console: Console) -> None:
    """Print the tables of a run's report."""
    from compiler.report.terminal import print_report

    print_report(load(folder), folder, console)
