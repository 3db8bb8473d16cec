"""The `liftflow` command: thin, one line for an error, an exit status that scripts can go by.

Statuses: 0 done; 1 a defect of LiftFlow's own, with its traceback; 2 something the user can mend;
3 a stage does not compute what the stage before it computes; 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from compiler.commands.lazy import LazyGroup
from hw_targets.errors import LiftFlowError, VerificationError

MENDABLE, UNPROVEN, INTERRUPTED = 2, 3, 130
LEVELS = ("debug", "info", "warning", "error")

app = typer.Typer(
    name="liftflow",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from compiler import __version__

        print(f"liftflow {__version__}")
        raise typer.Exit


@app.callback()
def liftflow(
    log_level: Annotated[
        str | None,
        typer.Option(
            help="debug, info, warning or error; info on a terminal, warning when piped.",
            metavar="LEVEL",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Compile trained PyTorch networks into verified FPGA accelerators.

    Exit status: 0 done, 1 a defect of LiftFlow, 2 something to mend (one line says what),
    3 verification failed, 130 interrupted.
    """
    if log_level is None:
        log_level = "info" if sys.stderr.isatty() else "warning"
    if log_level not in LEVELS:
        raise LiftFlowError(
            f"no level {log_level!r}", where="--log-level", mend=f"use one of {', '.join(LEVELS)}"
        )
    logging.basicConfig(format="%(name)s: %(message)s", level=log_level.upper())
    logging.getLogger("liftflow").setLevel(log_level.upper())
    # torch tells of a CUDA compiler without a CUDA driver; nothing here compiles CUDA.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def main() -> None:
    """Run the command line; every failure a user can mend is one line on standard error."""
    try:
        with _interrupted_by_signals():
            status = app(prog_name="liftflow", standalone_mode=False)
    except VerificationError as error:
        _fail(f"verification failed: {error}", UNPROVEN)
    except LiftFlowError as error:
        _fail(str(error), MENDABLE)
    except NoArgsIsHelpError as error:
        print(error.format_message())
        sys.exit(MENDABLE)
    except ClickException as error:
        _fail(_usage(error), MENDABLE)
    except OSError as error:
        _fail(_of_system(error), MENDABLE)
    except MemoryError as error:
        _fail(f"not enough memory: {error}; use a smaller network, batch or data set", MENDABLE)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    if status == INTERRUPTED:
        _fail("interrupted; the same command goes on where it stopped", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """What ends the command ends the tools it runs, which are no part of its process group."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # As nohup sets it, it stays ignored; torchrun's processes end at once when one fails.
    ends = () if "TORCHELASTIC_RUN_ID" in os.environ else (signal.SIGTERM, signal.SIGHUP)
    taken = [number for number in ends if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _usage(error: ClickException) -> str:
    """What is wrong with the arguments, and which help tells more."""
    what = error.format_message().strip().rstrip(".")
    context = error.ctx if isinstance(error, UsageError) else None
    path = context.command_path if context else "liftflow"
    return f"{what}; see {path} --help"


def _of_system(error: OSError) -> str:
    """A file that cannot be read or written, a full disk: what the system says, and the mend."""
    mends = {
        errno.ENOSPC: "free some space; the same command goes on where it stopped",
        errno.EDQUOT: "free some space; the same command goes on where it stopped",
        errno.EROFS: "give another folder with --output",
        errno.EACCES: "give a folder that may be written, with --output, or a readable file",
    }
    place = f"{error.filename}: " if error.filename else ""
    mend = mends.get(error.errno or 0, "check the path")
    return f"{place}{(error.strerror or str(error)).lower()}; {mend}"


def _fail(line: str, status: int) -> None:
    typer.secho("error:", fg="red", bold=True, nl=False, err=True)
    typer.echo(" " + " ".join(line.split()), err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
