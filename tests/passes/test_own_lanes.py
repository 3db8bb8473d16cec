"""Units with lanes of their own: the same design in the cost model, in FINN's graph and in RTL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quant_case import context
from quant_chain import chain

from hw_targets.cost.planned import network_kernels
from hw_targets.flows.simulator import build
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.width_converter import WidthConverter
from passes.generate_rtl import GenerateRtl, design_of

DEPTH = 32
"""Of all FIFOs: enough for the design's throughput."""


def without_fifos(kernels: list[Kernel]) -> list[Kernel]:
    """All but FIFOs, and what is as wide as the last bias, which is known only in the end."""
    ends = (Fifo, ChannelAdd, LabelSelect)
    return [kernel for kernel in kernels if not isinstance(kernel, ends)][:-1]


def test_the_graph_has_each_unit_s_own_lanes() -> None:
    folding = chain("own_lanes").folded.folding
    found = {name: (a.get("PE"), a.get("SIMD")) for name, a in folding.items() if "Def" not in name}
    assert found == {
        "c1_pad": (None, 1),
        "c1_window": (None, 3),
        "c1_mvu": (5, 9),
        "c1_threshold": (2, None),
        "c1_pool_window": (None, 2),
        "c1_pool": (2, None),
        "c2_pad": (None, 2),
        "c2_window": (None, 5),
        "c2_mvu": (2, 9),
        "c2_threshold": (1, None),
        "f_mvu": (3, 4),
        "f_bias": (2, None),
        "label": (1, None),
    }


def test_finn_gives_all_pixels_of_the_kernel_where_several_are_wanted() -> None:
    folding = chain("parallel_windows").folded.folding
    found = {name: (a["SIMD"], a["parallel_window"]) for name, a in folding.items() if "c" in name
             and "window" in name and "pool" not in name}  # fmt: skip
    assert found == {"c1_window": (3, 1), "c2_window": (10, 1)}


# Width converters by the least common multiple only where the greatest common divisor were too
# slow.
@pytest.mark.parametrize(
    ("name", "interval", "steps"),
    [
        (
            "own_lanes",
            324,
            [
                *((1, 3), (3, 9), (5, 10), (10, 2)),
                *((2, 1), (1, 5), (5, 45), (45, 9), (2, 1)),
                *((1, 4), (3, 1), (1, 2), (2, 1)),
            ],
        ),
        ("parallel_windows", 72, [(5, 10), (30, 15)]),
    ],
)
def test_the_design_is_the_one_that_was_priced(
    name: str, interval: int, steps: list[tuple[int, int]]
) -> None:
    folded = chain(name).folded
    allocation = folded.allocation
    design = design_of("own", folded.path, folded.network, allocation)
    built = [unit.kernel for unit in design.units]
    priced = list(network_kernels(folded.network, list(allocation.layers.values())))
    assert without_fifos(built) == without_fifos(priced)
    assert design.bound_cycles == allocation.interval == interval
    found = [(k.in_lanes, k.out_lanes) for k in built if isinstance(k, WidthConverter)]
    assert found == steps


@pytest.mark.parametrize("name", ["own_lanes", "parallel_windows"])
def test_the_rtl_computes_it_in_the_modelled_cycles(name: str, tmp_path: Path) -> None:
    found = chain(name)
    ctx = context(tmp_path / "rtl", found.data)
    rtl = GenerateRtl().run(found.folded, ctx)
    assert all(check.passed for check in ctx.checks)
    design = design_of("own", rtl.finn, rtl.network, rtl.allocation)
    design = replace(design, fifo_depths=(DEPTH,) * len(design.links))
    manifest = design.write(tmp_path)
    simulator = build(tmp_path, manifest.top, manifest.sources, tmp_path / "obj", optimize="-O1")
    frames = rtl.input.stream(found.data.test_x)
    for share in (1.0, 0.6):
        run = simulator.run(frames, design.input, design.output, in_valid=share, out_ready=share)
        np.testing.assert_array_equal(run.outputs[:, 0], rtl.predictions)
        if share == 1.0:
            assert run.frame_cycles == pytest.approx(rtl.allocation.interval, rel=0.01)
