"""Kernels as fields of numbers: what the cost basis and the calibrated domain are written in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeAlias

import numpy as np

from hw_targets.cost.basis import Column, Fields, Number
from hw_targets.cost.basis.arithmetic import least, most
from hw_targets.cost.finn import FINN_NODES
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
from hw_targets.rtl.table_logic import TableLogic
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.width_converter import WidthConverter

Unit: TypeAlias = object
"""What is priced: a kernel of ours, or one of `finn.FINN_NODES`."""

_FIELDS: dict[type, tuple[str, ...]] = {
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
        "dilation_w",
        "out_h",
        "out_w",
        "folds",
        "simd",
        "bits",
        "buffer_depth",
    ),
    ParallelWindow: (
        "in_h",
        "in_w",
        "kernel_h",
        "kernel_w",
        "stride_h",
        "stride_w",
        "above",
        "before",
        "width",
        "beats",
    ),
    Pad: ("in_h", "in_w", "folds", "top", "left", "bottom", "right", "simd", "bits"),
    MaxPool: ("in_h", "in_w", "folds", "kernel", "pe", "bits", "out_w"),
    Upsample: ("in_w", "folds", "scale_h", "scale_w", "simd", "bits", "buffer_depth"),
    Depthwise: (
        "folds",
        "taps",
        "pe",
        "weight_bits",
        "act_bits",
        "act_signed",
        "acc_bits",
        "arithmetic",
        "rom_style",
    ),
    Reduce: ("folds", "taps", "pe", "bits", "signed", "out_bits", "op"),
    Requant: (
        "folds",
        "pe",
        "in_bits",
        "in_signed",
        "out_bits",
        "out_signed",
        "mult_bits",
        "add_bits",
        "sum_bits",
        "shift",
        "arithmetic",
        "rom_style",
    ),
    Table: (
        "lanes",
        "in_bits",
        "in_signed",
        "out_bits",
        "out_signed",
        *(f"content.{field.name}" for field in dataclasses.fields(TableLogic)),
    ),
    ChannelAdd: ("pe", "folds", "in_bits", "bias_bits", "out_bits"),
    LabelSelect: ("classes", "pe", "in_bits", "index_bits"),
    Fifo: ("width", "depth"),
    WidthConverter: ("in_lanes", "out_lanes", "bits"),
    Duplicate: ("lanes", "copies"),
    Add: ("lanes", "bits"),
    Concat: ("streams", "most_folds", "lanes", "bits"),
    **{node: tuple(field.name for field in dataclasses.fields(node)) for node in FINN_NODES},
}
_FLAGS = {
    "arithmetic": ("dsp", "dsp"),
    "rom_style": ("block", "block"),
    "op": ("maximum", "max"),
}
"""Fields that are words -> their name as numbers, and the word that is 1."""

KERNELS: dict[str, type[Kernel]] = {
    kind.__name__: kind for kind in _FIELDS if issubclass(kind, Kernel)
}
"""Every kernel of ours the cost model knows, by class name."""

_GETTERS = {kind.__name__: attrgetter(*fields) for kind, fields in _FIELDS.items()}
_NAMES = {
    kind.__name__: tuple(_FLAGS.get(name, (name, ""))[0].rpartition(".")[2] for name in fields)
    for kind, fields in _FIELDS.items()
}
_WORDS = {
    kind.__name__: tuple(_FLAGS[name][1] if name in _FLAGS else "" for name in fields)
    for kind, fields in _FIELDS.items()
}


def fields(kernel: Unit) -> dict[str, float]:
    """The numbers of one kernel by name."""
    kind = type(kernel).__name__
    found: dict[str, float] = {}
    for name, word, value in zip(_NAMES[kind], _WORDS[kind], _GETTERS[kind](kernel), strict=True):
        found[name] = float(value == word) if word else float(value)
    return found


def columns(kind: str, kernels: Sequence[Unit]) -> dict[str, Column]:
    """Numbers of `kernels`, all of class `kind`: field name -> (n,) values."""
    rows = list(map(_GETTERS[kind], kernels))
    table: dict[str, Column] = {}
    for name, word, values in zip(_NAMES[kind], _WORDS[kind], zip(*rows, strict=True), strict=True):
        listed = [value == word for value in values] if word else values
        table[name] = np.asarray(listed, dtype=np.float64)
    return table


def domain(kind: str, k: Fields) -> dict[str, Number]:
    """What bounds the calibrated domain: the fields and, for memories, their depth and width."""
    if kind == "Mvu":
        # A vector longer than calibrated costs only deeper memories: their depth is what counts.
        left_out = ("mw", "mh", "row_folds")
        return {
            **{name: value for name, value in k.items() if name not in left_out},
            "depth": k["column_folds"] * k["row_folds"],
            "products": k["pe"] * k["simd"],
        }
    if kind == "Swu":
        return {
            "depth": k["buffer_depth"],
            "width": k["simd"] * k["bits"],
            "kernel": k["kernel_h"] * k["kernel_w"],
            "in_h": k["in_h"],
            "in_w": k["in_w"],
        }
    if kind == "ParallelWindow":
        return {
            "depth": k["in_w"],
            "word": k["above"] * k["width"],
            "window": k["kernel_h"] * (k["before"] + 1) * k["width"],
            "beats": k["beats"],
            "in_h": k["in_h"],
        }
    if kind == "Pad":
        return {
            "width": k["simd"] * k["bits"],
            "row": (k["in_w"] + k["left"] + k["right"]) * k["folds"],
            "in_h": k["in_h"],
        }
    if kind == "MaxPool":
        return {
            "kernel": k["kernel"],
            "pe": k["pe"],
            "bits": k["bits"],
            "row": k["out_w"] * k["folds"],
            "in_h": k["in_h"],
        }
    if kind == "Upsample":
        return {
            "depth": k["buffer_depth"],
            "width": k["simd"] * k["bits"],
            "scale": most(k["scale_h"], k["scale_w"]),
            "in_w": k["in_w"],
        }
    if kind == "WidthConverter":
        wide = most(k["in_lanes"], k["out_lanes"])
        return {
            "width": wide * k["bits"],
            "ratio": wide / least(k["in_lanes"], k["out_lanes"]),
        }
    if kind == "Table":
        return {name: k[name] for name in ("lanes", "in_bits", "out_bits")}
    if kind == "Duplicate":
        return {"copies": k["copies"]}  # all lanes are wires
    if kind == "Concat":
        return {
            "streams": k["streams"],
            "folds": k["most_folds"],
            "width": k["lanes"] * k["bits"],
        }
    return dict(k)
