"""FINN's matrix-vector unit through Yosys: with its memory streamer, and without.

The unit is the kernel that a design can have in place of ours (`hw_targets.rtl.finn_mvu`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.calibration import synthesis
from benchmarks.calibration.contents import arrays_for
from hw_targets.families import Family
from hw_targets.rtl import finn_library
from hw_targets.rtl.finn_mvu import FinnMvu
from hw_targets.rtl.kernel import RTL_DIR
from hw_targets.rtl.mvu import Mvu


def unit_of(unit: Mvu, family: Family) -> FinnMvu:
    """FINN's unit of the same shape, for the family's multiplier, with weights as trained ones."""
    return FinnMvu.of(unit, np.asarray(arrays_for(unit)["weights"]), family.multiplier.cell)


def lanes(unit: Mvu, family: Family) -> int:
    """Rows of FINN's unit that one DSP slice of AMD's serves (`NUM_LANES` of its mvu.sv)."""
    bits = 27 if family.multiplier.cell == "DSP48E2" else 25
    return 1 + (bits - unit.weight_bits) // (unit.weight_bits + unit.act_bits - 1)


def sources() -> bytes:
    """What makes a row beside FINN's own files: the wrapper, and how these are read."""
    own = (FinnMvu.source, "finn_cells.sv", Path(finn_library.__file__).name)
    return b"".join((RTL_DIR / name).read_bytes() for name in own)


def synthesise(unit: Mvu, family: Family, folder: Path) -> dict[str, float]:
    """Resources of FINN's unit of the same shape, with its memory streamer, ports unbuffered.

    AMD's families get the DSP slices that FINN instantiates, others its behavioural description of
    them.

    Raises:
        MissingToolError: finn-plus is not installed.
        subprocess.CalledProcessError: Yosys refused the unit.
        subprocess.TimeoutExpired: it took longer than calibration's limit.
    """
    return synthesis.synthesise(unit_of(unit, family), family, folder)


def synthesise_alone(unit: Mvu, family: Family, folder: Path) -> dict[str, float]:
    """The same without the streamer, weights at a port; raises the same."""
    folder.mkdir(parents=True, exist_ok=True)
    kernel = unit_of(unit, family)
    for source in kernel.sources:
        (folder / source).write_text(kernel.text(source))
    (folder / "top.sv").write_text(_top(kernel))
    return synthesis.resources("top", ["top.sv", *kernel.sources], family, folder)


def _top(kernel: FinnMvu) -> str:
    values = {key: value for key, value in kernel.parameters().items() if key != "ROM_STYLE"}
    listed = ", ".join(f".{key}({value})" for key, value in values.items())
    return f"""module top (
    input wire clk, input wire rst,
    input wire [{kernel.pe * kernel.simd * kernel.weight_bits - 1}:0] w_tdata,
    input wire w_tvalid, output wire w_tready,
    input wire [{kernel.input.width - 1}:0] s_axis_tdata,
    input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [{kernel.output.width - 1}:0] m_axis_tdata,
    output wire m_axis_tvalid, input wire m_axis_tready
);
    lf_finn_mvu_unit #({listed}) unit (.*);
endmodule
"""
