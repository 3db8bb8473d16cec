"""Latency of kernels before they are simulated: when each beat of a first frame can pass.

The pipeline is empty before and nothing stalls it. A link is a function from beats' indices to the
clock cycles in which they pass; every kernel makes one of the one before it, by what each of its
output beats waits for. Only what the next kernel asks for is ever computed, but behind a fork,
which two or more ask, all of it and once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import singledispatch
from itertools import islice

import numpy as np

from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import FAR_DEPTH, Fifo
from hw_targets.rtl.finn_mvu import FinnMvu
from hw_targets.rtl.kernel import Instance, IntArray, Kernel, Source
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.requant import Requant
from hw_targets.rtl.rom import BLOCK_ROM_BITS, read_cycles
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.top import Link
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter
from hw_targets.rtl.wiring import INPUT, given

Times = Callable[[IntArray], IntArray]
"""Beat indices -> cycles in which these beats pass; ascends by at least 1 a beat."""

FIFO_CYCLES, DEEP_FIFO_CYCLES, FAR_FIFO_CYCLES = 1, 2, 3
READ_FIRST_DEPTH = 32
"""Threshold memories deeper than this are read in a cycle of their own, block RAM in two."""
FINN_QUEUE = 2
"""Cycles of a sum in the output queue of FINN's unit: into it, and into its last register."""


def latency_cycles(kernels: Iterable[Kernel]) -> int:
    """Cycles from a frame's first input beat to its last output beat, pipeline empty before.

    kernels: in stream order, with the FIFOs between them; where there is none, one of least depth
    is taken to stand before every kernel and at the end. A FIFO that is too short for what the
    kernels keep waiting lengthens it; this is not modelled.
    """
    listed = list(kernels)
    if not listed:
        return 0
    implied = 0 if any(isinstance(kernel, Fifo) for kernel in listed) else FIFO_CYCLES
    times: Times = _source
    for kernel in listed:
        times = _through(kernel, _later(times, implied))
    beats = listed[-1].output.beats
    return int(_later(times, implied)(np.array([beats - 1]))[0]) + 1


def design_latency(units: Iterable[Instance], links: Iterable[Link]) -> int:
    """`latency_cycles` of a design, whose units may have several streams on a side.

    units, links: as `Design` has them. Where branches meet, the later one counts; that the FIFO of
    the other is too short for what comes meanwhile is not modelled.
    """
    *_, (out, times) = link_times(units, links, _source)
    return int(_later(times, fifo_cycles(out.depth))(np.array([out.stream.beats - 1]))[0]) + 1


def link_times(
    units: Iterable[Instance], links: Iterable[Link], source: Times
) -> Iterator[tuple[Link, Times]]:
    """Every link of a design, in order, and when its beats enter its FIFO.

    units, links: as `Design` has them. source: when input beats come, at the earliest.
    """
    times: dict[Source, Times] = {INPUT: source}
    waiting = iter(links)
    for unit in units:
        taken = []
        for link in islice(waiting, len(unit.kernel.inputs)):
            yield link, times[link.source]
            taken.append(_later(times[link.source], fifo_cycles(link.depth)))
        times |= zip(given(unit), _streams(unit.kernel, taken), strict=True)
    for link in waiting:
        yield link, times[link.source]


def fifo_cycles(depth: int) -> int:
    if depth == 0:
        return 0
    if depth == 2:
        return FIFO_CYCLES
    return DEEP_FIFO_CYCLES if depth < FAR_DEPTH else FAR_FIFO_CYCLES


def _source(beats: IntArray) -> IntArray:
    return beats


def _later(times: Times, cycles: int) -> Times:
    return lambda beats: times(beats) + cycles


def _paced(ready: IntArray, work: int) -> IntArray:
    """Ends of jobs of `work` cycles, one after the other, none before its own `ready`."""
    order = work * np.arange(len(ready), dtype=np.int64)
    return np.maximum.accumulate(ready - order) + order


@singledispatch
def _streams(kernel: Kernel, inputs: Sequence[Times]) -> tuple[Times, ...]:
    """The links behind a kernel, from all before it."""
    (times,) = inputs
    return (_through(kernel, times),)


@_streams.register
def _(kernel: Duplicate, inputs: Sequence[Times]) -> tuple[Times, ...]:
    """Both branches ask for all beats; a table spares the way up from being asked twice."""
    passed = inputs[0](np.arange(kernel.beats))
    return (lambda beats: passed[beats],) * kernel.copies


@_streams.register(Add)
def _(_: Add, inputs: Sequence[Times]) -> tuple[Times, ...]:
    first, second = inputs
    return (lambda beats: np.maximum(first(beats), second(beats)) + 1,)


@singledispatch
def taken_times(kernel: Kernel, inputs: Sequence[IntArray]) -> tuple[IntArray, ...]:
    """When a unit that joins streams could take their beats, did it take no time for others.

    inputs: when these are there for it.
    """
    raise TypeError(f"{type(kernel).__name__} joins no streams, {len(inputs)} are given")


@taken_times.register(Add)
def _(_: Add, inputs: Sequence[IntArray]) -> tuple[IntArray, ...]:
    return (np.maximum(*inputs),) * len(inputs)


@taken_times.register
def _(kernel: Concat, inputs: Sequence[IntArray]) -> tuple[IntArray, ...]:
    coming = [times.reshape(kernel.pixels, -1) for times in inputs]
    every = np.concatenate(coming, axis=1)
    passed = np.maximum.accumulate(every.reshape(-1)).reshape(every.shape)
    ends = np.cumsum([each.shape[1] for each in coming])[:-1]
    return tuple(part.reshape(-1) for part in np.split(passed, ends, axis=1))


@_streams.register
def _(kernel: Concat, inputs: Sequence[Times]) -> tuple[Times, ...]:
    """Beats pass in their order, however early later ones come."""
    coming = [
        times(np.arange(stream.beats)).reshape(kernel.pixels, -1)
        for times, stream in zip(inputs, kernel.inputs, strict=True)
    ]
    passed = _paced(np.concatenate(coming, axis=1).reshape(-1), 1)
    return (lambda beats: passed[beats] + 1,)


@singledispatch
def _through(kernel: Kernel, times: Times) -> Times:
    """The link behind a kernel, from the link before it."""
    raise TypeError(f"no latency of {type(kernel).__name__} after {times}")


@_through.register
def _(kernel: Fifo, times: Times) -> Times:
    return _later(times, fifo_cycles(kernel.depth))


@_through.register
def _(kernel: WidthConverter, times: Times) -> Times:
    if kernel.out_lanes == kernel.in_lanes:
        return times
    if kernel.out_lanes > kernel.in_lanes:
        ratio = kernel.out_lanes // kernel.in_lanes
        return lambda beats: times((beats + 1) * ratio - 1) + 1
    ratio = kernel.in_lanes // kernel.out_lanes
    loaded = _paced(times(np.arange(kernel.input.beats)), ratio)
    return lambda beats: loaded[beats // ratio] + 1 + beats % ratio


@_through.register
def _(kernel: Pad, times: Times) -> Times:
    """Zeros go out unasked; a row of the image as it comes, but not before the zeros are out."""
    folds = kernel.channels // kernel.simd
    row = kernel.in_w * folds
    wide = (kernel.left + kernel.in_w + kernel.right) * folds
    head = kernel.top * wide + kernel.left * folds
    coming = times(np.arange(1, kernel.in_h + 1) * row - 1)
    # Cycles after which the zeros before each row are out, and the row.
    begin = np.zeros(kernel.in_h + 1, dtype=np.int64)
    ready = head
    for index in range(kernel.in_h):
        begin[index] = ready
        ready = max(ready + row, int(coming[index]) + 1) + wide - row
    begin[-1] = ready

    def out(beats: IntArray) -> IntArray:
        index = np.clip((beats - head) // wide, 0, kernel.in_h - 1)
        inside = beats - head - index * wide
        image = (inside >= 0) & (inside < row)
        place = np.clip(inside, 0, row - 1)
        step = np.maximum(begin[index] + place, times(index * row + place))
        after = np.where(inside < 0, beats, begin[index + 1] - (wide - row) + inside - row)
        return np.asarray(np.where(image, step, after) + 1, dtype=np.int64)

    return out


@_through.register
def _(kernel: Swu, times: Times) -> Times:
    """A window goes out line by line, each as soon as its last beat is in the buffer."""
    folds, line = kernel.folds, kernel.kernel_w * kernel.folds
    y, x, ky = np.ogrid[: kernel.out_h, : kernel.out_w, : kernel.kernel_h]
    row = y * kernel.stride_h + ky * kernel.dilation_h
    last = row * kernel.in_w + x * kernel.stride_w + kernel.before
    needed = (last * folds + folds - 1).reshape(-1)
    ends = _paced(times(needed) + 1, line)
    return lambda beats: ends[beats // line] - (line - 1) + beats % line + 2


@_through.register
def _(kernel: ParallelWindow, times: Times) -> Times:
    """A pixel that completes a window keeps the next one waiting for the window's beats."""
    y, x = np.ogrid[: kernel.out_h, : kernel.out_w]
    rows, columns = y * kernel.stride_h + kernel.above, x * kernel.stride_w + kernel.before
    completing = (rows * kernel.in_w + columns).reshape(-1)
    work = np.ones(kernel.input.beats, dtype=np.int64)
    work[completing] = kernel.beats
    before = np.cumsum(work) - work
    taken = np.maximum.accumulate(times(np.arange(kernel.input.beats)) - before) + before
    delay = 1 if kernel.beats == 1 else 2
    return lambda beats: taken[completing[beats // kernel.beats]] + beats % kernel.beats + delay


@_through.register
def _(kernel: Mvu, times: Times) -> Times:
    """The first pass over a vector waits for its last beat, the others follow without waiting."""
    columns, rows = kernel.column_folds, kernel.row_folds
    arrived = times(np.arange(1, kernel.pixels + 1) * columns - 1)
    replayed = int(rows > 1)
    first = _paced(arrived + replayed, columns * rows)
    delay = mvu_stages(kernel) + 1
    return lambda beats: first[beats // rows] + beats % rows * columns + delay


@_through.register
def _(kernel: FinnMvu, times: Times) -> Times:
    """As ours, but that the first pass follows a vector beat by beat, through its replay buffer."""
    columns, rows = kernel.column_folds, kernel.row_folds
    arrived = times(np.arange(1, kernel.pixels + 1) * columns - 1)
    first = _paced(arrived + 2 * int(rows > 1), columns * rows)
    delay = finn_mvu_stages(kernel) + FINN_QUEUE
    return lambda beats: first[beats // rows] + beats % rows * columns + delay


@_through.register
def _(kernel: Depthwise, times: Times) -> Times:
    multiply = product_stages(kernel.weight_bits, kernel.act_bits, kernel.arithmetic)
    read = read_cycles(kernel.rom_banks > 0, kernel.rom_banks, kernel.arithmetic)
    return _last_tap(kernel, times, read + multiply + 1)


@_through.register
def _(kernel: Reduce, times: Times) -> Times:
    return _last_tap(kernel, times, 1)


def _last_tap(kernel: Depthwise | Reduce, times: Times, delay: int) -> Times:
    """What comes of a channel's taps is known with the last of them."""
    folds, taps = kernel.folds, kernel.taps
    return lambda beats: times(((beats // folds + 1) * taps - 1) * folds + beats % folds) + delay


@_through.register
def _(kernel: Threshold, times: Times) -> Times:
    depths = [kernel.folds << stage for stage in range(kernel.out_bits)]
    block = [depth * (kernel.in_bits + 1) >= BLOCK_ROM_BITS for depth in depths]
    reads = sum(depth > READ_FIRST_DEPTH or late for depth, late in zip(depths, block, strict=True))
    return _later(times, kernel.out_bits + reads + sum(block))


@_through.register
def _(kernel: MaxPool, times: Times) -> Times:
    """A maximum is known with the last beat of its window."""
    folds, side = kernel.folds, kernel.kernel

    def out(beats: IntArray) -> IntArray:
        pixel, fold = beats // folds, beats % folds
        y, x = pixel // kernel.out_w, pixel % kernel.out_w
        last = (y * side + side - 1) * kernel.in_w + x * side + side - 1
        return times(last * folds + fold) + 2

    return out


@_through.register
def _(kernel: Upsample, times: Times) -> Times:
    """Only the first copy of a word waits, until the word is in the buffer."""
    folds, row = kernel.folds, kernel.in_w * kernel.folds
    copies, wide = kernel.scale_w * folds, row * kernel.scale_w
    tall = wide * kernel.scale_h
    words = np.arange(kernel.input.beats)
    firsts = words // row * tall + words % row // folds * copies + words % folds
    late = np.maximum.accumulate(times(words) + 1 - firsts)

    def out(beats: IntArray) -> IntArray:
        y, inside = beats // tall, beats % tall
        word = inside // copies * folds + np.minimum(inside % copies, folds - 1)
        return np.asarray(beats + late[y * row + np.minimum(word, row - 1)] + 2, dtype=np.int64)

    return out


@_through.register
def _(kernel: Requant, times: Times) -> Times:
    arithmetic = "dsp" if kernel.in_multipliers else "lut"
    multiply = product_stages(kernel.mult_bits, kernel.in_bits, arithmetic)
    if kernel.in_multipliers and kernel.parts > 1:
        multiply += 1
    read = read_cycles(kernel.rom_banks > 0, kernel.rom_banks, arithmetic)
    return _later(times, read + kernel.read_again + multiply + 2)


@_through.register(Table)
def _(_: Table, times: Times) -> Times:
    return _later(times, 1)


@_through.register(ChannelAdd)
def _(_: ChannelAdd, times: Times) -> Times:
    return _later(times, 2)


@_through.register
def _(kernel: LabelSelect, times: Times) -> Times:
    last, levels = kernel.input.beats - 1, (kernel.pe - 1).bit_length()
    return lambda beats: times(np.full_like(beats, last)) + levels + 1


def mvu_stages(kernel: Mvu) -> int:
    """Registers between the reading of weights and the end of the adder tree (`mvu.sv`)."""
    columns, rows = kernel.column_folds, kernel.row_folds
    buffer = 2 * columns if columns <= 2 else max(16, 1 << (columns - 1).bit_length())
    width = kernel.simd * kernel.act_bits
    block_buffer = rows > 1 and buffer >= 128 and buffer * width >= 4096
    multiply = product_stages(kernel.weight_bits, kernel.act_bits, kernel.arithmetic)
    if kernel.weight_bits <= 2:
        multiply = 1  # signs
    block = block_buffer or kernel.rom_banks > 0
    read = read_cycles(block, kernel.rom_banks, kernel.arithmetic)
    return read + multiply + (kernel.simd - 1).bit_length()


def finn_mvu_stages(kernel: FinnMvu) -> int:
    """Registers from a multiplier's operands to a sum (`PIPELINE_DEPTH` of FINN's mvu.sv)."""
    return 3 + (kernel.simd - 1).bit_length() + int(kernel.simd == 1) + 1


def product_stages(weight_bits: int, act_bits: int, arithmetic: str) -> int:
    """Registers of a product: one in a multiplier, else one a level of `lf_product`."""
    diagonals = (weight_bits + 1) // 2 + (act_bits + 1) // 2 - 1
    return 1 if arithmetic == "dsp" or diagonals <= 2 else (diagonals - 1).bit_length()
