"""`liftflow sweep`: many compilations at once, on this machine or a Ray cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import print_json
from compiler.pass_text import parse_settings
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from compiler.sweep import Outcome

SHOWN = ("LUT, measured", "LUT, estimated", "frames/s, measured in RTL", "frames/s, estimated")
"""Figures shown beside the accuracies, of each kind the first there is."""


def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file of the compilation.")],
    board: Annotated[
        list[str] | None, typer.Option(help="Board name or TOML file; may be repeated.")
    ] = None,
    fps: Annotated[
        list[float] | None, typer.Option(help="Least frames a second; may be repeated.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Seed; may be repeated.")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="PASS.OPTION=[VALUE, VALUE]; may be repeated."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last pass to run.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("build/sweep"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Compilations at once; as many as cores.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Ray cluster to use, whose machines share the folders."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile for every board, frame rate, seed and value, each with each; one table of it all.

    Done again, it goes on where it stopped. Exit status 2 where a compilation failed: the table
    says why, and the others are done nevertheless.
    """
    from compiler import store
    from compiler.config import load_config
    from compiler.ray_pool import run
    from compiler.sweep import SWEEP, Outcome, compile_job, grid

    load_config(config)
    jobs = grid(board or [], fps or [], seed or [], parse_settings(vary or []))
    output = output.resolve()
    call = partial(compile_job, config.resolve(), output=output, until=until)
    outcomes = [
        done.result or Outcome(done.item, None, 0.0, error=done.error)
        for done in run(jobs, call, ray, workers)
    ]
    outcomes.sort(key=lambda one: jobs.index(one.job))
    rows = [as_row(one) for one in outcomes]
    output.mkdir(parents=True, exist_ok=True)
    store.write_json(rows, output / SWEEP)
    if as_json:
        print_json(rows)
    else:
        _show(outcomes)
    failed = [one for one in outcomes if one.error]
    if failed:
        raise LiftFlowError(
            f"{len(failed)} of {len(outcomes)} compilations failed",
            where=str(output / SWEEP),
            mend=f"the first: {failed[0].error}",
        )


def as_row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it."""
    return {
        **dataclasses.asdict(outcome.job),
        "folder": str(outcome.folder) if outcome.folder else None,
        "seconds": round(outcome.seconds, 1),
        "figures": outcome.figures,
        "error": outcome.error or None,
    }


def _show(outcomes: Sequence[Outcome]) -> None:
    from rich.text import Text

    from compiler.commands.compare import figure_text
    from compiler.commands.console import out, table

    scores = dict.fromkeys(
        name for one in outcomes for name in one.figures if name.startswith(("accuracy", "R^2"))
    )
    numbers = (*scores, "LUT", "frames/s", "s")
    listed = table("compilation", *numbers, "failed", numbers=numbers)
    for one in outcomes:
        found = [one.figures.get(name) for name in scores]
        for kind in ("LUT", "frames/s"):
            told = (one.figures.get(name) for name in SHOWN if name.startswith(kind))
            found.append(next((value for value in told if value is not None), None))
        cells = [figure_text(value) for value in found]
        listed.add_row(
            Text(one.job.label), *cells, f"{one.seconds:.0f}", Text(one.error, style="red")
        )
    out.print(listed)
