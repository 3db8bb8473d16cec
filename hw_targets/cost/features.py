"""Kernels as columns of numbers: what the cost basis and the calibrated domain are written in."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter

Column = NDArray[np.float64]
Columns = dict[str, Column]

_FIELDS: dict[type[Kernel], tuple[str, ...]] = {
    Mvu: (
        "mw",
        "mh",
        "simd",
        "pe",
        "weight_bits",
        "act_bits",
        "act_signed",
        "acc_bits",
        "column_folds",
        "row_folds",
        "arithmetic",
        "rom_style",
    ),
    Threshold: ("pe", "folds", "in_bits", "out_bits"),
    Swu: (
        "in_h",
        "in_w",
        "kernel_h",
        "kernel_w",
        "stride_h",
        "stride_w",
        "out_h",
        "out_w",
        "folds",
        "simd",
        "bits",
        "buffer_depth",
    ),
    Pad: ("in_h", "in_w", "folds", "top", "left", "bottom", "right", "simd", "bits"),
    MaxPool: ("in_h", "in_w", "folds", "kernel", "pe", "bits", "out_w"),
    ChannelAdd: ("pe", "folds", "in_bits", "bias_bits", "out_bits"),
    LabelSelect: ("classes", "pe", "in_bits", "index_bits"),
    Fifo: ("width", "depth"),
    WidthConverter: ("in_lanes", "out_lanes", "bits"),
}
_FLAGS = {"arithmetic": ("dsp", "dsp"), "rom_style": ("block", "block")}
"""Fields that are words -> column name, and the word that is 1 in it (the hard block)."""

KERNELS: dict[str, type[Kernel]] = {kind.__name__: kind for kind in _FIELDS}
"""Every kernel the cost model knows, by class name."""


def columns(kind: str, kernels: Sequence[Kernel]) -> Columns:
    """Fields of `kernels`, all of class `kind`: field name -> (n,) values."""
    fields = _FIELDS[KERNELS[kind]]
    rows = [attrgetter(*fields)(kernel) for kernel in kernels]
    table: Columns = {}
    for name, values in zip(fields, zip(*rows, strict=True), strict=True):
        if name in _FLAGS:
            column, word = _FLAGS[name]
            table[column] = np.array([value == word for value in values], dtype=np.float64)
        else:
            table[name] = np.asarray(values, dtype=np.float64)
    return table


def domain_columns(kind: str, fields: Columns) -> Columns:
    """What bounds the calibrated domain: the fields and, for memories, their depth and width."""
    table = dict(fields)
    if kind == "Mvu":
        table["depth"] = fields["column_folds"] * fields["row_folds"]
        table["products"] = fields["pe"] * fields["simd"]
        # A vector longer than calibrated costs only deeper memories: their depth is what counts.
        for name in ("mw", "mh", "row_folds"):
            del table[name]
    elif kind == "Swu":
        table = {
            "depth": fields["buffer_depth"],
            "width": fields["simd"] * fields["bits"],
            "kernel": fields["kernel_h"] * fields["kernel_w"],
            "in_h": fields["in_h"],
            "in_w": fields["in_w"],
        }
    elif kind == "Pad":
        table = {
            "width": fields["simd"] * fields["bits"],
            "row": (fields["in_w"] + fields["left"] + fields["right"]) * fields["folds"],
            "in_h": fields["in_h"],
        }
    elif kind == "MaxPool":
        table = {
            "kernel": fields["kernel"],
            "pe": fields["pe"],
            "bits": fields["bits"],
            "row": fields["out_w"] * fields["folds"],
            "in_h": fields["in_h"],
        }
    elif kind == "WidthConverter":
        table = {
            "width": np.maximum(fields["in_lanes"], fields["out_lanes"]) * fields["bits"],
            "ratio": np.maximum(fields["in_lanes"], fields["out_lanes"])
            / np.minimum(fields["in_lanes"], fields["out_lanes"]),
        }
    return table
