"""Puts everything that goes to the board, and to the machine beside it, into one folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from compiler.stages import Deployment, Implementation, RtlDesign
from hw_targets.boards import Board, load_board
from hw_targets.rtl.manifest import MANIFEST
from hw_targets.shells import driver, frames, protocol, pynq_driver, samples
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.dma_shell import DmaShell
from hw_targets.shells.platforms import PLATFORMS
from hw_targets.shells.protocol import VERSION
from passes import _package_readme
from passes.base import Context, Pass

HOST = "liftflow_host"
LAUNCHERS = {
    main: f'''\
"""Run samples on the board: {usage}"""

import sys

from {HOST}.{main} import main

sys.exit(main())
'''
    for main, usage in (
        ("driver", "python driver.py --port /dev/ttyUSB0 samples.npy"),
        ("pynq_driver", "sudo python3 driver.py samples.npy"),
    )
}
_WORK = ("logs", "build", "*.dcp", ".Xil")
"""What Vivado leaves in a plan's folder and nobody needs."""


@dataclass(frozen=True)
class Package(Pass[Implementation, Deployment]):
    """A folder with the bitstream (or the build plan), driver, model.json, samples and README.

    The folder needs nothing of LiftFlow: the driver of a serial shell runs on Python's standard
    library and pyserial, that of a Zynq's on PYNQ.

    board: name or TOML file; by default the name that the implementation carries.
    sample_count: test samples that go with it, with the classes, or output integers, to expect.
    """

    name: ClassVar[str] = "package"
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.boards",
        "hw_targets.shells",
        "passes._package_readme",
    )

    board: str | None = None
    sample_count: int = 100

    def run(self, model: Implementation, ctx: Context) -> Deployment:
        folder = ctx.workdir / "deploy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        board = load_board(self.board or model.board)
        count = min(self.sample_count, len(ctx.data.test_x))
        np.save(folder / "samples.npy", np.ascontiguousarray(ctx.data.test_x[:count], "<f4"))
        _json(folder / "expected.json", model.design.predictions[:count].tolist())
        _json(folder / "model.json", self._description(model, board, ctx))
        if board.flow in PLATFORMS:
            assert model.bitstream is not None  # this flow makes one or fails
            bitstream = f"{model.name}{model.bitstream.suffix}"
            shutil.copyfile(model.bitstream, folder / bitstream)
            _host(folder, "driver", (driver, protocol, samples))
            readme = _package_readme.for_serial(model, board, bitstream, count)
        elif model.flow == "vivado-rtl":
            shutil.copytree(model.plan, folder / "plan", ignore=shutil.ignore_patterns(*_WORK))
            if model.bitstream is not None:
                for suffix in (".bit", ".hwh"):
                    made = model.bitstream.with_suffix(suffix)
                    shutil.copyfile(made, folder / f"{model.name}{suffix}")
            _host(folder, "pynq_driver", (frames, pynq_driver))
            readme = _package_readme.for_pynq(model, board, count)
        else:
            shutil.copytree(model.plan, folder / "plan", ignore=shutil.ignore_patterns("logs"))
            if model.bitstream is not None:
                shutil.copyfile(model.bitstream, folder / f"{model.name}{model.bitstream.suffix}")
            readme = _package_readme.for_vivado(model, board)
        (folder / "README.md").write_text(readme)
        files = sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        return Deployment(name=model.name, folder=folder, implementation=model, files=tuple(files))

    def _output(self, design: RtlDesign) -> dict[str, Any]:
        """What a host needs to turn a regression's integers into values."""
        if not design.network.regression:
            return {}
        stream = json.loads((design.folder / MANIFEST).read_text())["output"]
        shape = list(design.network.output_shape)
        return {"output": {**stream, "shape": shape, "step": design.step}}

    def _dma(self, model: Implementation, board: Board) -> dict[str, Any]:
        """How frames lie in the memory that a DMA reads and writes."""
        if model.flow != "vivado-rtl":
            return {}
        unit = Accelerator.read(model.design.folder, model.design.network.classes)
        shell = DmaShell(board, unit)
        return {"dma": {"input": asdict(shell.input), "output": asdict(shell.output)}}

    def _description(self, model: Implementation, board: Board, ctx: Context) -> dict[str, Any]:
        form = model.design.input
        return {
            **self._output(model.design),
            **self._dma(model, board),
            "name": model.name,
            "board": model.board,
            "digest": model.design.digest,
            "protocol": VERSION,
            "baud": model.baud,
            "clock_mhz": model.clock_target_mhz,
            "classes": model.design.network.classes,
            "input": {
                "shape": list(ctx.data.sample_shape),
                "bits": form.bits,
                "signed": form.signed,
                "scale": float(form.scale),
            },
        }


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n")


def _host(folder: Path, main: str, modules: tuple[ModuleType, ...]) -> None:
    """The host side as a package of its own, and a launcher for its module `main`."""
    (folder / HOST).mkdir()
    (folder / HOST / "__init__.py").write_text('"""Host side of a LiftFlow board."""\n')
    for module in modules:
        source = Path(str(module.__file__))
        shutil.copyfile(source, folder / HOST / source.name)
    (folder / "driver.py").write_text(LAUNCHERS[main])
