"""Rows of measured FINN builds as nodes of the cost model, with what FINN itself calls them.

The two files (`vivado_finn_mvau.csv`, `vivado_finn_other_nodes.csv`) hold one row a submodule of
real builds: attributes, the model it is from, and LUT, FF, block RAM and DSP counts after Vivado's
out-of-context synthesis. They do not say how wide the streams of FIFOs and width converters are.
These are recovered from the registers, which are the widths and a known number beside: the LUTs
that are then predicted are another measurement.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_targets.cost.finn import (
    FinnFifo,
    FinnLabelSelect,
    FinnMvau,
    FinnPadding,
    FinnThresholding,
    FinnWidthConverter,
    FinnWindow,
)
from hw_targets.errors import LiftFlowError

FILES = ("vivado_finn_mvau.csv", "vivado_finn_other_nodes.csv")
Row = dict[str, str]
Widths = frozenset[int]
"""Widths in bits of the streams that a model's units are known to have."""


@dataclass(frozen=True)
class Measured:
    """A node, its counts (block RAM in halves of 36 kbit), the model it is from.

    finn: FINN's op type and attributes, to ask FINN for its own estimate; None where it has none.
    """

    node: object
    model: str
    resources: dict[str, float]
    finn: tuple[str, dict[str, Any]] | None

    @property
    def kind(self) -> str:
        return type(self.node).__name__


def measured(folder: Path) -> list[Measured]:
    """Every row of both files that says enough to be a node.

    Raises:
        LiftFlowError: a file is missing.
    """
    rows: list[Row] = []
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise LiftFlowError("no such file", where=str(path), mend="give --data its folder")
        with path.open(newline="") as file:
            rows += csv.DictReader(file)
    widths = _widths(rows)
    found = []
    for row in rows:
        node = _READERS[row.get("base_name", "MVAU")](row, widths[row["model_id"]])
        if node is not None:
            found.append(Measured(node[0], row["model_id"], _resources(row), node[1]))
    return found


def _widths(rows: list[Row]) -> dict[str, Widths]:
    """Model -> widths of its streams, of the folding and data types that rows do tell."""
    found: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        widths = found[row["model_id"]]
        for lanes, datatype in (("SIMD", "inputDataType"), ("PE", "outputDataType")):
            if row.get(lanes) and row.get(datatype):
                widths.add(_whole(row[lanes]) * _bits(row[datatype]))
    return {model: frozenset(widths) for model, widths in found.items()}


_Node = tuple[object, tuple[str, dict[str, Any]] | None]


def _mvau(row: Row, _: Widths) -> _Node:
    weight, act, out = (row[f"{name}DataType"] for name in ("weight", "input", "output"))
    activation = row["noActivation"] in ("0", "0.0")
    node = FinnMvau(
        mw=_whole(row["MW"]),
        mh=_whole(row["MH"]),
        pe=_whole(row["PE"]),
        simd=_whole(row["SIMD"]),
        weight_bits=_bits(weight),
        act_bits=_bits(act),
        acc_bits=_bits(row["accDataType"]),
        out_bits=_bits(out) if activation else 0,
        binary=int(weight == act == "BINARY"),
        dsp=int(row["resType"] == "dsp"),
        block=int(row["ram_style"] == "block"),
    )
    attributes = {
        **{name: _whole(row[name]) for name in ("MW", "MH", "PE", "SIMD")},
        **{name: row[name] for name in ("resType", "ram_style", "mem_mode")},
        **{f"{name}DataType": row[f"{name}DataType"] for name in ("input", "weight", "output")},
        "accDataType": row["accDataType"],
        "noActivation": int(not activation),
        "numInputVectors": json.loads(row["numInputVectors"]),
    }
    return node, ("MVAU_hls", attributes)


def _window(row: Row, _: Widths) -> _Node:
    (in_h, in_w), kernel, stride = (_pair(row[n]) for n in ("IFMDim", "ConvKernelDim", "Stride"))
    bits, parallel = _bits(row["inputDataType"]), _whole(row["parallel_window"])
    channels, simd = _whole(row["IFMChannels"]), _whole(row["SIMD"])
    node = FinnWindow(in_h, in_w, channels, *kernel, stride[0], simd, bits, parallel)
    attributes = {
        **{n: _pair(row[n]) for n in ("IFMDim", "OFMDim", "ConvKernelDim", "Stride", "Dilation")},
        **{n: row[n] for n in ("inputDataType", "outputDataType", "ram_style")},
        "IFMChannels": channels,
        "SIMD": simd,
        "parallel_window": parallel,
        "depthwise": 0,
    }
    return node, ("ConvolutionInputGenerator_rtl", attributes)


def _padding(row: Row, _: Widths) -> _Node:
    height, width = _pair(row["ImgDim"])
    channels, simd = _whole(row["NumChannels"]), _whole(row["SIMD"])
    return FinnPadding(height, width, channels, simd, _bits(row["inputDataType"])), None


def _thresholding(row: Row, _: Widths) -> _Node:
    channels, pe, out = _whole(row["NumChannels"]), _whole(row["PE"]), row["outputDataType"]
    node = FinnThresholding(channels, pe, _bits(row["inputDataType"]), _bits(out))
    attributes = {
        **{n: row[n] for n in ("inputDataType", "weightDataType", "outputDataType")},
        "NumChannels": channels,
        "PE": pe,
        "numSteps": _whole(row["numSteps"]),
        "numInputVectors": [1],
        "depth_trigger_bram": 0,
        "depth_trigger_uram": 0,
    }
    return node, ("Thresholding_rtl", attributes)


def _fifo(row: Row, _: Widths) -> _Node | None:
    if not row["depth"]:
        return None
    depth, registers = _whole(row["depth"]), float(row["Total FFs"])
    # Two words and 6 of control at the least depth; else one word, 14 and two for an address bit
    # beyond the first four.
    beside = next(n for most, n in ((32, 16), (64, 17), (128, 19), (10**6, 21)) if depth <= most)
    width = (registers - 6) / 2 if depth <= 2 else registers - beside
    width = 8 * max(1, round(width / 8))
    attributes = {
        "depth": depth,
        "folded_shape": [1, 1, width],
        "normal_shape": [1, width],
        "dataType": "UINT1",
        "impl_style": "rtl",
        "ram_style": "auto",
    }
    return FinnFifo(width, depth), ("StreamingFIFO_rtl", attributes)


def _width_converter(row: Row, widths: Widths) -> _Node | None:
    if row["isHLS"] == "1":
        return None  # two stages through a common multiple; neither of its widths is known
    registers = round(float(row["Total FFs"]))
    # The wider side, a word of the narrower one, a counter of their ratio, and the handshake: one
    # pair of widths a row adds up, but where the narrower may be one or two bits.
    pairs = [
        (narrow, wide)
        for wide in sorted(widths)
        for narrow in range(1, wide)
        if wide % narrow == 0
        and wide + narrow + (wide // narrow - 1).bit_length() + 2 == registers
        and narrow in widths
    ]
    if not pairs:
        return None
    narrow, wide = pairs[0]
    attributes = {"shape": [1, wide], "inWidth": narrow, "outWidth": wide, "dataType": "UINT1"}
    return FinnWidthConverter(narrow, wide), ("StreamingDataWidthConverter_rtl", attributes)


def _label_select(row: Row, _: Widths) -> _Node:
    return FinnLabelSelect(_whole(row["Labels"]), _bits(row["inputDataType"])), None


_READERS: dict[str, Callable[[Row, Widths], _Node | None]] = {
    "MVAU": _mvau,
    "ConvolutionInputGenerator": _window,
    "FMPadding": _padding,
    "Thresholding": _thresholding,
    "StreamingFIFO": _fifo,
    "StreamingDataWidthConverter": _width_converter,
    "LabelSelect": _label_select,
}


def _resources(row: Row) -> dict[str, float]:
    return {
        "lut": float(row["Total LUT"]),
        "ff": float(row["Total FFs"]),
        "dsp": float(row["DSP Blocks"]),
        "bram": 2 * float(row["BRAM (36k eq.)"]),
    }


def _whole(text: str) -> int:
    return round(float(text))


def _pair(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def _bits(datatype: str) -> int:
    """Bits of FINN's data type names: BINARY, BIPOLAR, UINT4, INT8."""
    found = re.search(r"\d+$", datatype)
    return int(found[0]) if found else 1


def kinds(rows: list[Measured]) -> Iterator[tuple[str, list[Measured]]]:
    """Rows by kind of node, in the order they first come."""
    for kind in dict.fromkeys(row.kind for row in rows):
        yield kind, [row for row in rows if row.kind == kind]
