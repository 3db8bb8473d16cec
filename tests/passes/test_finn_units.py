"""FINN's matrix-vector unit in layers that a user names, ours in the others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from quant_case import context
from quant_chain import chain
from quant_graph import data_for, scored

from compiler.stages import Allocation, LayerChoice
from hw_targets.errors import LiftFlowError
from hw_targets.rtl.finn_mvu import FinnMvu
from passes.generate_rtl import GenerateRtl, design_of
from passes.simulate import Simulate


@pytest.mark.slow
def test_a_design_of_both_is_exact_with_sized_fifos(tmp_path: Path) -> None:
    found = chain("pointwise")
    ctx = context(tmp_path / "rtl", found.data)
    rtl = GenerateRtl(finn=("p",)).run(found.folded, ctx)
    units = {unit.name: unit for unit in rtl.units}
    assert (units["p_mvu"].kernel, units["q_mvu"].kernel) == ("FinnMvu", "Mvu")
    assert set(units["p_mvu"].resources.values()) == {None}
    assert None not in units["q_mvu"].resources.values()

    ctx = context(tmp_path / "simulate", found.data)
    simulated = Simulate().run(rtl, ctx)
    assert all(check.passed for check in ctx.checks)
    assert simulated.sim is not None
    assert simulated.sim.stalled_frames == len(found.data.test_x)
    assert simulated.sim.mismatches == 0
    assert simulated.sim.latency == pytest.approx(rtl.latency_estimate, rel=0.02)
    manifest = json.loads((simulated.folder / "manifest.json").read_text())
    modules = {unit["name"]: unit["module"] for unit in manifest["units"]}
    assert (modules["p_mvu"], modules["q_mvu"]) == ("lf_finn_mvu", "lf_mvu")
    assert manifest["sources"][0] == "finnlib_mvu_pkg.sv"
    texts = [(simulated.folder / name).read_text() for name in manifest["files"]]
    assert not any("site-packages" in text or str(tmp_path) in text for text in texts)


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("own_lanes", "c3", "the network has no layer 'c3'; its layers are c1, c2, f"),
        ("parallel_windows", "c1", r"c1: .* SIMD is the whole row \(27\); leave this layer out"),
        ("binary", "f1", "f1: FINN's RTL has no weights of 1 bit"),
    ],
)
def test_what_finn_cannot_do_is_refused_early_and_late(
    name: str, layer: str, message: str, tmp_path: Path
) -> None:
    found, asked = chain(name), GenerateRtl(finn=(layer,))
    GenerateRtl().foresee(found.quantized)
    for refuse in (
        lambda: asked.foresee(found.quantized),
        lambda: asked.run(found.folded, context(tmp_path, found.data)),
    ):
        with pytest.raises(LiftFlowError, match=f"^generate-rtl.finn: {message}") as caught:
            refuse()
        assert "\n" not in str(caught.value)


def test_boards_with_other_multipliers_are_told_apart() -> None:
    found = chain("own_lanes").folded
    for board, version in (("ulx3s-85f", 0), ("pynq-z2", 1), ("zcu104", 2)):
        asked = GenerateRtl(board=board, finn=("c2", "f"))
        asked.foresee(found)
        units = design_of(
            "both", found.path, found.network, found.allocation, asked.finn_units()
        ).units
        versions = [unit.kernel.version for unit in units if isinstance(unit.kernel, FinnMvu)]
        assert versions == [version, version]
    with pytest.raises(LiftFlowError, match="c2: FINN's unit for DSP58 is of another kind"):
        GenerateRtl(board="vck190", finn=("c2",)).foresee(found)


def test_networks_that_branch_are_foreseen_too(tmp_path: Path) -> None:
    model = scored("mixed", data_for(), tmp_path)
    GenerateRtl(finn=("point", "side")).foresee(model)
    with pytest.raises(LiftFlowError, match="depthwise: FINN's RTL has a depthwise unit for DSP58"):
        GenerateRtl(finn=("depthwise",)).foresee(model)

    model = scored("residual", data_for(), tmp_path)
    layers = {
        layer.name: LayerChoice(4, 4, 1, 8 if layer.name == "head" else 1, "lut", "auto", 1)
        for layer in model.network.layers
    }
    allocation = Allocation("ulx3s-85f", 50.0, layers, 4096, {}, {}, 0.0, 0.0, 4.0)
    allocated = replace(model, allocation=allocation)
    GenerateRtl(finn=("first_conv1", "stem")).foresee(allocated)
    with pytest.raises(LiftFlowError, match=r"head: .* SIMD is the whole row \(8\)"):
        GenerateRtl(finn=("stem", "head")).foresee(allocated)
