"""Folding of a lowered FINN graph: PE, SIMD and memories, as FINN's own configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.finn_adapter.session import finn_session
from hw_targets.lanes import TIED, lanes_of
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
    source: Path, target: Path, network: NetworkShape, choices: Mapping[str, Folding]
) -> FoldingConfig:
    """Fold the lowered graph `source` into `target`; the configuration, as in folding.json.

    Matrix-vector units take the allocated folding, the others lanes of their own, and those that
    have none follow their matrix (`hw_targets.lanes`). The configuration is applied by FINN's own
    ApplyConfig and read back.

    Raises LiftFlowError if a PE or SIMD does not divide its matrix, VerificationError if the graph
    is not the network's or does not take the configuration.
    """
    with finn_session(target.parent):
        from finn.transformation.general import ApplyConfig
        from qonnx.core.modelwrapper import ModelWrapper

        model = ModelWrapper(str(source))
        config = _config(model, network, choices)
        (target.parent / "folding.json").write_text(json.dumps(config, indent=2) + "\n")
        model = model.transform(ApplyConfig(target.parent / "folding.json"))
        if read_back(model, config) != config:
            raise VerificationError("FINN did not take the folding", where="fold")
        target.write_bytes(model.model.SerializeToString(deterministic=True))
    return config


def read_back(model: Any, config: FoldingConfig) -> FoldingConfig:
    """The values a graph has for what `config` names, in its order."""
    from qonnx.custom_op.registry import getCustomOp

    nodes = {node.name: getCustomOp(node) for node in model.graph.node}
    found: FoldingConfig = {"Defaults": {}}
    for name, attributes in config.items():
        if name in nodes:
            found[name] = {key: nodes[name].get_nodeattr(key) for key in attributes}
    return found


def units(model: Any, network: NetworkShape) -> list[tuple[LayerShape, Any]]:
    """Every node with the layer it works for: what comes before a matrix-vector unit is its own,
    what comes after it too, up to the next one's padding or window.

    Raises VerificationError where the matrices are not the network's.
    """
    from qonnx.custom_op.registry import getCustomOp

    layers = iter(network.layers)
    current: LayerShape | None = None
    waiting: list[Any] = []
    pairs: list[tuple[LayerShape, Any]] = []
    for node in model.graph.node:
        kind = node.op_type
        window = kind == "ConvolutionInputGenerator" and not getCustomOp(node).get_nodeattr(
            "depthwise"
        )
        if kind == "FMPadding" or window:
            waiting.append(node)
        elif kind == "MVAU":
            current = next(layers, None)
            op = getCustomOp(node)
            matrix = (op.get_nodeattr("MW"), op.get_nodeattr("MH"))
            if current is None or matrix != current.matrix:
                raise VerificationError(
                    f"{node.name} is a {matrix} matrix, the network's layer "
                    f"{current and (current.name, current.matrix)}",
                    where="fold",
                )
            pairs.extend((current, before) for before in (*waiting, node))
            waiting = []
        elif current is None:
            raise VerificationError(f"{node.name} comes before any layer", where="fold")
        else:
            pairs.append((current, node))
    if waiting or next(layers, None) is not None:
        raise VerificationError("the graph has not all of the network's layers", where="fold")
    return pairs


def _config(model: Any, network: NetworkShape, choices: Mapping[str, Folding]) -> FoldingConfig:
    config: FoldingConfig = {"Defaults": {}}
    for layer, node in units(model, network):
        choice = choices[layer.name]
        mw, mh = layer.matrix
        if mw % choice.simd or mh % choice.pe:
            raise LiftFlowError(
                f"PE {choice.pe} and SIMD {choice.simd} do not divide its {mh} x {mw} matrix",
                where=layer.name,
            )
        lanes = lanes_of(layer, choice.pe, choice.simd, getattr(choice, "lanes", TIED))
        kind = node.op_type
        attributes: dict[str, Any]
        if kind == "MVAU":
            attributes = {
                "PE": choice.pe,
                "SIMD": choice.simd,
                "resType": choice.arithmetic,
                "mem_mode": "internal_decoupled",
                "ram_style": choice.memory,
            }
        elif kind == "FMPadding":
            attributes = {"SIMD": lanes.pad}
        elif kind == "ConvolutionInputGenerator":
            depthwise = layer.matrix[0] != _window_size(node)
            attributes = {"SIMD": lanes.end if depthwise else lanes.window, "parallel_window": 0}
        elif kind in ("Thresholding", "ElementwiseAdd"):
            attributes = {"PE": lanes.act}
        elif kind in ("Pool", "LabelSelect"):
            attributes = {"PE": lanes.end}
        else:
            raise VerificationError(f"{node.name} ({kind}) cannot be folded", where="fold")
        config[node.name] = {**attributes, "preferred_impl_style": "rtl"}
    return config


def _window_size(node: Any) -> int:
    """Columns of the matrix a window feeds; 0 for pooling, which goes channel by channel."""
    from qonnx.custom_op.registry import getCustomOp

    op = getCustomOp(node)
    if op.get_nodeattr("depthwise"):
        return 0
    kernel = op.get_nodeattr("ConvKernelDim")
    return int(kernel[0] * kernel[1] * op.get_nodeattr("IFMChannels"))
