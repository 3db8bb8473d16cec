"""What FINN itself says a single node of a given shape costs, without any graph."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hw_targets.finn_adapter.session import finn_session
from hw_targets.finn_adapter.vendor import REFERENCE_PART


def node_luts(
    nodes: Sequence[tuple[str, Mapping[str, Any]]], part: str = REFERENCE_PART
) -> list[float]:
    """FINN's LUT estimate of every (op type such as "MVAU_hls", attributes)."""
    with tempfile.TemporaryDirectory() as folder, finn_session(Path(folder)):
        from onnx import helper
        from qonnx.custom_op.registry import getCustomOp

        found = []
        for op_type, attributes in nodes:
            node = helper.make_node(
                op_type,
                ["in", "weights", "thresholds"],
                ["out"],
                name=op_type,
                domain=f"finn.custom_op.fpgadataflow.{op_type.rpartition('_')[2]}",
                backend="fpgadataflow",
                **attributes,
            )
            found.append(float(getCustomOp(node).lut_estimation(part)))
        return found
