"""The simulator finds modules that break AXI-Stream's rules on their way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import Channel, Stimulus, build
from hw_targets.rtl.kernel import Stream

BROKEN = """
module broken (
    input clk, input rst,
    input [2:0] s0_tdata, input s0_tvalid, output s0_tready,
    output [2:0] m0_tdata, output m0_tvalid, input m0_tready,
    input [2:0] s1_tdata, input s1_tvalid, output s1_tready,
    output [2:0] m1_tdata, output m1_tvalid, input m1_tready,
    input [2:0] s2_tdata, input s2_tvalid, output s2_tready,
    output [2:0] m2_tdata, output m2_tvalid, input m2_tready
);
    logic odd;
    always_ff @(posedge clk) odd <= !rst && !odd;

    assign {m0_tdata, m0_tvalid, s0_tready} = {s0_tdata, s0_tvalid && odd, m0_tready && odd};
    assign {m1_tdata, m1_tvalid, s1_tready} = {s1_tdata ^ 3'(odd), s1_tvalid, m1_tready};
    assign {m2_tdata, m2_tvalid, s2_tready} = {s2_tdata, s2_tvalid && m2_tready, m2_tready};
endmodule
"""
RULES = (
    "an offered beat was withdrawn",
    "an offered beat changed",
    "a beat is offered for a ready",
)


def test_broken_rules_are_found(tmp_path: Path) -> None:
    (tmp_path / "broken.sv").write_text(BROKEN)
    channels = [Channel(f"s{index}", f"m{index}") for index in range(len(RULES))]
    simulator = build(
        tmp_path,
        "broken",
        ["broken.sv"],
        tmp_path / "obj",
        channels=channels,
        strict=True,
        optimize="-O0",
    )
    stream = Stream(1, 3, False, 20)
    frames = np.zeros((1, 20), dtype=np.int64)
    for index, rule in enumerate(RULES):
        # Channels without frames are done at once and break nothing.
        stimuli = [
            Stimulus(frames[: int(channel == index)], stream, stream, 1.0, 0.5)
            for channel in range(len(RULES))
        ]
        with pytest.raises(VerificationError, match=f"channel {index}, cycle .*: {rule}"):
            simulator.run_channels(stimuli)
