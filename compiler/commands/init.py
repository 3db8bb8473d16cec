"""`liftflow init`: the TOML file of a compilation, written with comments and tried before."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from hw_targets.errors import LiftFlowError

TEMPLATE = """\
# One compilation: `liftflow compile {file}`
# Everything that can be set: docs/configuration.md. Relative names start from this folder.
name = {name}
board = {board}   # `liftflow boards` lists them; or the path of a board's TOML file
seed = 0          # of everything random

[model]
factory = {factory}   # file.py:function or file.py:Class, or package.module:function
{weights}   # its state_dict

[data]
source = {data}   # an .npz of train_x, train_y, test_x, test_y; file.py:loader; or a built-in name
# input_bits = 8        # of the accelerator's input; 8 over the range of the training samples
# input_signed = false
# input_scale = 0.0039  # value of one count of the input

[goals]
{accuracy}   # least share of test samples right, once quantized
{fps}   # least frames a second; left out, as many as fit
share = {share}   # of the board, at most
# clock_mhz = 75   # the board's own by default

# Options of passes, a section each; `liftflow passes` lists them all.
# [passes.prune-filters]
# macs = 0.5       # least share of the multiply-accumulates to remove
# [passes.retrain]
# epochs = 20
"""


def init(
    file: Annotated[Path, typer.Argument(help="TOML file to write.")] = Path("liftflow.toml"),
    factory: Annotated[
        str | None, typer.Option(help="What makes the network, model.py:Net.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Its state_dict, weights.pt.")] = None,
    data: Annotated[
        str | None, typer.Option(help="An .npz, file.py:loader or a built-in name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the compilation.")] = None,
    board: Annotated[str | None, typer.Option(help="Board name or TOML file.")] = None,
    accuracy: Annotated[float | None, typer.Option(help="Least share of samples right.")] = None,
    fps: Annotated[float | None, typer.Option(help="Least frames a second.")] = None,
    share: Annotated[float, typer.Option(help="Greatest share of the board.")] = 0.7,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    check: Annotated[
        bool, typer.Option(help="Load the network and the data first, and see that they fit.")
    ] = True,
) -> None:
    """Write the TOML file of a compilation; asks for what no flag gives, on a terminal.

    Paths are taken from the folder of the file. Nothing is written that would not compile.
    """
    if file.exists() and not force:
        raise LiftFlowError("is there already", where=str(file), mend="add --force or rename")
    factory = factory or _ask("factory", "Network (file.py:Class or function)")
    data = data or _ask("data", "Data (.npz, file.py:loader, built-in name)")
    if weights is None and _asking():
        weights = typer.prompt("Weights (state_dict; empty for none)", default="", err=True) or None
    name = name or _name_of(factory)
    board = board or _default_board()
    text = TEMPLATE.format(
        file=file.name,
        name=_quoted(name),
        board=_quoted(board),
        factory=_quoted(factory),
        weights=f"weights = {_quoted(weights)}" if weights else '# weights = "weights.pt"',
        data=_quoted(data),
        accuracy="# accuracy = 0.95" if accuracy is None else f"accuracy = {accuracy}",
        fps="# fps = 10000" if fps is None else f"fps = {fps}",
        share=share,
    )
    _try(text, file, check)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    print(f"wrote {file}; next: liftflow compile {file}")


def _try(text: str, file: Path, check: bool) -> None:
    """Raises LiftFlowError where the text is no compilation, or its parts do not fit."""
    from compiler.config import parse_config

    base = file.resolve().parent
    config = parse_config(tomllib.loads(text), base=base, file=file)
    if check:
        from compiler.api import open_task

        open_task(config)


def _asking() -> bool:
    return sys.stdin.isatty()


def _ask(flag: str, what: str) -> str:
    if not _asking():
        raise LiftFlowError(f"--{flag} is missing", where="init", mend="give it, or use a terminal")
    answer: str = typer.prompt(what, err=True)
    return answer


def _name_of(factory: str) -> str:
    """A name for runs from "model.py:MyNet": mynet."""
    last = factory.rpartition(":")[2]
    return "".join(sign for sign in last.lower() if sign.isascii() and sign.isalnum()) or "network"


def _default_board() -> str:
    from compiler.config import DEFAULT_BOARD

    return DEFAULT_BOARD


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False)
