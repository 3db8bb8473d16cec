"""Networks that branch, up to where FINN needs a vendor's tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from frontend_nets import passed
from quant_case import context
from quant_graph import graph

from compiler.stages import DataflowModel
from hw_targets import finn_adapter
from hw_targets.errors import UnsupportedError
from passes.fold import Fold
from passes.lower_finn import LowerFinn

PART = "xc7z020clg400-1"


def folded(name: str, folder: Path) -> DataflowModel:
    found = graph(name) if name == "residual" else passed(name)
    room = context(folder, found.data)
    return Fold().run(LowerFinn(frames=2).run(found.exported, room), room)


def test_finn_takes_joins_and_depthwise_layers(tmp_path: Path) -> None:
    found = folded("mobile", tmp_path)
    renamed = finn_adapter.vendor_folding(found.path, dict(found.folding), PART)
    (tmp_path / "dataflow.onnx").write_bytes(found.path.read_bytes())
    (tmp_path / "folding.json").write_text(json.dumps(renamed))
    config = finn_adapter.build_config(part=PART, clock_mhz=100.0, board="Pynq-Z2")
    kinds = finn_adapter.rehearse(tmp_path, config)
    assert kinds.count("DuplicateStreams_hls") == 1
    assert kinds.count("VVAU_hls") == 2
    assert {"ElementwiseAdd_hls", "GlobalAccPool_hls"} <= set(kinds)
    windows = [
        attributes["SIMD"]
        for name, attributes in renamed.items()
        if name.startswith("ConvolutionInputGenerator")
    ]
    units = [a["PE"] for name, a in renamed.items() if name.startswith("VVAU")]
    # The window of a depthwise layer gives as many channels at once as the unit behind it takes.
    assert set(units) <= set(windows)


def test_what_finn_has_no_node_for_is_named(tmp_path: Path) -> None:
    found = folded("residual", tmp_path)
    with pytest.raises(UnsupportedError, match="pad_1_zeros: FINN has no hardware"):
        finn_adapter.vendor_folding(found.path, dict(found.folding), PART)
