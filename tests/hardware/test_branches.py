"""Designs with branches: what the top computes and when, what gets stuck, what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw_targets.cost.backlog import backlogs
from hw_targets.cost.latency import design_latency
from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import build
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.design import Design
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Instance, IntArray, Kernel, Source
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.wiring import INPUT
from passes._fifo_measure import FifoBench
from tests.hardware.cases import Rng, pick, random_frames
from tests.hardware.units import mvu, threshold

SIDE = 5
"""Of the images in designs with branches."""


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


def nested_network(seed: int) -> Design:
    """Branches within branches, of random kinds; no FIFO is shorter than the longest wait."""
    rng = np.random.default_rng(seed)
    made: list[Instance] = []
    pixels = SIDE * SIDE

    def put(name: str, kernel: Kernel, arrays: Mapping[str, IntArray], *taken: Source) -> Source:
        made.append(Instance(f"{name}{len(made)}", kernel, arrays, taken))
        return Source(made[-1].name)

    def act(source: Source, channels: int) -> Source:
        unit = activation(rng, "", channels, 1, source)
        return put("act", unit.kernel, unit.arrays, source)

    def fork(source: Source, channels: int) -> tuple[Source, Source]:
        lanes = pick(rng, 1, channels)
        kernel = Duplicate(lanes, 4, False, pixels * channels // lanes, 2)
        name = put("fork", kernel, {}, source).instance
        return Source(name, 0), Source(name, 1)

    def convolution(source: Source, channels: int, filters: int) -> Source:
        pad = put("pad", Pad(SIDE, SIDE, channels, 1, 1, 1, 1, 1, 4, False), {}, source)
        windows = Swu(SIDE + 2, SIDE + 2, channels, 3, 3, 1, 1, channels, 4, False)
        swu = put("swu", windows, {}, pad)
        unit = mvu(rng, "conv", 9 * channels, filters, 9, pick(rng, 1, filters), pixels)
        conv = put("conv", unit.kernel, unit.arrays, swu)
        unit = threshold(rng, "act", unit, filters, 1)
        return put("act", unit.kernel, unit.arrays, conv)

    def grow(source: Source, channels: int, out: int, depth: int) -> Source:
        kinds = ["sum", "join"] if depth > 0 else []
        kinds += ["wire", "act"] if out == channels else ["convolution"]
        kind = kinds[rng.integers(len(kinds))]
        if kind == "sum":
            left, right = fork(source, channels)
            sides = grow(left, channels, out, depth - 1), grow(right, channels, out, depth - 1)
            return act(put("sum", Add(1, 4, False, pixels * out), {}, *sides), out)
        if kind == "join" and out > 1:
            part = int(rng.integers(1, out))
            left, right = fork(source, channels)
            sides = (
                grow(left, channels, part, depth - 1),
                grow(right, channels, out - part, depth - 1),
            )
            return put("join", Concat(pixels, (part, out - part), 1, 4, False), {}, *sides)
        if kind == "wire":
            return source
        return act(source, out) if out == channels else convolution(source, channels, out)

    act(grow(grow(INPUT, 3, 4, 2), 4, 2, 1), 2)
    design = Design(f"nest{seed}", tuple(made))
    return with_depths(design, {}, least=4 * pixels)


def with_depths(design: Design, depths: Mapping[str, int], least: int = 2) -> Design:
    return replace(design, fifo_depths=tuple(depths.get(link.name, least) for link in design.links))


def check(design: Design, folder: Path, seed: int) -> None:
    """Exact whatever stalls; without stalls at the bound, after the latency that was counted."""
    manifest = design.write(folder)
    names = [link.name for link in design.links]
    simulator = build(
        folder, manifest.top, manifest.sources, folder / "obj", links=names, optimize="-O1"
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


NESTED = int(os.environ.get("LIFTFLOW_FUZZ", "16")) // 16


@pytest.mark.parametrize("seed", range(NESTED))
def test_nested_branches_compute_their_reference(seed: int, tmp_path: Path) -> None:
    check(nested_network(seed), tmp_path, seed)


@pytest.mark.parametrize(("network", "seed"), [(residual_network, 0), (concat_network, 1)])
def test_what_waits_at_a_joint_is_known_before(
    network: Callable[[int], Design], seed: int, tmp_path: Path
) -> None:
    design = network(seed)
    bench = FifoBench.of(design, tmp_path, deepest=512, optimize="-O1")
    frames = np.zeros((3, design.input.elements), dtype=np.int64)
    held = bench.run(frames, bench.greatest, pace=design.bound_cycles).fifo_max
    waiting = backlogs(design.units, design.links, design.bound_cycles)
    assert max(waiting.values()) > 2
    for name, words in waiting.items():
        # What waits for its turn alone, and not for another branch, is not counted.
        assert words <= held[name] + 1
        assert network is concat_network or words >= held[name]


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
    check(design, tmp_path, seed)


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
    assert run.fifo_max["add_1"] > 8
    depths[names.index("add_1")] = 8
    with pytest.raises(VerificationError, match=r"frame 0: .*FIFOs hold fork 2,.* add_1 8,"):
        simulator.run(frames, design.input, design.output, patience=10_000, depths=depths)


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
