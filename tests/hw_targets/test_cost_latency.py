"""Latency of chains, counted by hand from the kernels' pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw_targets.cost.latency import design_latency, latency_cycles, mvu_stages
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.design import Design
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.finn_mvu import FinnMvu
from hw_targets.rtl.kernel import Instance, Kernel, Source
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import Requant
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.top import Link
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter
from hw_targets.rtl.wiring import INPUT
from tests.hardware.bench import simulate
from tests.hardware.cases import GENERATORS, cases, random_frames

# Without FIFOs in the list one of least depth stands before the kernel and one behind it: 2 cycles.
# The first beat comes in cycle 0, and the cycle of the last one counts too: 1 more.
ENDS = 3


@pytest.mark.parametrize(
    ("kernel", "cycles"),
    [
        (Threshold(4, 1, 3, 8, True, 2, False), 11 + 2),
        # The stage of 64 words has a cycle of its own.
        (Threshold(32, 1, 1, 8, True, 2, False), 31 + 3),
        (MaxPool(4, 4, 2, 2, 1, 4, False), 31 + 2),
        # The last row and the last column are dropped.
        (MaxPool(5, 5, 2, 2, 1, 4, False), (3 * 5 + 3) * 2 + 1 + 2),
        (ChannelAdd(6, 2, 1, 8, True, 8, 9), 2 + 2),
        # Read, two levels of a product of four-bit operands, sum.
        (Depthwise(4, 9, 3, 2, 4, 4, False, memory="distributed"), 53 + 1 + 2 + 1),
        # Read, and registers behind the block RAM and before the multiplier.
        (Depthwise(4, 9, 3, 2, 4, 4, False, "dsp", "block"), 53 + 3 + 1 + 1),
        (Reduce(4, 9, 3, 2, 4, False, "sum"), 53 + 1),
        # A word can be read the cycle after it is written, and then nothing waits.
        (Upsample(2, 3, 2, 2, 2, 1, 4, False), 1 + 47 + 2),
        # Read, multiply, add, clip.
        (Requant(6, 2, 1, 16, True, 4, False, 18, 30, 20), 2 + 4),
        # Wider than a multiplier: a cycle more for the sums of its parts.
        (Requant(6, 2, 1, 19, True, 4, False, 18, 30, 20), 2 + 5),
        (Table(4, True, 4, False, 2, 7), 6 + 1),
        (LabelSelect(6, 3, 8, True), 1 + 3),
        (WidthConverter(1, 4, 4, 16), 15 + 1),
        # Four words of four beats, the first of which waits a cycle.
        (WidthConverter(4, 1, 4, 16), 1 + 15),
        # The zeros before the image wait for no beat: not for the FIFO's cycle either.
        (Pad(2, 2, 1, 1, 1, 1, 1, 1, 4, False), 15 + 1 - 1),
        # The second line of the first window ends when beat 4 is in the buffer, in cycle 5; six
        # lines of two beats follow without waiting.
        (Swu(3, 3, 1, 2, 2, 1, 1, 1, 4, False), 5 + 6 * 2 + 2),
        # Complete with the last beat, and out in the next cycle.
        (ParallelWindow(3, 3, 1, 2, 2, 1, 1, 1, 1, 4, 4, False), 8 + 1),
        # Four of nine pixels complete a window of two beats, three of them before the last one,
        # and a beat goes through a register.
        (ParallelWindow(3, 3, 1, 2, 2, 1, 1, 1, 1, 2, 4, False), 8 + 3 + 1 + 2),
        (Mvu(8, 1, 2, 1, 3, 4, 4, False), 11 + mvu_stages(Mvu(8, 1, 2, 1, 3, 4, 4, False)) + 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Kernel) else str(value),
)
def test_one_kernel(kernel: Kernel, cycles: int) -> None:
    assert latency_cycles([kernel]) == cycles + ENDS


def test_rows_of_a_matrix_follow_each_other() -> None:
    kernel = Mvu(8, 6, 2, 2, 3, 4, 4, False)
    # The first vector's last beat comes in cycle 3, is kept for a cycle, and 3 x 3 passes of 4
    # beats end with the pass that waits for it.
    assert latency_cycles([kernel]) == 3 + 1 + 8 * 4 + mvu_stages(kernel) + 1 + ENDS


def test_deep_fifos_take_a_cycle_a_register() -> None:
    assert latency_cycles([Fifo(8, 2, 5)]) == 5 + 1
    assert latency_cycles([Fifo(8, 63, 5)]) == 5 + 2
    assert latency_cycles([Fifo(8, 64, 5)]) == 5 + 3
    assert latency_cycles([]) == 0


def test_stages_of_products_and_block_memories() -> None:
    small = Mvu(8, 4, 4, 2, 1, 2, 2, False, memory="distributed")
    assert mvu_stages(small) == 1 + 1 + 2
    wide = Mvu(8, 4, 4, 2, 1, 8, 8, False, memory="distributed")
    assert mvu_stages(wide) == 1 + 3 + 2
    assert mvu_stages(Mvu(8, 4, 4, 2, 1, 8, 8, False, "dsp", "block")) == 3 + 1 + 2


def test_where_branches_meet_the_later_one_counts() -> None:
    fork = Instance("fork", Duplicate(1, 8, True, 24, 2), {})
    left, right = Source("fork", 0), Source("fork", 1)
    act = Instance("act", Threshold(8, 1, 3, 8, True, 2, True, -2), {}, (left,))
    add = Instance("add", Add(1, 8, True, 24), {}, (Source("act"), right))
    design = Design("sum", (fork, act, add))
    # On the way of the last beat are four FIFOs, two stages and the sum's register.
    assert design_latency(design.units, design.links) == 23 + 4 + 2 + 1 + 1

    # Of three pixels, eight channels of each side in turn: 48 beats, the first behind two FIFOs.
    both = Instance("both", Concat(3, (8, 8), 1, 8, True), {}, (left, right))
    design = Design("pair", (fork, both))
    assert design_latency(design.units, design.links) == 2 + 47 + 1 + 1 + 1


@pytest.mark.slow
def test_every_kernel_in_simulation_takes_what_the_model_says(tmp_path: Path) -> None:
    """Random shapes, alone. Padding is left out: alone it sends its first zeros before it takes a
    beat, and the harness counts from there. FINN's streamer has its first word five cycles after
    reset, which a vector that is kept waits for, two cycles after its first beat.
    """
    kinds = [kind for kind in GENERATORS if kind != "pad"]
    drawn = [(kind, case) for kind in kinds for case in cases(kind, 4, 7)]
    units = [Instance(f"{kind}_{case.name}", case.kernel, case.arrays) for kind, case in drawn]
    rng = np.random.default_rng(7)
    frames = [[random_frames(rng, 2, stream) for stream in unit.kernel.inputs] for unit in units]
    runs = simulate(units, tmp_path).run(frames)
    found = {unit.name: first.latency for unit, (first, *_) in zip(units, runs, strict=True)}
    assert found == {unit.name: alone(unit) + after_reset(unit.kernel) for unit in units}


def after_reset(kernel: Kernel) -> int:
    return 3 if isinstance(kernel, FinnMvu) and kernel.row_folds > 1 else 0


@pytest.mark.slow
def test_vectors_that_are_kept_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    """Also where the buffer has just the words of a vector: written again as they are freed."""
    rng = np.random.default_rng(1)
    units = [
        Instance(f"of{folds}", kernel, {"weights": rng.integers(-7, 8, (kernel.mh, kernel.mw))})
        for folds in (1, 2, 3, 15, 16, 17, 32, 128)
        for kernel in [Mvu(2 * folds, 4, 2, 2, 6, 4, 4, False)]
    ]
    runs = simulate(units, tmp_path).run(
        [[random_frames(rng, 2, unit.kernel.input)] for unit in units]
    )
    found = {unit.name: first.latency for unit, (first, *_) in zip(units, runs, strict=True)}
    assert found == {unit.name: alone(unit) for unit in units}


@pytest.mark.slow
def test_banks_of_block_ram_are_chosen_in_one_cycle_or_two(tmp_path: Path) -> None:
    kernels: list[tuple[Mvu | Depthwise | Requant, int]] = [
        (Mvu(1100, 3, 1, 3, 2, 4, 4, False, memory="block"), 3),
        (Mvu(1500, 6, 1, 2, 1, 4, 4, False, "dsp", "block"), 9),
        (Depthwise(550, 4, 1, 2, 6, 5, True, memory="block"), 3),
        (Depthwise(700, 9, 1, 1, 8, 5, True, "dsp", "block"), 13),
        (Requant(1100, 1, 1, 9, True, 7, True, 4, 8, 5), 3),
        (Requant(2300, 1, 1, 9, True, 7, True, 12, 28, 5), 5),
    ]
    assert [kernel.rom_banks for kernel, _ in kernels] == [banks for _, banks in kernels]
    units = [
        Instance(
            f"{kernel.module}{banks}",
            kernel,
            {name: np.ones(shape, np.int64) for name, shape in of},
        )
        for kernel, banks in kernels
        for of in [_arrays(kernel)]
    ]
    rng = np.random.default_rng(1)
    runs = simulate(units, tmp_path).run(
        [[random_frames(rng, 2, unit.kernel.input)] for unit in units]
    )
    found = {unit.name: first.latency for unit, (first, *_) in zip(units, runs, strict=True)}
    assert found == {unit.name: alone(unit) for unit in units}


def _arrays(kernel: Mvu | Depthwise | Requant) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a unit's constants."""
    if isinstance(kernel, Mvu):
        return [("weights", (kernel.mh, kernel.mw))]
    if isinstance(kernel, Depthwise):
        return [("weights", (kernel.channels, kernel.taps))]
    return [("mult", (kernel.channels,)), ("add", (kernel.channels,))]


def alone(unit: Instance) -> int:
    """Latency of one unit without FIFOs, all its streams beginning at once."""
    inputs = [Link("in", stream, 0, INPUT) for stream in unit.kernel.inputs]
    return design_latency([unit], [*inputs, Link("out", unit.kernel.output, 0, Source(unit.name))])
