"""What the nodes of a QONNX file are called in hardware: as the network calls its own parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hw_targets.errors import VerificationError
from hw_targets.network import NetworkShape, Unit, identifier, owners

LAYERS = ("Conv", "Gemm", "MatMul")
QUANTIZERS = ("Quant", "BipolarQuant", "Sign")
_KINDS = {
    "Add": "add",
    "Concat": "concat",
    "MaxPool": "max",
    "Resize": "upsample",
    "Upsample": "upsample",
}
"""ONNX operation -> kind of the network's unit that it computes."""


class Names:
    """Node -> name, by the order of execution that the numbers in the nodes' names tell.

    A layer's own parts are called after it: its threshold and its pooling, too, where its output
    goes nowhere else. What joins or follows branches is called after the network's unit.

    Raises:
        VerificationError: the file does not have as many layers as the network.
    """

    def __init__(self, source: Any, network: NetworkShape) -> None:
        nodes = sorted(source.graph.node, key=number)
        # Layers are of several types; their weights' quantizers number them all.
        layers = sorted(
            (node for node in nodes if node.op_type in LAYERS),
            key=lambda node: number(source.find_producer(node.input[1]) or node),
        )
        if len(layers) != len(network.layers):
            raise VerificationError(
                f"{len(layers)} layers in the file, {len(network.layers)} in the network",
                where="lower-finn",
            )
        self._units: dict[str, Unit] = {}
        self._names = dict(_pairs(layers, (layer.name for layer in network.layers)))
        self.quantizers = quants = [
            node
            for node in nodes
            if node.op_type in QUANTIZERS
            and source.get_initializer(node.input[0]) is None
            and node.input[0] != source.graph.input[0].name
        ]
        pools = [node for node in nodes if node.op_type == "MaxPool"]
        if network.chain:
            acting = [layer for layer in network.layers if layer.activation]
            self._names |= _pairs(quants, (layer.name for layer in acting))
            self._names |= _pairs(pools, (layer.name for layer in acting if layer.pool > 1))
            return
        owned = owners(network)
        units = network.units
        quantizing = [unit for unit in units if unit.quantizer]
        self._units = {node.name: u for node, u in zip(quants, quantizing, strict=False)}
        self._names |= _pairs(quants, (owned.get(u.name, u.name) for u in quantizing))
        for operation, kind in _KINDS.items():
            found = [
                node
                for node in nodes
                if node.op_type == operation
                and not any(source.get_initializer(name) is not None for name in node.input[:2])
            ]
            self._names |= _pairs(
                found, (owned.get(u.name, u.name) for u in units if u.kind == kind)
            )
        moved = [unit for unit in units if unit.kind == "shortcut"]
        skipping = [unit.name for unit in moved if unit.numbers[0] > 1 for _ in range(2)]
        slices = [node for node in nodes if node.op_type == "Slice"]
        self._names |= _pairs(slices, skipping)  # one along each axis
        pads = [node for node in nodes if node.op_type == "Pad"]
        zeros = (unit.name for unit in units if unit.kind == "pad" or _widens(unit))
        self._names |= _pairs(pads, zeros)
        averages = [unit for unit in units if unit.kind == "average"]
        for operation, whole in (("GlobalAveragePool", True), ("AveragePool", False)):
            found = [node for node in nodes if node.op_type == operation]
            self._names |= _pairs(
                found, (u.name for u in averages if (len(u.numbers) == 2) == whole)
            )

    def thresholds(self) -> list[str]:
        """What the hardware of every quantizer of activations is called, in order."""
        return [f"{self.of(node)}_threshold" for node in self.quantizers]

    def bipolar(self) -> set[str]:
        """Those of `thresholds` whose quantizer gives -1 and 1."""
        return {f"{self.of(n)}_threshold" for n in self.quantizers if n.op_type == "BipolarQuant"}

    def signed(self, node: Any) -> bool:
        """Does a quantizer of -1 and 1 give them as such, and not as a bit?"""
        return node.name in self._units and self._units[node.name].signed

    def of(self, node: Any) -> str:
        """The name, fit for hardware; the file's own for what the network has no name for."""
        return identifier(self._names.get(node.name, node.name))


def number(node: Any) -> int:
    """Place of a node among those of its type, in the order of execution."""
    _, _, digits = node.name.rpartition("_")
    return int(digits) if digits.isdigit() else 0


def _pairs(nodes: Iterable[Any], names: Iterable[str]) -> Mapping[str, str]:
    return {node.name: name for node, name in zip(nodes, names, strict=False)}


def _widens(unit: Unit) -> bool:
    """Does a shortcut put channels of zeros beside its own?"""
    return unit.kind == "shortcut" and any(unit.numbers[1:])
