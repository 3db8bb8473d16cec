"""Random networks, bits and foldings: from PyTorch to RTL, exact under random stalls."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from random_networks import compiled

from hw_targets.flows.simulator import Stimulus
from tests.hardware.side_by_side import simulator_of

COUNT = int(os.environ.get("LIFTFLOW_NETWORKS", "20"))
BATCH = 5
FRAMES = 3
PATIENCE = 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_hardware_computes_what_the_network_computes(first: int, tmp_path: Path) -> None:
    found = [compiled(seed) for seed in range(first, min(first + BATCH, COUNT))]
    designs = []
    for each in found:
        # A frame's room on every link: depths are another pass's matter.
        depths = tuple(max(2, link.stream.beats) for link in each.design.links)
        designs.append(dataclasses.replace(each.design, fifo_depths=depths))
    simulator = simulator_of(designs, tmp_path, optimize="-O1")
    for seed, (in_valid, out_ready) in enumerate(((1.0, 1.0), (0.5, 0.6))):
        stimuli = [
            Stimulus(each.frames[:FRAMES], design.input, design.output, in_valid, out_ready)
            for each, design in zip(found, designs, strict=True)
        ]
        runs = simulator.run_channels(stimuli, seed=seed, patience=PATIENCE)
        for run, each, design in zip(runs, found, designs, strict=True):
            np.testing.assert_array_equal(
                run.outputs[:, 0], each.classes[:FRAMES], err_msg=design.name
            )
