"""`liftflow compile`: the whole way, or a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import err, out, print_json
from compiler.pass_text import parse_passes, parse_settings
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from compiler.pipeline import RunResult
    from passes._distributed import Team

BoardOption = Annotated[
    str | None, typer.Option(help="Board name, or the path of a board's TOML file.")
]


def compile_network(
    config: Annotated[
        Path, typer.Argument(help="TOML file of the compilation, or a QONNX file, .onnx.")
    ],
    board: BoardOption = None,
    fps: Annotated[
        float | None, typer.Option(help="Of a QONNX file: frames a second, at least.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Of a QONNX file: share of the board, at most.")
    ] = None,
    outputs: Annotated[
        bool,
        typer.Option("--outputs", help="Of a QONNX file: its outputs are the answer, no class."),
    ] = False,
    until: Annotated[str | None, typer.Option(help="Last pass to run.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of all runs.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Pass option, PASS.OPTION=VALUE; may be repeated."),
    ] = None,
    passes: Annotated[
        str | None,
        typer.Option(
            help="Passes to run, not all: 'NAME{OPTION=VALUE,...},NAME'; prepare is understood."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random.")
    ] = None,
    dump: Annotated[bool, typer.Option(help="Write every stage as text too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile a network: prune, quantize, retrain, lower, simulate, synthesize, report.

    Interrupted, the same command goes on where it stopped; done, it does nothing. Under torchrun
    its processes train and attribute together.
    """
    from passes._distributed import dismiss, serve, started

    with started() as team:
        if not team.first:
            serve(team)
            return
        _compile(
            config,
            board,
            fps,
            share,
            until,
            output,
            setting,
            passes,
            seed,
            dump,
            outputs,
            as_json,
            team,
        )
        dismiss(team)


def _compile(
    config: Path,
    board: str | None,
    fps: float | None,
    share: float | None,
    until: str | None,
    output: Path | None,
    setting: list[str] | None,
    passes: str | None,
    seed: int | None,
    dump: bool,
    outputs: bool,
    as_json: bool,
    team: Team,
) -> None:
    from compiler import report
    from compiler.api import compile_model
    from compiler.instruments import Progress

    goals = {name: value for name, value in (("fps", fps), ("share", share)) if value is not None}
    options = parse_settings(setting or [])
    if config.suffix == ".onnx":
        if passes is not None:
            raise LiftFlowError(
                "--passes is for TOML files", where=str(config), mend="give --until instead"
            )
        result = _from_qonnx(config, board, goals, options, until, output, seed or 0, dump, outputs)
    elif outputs:
        raise LiftFlowError(
            "--outputs is for QONNX files",
            where=str(config),
            mend="give the data set outputs instead of classes (docs/regression.md)",
        )
    elif goals:
        raise LiftFlowError(
            f"--{next(iter(goals))} is for QONNX files",
            where=str(config),
            mend="set it in the [goals] section",
        )
    else:
        result = compile_model(
            config,
            board=board,
            until=until,
            output=output,
            options=options,
            passes=None if passes is None else parse_passes(passes),
            seed=seed,
            dump=dump,
            instruments=[Progress(err)],
            team=team,
        )
    if as_json:
        print_json(report.load(result.folder).model_dump(mode="json", by_alias=True))
        return
    report.show(result.folder, out)
    if result.did_nothing:
        out.print("Nothing to do: every pass was done before, with the same inputs.")


def _from_qonnx(
    path: Path,
    board: str | None,
    goals: dict[str, float],
    options: dict[str, dict[str, Any]],
    until: str | None,
    output: Path | None,
    seed: int,
    dump: bool,
    outputs: bool,
) -> RunResult:
    from compiler.config import Goals
    from compiler.instruments import Dumps, Ledger, Progress
    from compiler.qonnx_door import open_qonnx

    entry = open_qonnx(
        path,
        board=board,
        goals=Goals(**goals),
        options=options,
        until=until,
        output=output,
        seed=seed,
        outputs=outputs,
    )
    for note in entry.notes:
        err.print(note, highlight=False)
    return entry.run([Progress(err), Ledger(), *([Dumps()] if dump else [])], seed)
