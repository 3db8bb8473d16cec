"""A small accelerator for tests of shells and flows: a frame's sum, as a class or as outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hw_targets.shells.accelerator import Accelerator

DIGEST = "0123456789abcdef" * 4


def standin(
    folder: Path,
    lanes: int = 1,
    bits: int = 8,
    beats: int = 16,
    outputs: tuple[int, int, int] | None = None,
) -> Accelerator:
    """Write a `liftflow_accel` that gives `expected` and describe it.

    outputs: (lanes, bits, beats) of a regression, which gives `expected_outputs` instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out_lanes, out_bits, out_beats = outputs or (1, 4, 1)
    (folder / "top.sv").write_text(f"""\
module liftflow_accel (
    input  logic clk, input logic rst,
    input  logic [{lanes * bits - 1}:0] s_axis_tdata, input logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [{out_lanes * out_bits - 1}:0] m_axis_tdata, output logic m_axis_tvalid,
    input  logic m_axis_tready
);
    logic [{out_bits - 1}:0] total, beat_total;
    logic [15:0] beat, out_beat;
    logic stuck;  // an input of all ones hangs it until it is reset
    assign s_axis_tready = !m_axis_tvalid;
    always_comb begin
        beat_total = '0;
        for (int lane = 0; lane < {lanes}; lane++)
            beat_total = beat_total + {out_bits}'(s_axis_tdata[lane*{bits} +: {bits}]);
        for (int lane = 0; lane < {out_lanes}; lane++)
            m_axis_tdata[lane*{out_bits} +: {out_bits}] =
                total - {out_bits}'(3 * lane);
    end
    always_ff @(posedge clk) begin
        if (m_axis_tvalid && m_axis_tready) begin
            out_beat <= out_beat + 1'b1;
            total <= total - {out_bits}'({3 * out_lanes});
            if (out_beat == {out_beats - 1}) begin
                m_axis_tvalid <= 1'b0;
                out_beat <= '0;
                total <= '0;
            end
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
            out_beat <= '0;
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
        "output": {
            "lanes": out_lanes,
            "bits": out_bits,
            "signed": outputs is not None,
            "beats": out_beats,
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Accelerator.read(folder, classes=0 if outputs else 16)


def expected(elements: Sequence[int]) -> int:
    """The class that the stand-in gives for one frame."""
    return sum(elements) % 16


def expected_outputs(elements: Sequence[int], bits: int, count: int) -> tuple[int, ...]:
    """The outputs of a stand-in with `count` outputs of `bits`: the sum less 3 for each before."""
    half = 1 << (bits - 1)
    return tuple((sum(elements) - 3 * at + half) % (2 * half) - half for at in range(count))
