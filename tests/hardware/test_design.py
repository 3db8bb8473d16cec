"""Chains of kernels: what the top computes, what the manifest says, what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw_targets.cost.latency import design_latency
from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import build
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.design import Design
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Instance, Source
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from tests.hardware.cases import Rng, pick, random_frames

SIDE = 5
"""Of the images in designs with branches."""


def mvu(rng: Rng, name: str, mw: int, mh: int, simd: int, pe: int, pixels: int) -> Instance:
    kernel = Mvu(mw, mh, simd, pe, pixels, 3, 4, False)
    return Instance(name, kernel, {"weights": rng.integers(-4, 4, (mh, mw))})


def threshold(rng: Rng, name: str, before: Instance, channels: int, pe: int) -> Instance:
    """Takes two bits more than the accumulator has, which the top must extend."""
    bits = before.kernel.output.bits
    pixels = before.kernel.output.elements // channels
    kernel = Threshold(channels, pe, pixels, bits + 2, True, 4, False)
    steps = np.sort(rng.integers(-300, 300, (channels, 15)), axis=1)
    return Instance(name, kernel, {"thresholds": steps})


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


def activation(rng: Rng, name: str, channels: int, pe: int, before: Instance | Source) -> Instance:
    """Unsigned in and out, of 4 bits; the top may have to extend what comes."""
    kernel = Threshold(channels, pe, SIDE * SIDE, 6, False, 4, False)
    steps = np.sort(rng.integers(0, 40, (channels, 15)), axis=1)
    source = before if isinstance(before, Source) else Source(before.name)
    return Instance(name, kernel, {"thresholds": steps}, (source,))


def branches(rng: Rng, fork: Instance, channels: int, filters: int) -> tuple[Instance, ...]:
    """From the first copy a convolution of 3 x 3 with its activation, from the second one alone."""
    simd = pick(rng, 1, 2)
    pads = Pad(SIDE, SIDE, channels, 1, 1, 1, 1, channels, 4, False)
    pad = Instance("pad", pads, {}, (Source(fork.name, 0),))
    swu = Instance("swu", Swu(SIDE + 2, SIDE + 2, channels, 3, 3, 1, 1, simd, 4, False), {})
    conv = mvu(rng, "conv", 9 * channels, filters, 3, pick(rng, 1, 2), SIDE * SIDE)
    act = threshold(rng, "act", conv, filters, pick(rng, 1, 2))
    skip = activation(rng, "skip", channels, pick(rng, 1, 2), Source(fork.name, 1))
    return pad, swu, conv, act, skip


def residual_network(seed: int) -> Design:
    """A block whose input is added to its output, and an activation behind the sum."""
    rng = np.random.default_rng(seed)
    channels, lanes = 4, pick(rng, 1, 2, 4)
    beats = SIDE * SIDE * channels // lanes
    fork = Instance("fork", Duplicate(lanes, 4, False, beats, 2), {})
    inner = branches(rng, fork, channels, channels)
    # Both sides come with 4 bits; the sum is taken in 5.
    lanes = pick(rng, 1, 2, 4)
    kernel = Add(lanes, 5, False, SIDE * SIDE * channels // lanes)
    total = Instance("add", kernel, {}, (Source("act"), Source("skip")))
    return Design(f"res{seed}", (fork, *inner, total, activation(rng, "last", channels, 2, total)))


def concat_network(seed: int) -> Design:
    """Three branches side by side, one of them a wire, and a pooling behind them."""
    rng = np.random.default_rng(seed)
    channels, filters, lanes = 4, 6, pick(rng, 1, 2)
    fork = Instance("fork", Duplicate(4, 4, False, SIDE * SIDE, 3), {})
    inner = branches(rng, fork, channels, filters)
    together = Instance(
        "both",
        Concat(SIDE * SIDE, (filters, channels, channels), lanes, 4, False),
        {},
        (Source("act"), Source("fork", 2), Source("skip")),
    )
    pool = Instance("pool", MaxPool(SIDE, SIDE, filters + 2 * channels, 2, 1, 4, False), {})
    return Design(f"cat{seed}", (fork, *inner, together, pool))


def with_depths(design: Design, depths: Mapping[str, int], least: int = 2) -> Design:
    return replace(design, fifo_depths=tuple(depths.get(link.name, least) for link in design.links))


@pytest.mark.parametrize(("seed", "least"), [(1, 2), (2, 0)])
@pytest.mark.parametrize("network", [residual_network, concat_network])
def test_branches_compute_their_reference_at_their_bound(
    network: Callable[[int], Design], seed: int, least: int, tmp_path: Path
) -> None:
    design = network(seed)
    join = "add" if network is residual_network else "both"
    # What the convolution holds back, the other branches have to hold too.
    waiting = [link.name for link in design.links if link.name.startswith(("skip", f"{join}_"))]
    design = with_depths(design, dict.fromkeys(waiting, 4 * SIDE * SIDE), least)
    manifest = design.write(tmp_path)
    names = [link.name for link in design.links]
    simulator = build(
        tmp_path, manifest.top, manifest.sources, tmp_path / "obj", links=names, optimize="-O1"
    )
    frames = random_frames(np.random.default_rng(seed), 8, design.input)
    *_, expected = design.reference(frames)
    for in_valid, out_ready in ((1.0, 1.0), (0.6, 1.0), (1.0, 0.05), (0.3, 0.3)):
        run = simulator.run(
            frames, design.input, design.output, in_valid=in_valid, out_ready=out_ready
        )
        np.testing.assert_array_equal(run.outputs, expected)
        if in_valid == out_ready == 1.0:
            assert run.frame_cycles <= 1.03 * design.bound_cycles + 24
            latency = design_latency(design.units, design.links)
            assert abs(run.latency - latency) <= 0.03 * latency


def test_a_branch_that_cannot_wait_is_a_deadlock(tmp_path: Path) -> None:
    """The sum waits for the convolution, which waits for rows that the other branch cannot take."""
    rng = np.random.default_rng(1)
    fork = Instance("fork", Duplicate(1, 4, False, SIDE * SIDE * 4, 2), {})
    *inner, _ = branches(rng, fork, 4, 4)
    sources = (Source("act"), Source("fork", 1))
    total = Instance("add", Add(1, 4, False, SIDE * SIDE * 4), {}, sources)
    design = with_depths(Design("stuck", (fork, *inner, total)), {"add_1": 4 * SIDE * SIDE})
    manifest = design.write(tmp_path)
    names = [link.name for link in design.links]
    simulator = build(
        tmp_path,
        manifest.top,
        manifest.sources,
        tmp_path / "obj",
        links=names,
        sizing=True,
        optimize="-O1",
    )
    frames = random_frames(np.random.default_rng(1), 2, design.input)
    depths = [link.depth for link in design.links]
    run = simulator.run(frames, design.input, design.output, depths=depths)
    *_, expected = design.reference(frames)
    np.testing.assert_array_equal(run.outputs, expected)
    depths[names.index("add_1")] = 8
    with pytest.raises(VerificationError, match=r"frame 0: .*FIFOs hold fork 2,.* add_1 8,"):
        simulator.run(frames, design.input, design.output, patience=10_000, depths=depths)


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


def test_streams_that_do_not_meet_are_refused() -> None:
    stream = (1, 4, False, 9)
    fork = Instance("fork", Duplicate(*stream, 2), {})
    add = Instance("add", Add(*stream), {}, (Source("fork", 0), Source("fork", 1)))
    assert [str(unit.sources[0]) for unit in Design("good", (fork, add)).units if unit.sources] == [
        "s_axis",
        "fork",
    ]

    def taking(*sources: Source) -> Instance:
        return replace(add, sources=sources)

    act = Instance("act", Threshold(1, 1, 9, 5, False, 4, False), {})
    for instances, message in (
        ((fork, taking(Source("fork"))), "add: 1 sources for 2 input streams"),
        ((fork, taking(Source("fork"), Source("fork"))), "fork -> add: is taken twice"),
        ((fork, taking(Source("fork"), Source("fork", 2))), r"fork.2 -> add: there is no such"),
        ((fork, taking(Source("fork"), Source("other"))), "other -> add: there is no such"),
        ((fork, taking(Source("fork"), Source("act")), act), "act -> add: does not come before"),
        ((fork, taking(Source("fork"), Source("add"))), "add -> add: does not come before it"),
        ((fork, act), r"taken by none: fork\.1"),
        ((fork, replace(act, sources=(Source("fork", 1),))), "taken by none: fork$"),
        ((fork, replace(act, name="add_0"), taking(Source("add_0"), Source("fork", 1))), "twice"),
        ((fork, replace(add, kernel=Add(1, 3, False, 9))), "fork -> add: elements of 4 bits, not"),
        ((fork, replace(add, kernel=Add(1, 4, True, 9))), "fork -> add: one is signed"),
        ((fork,), r"taken by none: fork\.1"),
    ):
        with pytest.raises(ValueError, match=message):
            Design("bad", instances)
