"""Write docs/cost-yosys.md: how well the cost model predicts Yosys, beside FINN's own estimates.

python -m benchmarks.calibration.tables
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration.fit import SHAPES, fitting_rows
from benchmarks.calibration.regression import mape, share
from benchmarks.calibration.sweep import kernel_of
from benchmarks.calibration.synthesis import recipe_digest
from hw_targets.cost.coefficients import Coefficients, load_coefficients
from hw_targets.cost.features import KERNELS
from hw_targets.families import family_names, load_family
from hw_targets.finn_adapter import node_luts
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter

DOC = Path(__file__).parents[2] / "docs" / "cost-yosys.md"
COMPARED = "xc7"
"""The family that FINN's estimates are made for."""

HEAD = """# The cost model, against Yosys

Mean absolute percentage errors on our own RTL kernels as Yosys synthesises them. *Left out*: a fit
that has seen no point of the same shape predicts it. *In 90 %*: share of left-out points inside the
interval that the others give. Multipliers and block RAMs are counted by formula; the share of
points where the count is exact. Errors of units below 16 LUTs or registers count as if of 16.

*FINN's*: what FINN (finn-plus) answers for its node of the same shape. Its nodes are other
hardware than our kernels, but do the same work: what the error would be if its formula were taken
for ours. Where it has no formula there is nothing to compare with.

A kernel with a star was fitted to points of former sources: it, or how it is synthesised, has
changed since, and a sweep is due.

Made by `python -m benchmarks.calibration.tables`; see `benchmarks/calibration`.
"""


def finn_node(kernel: Kernel) -> tuple[str, dict[str, Any]] | None:
    """FINN's node of the same shape, None where FINN has no LUT formula for one."""
    if isinstance(kernel, Mvu):
        sign = "INT" if kernel.act_signed else "UINT"
        return "MVAU_hls", {
            "MW": kernel.mw,
            "MH": kernel.mh,
            "PE": kernel.pe,
            "SIMD": kernel.simd,
            "resType": kernel.arithmetic,
            "ram_style": kernel.rom_style,
            "mem_mode": "internal_decoupled",
            "inputDataType": f"{sign}{max(kernel.act_bits, 2 if kernel.act_signed else 1)}",
            "weightDataType": f"INT{kernel.weight_bits}",
            "outputDataType": f"INT{kernel.acc_bits}",
            "accDataType": f"INT{kernel.acc_bits}",
            "noActivation": 1,
            "numInputVectors": [1, kernel.pixels],
        }
    if isinstance(kernel, Threshold):
        return "Thresholding_rtl", {
            "NumChannels": kernel.channels,
            "PE": kernel.pe,
            "numSteps": 2**kernel.out_bits - 1,
            "inputDataType": f"INT{kernel.in_bits}",
            "weightDataType": f"INT{kernel.in_bits + 1}",
            "outputDataType": f"UINT{kernel.out_bits}",
            "numInputVectors": [1, kernel.pixels],
        }
    if isinstance(kernel, ParallelWindow) and kernel.beats > 1:
        return None
    if isinstance(kernel, Swu | ParallelWindow):
        return "ConvolutionInputGenerator_rtl", {
            "ConvKernelDim": [kernel.kernel_h, kernel.kernel_w],
            "IFMChannels": kernel.channels,
            "IFMDim": [kernel.in_h, kernel.in_w],
            "OFMDim": [kernel.out_h, kernel.out_w],
            "SIMD": kernel.input.lanes,
            "Stride": [kernel.stride_h, kernel.stride_w],
            "Dilation": [kernel.dilation_h, kernel.dilation_w],
            "inputDataType": f"UINT{kernel.bits}",
            "outputDataType": f"UINT{kernel.bits}",
            "depthwise": 0,
            "ram_style": "distributed",
            "parallel_window": int(isinstance(kernel, ParallelWindow)),
        }
    if isinstance(kernel, Fifo):
        return "StreamingFIFO_rtl", {
            "depth": kernel.depth,
            "folded_shape": [1, 1, kernel.width],
            "normal_shape": [1, kernel.width],
            "dataType": "UINT1",
            "impl_style": "rtl",
            "ram_style": "auto",
        }
    if isinstance(kernel, WidthConverter):
        return "StreamingDataWidthConverter_rtl", {
            "shape": [1, max(kernel.in_lanes, kernel.out_lanes) * kernel.bits],
            "inWidth": kernel.in_lanes * kernel.bits,
            "outWidth": kernel.out_lanes * kernel.bits,
            "dataType": "UINT1",
        }
    return None


def finns_errors() -> dict[str, float]:
    """Kernel -> error of FINN's formula for the calibration points of `COMPARED`."""
    asked: list[tuple[str, dict[str, Any]]] = []
    kinds, lut = [], []
    for kind, rows in fitting_rows(COMPARED).items():
        for row in rows:
            node = finn_node(kernel_of(row))
            if node is not None:
                asked.append(node)
                kinds.append(kind)
                lut.append(row["resources"]["lut"])
    said, measured, named = np.array(node_luts(asked)), np.array(lut), np.array(kinds)
    return {
        kind: mape(said[named == kind], measured[named == kind]) for kind in dict.fromkeys(kinds)
    }


def section(fitted: Coefficients, finns: dict[str, float]) -> list[str]:
    """Heading and table of one family; a star where points are not of the present sources."""
    family = load_family(fitted.family)
    beside = " FINN's |" if finns else ""
    lines = [
        f"## {fitted.family}",
        "",
        f"{fitted.tool}, {fitted.date}.",
        "",
        f"| kernel | points | LUT | left out | in 90 % |{beside} FF | left out | in 90 % | DSP | "
        "BRAM |",
        "| --- " * (10 + bool(finns)) + "|",
    ]
    for kind, fit in fitted.kernels.items():
        theirs = f" {finns[kind]:.0f} |" if kind in finns else " |" if finns else ""
        star = "" if fit.source == recipe_digest(KERNELS[kind], family) else " *"
        lines.append(
            f"| {kind}{star} | {fit.points} | {fit.lut.mape:.1f} | {fit.lut.mape_left_out:.1f} | "
            f"{share(fit.lut.coverage)} |{theirs} {fit.ff.mape:.1f} | {fit.ff.mape_left_out:.1f} | "
            f"{share(fit.ff.coverage)} | {fit.exact['dsp']:.0%} | {fit.exact['bram']:.0%} |"
        )
    return [*lines, ""]


def main() -> None:
    parts = [HEAD]
    finns = finns_errors()
    for family in family_names():
        fitted = load_coefficients(family)
        if fitted is not None:
            parts += section(fitted, finns if family == COMPARED else {})
    shapes = "; ".join(f"{kind}: {', '.join(fields)}" for kind, fields in SHAPES.items())
    parts += [f"Points of one shape agree in: {shapes}.", ""]
    DOC.write_text("\n".join(parts))
    print("\n".join(parts))


if __name__ == "__main__":
    main()
