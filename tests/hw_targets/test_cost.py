"""Cost model: units of a layer, monotone estimates, honest about what is uncalibrated."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest

from compiler.stages import LayerChoice
from hw_targets.boards import load_board
from hw_targets.cost import (
    estimate,
    estimate_design,
    estimate_many,
    kernels_of,
    network_kernels,
)
from hw_targets.cost.basis import BASES
from hw_targets.cost.coefficients import load_coefficients
from hw_targets.cost.features import KERNELS
from hw_targets.cost.finn import FINN_NODES
from hw_targets.cost.layer import joined
from hw_targets.lanes import Lanes, lanes_of
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Stream
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter

CONV = LayerShape("conv", "conv", 4, 8, (8, 8), (3, 3), padding=(1, 1, 1, 1), pool=2)
DENSE = LayerShape("dense", "dense", 128, 10, activation=False)
NETWORK = NetworkShape("net", (CONV, DENSE), (4, 8, 8), 4, False, 10)


@dataclass(frozen=True)
class Choice:
    weight_bits: int = 4
    act_bits: int = 3
    pe: int = 2
    simd: int = 2
    arithmetic: Literal["lut", "dsp"] = "lut"
    memory: Literal["auto", "block", "distributed"] = "distributed"


def _names(kernels: tuple[Kernel, ...]) -> list[str]:
    return [type(k).__name__ for k in kernels if not isinstance(k, Fifo)]


def test_units_of_a_convolution() -> None:
    kernels = kernels_of(CONV, Choice(), 4, False)
    assert _names(kernels) == ["Pad", "Swu", "Mvu", "Threshold", "MaxPool"]
    assert sum(isinstance(k, Fifo) for k in kernels) == 5
    mvu = next(k for k in kernels if isinstance(k, Mvu))
    fifo = kernels[kernels.index(mvu) - 1]
    assert isinstance(fifo, Fifo)
    assert fifo.depth == 2
    threshold = next(k for k in kernels if isinstance(k, Threshold))
    assert threshold.in_bits == mvu.acc_bits
    assert threshold.pe == mvu.pe


def test_units_of_the_logits() -> None:
    kernels = kernels_of(DENSE, Choice(act_bits=0), 3, False, in_lanes=2)
    assert _names(kernels) == ["Mvu", "ChannelAdd", "LabelSelect"]


def test_lanes_that_differ_are_converted() -> None:
    kernels = kernels_of(DENSE, Choice(act_bits=0, simd=8), 3, False, in_lanes=2)
    assert _names(kernels)[0] == "WidthConverter"
    # 4 to 16 lanes of a plain 1x1 layer: one step; through the gcd where neither divides.
    gcd = kernels_of(replace(DENSE, in_channels=24), Choice(act_bits=0, simd=6), 3, False, 4)
    assert _names(gcd)[:2] == ["WidthConverter", "WidthConverter"]


def test_streams_of_neighbours_fit() -> None:
    kernels = network_kernels(NETWORK, [Choice(), Choice(act_bits=0, simd=8)])
    for before, after in itertools.pairwise(kernels):
        assert before.output.width == after.input.width
        assert before.output.beats == after.input.beats


def test_units_with_lanes_of_their_own() -> None:
    choice = LayerChoice(4, 3, 4, 9, "lut", "auto", 0, Lanes(pad=1, window=2, act=1, end=1))
    kernels = kernels_of(CONV, choice, 4, False)
    # 2 to 9 lanes of a window meet at one, which is slower than any unit: then at 18.
    lanes = [(k.input.lanes, k.output.lanes) for k in kernels if not isinstance(k, Fifo)]
    slowest = max(k.cycles for k in kernels)
    assert slowest == 64 * 36 // 2
    units = [(1, 1), (1, 2), (2, 2), (2, 18), (18, 9), (9, 4), (4, 1), (1, 1), (1, 1)]
    assert lanes == units
    patient = kernels_of(CONV, choice, 4, False, pace=64 * 36)
    assert WidthConverter(2, 1, 4, 64 * 36) in patient
    assert max(k.cycles for k in patient) == 64 * 36
    for found in (kernels, patient):
        for before, after in itertools.pairwise(found):
            assert before.output.width == after.input.width
            assert before.output.beats == after.input.beats


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
def test_slower_converters_are_never_larger(family: str) -> None:
    """What the allocator relies on when it takes them wherever they keep up."""
    for before, after, bits in itertools.product((2, 4, 9, 15), (3, 5, 6, 14, 18), (1, 4, 16)):
        if max(before, after) % min(before, after):
            elements = 4 * before * after
            into = Stream(after, bits, False, elements // after)
            slow, fast = (
                estimate_many(joined(before, into, pace), family).sum(axis=0) for pace in (None, 0)
            )
            # Where the larger one is uncalibrated there is nothing to compare with.
            assert np.isnan(fast).any() or (slow <= fast + 1e-9).all()


def test_lanes_that_are_not_given_follow_the_matrix() -> None:
    assert lanes_of(CONV, 2, 4) == Lanes(4, 4, 2, 2)
    # The fewest lanes that keep up where SIMD does not divide the channels.
    assert lanes_of(CONV, 8, 3, Lanes(act=2)) == Lanes(4, 4, 2, 2)
    assert lanes_of(CONV, 8, 9, Lanes(window=1, end=4)) == Lanes(1, 1, 8, 4)


def test_every_kernel_has_a_basis() -> None:
    assert set(BASES) == set(KERNELS) | {node.__name__ for node in FINN_NODES}


@pytest.mark.parametrize("family", ["ecp5", "xc7", "xcup"])
def test_design_says_what_it_does_not_know(family: str) -> None:
    boards = {"ecp5": "ulx3s-85f", "xc7": "pynq-z2", "xcup": "zcu104"}
    found = estimate_design(
        network_kernels(NETWORK, [Choice(), Choice(act_bits=0)]), load_board(boards[family])
    )
    if load_coefficients(family) is None:
        assert found.lut is None
        assert found.ff is None
        assert not found.calibrated
        assert family in found.why
    else:
        assert found.calibrated
        assert found.lut is not None
        assert found.lut > 0
    assert found.dsp == 0


def test_outside_the_domain_is_uncalibrated_not_zero() -> None:
    huge = Mvu(4096, 4096, 512, 512, 1, 4, 4, False)
    found = estimate(huge, "ecp5")
    assert found.lut is None
    assert found.ff is None
    assert "outside" in found.why
    # What is counted by formula stays known.
    assert found.dsp == 0


def test_estimate_agrees_with_the_batch() -> None:
    kernels: list[Kernel] = [
        Mvu(36, 8, 4, 2, 9, 4, 4, False),
        Fifo(12, 2, 4),
        Swu(8, 8, 4, 3, 3, 1, 1, 2, 4, False),
    ]
    batch = estimate_many(kernels, "ecp5")
    for kernel, row in zip(kernels, batch, strict=True):
        assert list(estimate(kernel, "ecp5").as_dict().values()) == pytest.approx(list(row))


@pytest.mark.parametrize("field", ["pe", "simd", "weight_bits", "act_bits"])
def test_more_hardware_is_never_cheaper(field: str) -> None:
    base = Mvu(64, 16, 2, 2, 9, 2, 2, False, "lut", "distributed")
    steps = {"pe": (1, 2, 4), "simd": (1, 2, 4, 8)}.get(field, (2, 3, 4, 5, 6))
    # Folds shrink as lanes grow: the matrix grows along, so that only the lanes differ.
    kernels = []
    for value in steps:
        wider = replace(base, **{field: value}) if field not in ("pe", "simd") else None
        if field == "pe":
            wider = replace(base, pe=value, mh=8 * value)
        elif field == "simd":
            wider = replace(base, simd=value, mw=8 * value)
        assert wider is not None
        kernels.append(wider)
    luts, ffs = estimate_many(kernels, "ecp5").T[:2]
    assert (np.diff(luts) >= 0).all()
    assert (np.diff(ffs) >= 0).all()


def test_multipliers_and_block_rams_are_counted() -> None:
    found = estimate(Mvu(256, 32, 4, 4, 9, 4, 4, False, "dsp", "block"), "ecp5")
    assert found.dsp == 8  # two rows of 4 bits share one
    # 512 words of 64 bits: two blocks of 512 x 36.
    assert found.bram == 2


@pytest.mark.parametrize("family", ["ecp5", "xc7", "xcup"])
def test_units_of_any_network_are_known(family: str) -> None:
    kernels: list[Kernel] = [
        *(Duplicate(64, 24, True, 64, copies) for copies in (2, 3, 4)),
        *(Add(lanes, bits, True, 64) for lanes in (1, 64) for bits in (2, 8, 20)),
        *(Concat(64, (64,) * n, lanes, 4, False) for n in (2, 3, 4) for lanes in (1, 64)),
        *(
            Table(i, True, o, False, lanes, 64)
            for i in (2, 5, 8)
            for o in (1, 8)
            for lanes in (1, 64)
        ),
    ]
    for pe, arithmetic in itertools.product((1, 8, 64), ("lut", "dsp")):
        for channels, taps, signed in itertools.product((64, 128, 1024), (4, 49), (False, True)):
            for bits in ((2, 1), (8, 1), (4, 4), (8, 8)):
                kernels.append(Depthwise(channels, taps, 1, pe, *bits, signed, arithmetic, "auto"))  # type: ignore[arg-type]
    for pe, op, channels in itertools.product((1, 64), ("sum", "max"), (64, 128, 2048)):
        for taps, width in itertools.product((4, 1024), (1, 8)):
            kernels.append(Reduce(channels, taps, 1, pe, width, False, op))  # type: ignore[arg-type]
    for simd, side, scale in itertools.product((1, 32), (4, 112), ((2, 2), (1, 2), (4, 1))):
        kernels.append(Upsample(side, side, 64, *scale, simd, 4, False))
    found = estimate_many(kernels, family)
    unknown = [kernel for kernel, row in zip(kernels, found, strict=True) if np.isnan(row).any()]
    assert not unknown
    assert (found[:, :2] > 0).all()


def test_fits_are_as_good_as_they_claim() -> None:
    for family in ("ecp5", "xc7"):
        fitted = load_coefficients(family)
        if fitted is None:
            continue
        for kind, fit in fitted.kernels.items():
            assert kind in KERNELS
            assert min(fit.lut.coefficients.values()) >= 0
            assert fit.lut.mape <= fit.lut.mape_left_out < 8, (family, kind)


def test_importing_the_cost_model_is_light() -> None:
    code = (
        "import sys, hw_targets.cost; print(sorted({'torch', 'finn', 'scipy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
