"""Points that draws leave out.

Deep memories, wide images, wide units, constants of several LUTs a bit, and quantizers of integers,
which have one scale for all lanes.
"""

from __future__ import annotations

from benchmarks.calibration.contents import table_told
from hw_targets.rtl.add import Add
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
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
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter

CHOSEN: dict[str, tuple[Kernel, ...]] = {
    "Mvu": (
        Mvu(128, 64, 1, 1, 1, 4, 6, False, "lut", "block"),
        Mvu(576, 64, 8, 4, 4, 4, 4, False, "lut", "block"),
        Mvu(512, 128, 4, 2, 1, 3, 4, False, "dsp", "block"),
        Mvu(288, 16, 16, 16, 4, 2, 2, False, "lut", "distributed"),
        Mvu(256, 256, 1, 1, 1, 8, 8, False, "dsp", "block"),
        Mvu(512, 64, 64, 8, 1, 2, 2, False, "lut", "block"),
        Mvu(384, 48, 32, 16, 1, 3, 4, False, "lut", "block"),
        # Many rows at once, for the layers of large networks.
        Mvu(64, 128, 4, 32, 1, 4, 4, False, "lut", "block"),
        Mvu(32, 64, 8, 64, 1, 2, 3, False, "lut", "distributed"),
        Mvu(128, 128, 16, 32, 1, 2, 2, False, "lut", "block"),
        Mvu(256, 64, 4, 64, 1, 4, 4, False, "dsp", "block"),
        Mvu(64, 64, 16, 64, 1, 4, 4, False, "dsp", "block"),
        Mvu(2048, 64, 1, 64, 1, 3, 4, False, "dsp", "block"),
        # Rows unfolded as a whole, and wide kernels.
        Mvu(150, 16, 75, 2, 1, 4, 4, False, "lut", "distributed"),
        Mvu(150, 16, 150, 1, 1, 4, 4, False, "lut", "distributed"),
        Mvu(256, 8, 128, 2, 1, 2, 2, False, "lut", "distributed"),
        Mvu(784, 16, 98, 1, 1, 2, 4, False, "lut", "block"),
        Mvu(200, 8, 100, 2, 1, 4, 4, False, "dsp", "distributed"),
        Mvu(256, 16, 256, 1, 1, 2, 2, False, "lut", "distributed"),
        # Weights of one bit, which no draw has.
        Mvu(144, 16, 8, 4, 1, 1, 1, False, "lut", "block"),
        Mvu(128, 24, 4, 8, 1, 1, 2, False, "lut", "distributed"),
        Mvu(64, 16, 16, 2, 1, 1, 4, False, "lut", "distributed"),
        Mvu(27, 16, 3, 4, 1, 1, 8, False, "lut", "distributed"),
        Mvu(96, 10, 12, 5, 1, 1, 3, True, "lut", "block"),
        Mvu(40, 8, 40, 1, 1, 1, 2, False, "lut", "distributed"),
        Mvu(16, 8, 16, 8, 1, 1, 5, False, "lut", "distributed"),
        Mvu(300, 30, 1, 6, 1, 1, 6, False, "lut", "block"),
    ),
    "Swu": (
        Swu(34, 34, 32, 3, 3, 1, 1, 8, 4, False),
        Swu(98, 98, 3, 3, 3, 2, 2, 3, 8, False),
        Swu(230, 230, 3, 7, 7, 2, 2, 3, 8, False),
        Swu(58, 58, 64, 3, 3, 1, 1, 64, 4, False),
        Swu(16, 16, 512, 3, 3, 2, 2, 4, 4, False),
        # Kernels with holes.
        Swu(34, 34, 16, 3, 3, 1, 1, 8, 4, False, 2, 2),
        Swu(1, 128, 8, 1, 5, 1, 1, 8, 8, False, 1, 4),
        Swu(20, 12, 4, 3, 3, 2, 2, 4, 4, False, 2, 2),
        Swu(64, 64, 32, 3, 3, 1, 1, 4, 2, False, 4, 4),
        Swu(28, 28, 3, 5, 5, 1, 1, 3, 8, False, 1, 2),
        Swu(1, 40, 2, 1, 3, 1, 1, 1, 3, False, 1, 8),
    ),
    "ParallelWindow": (
        ParallelWindow(32, 32, 1, 5, 5, 1, 1, 1, 1, 25, 8, False),
        ParallelWindow(34, 34, 3, 3, 3, 1, 1, 1, 1, 9, 8, False),
        ParallelWindow(230, 230, 3, 7, 7, 2, 2, 1, 1, 49, 8, False),
        ParallelWindow(230, 230, 3, 7, 7, 2, 2, 1, 1, 7, 8, False),
        ParallelWindow(34, 34, 64, 3, 3, 1, 1, 1, 1, 9, 4, False),
        ParallelWindow(58, 58, 64, 3, 3, 1, 1, 1, 1, 3, 4, False),
        ParallelWindow(1, 256, 16, 1, 9, 1, 1, 1, 1, 9, 8, False),
    ),
    "Pad": (
        Pad(96, 96, 3, 1, 1, 1, 1, 3, 8, False),
        Pad(32, 32, 64, 1, 1, 1, 1, 4, 4, False),
        Pad(224, 224, 3, 3, 3, 3, 3, 3, 8, False),
        Pad(56, 56, 64, 1, 1, 1, 1, 64, 4, False),
    ),
    "MaxPool": (
        MaxPool(32, 32, 64, 2, 4, 4, False),
        MaxPool(64, 64, 16, 2, 8, 4, False),
        MaxPool(112, 112, 64, 2, 1, 4, False),
        MaxPool(112, 112, 64, 2, 64, 4, False),
    ),
    "Threshold": (
        Threshold(128, 1, 4, 16, True, 4, False),
        Threshold(64, 1, 4, 14, True, 6, False),
        Threshold(64, 64, 4, 16, True, 4, False),
        Threshold(512, 32, 4, 18, True, 3, False),
        Threshold(2048, 4, 4, 20, True, 2, False),
        Threshold(1024, 1, 4, 20, True, 4, False),
        Threshold(4, 4, 64, 10, False, 4, False),
        Threshold(1, 1, 64, 14, False, 8, False),
        Threshold(16, 16, 64, 12, False, 3, False),
        Threshold(2, 2, 64, 9, True, 6, True, -32),
        Threshold(8, 8, 64, 16, True, 4, True, -8),
        Threshold(64, 64, 64, 11, True, 2, True, -2),
        Threshold(3, 3, 64, 20, True, 5, True, -16),
        Threshold(1, 1, 64, 18, True, 8, True, -128),
        Threshold(32, 32, 64, 13, True, 3, True, -4),
        Threshold(4, 4, 64, 10, True, 8, True, -128),
    ),
    "ChannelAdd": (
        ChannelAdd(1000, 1, 1, 20, True, 20, 21),
        ChannelAdd(1000, 4, 1, 18, True, 18, 19),
        ChannelAdd(100, 50, 1, 16, True, 16, 17),
    ),
    "LabelSelect": (
        LabelSelect(1000, 1, 21, True),
        LabelSelect(1000, 8, 19, True),
        LabelSelect(1000, 50, 21, True),
        LabelSelect(100, 50, 17, True),
    ),
    "Fifo": (Fifo(1024, 2, 16), Fifo(1600, 2, 16), Fifo(768, 32, 64), Fifo(8, 8192, 9000)),
    "WidthConverter": (
        WidthConverter(1, 64, 4, 256),
        WidthConverter(64, 1, 4, 256),
        WidthConverter(128, 2, 3, 512),
        WidthConverter(1, 128, 2, 512),
    ),
    "Depthwise": (
        Depthwise(128, 9, 1, 1, 4, 4, False, "lut", "auto"),
        Depthwise(16, 9, 1, 1, 2, 1, False, "lut", "auto"),
        Depthwise(1024, 9, 1, 1, 4, 4, False, "lut", "auto"),
        Depthwise(64, 9, 1, 64, 3, 4, False, "lut", "auto"),
        Depthwise(256, 9, 1, 64, 4, 4, False, "dsp", "auto"),
        Depthwise(960, 25, 1, 2, 8, 8, False, "dsp", "auto"),
        Depthwise(32, 9, 1, 8, 4, 4, False, "lut", "auto"),
        Depthwise(144, 9, 1, 12, 4, 4, True, "lut", "auto"),
    ),
    "Reduce": (
        Reduce(128, 9, 1, 1, 4, False, "sum"),
        Reduce(16, 9, 1, 16, 8, False, "max"),
        Reduce(2048, 49, 1, 1, 4, False, "sum"),
        Reduce(512, 1024, 1, 8, 8, False, "sum"),
        Reduce(64, 64, 1, 64, 4, False, "sum"),
        Reduce(64, 9, 256, 64, 4, False, "max"),
        Reduce(1280, 49, 1, 4, 4, False, "sum"),
        Reduce(64, 9, 256, 1, 8, True, "max"),
    ),
    "Upsample": (
        Upsample(21, 16, 24, 2, 1, 3, 4, False),
        Upsample(64, 128, 64, 2, 2, 64, 8, False),
        Upsample(64, 128, 128, 2, 2, 1, 4, False),
    ),
    "Requant": (
        Requant(64, 64, 1, 16, True, 4, False, 12, 24, 20, "dsp"),
        Requant(1024, 2, 1, 18, True, 4, False, 14, 28, 24, "dsp"),
        Requant(32, 32, 1, 12, True, 4, False, 8, 20, 12, "lut"),
        # Constants of several LUTs a bit: draws have but one such number of channels.
        Requant(72, 1, 1, 14, True, 4, False, 13, 26, 20, "dsp"),
        Requant(80, 1, 1, 16, True, 8, False, 18, 34, 24, "dsp"),
        Requant(96, 1, 1, 12, True, 3, True, 11, 22, 17, "dsp"),
        Requant(96, 1, 1, 18, True, 6, False, 20, 34, 28, "dsp"),
        Requant(100, 1, 1, 10, True, 5, True, 12, 20, 15, "dsp"),
        Requant(112, 1, 1, 15, True, 4, False, 14, 28, 21, "dsp"),
        Requant(120, 1, 1, 20, True, 7, True, 20, 36, 29, "dsp"),
        Requant(160, 2, 1, 13, True, 4, False, 11, 22, 18, "dsp"),
        Requant(192, 2, 1, 11, True, 6, False, 10, 18, 12, "dsp"),
    ),
    "Table": (
        table_told(Table(8, True, 8, True, 64, 64)),
        table_told(Table(4, False, 4, False, 64, 64)),
    ),
    "Duplicate": (
        Duplicate(64, 24, True, 64, 2),
        Duplicate(1, 8, True, 64, 4),
        Duplicate(16, 4, False, 64, 3),
    ),
    "Add": (Add(64, 20, True, 64), Add(64, 4, False, 64)),
    "Concat": (
        Concat(64, (64, 64), 64, 8, False),
        Concat(64, (512, 512), 1, 4, False),
        Concat(64, (64, 64, 128, 32), 32, 4, False),
    ),
}
