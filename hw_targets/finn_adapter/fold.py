"""Folding of a lowered FINN graph: PE, SIMD and memories, as FINN's own configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import gcd, prod
from pathlib import Path
from typing import Any, Protocol

from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.finn_adapter.parts import layers_of, part_of
from hw_targets.finn_adapter.session import finn_session
from hw_targets.lanes import TIED, fewest, lanes_of
from hw_targets.network import LayerShape, NetworkShape

FoldingConfig = dict[str, dict[str, Any]]


class Folding(Protocol):
    """What the allocator says of one layer (`compiler.stages.LayerChoice` fits).

    Lanes of its own that a unit has stand in an attribute `lanes`, which there need not be.
    """

    @property
    def pe(self) -> int: ...
    @property
    def simd(self) -> int: ...
    @property
    def arithmetic(self) -> str: ...
    @property
    def memory(self) -> str: ...


def fold(
    source: Path,
    target: Path,
    network: NetworkShape,
    choices: Mapping[str, Folding],
    interval: int = 1,
) -> FoldingConfig:
    """Fold the lowered graph `source` into `target`; the configuration, as in folding.json.

    Matrix-vector units take the allocated folding, the others lanes of their own, and those that
    have none follow their matrix; what joins or follows branches has the fewest lanes that keep
    `interval` cycles a frame (`hw_targets.lanes`). The configuration is applied by FINN's own
    ApplyConfig and read back.

    Raises LiftFlowError if a PE or SIMD does not divide its matrix, VerificationError if the graph
    is not the network's or does not take the configuration.
    """
    with finn_session(target.parent):
        from finn.transformation.general import ApplyConfig
        from qonnx.core.modelwrapper import ModelWrapper

        model = ModelWrapper(str(source))
        config = _config(model, network, choices, interval)
        (target.parent / "folding.json").write_text(json.dumps(config, indent=2) + "\n")
        model = model.transform(ApplyConfig(target.parent / "folding.json"))
        if read_back(model, config) != config:
            raise VerificationError("FINN did not take the folding", where="fold")
        target.write_bytes(model.model.SerializeToString(deterministic=True))
    return config


def read_back(model: Any, config: FoldingConfig) -> FoldingConfig:
    """The values a graph has for what `config` names, in its order."""
    from qonnx.custom_op.registry import getCustomOp

    nodes = {node.name: getCustomOp(node) for node in model.graph.node if node.domain}
    found: FoldingConfig = {"Defaults": {}}
    for name, attributes in config.items():
        if name in nodes:
            found[name] = {key: nodes[name].get_nodeattr(key) for key in attributes}
    return found


def _config(
    model: Any, network: NetworkShape, choices: Mapping[str, Folding], interval: int
) -> FoldingConfig:
    config: FoldingConfig = {"Defaults": {}}
    layers = layers_of(model, network)
    for node in model.graph.node:
        if not node.domain:
            continue  # plain ONNX, without folding
        layer = layers.get(node.name)
        if layer is None:
            attributes = _shared(model, node, interval)
        else:
            attributes = _own(node, layer, choices[layer.name])
        config[node.name] = {**attributes, "preferred_impl_style": "rtl"}
    return config


def _own(node: Any, layer: LayerShape, choice: Folding) -> dict[str, Any]:
    """Folding of a node of a layer."""
    mw, mh = layer.hardware_matrix
    if mw % choice.simd or mh % choice.pe:
        raise LiftFlowError(
            f"PE {choice.pe} and SIMD {choice.simd} do not divide its {mh} x {mw} matrix",
            where=layer.name,
        )
    lanes = lanes_of(layer, choice.pe, choice.simd, getattr(choice, "lanes", TIED))
    _, part = part_of(node.name)
    if part == "mvu":
        return {
            "PE": choice.pe,
            "SIMD": choice.simd,
            "resType": choice.arithmetic,
            "mem_mode": "internal_decoupled",
            "ram_style": choice.memory,
        }
    if part == "window":
        # FINN's windows give all pixels of the kernel at once, or one.
        parallel = lanes.window > layer.in_channels
        return {"SIMD": min(lanes.window, layer.in_channels), "parallel_window": int(parallel)}
    taken = {"pad": lanes.pad, **dict.fromkeys(("threshold", "scale", "bias"), lanes.act)}
    return _folded(node, taken.get(part, lanes.end))


def _shared(model: Any, node: Any, interval: int) -> dict[str, Any]:
    """Folding of a node that joins or follows branches: the fewest lanes that keep the interval.

    Pooling has as many as the window in front of it, which takes the whole image.
    """
    window = model.find_producer(node.input[0]) if node.op_type == "Pool" else None
    shapes = [
        model.get_tensor_shape(name)
        for name in (*node.input, *node.output, *(window.input if window else ()))
        if model.get_initializer(name) is None
    ]
    channels = gcd(*(shape[-1] for shape in shapes))
    return _folded(node, fewest(channels, max(map(prod, shapes)), interval))


def _folded(node: Any, lanes: int) -> dict[str, Any]:
    kind = node.op_type
    if kind == "ConvolutionInputGenerator":
        return {"SIMD": lanes, "parallel_window": 0}
    if kind in ("FMPadding", "StreamingConcat", "UpsampleNearestNeighbour"):
        return {"SIMD": lanes}
    return {"PE": lanes}
