"""What FINN itself estimates for the same units: LUTs, block RAMs, multipliers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calibration.tables import finn_node
from hw_targets.finn_adapter.session import finn_session
from hw_targets.finn_adapter.vendor import REFERENCE_PART
from hw_targets.rtl.kernel import Kernel

Counts = dict[str, float]


def finn_resources(designs: Sequence[Sequence[Kernel]], part: str = REFERENCE_PART) -> list[Counts]:
    """FINN's lut, bram (18 kbit) and dsp of every design, for a part of AMD's.

    Counted are FINN's nodes of the same shape, folding and bits: MVAU (HLS, the only one with a LUT
    formula), Thresholding, ConvolutionInputGenerator (its buffer where FINN chooses), FIFO and
    width converter. FINN has no formula for padding, pooling, bias and label select; they count
    nothing.
    """
    with tempfile.TemporaryDirectory() as folder, finn_session(Path(folder)):
        from onnx import helper
        from qonnx.custom_op.registry import getCustomOp

        totals = []
        for kernels in designs:
            total: Counts = {"lut": 0.0, "bram": 0.0, "dsp": 0.0}
            for kernel in kernels:
                asked = finn_node(kernel)
                if asked is None:
                    continue
                op_type, attributes = asked
                if op_type == "ConvolutionInputGenerator_rtl":
                    attributes["ram_style"] = "auto"
                node = helper.make_node(
                    op_type,
                    ["in", "weights", "thresholds"],
                    ["out"],
                    name=op_type,
                    domain=f"finn.custom_op.fpgadataflow.{op_type.rpartition('_')[2]}",
                    backend="fpgadataflow",
                    **attributes,
                )
                op = getCustomOp(node)
                for name in total:
                    total[name] += float(getattr(op, f"{name}_estimation")(part))
            totals.append(total)
        return totals
