"""Cycles of a whole design in simulation, with the FIFO depths the flow would give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.designs.build import FRAMES, frames_for
from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import build
from hw_targets.rtl.design import LEAST_DEPTH, Design
from passes._fifo_measure import FifoBench
from passes.simulate import Simulate


def digest(design: Design, folder: Path) -> str:
    """Short digest of the design's RTL and memories at least FIFO depths."""
    return design.write(folder).digest[:12]


def cycles(design: Design, folder: Path, optimize: str = "-O1") -> dict[str, Any]:
    """Size the FIFOs as `passes.simulate` does, then run `FRAMES` frames back to back.

    The final RTL's outputs are compared with the integer model. Returns the depths by link; the
    interval (clock cycles between the last beats of successive frames, median without the first)
    with FIFOs as sized, as deep as can be and of least depth (None: stuck); the ends of all frames;
    the latency from the first frame's first input beat to its last output beat.

    optimize: of the C++ compiler; what is simulated longer than it compiles wants more of it.

    Raises:
        VerificationError: the RTL computes something else than the integer model, or is stuck.
    """
    bench = FifoBench.of(design, folder, deepest=Simulate().deepest_fifo, optimize=optimize)
    frames = frames_for(design.input, FRAMES)
    depths = bench.least_depths().depths
    deep_run = bench.run(frames, bench.greatest)
    try:
        least_run = bench.run(frames, (LEAST_DEPTH,) * len(depths))
        least = max(least_run.frame_cycles, design.bound_cycles)
    except VerificationError:
        least = None

    sized = Design(design.name, design.instances, depths)
    manifest = sized.write(folder)
    final = build(folder, manifest.top, manifest.sources, folder / "obj-final", optimize=optimize)
    result = final.run(frames, design.input, design.output)
    *_, expected = design.reference(frames)
    if not np.array_equal(result.outputs, expected):
        raise VerificationError("the RTL and the integer model differ", where=design.name)
    return {
        "depths": dict(zip((link.name for link in design.links), depths, strict=True)),
        "interval": steady(result.ends),
        "ends": [int(end) for end in result.ends],
        "latency": result.latency,
        "interval_deep": steady(deep_run.ends),
        "interval_least": least,
    }


def steady(ends: Any) -> float:
    """Median distance between the last beats of successive frames, the first two left out."""
    distances = np.diff(np.asarray(ends))
    return float(np.median(distances[1:] if len(distances) > 2 else distances))
