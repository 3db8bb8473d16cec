"""`liftflow run`: samples through a compiled network on its board, or on the simulated board."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import err, out, print_json
from hw_targets.errors import LiftFlowError, MissingToolError, VerificationError

if TYPE_CHECKING:
    from hw_targets.shells.driver import Batch
    from hw_targets.shells.simulator import SimulatedBoard
    from hw_targets.shells.terminal import BoardTerminal

SIMULATED_TIMEOUT = 120.0
"""Seconds to wait for an answer of a simulated board: whole networks need some for a frame."""


def run(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, build/<name>-<board>.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help=".npy files of one sample or a batch, as the network takes them. Default: the "
            "test samples of the deployment, whose answers are compared with the model's."
        ),
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="Serial port of the board, such as /dev/ttyUSB0.")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate the whole board at its pins instead.")
    ] = False,
    divider: Annotated[
        int | None, typer.Option(help="Clock cycles a bit of the simulated line; at least 4.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for an answer; 2 on a board.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run samples on the board: answers, throughput, latency.

    The board must carry the run's bitstream; that is checked before a sample is sent.
    """
    if simulate == (port is not None):
        raise LiftFlowError("give one of --port and --simulate", where="run")
    if divider is not None and divider < 4:
        raise LiftFlowError(f"--divider is {divider}", where="run", mend="use at least 4")
    deployed = _deployment(folder)
    model = json.loads((deployed / "model.json").read_text())
    expected = None if images else json.loads((deployed / "expected.json").read_text())
    files = images or [deployed / "samples.npy"]
    with _line(folder, port, divider) as line:
        batch = _infer(line, model, files, timeout or (SIMULATED_TIMEOUT if simulate else 2.0))
    right = None if expected is None else _agreeing(batch, expected)
    if as_json:
        print_json(_as_json(batch, model, right))
    else:
        for result in batch.results:
            print(result.text(model))
        out.print(batch.summary(model) + (" (simulated)" if simulate else ""), highlight=False)
        if right is not None:
            out.print(f"{right} of {len(batch.results)} answers are the model's", highlight=False)
    if right is not None and right < len(batch.results):
        raise VerificationError(
            f"{right} of {len(batch.results)} answers are the model's",
            where=port or "simulated board",
            mend="keep the run folder for a report",
        )


def _deployment(folder: Path) -> Path:
    """Folder of what goes to the board's host.

    Raises:
        LiftFlowError: the run did not come so far, or its board has no serial shell of ours.
    """
    from compiler import runs
    from compiler.stages import Deployment

    deployment: Deployment = runs.stage(folder, "package")
    made = deployment.implementation
    if made.baud is None:
        whose = "driver.py of the deployment" if made.flow == "vivado-rtl" else "FINN's driver"
        raise LiftFlowError(
            f"{made.board} has no serial line of ours",
            where=str(folder),
            mend=f"run {whose} on the board itself: {deployment.folder / 'README.md'}",
        )
    return deployment.folder


def _line(
    folder: Path, port: str | None, divider: int | None
) -> AbstractContextManager[str | BoardTerminal]:
    """The port given, or the terminal of a simulated board."""
    if port is not None:
        return nullcontext(port)
    from hw_targets.shells.terminal import BoardTerminal

    with err.status("compiling the simulated board"):
        return BoardTerminal(_simulated(folder, divider))


def _simulated(folder: Path, divider: int | None) -> SimulatedBoard:
    """The run's simulated board: what `synthesize` compiled, where that can be used."""
    from compiler import runs
    from hw_targets.boards import load_board
    from hw_targets.shells.accelerator import Accelerator
    from hw_targets.shells.shell import Shell
    from hw_targets.shells.simulator import (
        DIVIDER,
        FOLDER,
        build_simulator,
        built_simulator,
    )

    design = runs.stage(folder, "synthesize").design
    options = runs.options(folder, "synthesize")
    unit = Accelerator.read(design.folder, design.network.classes)
    shell = Shell(load_board(options["board"]), unit, options["clock_mhz"], options["baud"])
    made = built_simulator(shell, design.folder, runs.pass_folder(folder, "synthesize") / FOLDER)
    if made is not None and divider in (None, DIVIDER):
        return made
    obj = folder / FOLDER
    return build_simulator(shell, design.folder, obj, divider=divider or DIVIDER)


def _infer(
    line: str | BoardTerminal, model: dict[str, Any], files: Sequence[Path], timeout: float
) -> Batch:
    from hw_targets.shells.driver import infer_files
    from hw_targets.shells.protocol import ProtocolError

    port = line if isinstance(line, str) else line.path
    try:
        return infer_files(port, model, files, timeout)
    except ImportError as error:
        raise MissingToolError(
            "pyserial is missing", where="run", mend="pip install 'liftflow[board]'"
        ) from error
    except ValueError as error:
        raise LiftFlowError(str(error), where="run") from error
    except (OSError, ProtocolError) as error:
        raise LiftFlowError(str(error), where=port, mend="check port, cable and power") from error


def _agreeing(batch: Batch, expected: Sequence[Any]) -> int:
    """Answers that are what the model gives: a class, or a list of outputs."""
    wanted = [tuple(each) if isinstance(each, list) else (each,) for each in expected]
    return sum(result.outputs == each for result, each in zip(batch.results, wanted, strict=True))


def _as_json(batch: Batch, model: dict[str, Any], right: int | None) -> dict[str, Any]:
    count = len(batch.results)
    return {
        "answers": [list(result.outputs) for result in batch.results],
        "latency_us": [result.cycles / model["clock_mhz"] for result in batch.results],
        "samples": count,
        "seconds": batch.seconds,
        "samples_per_second": count / batch.seconds,
        "agreeing": right,
    }
