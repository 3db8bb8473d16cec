"""What a node of the graph is to the network: the layer or unit it works for, and which part."""

from __future__ import annotations

from typing import Any

from hw_targets.errors import VerificationError
from hw_targets.network import LayerShape, NetworkShape, identifier

LABEL = "label"
PARTS = (
    "pool_window",
    "pool_pad",
    "sum_window",
    "fork",
    "pad",
    "window",
    "mvu",
    "threshold",
    "pool",
    "sum",
    "add",
    "concat",
    "zeros",
    "upsample",
    "scale",
    "bias",
)
"""Ends of nodes' names, the longer ones of two that could be meant first."""


def part_of(name: str) -> tuple[str, str]:
    """(owner, part) that a node's name says; of `label` the owner is ""."""
    if name == LABEL:
        return "", LABEL
    for part in PARTS:
        if name.endswith(f"_{part}"):
            return name.removesuffix(f"_{part}"), part
    raise VerificationError(f"{name} is no node of LiftFlow's", where="fold")


def matrix_name(layer: str) -> str:
    """The node of a layer's matrix-vector or depthwise unit."""
    return f"{identifier(layer)}_mvu"


def layers_of(model: Any, network: NetworkShape) -> dict[str, LayerShape]:
    """Node -> the layer it is folded with; nodes that join or follow branches are left out.

    Raises:
        VerificationError: the graph's matrices are not the network's.
    """
    layers = {identifier(layer.name): layer for layer in network.layers}
    found: dict[str, LayerShape] = {}
    matrices = set()
    summed = any(part_of(node.name)[1] == "bias" for node in model.graph.node)
    for node in model.graph.node:
        owner, part = part_of(node.name)
        layer = layers.get(owner)
        if part == LABEL and summed:
            layer = network.layers[-1]
        if layer is not None and part != "fork":
            found[node.name] = layer
        if part == "mvu":
            matrices.add(owner)
            given = _matrix(node)
            if layer is None or given != layer.hardware_matrix:
                expected = layer and (layer.name, layer.hardware_matrix)
                raise VerificationError(
                    f"{node.name} is a {given} matrix, the network's layer {expected}",
                    where="fold",
                )
    if matrices != set(layers):
        raise VerificationError("the graph has not all of the network's layers", where="fold")
    return found


def _matrix(node: Any) -> tuple[int, int]:
    """(columns, rows) of a matrix-vector or depthwise unit."""
    from qonnx.custom_op.registry import getCustomOp

    get = getCustomOp(node).get_nodeattr
    if node.op_type == "VVAU":
        height, width = get("Kernel")
        return (int(height * width), int(get("Channels")))
    return (int(get("MW")), int(get("MH")))
