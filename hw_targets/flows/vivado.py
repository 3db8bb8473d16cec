"""AMD boards: utilisation by Yosys, and FINN's own build as a plan for where Vivado is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hw_targets.families import Family
from hw_targets.flows import finn_reports, yosys
from hw_targets.flows.plan import BuildPlan, Step
from hw_targets.flows.tools import PYTHON, VIVADO
from hw_targets.shells.accelerator import Accelerator

RELEASES = "2022.2 or 2024.2"
"""Of Vivado, that finn-plus 1.6.1 works with (its README, system requirements)."""

OUTPUT = "finn_output"
BITSTREAMS = {
    "vivado_zynq": f"{OUTPUT}/bitfile/finn-accel.bit",
    "vitis_alveo": f"{OUTPUT}/bitfile/finn-accel.xclbin",
}
STITCHED = f"{OUTPUT}/stitched_ip/finn_vivado_stitch_proj.xpr"
"""Where FINN's builder leaves the bitstream of each shell flow, and without one the stitched IP."""
DEPLOY = f"{OUTPUT}/deploy"
"""Where it leaves the bitstream together with its driver."""

REPORTS = {
    "vivado_zynq": tuple(
        f"{OUTPUT}/{name}"
        for name in (finn_reports.RESOURCES, finn_reports.TIMING, finn_reports.ESTIMATE)
    )
}
"""Reports that FINN's builder always leaves beside the bitstream, and that are read."""

BUILD = """\
\"\"\"Runs FINN's builder in this folder; needs Vivado and Vitis HLS.\"\"\"

import os
import sys
from pathlib import Path

os.environ.setdefault("FINN_BUILD_DIR", str(Path("finn_build").resolve()))

from finn.builder.build_dataflow import build_dataflow_cfg
from finn.builder.build_dataflow_config import DataflowBuildConfig

config = DataflowBuildConfig.from_json(Path("config.json").read_text())
sys.exit(build_dataflow_cfg("model.onnx", config))
"""


def utilisation(unit: Accelerator, rtl: Path, family: Family) -> BuildPlan:
    """Plan that synthesises the accelerator alone, for its cell counts."""
    files: dict[str, bytes | Path] = {**unit.files(rtl)}
    files[yosys.SCRIPT] = yosys.script(unit.top, unit.sources, family).encode()
    step = yosys.counting("synthesise", (*unit.sources, *unit.memories), family)
    return BuildPlan(f"{unit.top}_{family.name}", files, (step,), (yosys.STATISTICS,))


def finn(name: str, files: Mapping[str, bytes | Path], *, shell: str | None) -> BuildPlan:
    """Plan that runs FINN's builder.

    files: config.json, folding.json and model.onnx. shell: FINN's shell flow, which makes a
    bitstream; without one it ends with the stitched IP.
    """
    everything = {**files, "build.py": BUILD.encode()}
    main = BITSTREAMS[shell] if shell else STITCHED
    products = (main, *REPORTS.get(shell or "", ()))
    step = Step(
        name="finn-build",
        tool=PYTHON,
        attempts=(("build.py",),),
        inputs=tuple(sorted(everything)),
        products=products,
        minutes=2880.0,  # Vivado takes most of a day for the largest networks
    )
    return BuildPlan(name, everything, (step,), products, requires=(VIVADO,))


def run_elsewhere(plan: str) -> str:
    """What to do with the plan folder called `plan`, in one clause."""
    return f"copy {plan} to a machine with Vivado and finn-plus and run `sh run.sh` in it"
