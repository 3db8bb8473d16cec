"""The `liftflow` command: thin, one line for an error, exit status 2 for what a user can mend."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from compiler.commands import boards, cost, explore, export, fit, run, synth
from compiler.commands.console import err, out, table
from hw_targets.errors import LiftFlowError, MissingToolError, VerificationError

app = typer.Typer(
    name="liftflow",
    help="Compile trained PyTorch networks into verified FPGA accelerators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(boards.app, name="boards")
app.command("cost")(cost.cost)
app.command("explore")(explore.explore)
app.command("export")(export.export)
app.command("fit")(fit.fit)
app.command("run")(run.run)
app.command("synth")(synth.synth)

BoardOption = Annotated[
    str | None, typer.Option(help="Board name, or the path of a board's TOML file.")
]


@app.command("compile")
def compile_command(
    config: Annotated[
        Path, typer.Argument(help="TOML file of the compilation, or a QONNX file, .onnx.")
    ],
    board: BoardOption = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second, at least; of a QONNX file.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Share of the board, at most; of a QONNX file.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last pass to run.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of all runs.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Pass option, PASS.OPTION=VALUE; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    dump: Annotated[bool, typer.Option(help="Write every stage as text too.")] = False,
) -> None:
    """Compile a network: prune, quantize, retrain, lower, simulate, synthesize, report."""
    from compiler import report
    from compiler.api import compile_model
    from compiler.instruments import Progress

    goals = {name: value for name, value in (("fps", fps), ("share", share)) if value is not None}
    if config.suffix == ".onnx":
        _compile_qonnx(config, board, goals, until, output, setting or [], seed or 0)
        return
    if goals:
        raise LiftFlowError(
            f"--{next(iter(goals))} is for QONNX files",
            where=str(config),
            mend="set it in the [goals] section",
        )
    result = compile_model(
        config,
        board=board,
        until=until,
        output=output,
        options=parse_settings(setting or []),
        seed=seed,
        dump=dump,
        instruments=[Progress(out)],
    )
    report.show(result.folder, out)
    if result.did_nothing:
        out.print("Nothing to do: every pass was done before, with the same inputs.")


def _compile_qonnx(
    path: Path,
    board: str | None,
    goals: dict[str, float],
    until: str | None,
    output: Path | None,
    settings: list[str],
    seed: int,
) -> None:
    from compiler import report
    from compiler.config import Goals
    from compiler.instruments import Ledger, Progress
    from compiler.qonnx_door import open_qonnx

    entry = open_qonnx(
        path,
        board=board,
        goals=Goals(**goals),
        options=parse_settings(settings),
        until=until,
        output=output,
        seed=seed,
    )
    for note in entry.notes:
        err.print(note, highlight=False)
    result = entry.run([Progress(out), Ledger()], seed)
    report.show(result.folder, out)


@app.command("passes")
def passes_command() -> None:
    """List the passes in order, with their options and defaults."""
    import passes
    from compiler.api import option_defaults

    listed = table("pass", "option", "type", "default")
    for name in passes.ORDER:
        options = option_defaults(name) or {"": ("", "")}
        for index, (option, (kind, default)) in enumerate(options.items()):
            listed.add_row(name if index == 0 else "", option, kind, str(default))
    out.print(listed)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, build/<name>-<board>.")],
) -> None:
    """Show the tables of a finished run."""
    from compiler import report

    report.show(folder, out)


def parse_settings(settings: list[str]) -> dict[str, dict[str, Any]]:
    """`PASS.OPTION=VALUE` (a TOML value, or plain text) as pass -> option -> value."""
    options: dict[str, dict[str, Any]] = {}
    for setting in settings:
        place, equals, text = setting.partition("=")
        name, dot, option = place.strip().partition(".")
        if not (equals and dot and name and option):
            raise LiftFlowError(
                f"cannot read {setting!r}",
                where="--set",
                mend="write PASS.OPTION=VALUE, as in retrain.epochs=20",
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        options.setdefault(name, {})[option] = value
    return options


def main() -> None:
    """Run the command line; every failure a user can mend is one line on standard error."""
    # torch tells of a CUDA compiler without a CUDA driver; nothing here compiles CUDA.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        app()
    except VerificationError as error:
        _fail(f"verification failed: {error}", 3)
    except MissingToolError as error:
        _fail(str(error), 2)
    except LiftFlowError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 130)


def _fail(line: str, status: int) -> None:
    err.print(f"[bold red]error:[/] {_escape(line)}", highlight=False, soft_wrap=True)
    sys.exit(status)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    main()
