"""FINN's SetFolding on a lowered graph: the PE and SIMD it sets, and FINN's own cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_targets import finn_adapter
from hw_targets.finn_adapter.session import finn_session
from hw_targets.finn_adapter.vendor import REFERENCE_PART, specialize
from hw_targets.network import NetworkShape
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.swu import Swu

WIDTHS: tuple[int, ...] = (36, 8191)
"""mvau_wwidth_max: FINN's default, and the most it takes without an error (its widest word)."""


@dataclass(frozen=True)
class Node:
    """One FINN node. pe, simd: 0 where it has none. cycles: FINN's estimate a frame."""

    name: str
    kind: str
    pe: int
    simd: int
    parallel_window: bool
    cycles: int


@dataclass(frozen=True)
class Unfolded:
    """pe and simd of 1: where every folding starts."""

    pe: int = 1
    simd: int = 1
    arithmetic: str = "lut"
    memory: str = "auto"


class SetFolding:
    """A network's graph, opened once, folded by SetFolding for one target after the other."""

    def __init__(self, path: Path, network: NetworkShape, part: str = REFERENCE_PART) -> None:
        """path: the lowered graph; files of its own are left beside it.

        Raises:
            LiftFlowError: FINN is not installed, or the graph is not the network's.
        """
        self.folder = path.parent
        start = self.folder / "unfolded.onnx"
        finn_adapter.fold(
            path, start, network, {layer.name: Unfolded() for layer in network.layers}
        )
        with finn_session(self.folder):
            self._model = specialize(start, part)
        self._known: dict[tuple[int, int], tuple[Node, ...]] = {}

    def apply(self, target: int, width: int) -> tuple[Node, ...]:
        """Fold for at most `target` cycles a frame. width: mvau_wwidth_max in bits.

        FINN's two_pass_relaxation is on, as by default.
        """
        if (target, width) not in self._known:
            with finn_session(self.folder):
                from finn.transformation.fpgadataflow.set_folding import SetFolding as Finns

                self._model = self._model.transform(Finns(target, mvau_wwidth_max=width))
                nodes = tuple(_node(node) for node in self._model.graph.node)
            self._known[target, width] = nodes
        return self._known[target, width]

    def configure(self, units: Sequence[Kernel]) -> tuple[Node, ...]:
        """Fold as `units` are, in stream order, by FINN's own ApplyConfig."""
        with finn_session(self.folder):
            from finn.transformation.general import ApplyConfig

            config: dict[str, Any] = {"Defaults": {}}
            waiting = list(units)
            for node in self._model.graph.node:
                unit = waiting[0]
                if isinstance(unit, MaxPool) and "Generator" in node.op_type:
                    config[node.name] = {"SIMD": unit.pe, "parallel_window": 0}
                    continue  # FINN's pooling is two nodes, a window and the pooling
                config[node.name] = _folding(unit)
                del waiting[0]
            self._model = self._model.transform(ApplyConfig(config))
            return tuple(_node(node) for node in self._model.graph.node)


def _folding(unit: Kernel) -> dict[str, int]:
    """The attributes of the FINN node that does what `unit` does."""
    if isinstance(unit, Mvu):
        return {"PE": unit.pe, "SIMD": unit.simd}
    if isinstance(unit, Swu):
        return {"SIMD": unit.simd, "parallel_window": 0}
    if isinstance(unit, ParallelWindow):
        return {"SIMD": unit.channels, "parallel_window": 1}
    return {"SIMD" if isinstance(unit, Pad) else "PE": unit.input.lanes}


def ladder(slowest: int, step: float = 2.0) -> Iterator[int]:
    """Targets from `slowest` (cycles a frame, one multiplier a layer) down to 1, `step` apart."""
    target = float(slowest)
    while target >= 1.0:
        yield int(target)
        target /= step


def interval(nodes: tuple[Node, ...]) -> int:
    """FINN's cycles between frames: of its slowest node."""
    return max(node.cycles for node in nodes)


def _node(node: Any) -> Node:
    from qonnx.custom_op.registry import getCustomOp

    op = getCustomOp(node)
    known = op.get_nodeattr_types()

    def value(name: str) -> int:
        return int(op.get_nodeattr(name)) if name in known else 0

    kind = node.op_type.removesuffix("_rtl").removesuffix("_hls")
    return Node(
        node.name,
        kind,
        value("PE"),
        value("SIMD"),
        bool(value("parallel_window")),
        int(op.get_exp_cycles()),
    )
