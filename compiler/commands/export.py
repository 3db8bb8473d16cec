"""`liftflow export`: the quantized network of a run, for other programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from compiler.commands.console import out
from hw_targets.errors import LiftFlowError


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that came to export-qonnx.")],
    qonnx: Annotated[Path, typer.Option(help="QONNX file to write, ending in .onnx.")],
) -> None:
    """Write the quantized network as QONNX, as the hardware was made from it.

    It takes samples rounded to the input's bits, integers times scale, and gives float outputs.
    """
    from compiler import runs
    from compiler.stages import QonnxModel

    if qonnx.suffix != ".onnx":
        raise LiftFlowError(
            f"{qonnx.name} is no name of an ONNX file", where="--qonnx", mend="end it with .onnx"
        )
    made: QonnxModel = runs.stage(folder, "export-qonnx")
    qonnx.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.path, qonnx)
    form = made.input
    sign = "signed" if form.signed else "unsigned"
    out.print(
        f"wrote {qonnx}: input of {form.bits} bits, {sign}, scale {form.scale!r}; "
        f"{made.accuracy:.4f} on the test samples",
        highlight=False,
        soft_wrap=True,
    )
