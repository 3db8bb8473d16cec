"""FINN's matrix-vector unit of its RTL library (`mvu_vvu_axi`), made ready for Yosys.

The sources are those of the installed finn-plus, but for two places that Yosys' slang front end
does not take: a constant function inside a generate block moves out of it, and a check of the first
100 ns of a simulation is left out. Neither is hardware.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from benchmarks.calibration.points import arrays_for
from benchmarks.calibration.synthesis import run_yosys
from hw_targets.errors import MissingToolError
from hw_targets.families import Family
from hw_targets.flows import yosys
from hw_targets.rtl.mvu import Mvu

_MVU = ("mvu_pkg.sv", "add_multi.sv", "replay_buffer.sv", "mvu_vvu_8sx9_dsp58.sv", "mvu.sv",
        "mvu_vvu_axi.sv")  # fmt: skip
_MEMORY = "memstream.sv"
_VERSIONS = {"DSP48E1": 1, "DSP48E2": 2}
"""Multiplier cell -> what FINN calls its version."""
CELLS = Path(__file__).with_name("amd_cells.sv")


def library() -> Path:
    """FINN's RTL library, without importing FINN.

    Raises:
        MissingToolError: finn-plus is not installed.
    """
    found = importlib.util.find_spec("finn")
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "finn-rtllib").is_dir():
            return Path(place) / "finn-rtllib"
    raise MissingToolError("FINN's RTL library is missing", where="finn", mend="install finn-plus")


def lanes(unit: Mvu, family: Family) -> int:
    """Rows of FINN's unit that one DSP slice of AMD's serves (`NUM_LANES` of its mvu.sv)."""
    bits = 27 if family.multiplier.cell == "DSP48E2" else 25
    return 1 + (bits - unit.weight_bits) // (unit.weight_bits + unit.act_bits - 1)


def synthesise(unit: Mvu, family: Family, folder: Path, *, memory: bool) -> dict[str, float]:
    """Resources of FINN's unit of the same shape, ports unbuffered.

    AMD's families get the DSP slices that FINN instantiates, others its behavioural description of
    them. memory: with FINN's memory streamer for the weights, else with a port for them.

    Raises:
        MissingToolError: finn-plus is not installed.
        subprocess.CalledProcessError: Yosys refused the unit.
        subprocess.TimeoutExpired: it took longer than calibration's limit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _MVU:
        (folder / name).write_text(_readable(name, (library() / "mvu" / name).read_text()))
    (folder / _MEMORY).write_text((library() / "memstream" / "hdl" / _MEMORY).read_text())
    (folder / CELLS.name).write_text(CELLS.read_text())
    # In FINN's memory the weights stand as they are, rows not packed yet.
    plain = replace(unit, arithmetic="lut")
    words = plain.memories(arrays_for(plain))["WEIGHTS"]
    (folder / "weights.mem").write_text("\n".join(words) + "\n")
    (folder / "top.sv").write_text(_top(unit, family, memory))
    script = yosys.script("top", [CELLS.name, *_MVU, _MEMORY, "top.sv"], family)
    # FINN spells the attribute in capitals, and its streamer could be written to: Yosys takes
    # neither for a constant memory in block RAM by itself.
    head, rest = script.split("\n", 1)
    block = 'setattr -set rom_style "block" a:RAM_STYLE=block'
    run_yosys(f"{head}\n{block}\n{rest}", folder)
    return yosys.resources(folder / yosys.STATISTICS, family)


def _readable(name: str, text: str) -> str:
    """One of FINN's sources as slang takes it."""
    if name == "add_multi.sv":
        start, end = "\t\t// Compute the count of decendents", "\t\t// Adder Tree\n"
        moved = text[text.index(start) : text.index(end)]
        before = "\tuwire [SUM_WIDTH-1:0]  sum0;\n"
        return text.replace(moved, "").replace(before, moved + before, 1)
    if name == "mvu.sv":
        end = "end : blkRecoveryWatch\n"
        start = text.index("\tif(1) begin : blkRecoveryWatch")
        return text[:start] + text[text.index(end) + len(end) :]
    return text


def _top(unit: Mvu, family: Family, memory: bool) -> str:
    weights = unit.pe * unit.simd * unit.weight_bits
    depth = unit.column_folds * unit.row_folds
    port = (
        ""
        if memory
        else f"""
    input wire [{weights - 1}:0] w, input wire w_valid, output wire w_ready,"""
    )
    streamer = f"""
    wire [{weights - 1}:0] w;
    wire w_valid, w_ready;
    memstream #(
        .SETS(1), .DEPTH({depth}), .WIDTH({weights}), .INIT_FILE("weights.mem"), .RAM_STYLE("block")
    ) streamer (
        .clk, .rst, .config_ce(1'b0), .config_we(1'b0), .config_address('0), .config_d0('0),
        .config_rack(), .config_q0(), .sidx('0), .svld('0), .srdy(),
        .ordy(w_ready), .ovld(w_valid), .odat(w)
    );""" if memory else ""  # fmt: skip
    cell = family.multiplier.cell
    return f"""module top (
    input wire clk, input wire rst,{port}
    input wire [{unit.input.width - 1}:0] s_axis_tdata,
    input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [{unit.output.width - 1}:0] m_axis_tdata,
    output wire m_axis_tvalid, input wire m_axis_tready
);{streamer}
    wire [{_bytes(unit.output.width) - 1}:0] out;
    assign m_axis_tdata = out[{unit.output.width - 1}:0];
    mvu_vvu_axi #(
        .IS_MVU(1), .VERSION({_VERSIONS.get(cell, 1)}),
        .FORCE_BEHAVIORAL({int(cell not in _VERSIONS)}),
        .MW({unit.mw}), .MH({unit.mh}), .PE({unit.pe}), .SIMD({unit.simd}),
        .WEIGHT_WIDTH({unit.weight_bits}), .NARROW_WEIGHTS(1),
        .ACTIVATION_WIDTH({unit.act_bits}), .SIGNED_ACTIVATIONS({int(unit.act_signed)}),
        .ACCU_WIDTH({unit.acc_bits})
    ) unit (
        .ap_clk(clk), .ap_clk2x(1'b0), .ap_rst_n(!rst),
        .s_axis_weights_tdata({_bytes(weights)}'(w)), .s_axis_weights_tvalid(w_valid),
        .s_axis_weights_tready(w_ready),
        .s_axis_input_tdata({_bytes(unit.input.width)}'(s_axis_tdata)),
        .s_axis_input_tvalid(s_axis_tvalid), .s_axis_input_tready(s_axis_tready),
        .m_axis_output_tdata(out), .m_axis_output_tvalid(m_axis_tvalid),
        .m_axis_output_tready(m_axis_tready)
    );
endmodule
"""


def _bytes(bits: int) -> int:
    """Bits of whole bytes that hold so many."""
    return -(-bits // 8) * 8
