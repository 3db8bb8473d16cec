"""A finished run whose accelerator is the stand-in, for commands that take a run's folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from implementation_case import context, design

from compiler import store
from compiler.stages import Implementation, Resources
from passes.package import Package


def finished(folder: Path, baud: int | None = 1_000_000, **changes: Any) -> Path:
    """A run's stages from simulate on, with a deployment of 12 samples; nothing was synthesised.

    changes: of the implementation.
    """
    bitstream = folder / "design.bit"
    folder.mkdir()
    bitstream.write_bytes(b"bits")
    accelerator = design(folder / "rtl")
    accelerator.finn.write_bytes(b"not looked at")
    made = Implementation(
        name="numbers",
        design=accelerator,
        board="ulx3s-85f",
        **{each: Resources() for each in ("estimated", "synthesised", "placed", "budget")},
        clock_target_mhz=50.0,
        clock_mhz=60.0,
        bitstream=bitstream,
        plan=folder,
        baud=baud,
    )
    made = dataclasses.replace(made, **changes)
    sent = Package(sample_count=12).run(made, context(folder / "17-package"))
    options = {"board": "ulx3s-85f", "clock_mhz": 50.0, "baud": 1_000_000}
    stages = {"15-simulate": made.design, "16-synthesize": made, "17-package": sent}
    for name, stage in stages.items():
        (folder / name).mkdir(exist_ok=True)
        store.save(stage, folder / name / "stage.pkl", folder)
        (folder / name / "pass.json").write_text(json.dumps({"options": options}))
    return folder
