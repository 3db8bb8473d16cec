"""A small accelerator for tests of shells and flows: the sum of a frame, modulo its classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hw_targets.shells.accelerator import Accelerator

DIGEST = "0123456789abcdef" * 4


def standin(folder: Path, lanes: int = 1, bits: int = 8, beats: int = 16) -> Accelerator:
    """Write a `liftflow_accel` that gives `expected` and describe it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.sv").write_text(f"""\
module liftflow_accel (
    input  logic clk, input logic rst,
    input  logic [{lanes * bits - 1}:0] s_axis_tdata, input logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [3:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready
);
    logic [3:0] total, beat_total;
    logic [15:0] beat;
    logic stuck;  // an input of all ones hangs it until it is reset
    assign s_axis_tready = !m_axis_tvalid;
    assign m_axis_tdata  = total;
    always_comb begin
        beat_total = '0;
        for (int lane = 0; lane < {lanes}; lane++)
            beat_total = beat_total + 4'(s_axis_tdata[lane*{bits} +: {bits}]);
    end
    always_ff @(posedge clk) begin
        if (m_axis_tvalid && m_axis_tready) begin
            m_axis_tvalid <= 1'b0;
            total <= '0;
        end
        if (s_axis_tvalid && s_axis_tready) begin
            total <= total + beat_total;
            beat  <= beat + 1'b1;
            if (&s_axis_tdata) stuck <= 1'b1;
            if (beat == {beats - 1}) begin
                beat <= '0;
                m_axis_tvalid <= !stuck;
            end
        end
        if (rst) begin
            beat <= '0;
            total <= '0;
            m_axis_tvalid <= 1'b0;
            stuck <= 1'b0;
        end
    end
endmodule
""")
    manifest = {
        "digest": DIGEST,
        "top": "liftflow_accel",
        "sources": ["top.sv"],
        "memories": [],
        "input": {"lanes": lanes, "bits": bits, "signed": False, "beats": beats},
        "output": {"lanes": 1, "bits": 4, "signed": False, "beats": 1},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Accelerator.read(folder, classes=16)


def expected(elements: Sequence[int]) -> int:
    """The class that the stand-in gives for one frame."""
    return sum(elements) % 16
