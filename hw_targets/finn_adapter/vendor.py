"""FINN's estimates, and its build configuration for the vendor flow."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError, UnsupportedError
from hw_targets.finn_adapter.session import finn_session

STEPS: tuple[str, ...] = (
    "step_create_dataflow_partition",
    "step_specialize_layers",
    "step_apply_folding_config",
    "step_minimize_bit_width",
    "step_generate_estimate_reports",
    "step_assign_ddr_weight_offsets",
    "step_generate_hardware",
    "step_create_stitched_ip",
    "step_prepare_synthesis",
    "step_synthesize_bitfile",
    "step_make_driver",
    "step_deployment_package",
)
"""FINN's own steps from a folded graph of hardware nodes to a bitstream and its driver."""

WITHOUT_VENDOR = STEPS[: STEPS.index("step_generate_hardware")]
"""The steps that need no vendor tool."""

REFERENCE_PART = "xc7z020clg400-1"


def specialize(path: Path, part: str) -> Any:
    """The folded graph with every node an HLS or RTL variant for `part` (a ModelWrapper).

    To be called inside a `finn_session`.
    """
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.general import GiveUniqueNodeNames

    model = ModelWrapper(str(path))
    return model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())


def estimates(path: Path, part: str = REFERENCE_PART) -> dict[str, dict[str, float]]:
    """FINN's cycles and resources a node of the folded graph, as if built for `part`.

    Keys are FINN's: cycles, LUT, DSP, BRAM_18K, URAM, ... FINN says 0 LUT where it has no model
    (its RTL matrix-vector unit, padding, pooling): that is unknown, and left out here.
    """
    with finn_session(path.parent):
        from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
        from finn.analysis.fpgadataflow.res_estimation import res_estimation
        from qonnx.core.modelwrapper import ModelWrapper

        names = [node.name for node in ModelWrapper(str(path)).graph.node]
        model = specialize(path, part)
        cycles = model.analysis(exp_cycles_per_layer)
        resources = res_estimation(model, part)
        found: dict[str, dict[str, float]] = {}
        for name, node in zip(names, model.graph.node, strict=True):
            figures = {key: float(value) for key, value in resources[node.name].items()}
            if not figures.get("LUT"):
                figures.pop("LUT", None)
            found[name] = {"cycles": float(cycles[node.name]), **figures}
        return found


def vendor_folding(path: Path, folding: dict[str, dict[str, Any]], part: str) -> dict[str, Any]:
    """The folding configuration under the names nodes have once specialised for `part`."""
    with finn_session(path.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        names = [node.name for node in ModelWrapper(str(path)).graph.node]
        model = specialize(path, part)
        renamed: dict[str, Any] = {"Defaults": {}}
        for name, node in zip(names, model.graph.node, strict=True):
            if name not in folding:
                raise UnsupportedError(
                    f"{name}: FINN has no hardware that adds channels of zeros",
                    where="FINN",
                    mend="use a 1x1 convolution as shortcut",
                )
            attributes = dict(folding[name])
            attributes.pop("preferred_impl_style", None)
            renamed[node.name] = attributes
        for node in model.graph.node:
            if node.op_type.startswith("VVAU"):
                # FINN's depthwise window gives its channels in groups of as many as the unit takes.
                window = model.find_producer(node.input[0])
                renamed[window.name]["SIMD"] = renamed[node.name]["PE"]
        return renamed


def build_config(
    *,
    part: str,
    clock_mhz: float,
    board: str | None = None,
    shell: str | None = None,
    folding_file: str = "folding.json",
    output_dir: str = "finn_output",
) -> str:
    """FINN's build configuration (JSON) that takes a folded graph to bitstream and driver.

    board: FINN's name of it ("Pynq-Z2"). shell: FINN's shell flow, None to stop at the stitched
    IP. Paths are relative to the folder FINN runs in. Raises LiftFlowError for a board FINN does
    not know.
    """
    with finn_session(Path.cwd()):
        from finn.builder.build_dataflow_config import DataflowBuildConfig
        from finn.util.basic import part_map

        if board is not None and board not in part_map:
            raise LiftFlowError(
                f"FINN has no board {board}", where="board", mend=f"known: {', '.join(part_map)}"
            )
        outputs = ["estimate_reports", "stitched_ip"]
        steps = STEPS
        if shell is None:
            steps = STEPS[: STEPS.index("step_prepare_synthesis")]
        else:
            outputs += ["bitfile", "pynq_driver", "deployment_package"]
        config = {
            "output_dir": output_dir,
            "synth_clk_period_ns": 1000.0 / clock_mhz,
            "generate_outputs": outputs,
            "folding_config_file": folding_file,
            "standalone_thresholds": True,
            "mvau_wwidth_max": 10000,
            "minimize_bit_width": False,
            "board": board,
            "fpga_part": part,
            "shell_flow_type": shell,
            "auto_fifo_depths": True,
            "auto_fifo_strategy": "distributed_sim",
            "steps": list(steps),
        }
        text = json.dumps(config, indent=2) + "\n"
        DataflowBuildConfig.from_json(text)
        return text


def rehearse(folder: Path, config: str, model: str = "dataflow.onnx") -> tuple[str, ...]:
    """Run a build configuration's steps up to where a vendor tool is needed; the node types then.

    folder holds `model` and the files the configuration names; FINN's estimate reports are left in
    its output folder. Not thread safe: FINN wants to be run in that folder.
    """
    with finn_session(folder), contextlib.chdir(folder):
        from finn.builder.build_dataflow_config import DataflowBuildConfig
        from finn.builder.build_dataflow_steps import build_dataflow_step_lookup
        from qonnx.core.modelwrapper import ModelWrapper

        loaded = DataflowBuildConfig.from_json(config)
        graph = ModelWrapper(model)
        for step in loaded.steps or ():
            if step not in WITHOUT_VENDOR:
                break
            graph = build_dataflow_step_lookup[step](graph, loaded)
        return tuple(node.op_type for node in graph.graph.node)
