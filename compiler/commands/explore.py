"""`liftflow explore`: the front of accuracy, speed and hardware, for one or many boards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import err, out, print_json, table
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from compiler.pricing.front import Design

PLOTS = (".svg", ".png", ".pdf")


def explore(
    config: Annotated[Path, typer.Argument(help="TOML file of the compilation.")],
    board: Annotated[
        list[str] | None,
        typer.Option(help="Board name or TOML file; may be repeated. Default: the TOML's."),
    ] = None,
    rates: Annotated[int, typer.Option(help="Frame rates to look at, from the fastest down.")] = 8,
    plot: Annotated[Path | None, typer.Option(help="Picture to write: .svg, .png or .pdf.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of all runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Designs that no other beats: least modelled error, most frames a second, fewest LUTs.

    The network is prepared, attributed and pruned as `compile` would (and as it did, where it
    has); then bits and folding are allocated for many goals.
    """
    if rates < 1:
        raise LiftFlowError(f"--rates is {rates}", where="explore", mend="use at least 1")
    if plot is not None and plot.suffix not in PLOTS:
        raise LiftFlowError(
            f"cannot write {plot.suffix or 'a file without an ending'}",
            where=f"--plot {plot}",
            mend=f"end it with {', '.join(PLOTS)}",
        )
    designs = _designs(config, board or [], rates, output, quiet=as_json)
    if as_json:
        print_json({"config": str(config), "designs": [as_row(design) for design in designs]})
    else:
        _show(designs)
    if plot is not None:
        from compiler.pricing.front_plot import draw

        plot.parent.mkdir(parents=True, exist_ok=True)
        draw(designs, plot)
        err.print(f"wrote {plot}")


def _designs(
    config: Path, names: Sequence[str], rates: int, output: Path | None, *, quiet: bool
) -> list[Design]:
    from compiler.api import explored
    from compiler.instruments import Progress
    from hw_targets.boards import load_board

    boards = [load_board(name) for name in dict.fromkeys(names)]
    with err.status("exploring") as status:
        return explored(
            config,
            boards,
            rates,
            output=output,
            instruments=[] if quiet else [Progress(err)],
            say=status.update,
        )


def as_row(design: Design) -> dict[str, Any]:
    """A design as JSON has it."""
    row = dataclasses.asdict(design)
    row["layers"] = [
        {**{k: v for k, v in layer.items() if k != "layer"}, "act_bits": bits}
        for layer, bits in zip(row["layers"], row.pop("act_bits"), strict=True)
    ]
    return row


def _show(designs: Sequence[Design]) -> None:
    numbers = ("frames/s", "error", "bits", "LUT", "FF", "DSP", "BRAM", "share", "gap")
    listed = table("board", *numbers, numbers=numbers)
    before = ""
    for design in designs:
        listed.add_row(
            design.board if design.board != before else "",
            f"{design.fps:,.0f}",
            f"{design.error:.4f}",
            f"{design.mean_weight_bits:.2f}",
            *(f"{count:,.0f}" for count in design.use.values()),
            f"{design.share:.0%}",
            f"{design.gap:.1%}" if design.gap else "",
        )
        before = design.board
    out.print(listed)
    out.print(
        "error: modelled, before retraining; share: of the board's scarcest resource, shell "
        "included; gap: how much better a design there may be, nothing where none is."
    )
