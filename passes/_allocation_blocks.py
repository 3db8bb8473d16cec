"""The edges of one layer, rank by rank, in columns."""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np

from hw_targets.cost.layer import (
    act_kernel,
    end_kernels,
    matrix_kernel,
    needs_pad,
    needs_window,
    output_fifo,
    pad_kernel,
    window_kernel,
    with_fifo,
)
from hw_targets.lanes import divisors, window_lanes
from hw_targets.network import LayerShape
from hw_targets.quantizers import quantizers
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Stream
from hw_targets.rtl.mvu import Mvu
from passes._allocation_price import Prices
from passes._allocation_space import FOREVER
from passes._allocation_stage import Block, Places, Streamer, stage, through


def layer_blocks(
    layer: LayerShape,
    places: Places,
    signed: bool,
    widths: tuple[int, ...],
    act_bits: tuple[int, ...],
    prices: Prices,
    last: bool,
) -> tuple[tuple[Block, ...], Places]:
    """The blocks of a layer in the order of its ranks, and the nodes it ends at.

    places: where it begins; widths: of its weights; last: it gives the logits. A layer without
    activation before the last one ends at its accumulators.
    """
    pad, places = _front(prices, places, _padding(layer, signed))
    window, places = _front(prices, places, _window(layer, places, signed))
    join, places = stage(prices, places, _join(layer, places, signed))
    matrices = _depthwise if layer.depthwise else _matrices
    matrix, places = matrices(layer, places, signed, widths, prices)
    if not layer.activation and not last:
        passed = through(prices, places)
        return (pad, window, join, matrix, passed, passed), places
    act, places = stage(prices, places, _act(layer, places, act_bits))
    end, places = _ends(layer, places, prices)
    return (pad, window, join, matrix, act, end), places


def _front(prices: Prices, places: Places, unit: Streamer | None) -> tuple[Block, Places]:
    """A unit that a layer may lack."""
    return stage(prices, places, unit) if unit else (through(prices, places), places)


def _padding(layer: LayerShape, signed: bool) -> Streamer | None:
    if not needs_pad(layer):
        return None

    def unit(bits: int, lanes: int) -> Kernel:
        return pad_kernel(layer, lanes, bits, signed)

    return Streamer(
        divisors(layer.in_channels),
        lambda bits, lanes: unit(bits, lanes).input,
        lambda bits, _, lanes: with_fifo(unit(bits, lanes)),
    )


def _window(layer: LayerShape, places: Places, signed: bool) -> Streamer | None:
    """A padding need not be wider than the window behind it: they take as long for a frame."""
    if not needs_window(layer):
        return None
    lanes = window_lanes(layer)

    def unit(bits: int, lanes: int) -> Kernel:
        return window_kernel(layer, lanes, bits, signed)

    narrow = np.array(places.lanes)[:, None] <= np.array(lanes)[None]
    return Streamer(
        lanes,
        lambda bits, lanes: unit(bits, lanes).input,
        lambda bits, _, lanes: with_fifo(unit(bits, lanes)),
        allowed=narrow if needs_pad(layer) else None,
    )


def _join(layer: LayerShape, places: Places, signed: bool) -> Streamer:
    """To the lanes that the matrix takes, from a window no wider than it needs to be for them.

    Several pixels of the kernel are never fewer lanes than the matrix takes, since a pixel a beat
    would do otherwise. A depthwise unit takes as many as it has PEs.
    """
    mw, mh = layer.hardware_matrix
    bits, columns = places.bits[0], mw * mh if layer.depthwise else mw
    simds = divisors(mh if layer.depthwise else mw)
    allowed = None
    if needs_window(layer):
        cycles = [window_kernel(layer, lanes, bits, signed).cycles for lanes in places.lanes]
        enough = [
            next(
                (n for n, busy in zip(places.lanes, cycles, strict=True) if busy <= beats),
                places.lanes[-1],
            )
            for beats in (layer.pixels * columns // simd for simd in simds)
        ]
        lanes = np.array(places.lanes)[:, None]
        several = lanes > layer.in_channels
        allowed = (lanes <= np.array(enough)[None]) & (~several | (lanes >= np.array(simds)[None]))
    return Streamer(
        simds,
        lambda bits, simd: Stream(simd, bits, signed, layer.pixels * columns // simd),
        lambda *_: (),
        allowed=allowed,
    )


def _act(layer: LayerShape, places: Places, act_bits: tuple[int, ...]) -> Streamer:
    """Threshold, multiplier or bias, no wider than the matrix in front of it."""
    lanes = divisors(layer.out_channels)

    def kernels(bits: int, out: int, lanes: int) -> tuple[Kernel, ...]:
        return with_fifo(act_kernel(layer, lanes, bits, out))

    def multiplied(bits: int, out: int, lanes: int) -> tuple[Kernel, ...]:
        if len(quantizers(layer.out_channels, out)) == 1:
            return ()
        return with_fifo(act_kernel(layer, lanes, bits, out, "multiplier"))

    def into(bits: int, lanes: int) -> Stream:
        return act_kernel(layer, lanes, bits, act_bits[0]).input

    allowed = np.array(lanes)[None] <= np.array(places.lanes)[:, None]
    if not layer.activation:
        return Streamer(lanes, into, kernels, allowed=allowed)
    return Streamer(lanes, into, kernels, act_bits, allowed, multiplied)


def _ends(layer: LayerShape, places: Places, prices: Prices) -> tuple[Block, Places]:
    """Pooling or label select, no wider than the threshold or bias in front of it."""
    last = not layer.activation
    if layer.answers:
        return _outputs(layer, places, prices)
    if not last and layer.pool <= 1:
        return through(prices, places), places

    def unit(bits: int, lanes: int) -> Kernel:
        # The bias has given a bit more than it took, and those that order fractions.
        return end_kernels(layer, lanes, bits + (1 + layer.rank_bits if last else 0))[0]

    def kernels(bits: int, _: int, lanes: int) -> tuple[Kernel, ...]:
        kernel = unit(bits, lanes)
        out = (Fifo(kernel.output.width, 2, 1),) if last else ()
        return (*with_fifo(kernel), *out)

    lanes = divisors(layer.out_channels)
    allowed = np.array(lanes)[None] <= np.array(places.lanes)[:, None]
    streamer = Streamer(
        lanes, lambda bits, lanes: unit(bits, lanes).input, kernels, allowed=allowed
    )
    return stage(prices, places, streamer, merged=last)


def _outputs(layer: LayerShape, places: Places, prices: Prices) -> tuple[Block, Places]:
    """The design's output FIFO, as wide as the bias in front of it."""

    def stream(bits: int, lanes: int) -> Stream:
        # The bias has given a bit more than it took.
        return Stream(lanes, bits + 1, True, layer.pixels * layer.out_channels // lanes)

    streamer = Streamer(
        places.lanes,
        stream,
        lambda bits, _, lanes: (output_fifo(stream(bits, lanes)),),
        allowed=np.eye(len(places.lanes), dtype=bool),
    )
    return stage(prices, places, streamer, merged=True)


def _matrices(
    layer: LayerShape,
    places: Places,
    signed: bool,
    widths: tuple[int, ...],
    prices: Prices,
) -> tuple[Block, Places]:
    """Matrix-vector units behind their FIFOs; they end at every accumulator width and PE."""
    in_bits, simds, pes = places.bits, places.lanes, divisors(layer.out_channels)
    mw, mh = layer.hardware_matrix
    width_at, bits_at = np.array(widths), np.array(in_bits)

    def unit(bits: int, width: int, pe: int, simd: int) -> Mvu:
        kernel = matrix_kernel(layer, width, pe, simd, bits, signed, "lut", "distributed")
        assert isinstance(kernel, Mvu)
        return kernel

    acc = np.array([[unit(b, w, 1, 1).acc_bits for w in widths] for b in in_bits])
    accs = np.unique(acc)
    # By input bits and SIMD.
    fifos = np.array(
        [
            [prices.group(with_fifo(unit(bits, widths[0], 1, simd))[:1]) for simd in simds]
            for bits in in_bits
        ]
    )
    # An axis for each choice, flattened: of them, one edge each.
    shape = (len(in_bits), len(simds), len(widths), len(pes), 2, 2)
    b, s, w, p, dsp, block = (axis.ravel() for axis in np.indices(shape, dtype=np.int64))
    simd, pe = np.array(simds)[s], np.array(pes)[p]
    # Of one word there is no memory to place.
    real = (block == 0) | ((mw // simd) * (mh // pe) > 1)
    b, s, w, p, dsp, block = (axis[real] for axis in (b, s, w, p, dsp, block))
    simd, pe = simd[real], pe[real]
    columns = {
        "mw": np.full(len(b), mw),
        "mh": np.full(len(b), mh),
        "simd": simd,
        "pe": pe,
        "weight_bits": width_at[w],
        "act_bits": bits_at[b],
        "act_signed": np.full(len(b), int(signed)),
        "acc_bits": acc[b, w],
        "column_folds": mw // simd,
        "row_folds": mh // pe,
        "dsp": dsp,
        "block": block,
    }
    fifo = fifos[b, s]
    found = Block(
        tails=b * len(simds) + s,
        heads=np.searchsorted(accs, acc[b, w]) * len(pes) + p,
        ends=len(accs) * len(pes),
        groups=np.stack([np.full_like(fifo, prices.group(())), fifo], axis=1),
        until=np.full(len(b), FOREVER, dtype=np.int64),
        decided=np.stack([width_at[w], pe, simd, dsp, block], axis=1),
        least=np.zeros_like(b),
        mvu={name: values.astype(np.float64) for name, values in columns.items()},
    )
    return found, Places(tuple(accs.tolist()), pes)


def _depthwise(
    layer: LayerShape,
    places: Places,
    signed: bool,
    widths: tuple[int, ...],
    prices: Prices,
) -> tuple[Block, Places]:
    """Depthwise units behind their FIFOs, with as many PEs as lanes arrive."""
    pes, rows = places.lanes, []
    taps, channels = layer.hardware_matrix
    for b, bits in enumerate(places.bits):
        for (p, pe), width in product(enumerate(pes), widths):
            for dsp, block in product((0, 1), (0, 1)):
                if block and taps * (channels // pe) == 1:
                    continue  # of one word there is no memory to place
                how: Literal["lut", "dsp"] = "dsp" if dsp else "lut"
                memory: Literal["block", "distributed"] = "block" if block else "distributed"
                unit = matrix_kernel(layer, width, pe, 1, bits, signed, how, memory)
                group = prices.group(with_fifo(unit))
                rows.append((b * len(pes) + p, unit.acc_bits, p, group, width, pe, 1, dsp, block))
    tails, acc, place, groups, *decided = np.array(rows, dtype=np.int64).T
    accs = np.unique(acc)
    found = Block(
        tails=tails,
        heads=np.searchsorted(accs, acc) * len(pes) + place,
        ends=len(accs) * len(pes),
        groups=np.stack([np.full_like(groups, prices.group(())), groups], axis=1),
        until=np.full_like(tails, FOREVER),
        decided=np.stack(decided, axis=1),
        least=np.zeros_like(tails),
    )
    return found, Places(tuple(accs.tolist()), pes)
