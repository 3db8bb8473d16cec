"""Every kernel, with random parameters, data and stalls, against its integer model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.kernel import Instance, IntArray, Kernel
from hw_targets.rtl.multiplier import for_multipliers
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import Requant
from hw_targets.rtl.rom import banks
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from tests.hardware.bench import simulate
from tests.hardware.cases import GENERATORS, cases, random_frames

COUNT = int(os.environ.get("LIFTFLOW_FUZZ", "16"))
BATCH = 25
FRAMES = 4
NO_STALLS = ((1.0, 1.0),)
STALLS = ((0.5, 1.0), (1.0, 0.5), (0.4, 0.4), (0.15, 0.9), (0.9, 0.15))
FILL = 24
"""Cycles by which the distance of two frames' ends may differ: a pipeline that fills or drains."""

BATCHES = [
    (kind, start, min(BATCH, COUNT - start))
    for kind in GENERATORS
    for start in range(0, COUNT, BATCH)
]


@pytest.mark.parametrize(("kind", "start", "count"), BATCHES)
def test_kernel_computes_its_reference_and_keeps_its_cycles(
    kind: str, start: int, count: int, tmp_path: Path
) -> None:
    _check(cases(kind, count, seed=1000 + start), tmp_path, start)


def test_thresholds_in_banks_of_block_ram(tmp_path: Path) -> None:
    kernels = [
        Threshold(200, 2, 1, 20, True, 7, False),
        Threshold(20, 1, 2, 17, False, 8, True, -128),
    ]
    deepest = [banks(unit.folds << unit.out_bits - 1, unit.in_bits) for unit in kernels]
    assert deepest == [7, 3]
    rng = np.random.default_rng(0)
    shapes = [(kernel.channels, 2**kernel.out_bits - 1) for kernel in kernels]
    steps = [np.sort(rng.integers(-(2**16), 2**17, shape)) for shape in shapes]
    _check(
        [
            Instance(f"unit{n}", kernel, {"thresholds": values})
            for n, (kernel, values) in enumerate(zip(kernels, steps, strict=True))
        ],
        tmp_path,
        seed=0,
    )


def test_constants_in_banks_of_block_ram(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    replayed = Mvu(700, 9, 2, 3, 1, 6, 8, True, arithmetic="dsp", memory="block")
    short = Mvu(18, 192, 1, 3, 2, 4, 4, False, memory="block")
    direct = Mvu(1100, 3, 1, 3, 2, 4, 4, False, memory="block")
    depthwise = Depthwise(550, 4, 1, 2, 6, 5, True, memory="block")
    requant = Requant(1100, 1, 1, 9, True, 7, True, 4, 8, 5)
    far = Mvu(18, 768, 1, 3, 2, 4, 4, False, memory="block")
    far_replayed = Mvu(1500, 6, 1, 2, 1, 4, 4, False, arithmetic="dsp", memory="block")
    far_depthwise = Depthwise(700, 9, 1, 1, 8, 5, True, "dsp", memory="block")
    far_requant = Requant(2300, 1, 1, 9, True, 7, True, 12, 28, 5)
    mvus = replayed, short, direct, far, far_replayed
    kernels: list[Mvu | Depthwise | Requant]
    kernels = [*mvus, depthwise, far_depthwise, requant, far_requant]
    assert [kernel.rom_banks for kernel in kernels] == [3, 3, 3, 9, 9, 3, 13, 3, 5]
    arrays = [
        *({"weights": rng.integers(-7, 8, (mvu.mh, mvu.mw))} for mvu in mvus),
        {"weights": rng.integers(-32, 32, (550, 4))},
        {"weights": rng.integers(-128, 128, (700, 9))},
        {"mult": rng.integers(-8, 8, 1100), "add": rng.integers(-128, 128, 1100)},
        {"mult": rng.integers(-2048, 2048, 2300), "add": rng.integers(-(2**27), 2**27, 2300)},
    ]
    _check(
        [
            Instance(f"unit{n}", kernel, values)
            for n, (kernel, values) in enumerate(zip(kernels, arrays, strict=True))
        ],
        tmp_path,
        seed=0,
    )


def _check(instances: Sequence[Instance], folder: Path, seed: int) -> None:
    """Computes its reference with and without stalls; keeps its cycles without."""
    bench = simulate(instances, folder)
    rng = np.random.default_rng(seed)
    frames = [
        [random_frames(rng, FRAMES, stream) for stream in instance.kernel.inputs]
        for instance in instances
    ]
    expected = [
        instance.kernel.compute(data, instance.arrays)
        for instance, data in zip(instances, frames, strict=True)
    ]
    for seed, quiet in enumerate((True, *repeat(False, len(STALLS)))):
        # Every stream of a kernel stalls in its own way.
        stalls = NO_STALLS if quiet else STALLS[seed - 1 :] + STALLS[: seed - 1]
        for instance, runs, outputs in zip(
            instances, bench.run(frames, stalls, seed), expected, strict=True
        ):
            for run, values in zip(runs, outputs, strict=False):
                np.testing.assert_array_equal(run.outputs, values, err_msg=str(instance.kernel))
                if quiet:
                    cycles = instance.kernel.cycles
                    taken = int(run.ends[-1] - run.ends[0])
                    allowed = 1.03 * cycles * (FRAMES - 1) + FILL
                    assert taken <= allowed, f"{taken} > {allowed:.0f}: {instance.kernel}"


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Depthwise, (4, 9, 1, 3, 4, 4, False), "pe must divide"),
        (Depthwise, (4, 9, 1, 2, 9, 4, False), "weight_bits"),
        (Reduce, (4, 0, 1, 2, 4, False, "sum"), "at least 1"),
        (Reduce, (4, 9, 1, 2, 4, False, "mean"), "sum or max"),
        (Upsample, (4, 4, 4, 2, 2, 3, 4, False), "simd must divide"),
        (Requant, (4, 2, 1, 8, True, 4, False, 18, 30, 51), "shift"),
        (Table, (9, False, 4, False, 1, 1), "in_bits"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    kind: type[Kernel], fields: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(*fields)


@pytest.mark.parametrize(
    ("kernel", "arrays", "message"),
    [
        (Depthwise(2, 4, 1, 1, 2, 4, False), {"weights": np.full((2, 4), 2)}, "outside 2 bits"),
        (Depthwise(2, 4, 1, 1, 2, 4, False), {"weights": np.zeros((4, 2))}, "shape"),
        (
            Requant(2, 1, 1, 8, True, 4, False, 4, 8, 3),
            {"mult": np.full(2, 8), "add": np.zeros(2)},
            "mult does not fit",
        ),
        (Table(1, False, 2, True, 1, 1), {"table": np.array([0, 2])}, "does not fit"),
        (
            Mvu(2, 2, 1, 2, 1, 4, 4, False, "dsp"),
            {"weights": np.full((2, 2), -8)},
            r"outside -7\.\.7",
        ),
        (Mvu(2, 2, 1, 1, 1, 2, 4, False), {"weights": np.full((2, 2), -2)}, r"outside -1\.\.1"),
        (Mvu(2, 2, 1, 1, 1, 1, 4, False), {"weights": np.zeros((2, 2))}, "not 0"),
        (Depthwise(2, 4, 1, 1, 1, 4, False), {"weights": np.zeros((2, 4))}, "not 0"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    kernel: Kernel, arrays: dict[str, IntArray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kernel.memories(arrays)


def test_rows_share_multipliers_where_their_products_fit() -> None:
    unit = Mvu(8, 10, 2, 5, 1, 4, 4, False, "dsp")
    assert unit.packed_rows == 2  # 4 + 8 bits of 18
    wider = for_multipliers(unit, 25)
    assert isinstance(wider, Mvu)
    assert wider.packed_rows == 3  # 4 + 2 * 8 bits of 25; three and two rows
    assert Mvu(8, 8, 2, 4, 1, 8, 8, False, "dsp").packed_rows == 1
    assert Mvu(8, 8, 2, 4, 1, 8, 8, False, "dsp", multiplier_bits=25).packed_rows == 2
    assert Mvu(8, 8, 2, 4, 1, 4, 1, True, "dsp").packed_rows == 1  # times 0 or -1
    assert Mvu(8, 8, 2, 4, 1, 4, 4, False, "lut").packed_rows == 1
