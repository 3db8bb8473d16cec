"""Chains of kernels: what the top computes, what the manifest says, what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import build
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import Instance
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from tests.hardware.cases import pick, random_frames
from tests.hardware.units import mvu, threshold


def small_network(seed: int) -> Design:
    """Padding, convolution, threshold, pooling, dense layer, bias, label."""
    rng = np.random.default_rng(seed)
    side, channels, filters = pick(rng, 4, 6, 7), pick(rng, 2, 4), pick(rng, 4, 6)
    simd = pick(rng, 1, 2)
    pad = Instance("pad", Pad(side, side, channels, 1, 1, 1, 1, channels, 4, False), {})
    windows = Swu(side + 2, side + 2, channels, 3, 3, 1, 1, simd, 4, False)
    swu = Instance("swu", windows, {})
    conv = mvu(rng, "conv", 9 * channels, filters, pick(rng, 1, 3), pick(rng, 1, 2), side * side)
    act = threshold(rng, "act", conv, filters, pick(rng, 1, 2))
    pool = Instance("pool", MaxPool(side, side, filters, 2, pick(rng, 1, 2), 4, False), {})
    dense = mvu(rng, "dense", (side // 2) ** 2 * filters, 6, pick(rng, 1, 2), pick(rng, 1, 3), 1)
    bits = dense.kernel.output.bits
    bias = Instance(
        "bias",
        ChannelAdd(6, pick(rng, 1, 2, 3), 1, bits, True, 6, bits + 1),
        {"bias": rng.integers(-32, 32, 6)},
    )
    label = Instance("label", LabelSelect(6, 1, bits + 1, True), {})
    return Design(f"net{seed}", (pad, swu, conv, act, pool, dense, bias, label))


@pytest.mark.parametrize("seed", [1, 2])
def test_chain_computes_its_reference_at_its_bound(seed: int, tmp_path: Path) -> None:
    design = small_network(seed)
    depths = tuple(pick(np.random.default_rng(i), 2, 2, 3, 9) for i in range(len(design.links)))
    design = Design(design.name, design.instances, depths)
    manifest = design.write(tmp_path)
    simulator = build(
        tmp_path,
        manifest.top,
        manifest.sources,
        tmp_path / "obj",
        links=[link.name for link in design.links],
        optimize="-O1",
    )
    frames = random_frames(np.random.default_rng(seed), 12, design.input)
    *_, expected = design.reference(frames)
    for in_valid, out_ready in ((1.0, 1.0), (0.6, 1.0), (1.0, 0.05), (0.3, 0.3)):
        run = simulator.run(
            frames, design.input, design.output, in_valid=in_valid, out_ready=out_ready
        )
        np.testing.assert_array_equal(run.outputs, expected)
        for link in design.links:
            assert run.fifo_max[link.name] <= link.depth
        if in_valid == out_ready == 1.0:
            assert run.frame_cycles <= 1.03 * design.bound_cycles + 24
            assert run.latency > design.bound_cycles // 2

    with pytest.raises(VerificationError, match=r"frame 0: .*FIFOs hold pad .*out [1-9]"):
        simulator.run(frames, design.input, design.output, out_ready=0.0, patience=10_000)


@pytest.mark.parametrize("seed", [4, 5])
def test_queues_that_drop_data_keep_every_cycle(seed: int, tmp_path: Path) -> None:
    """Of two words, where both kinds of queue answer in one cycle."""
    design = small_network(seed)
    links = [link.name for link in design.links]
    design = Design(design.name, design.instances, (2,) * len(links))
    frames = random_frames(np.random.default_rng(seed), 4, design.input)
    manifest = design.write(tmp_path)
    real, counting = (
        build(
            tmp_path,
            manifest.top,
            manifest.sources,
            tmp_path / f"obj{sizing}",
            links=links,
            sizing=sizing,
            optimize="-O1",
        ).run(frames, design.input, design.output, depths=(2,) * len(links) if sizing else ())
        for sizing in (False, True)
    )
    assert list(counting.ends) == list(real.ends)
    assert counting.latency == real.latency
    assert counting.fifo_max == real.fifo_max


def test_depth_zero_wires_the_neighbours(tmp_path: Path) -> None:
    design = small_network(3)
    design = Design(design.name, design.instances, (0,) * len(design.links))
    manifest = design.write(tmp_path)
    assert "fifo.sv" not in manifest.sources
    simulator = build(tmp_path, manifest.top, manifest.sources, tmp_path / "obj", optimize="-O1")
    frames = random_frames(np.random.default_rng(3), 4, design.input)
    *_, expected = design.reference(frames)
    run = simulator.run(frames, design.input, design.output, in_valid=0.7, out_ready=0.7)
    np.testing.assert_array_equal(run.outputs, expected)


def test_manifest_is_complete_and_the_same_every_time(tmp_path: Path) -> None:
    first = small_network(1).write(tmp_path / "a")
    again = small_network(1).write(tmp_path / "b")
    other = small_network(2).write(tmp_path / "b")
    assert first.digest == again.digest != other.digest

    text = (tmp_path / "a" / "manifest.json").read_text()
    assert str(tmp_path) not in text
    manifest = json.loads(text)
    assert manifest["digest"] == first.digest
    assert {*manifest["sources"], *manifest["memories"]} == set(first.files)
    assert manifest["sources"][-1] == "top.sv"
    written = {path.name for path in (tmp_path / "a").iterdir()}
    assert written == {*manifest["files"], "manifest.json"}
    for name, digest in manifest["files"].items():
        data = (tmp_path / "a" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
    # The second design in `b` left nothing of the first there.
    assert {path.name for path in (tmp_path / "b").iterdir()} == {*other.files, "manifest.json"}


def test_neighbours_that_do_not_fit_are_refused() -> None:
    pad = Instance("pad", Pad(4, 4, 2, 1, 1, 1, 1, 1, 4, False), {})
    for kernel, message in (
        (Swu(6, 6, 2, 3, 3, 1, 1, 1, 5, False), "4 bits, not 5"),
        (Swu(6, 6, 2, 3, 3, 1, 1, 1, 4, True), "signed"),
        (Swu(5, 6, 2, 3, 3, 1, 1, 1, 4, False), "elements a frame"),
    ):
        with pytest.raises(ValueError, match=message):
            Design("bad", (pad, Instance("swu", kernel, {})))
    with pytest.raises(ValueError, match="occur twice"):
        Design("bad", (pad, Instance("pad", Pad(6, 6, 2, 1, 1, 1, 1, 1, 4, False), {})))
    with pytest.raises(ValueError, match="3 FIFO depths for 2 links"):
        Design("bad", (pad,), (2, 2, 2))
    with pytest.raises(ValueError, match="not an identifier"):
        Design("bad", (Instance("a b", pad.kernel, {}),))
