"""Physical basis of every kernel: what its hardware is made of, in countable terms.

A resource is a weighted sum of the terms, the weights fitted to synthesis results
(`hw_targets/cost/data`). Terms are never negative, and estimates do not shrink when a width, a
fold's parallelism or a depth grows, but where the hardware does: products are measured, and an odd
width can cost a LUT or two more than the even one above it; a memory moves into block RAM, a
product into a multiplier; registers that are reset to zero take no LUT once enough of them share
the reset; memories of a few words have other registers and LUTs than those of many; lanes of label
select are filled up to a power of two. Multipliers and block RAMs are not fitted: they are counted
exactly.
"""

from __future__ import annotations

from collections.abc import Callable

from hw_targets.cost.basis import finn, images, logits, pointwise, streams, windows
from hw_targets.cost.basis.arithmetic import Column, Number
from hw_targets.cost.basis.mvu import mvu
from hw_targets.cost.basis.terms import Basis, Fields, Terms
from hw_targets.cost.basis.threshold import threshold
from hw_targets.families import Family

__all__ = ["BASES", "Basis", "Column", "Fields", "Number", "Terms"]

BASES: dict[str, Callable[[Fields, Family], Basis]] = {
    "Mvu": mvu,
    "Threshold": threshold,
    "Swu": images.swu,
    "ParallelWindow": images.parallel_window,
    "Pad": images.pad,
    "MaxPool": images.maxpool,
    "Upsample": images.upsample,
    "Depthwise": windows.depthwise,
    "Reduce": windows.reduce,
    "Requant": pointwise.requant,
    "Table": pointwise.table,
    "ChannelAdd": logits.channel_add,
    "LabelSelect": logits.label_select,
    "Fifo": streams.fifo,
    "WidthConverter": streams.width_converter,
    "Duplicate": streams.duplicate,
    "Add": streams.add,
    "Concat": streams.concat,
    "FinnMvau": finn.mvau,
    "FinnWindow": finn.window,
    "FinnPadding": finn.padding,
    "FinnThresholding": finn.thresholding,
    "FinnFifo": finn.fifo,
    "FinnWidthConverter": finn.width_converter,
    "FinnLabelSelect": finn.label_select,
}
"""Class name of a kernel of ours, or of a node of FINN's, -> its basis."""
