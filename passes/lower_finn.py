"""lower_finn: the QONNX graph becomes a FINN graph in which every node is hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compiler.stages import DataflowModel, QonnxModel
from hw_targets import finn_adapter
from hw_targets.errors import LiftFlowError
from passes._score import agreeing, answers_of
from passes.base import Context, Pass

LOOKED_INTO = 4
"""Frames on which every activation is compared, not only the class."""


@dataclass(frozen=True)
class LowerFinn(Pass[QonnxModel, DataflowModel]):
    """Write FINN's hardware nodes for every operation; integer-exact against QONNX.

    frames: test samples, spread evenly, whose classes (of a regression, outputs) FINN's Python
    execution, which is slow, must give as QONNX does; `fold` checks all test samples on our
    kernels' models.
    """

    name: ClassVar[str] = "lower-finn"
    tools: ClassVar[tuple[str, ...]] = ("finn-plus", "qonnx", "onnx", "onnxruntime")
    uses: ClassVar[tuple[str, ...]] = (
        "passes._qonnx",
        "passes._score",
        "hw_targets.finn_adapter",
        "hw_targets.lanes",
    )

    frames: int = 128

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise LiftFlowError("frames must be at least 1", where="lower-finn")

    def run(self, model: QonnxModel, ctx: Context) -> DataflowModel:
        """Raises UnsupportedError naming an operation that has no hardware."""
        path = ctx.workdir / f"{model.name}.dataflow.onnx"
        binary = [n for n, choice in model.allocation.layers.items() if choice.weight_bits == 1]
        nodes = finn_adapter.lower(model.path, path, model.network, binary)
        ctx.say(f"{len(nodes)} nodes, all of them FINN hardware", 0.5)
        total = len(ctx.data.test_x)
        chosen = np.unique(np.linspace(0, total - 1, min(self.frames, total)).astype(np.int64))
        ctx.say(f"executing the FINN graph on {len(chosen)} frames", 0.6)
        encoded = model.input.encode(ctx.data.test_x[chosen])
        steps = finn_adapter.trace(path, encoded)
        equal = agreeing(steps[-1][1], model.predictions[chosen])
        ctx.prove(
            f"the FINN graph's {answers_of(model.network)} equal QONNX's",
            equal == len(chosen),
            measured=f"{equal} of {len(chosen)} test samples",
            required="all",
        )
        self._prove_activations(model, ctx, steps, encoded)
        return DataflowModel(
            name=model.name,
            path=path,
            input=model.input,
            network=model.network,
            allocation=model.allocation,
            predictions=model.predictions,
            step=model.step,
        )

    def _prove_activations(
        self,
        model: QonnxModel,
        ctx: Context,
        steps: list[tuple[str, finn_adapter.IntArray]],
        encoded: finn_adapter.IntArray,
    ) -> None:
        from passes import _qonnx as qonnx

        scale = float(np.float32(model.input.scale))
        expected = qonnx.activations(model.path, encoded[:LOOKED_INTO].astype(np.float64) * scale)
        found = dict(steps)
        names = finn_adapter.threshold_names(model.path, model.network)
        for name in finn_adapter.bipolar_names(model.path, model.network) & found.keys():
            if found[name].min() >= 0:  # bits for -1 and 1
                found[name] = 2 * found[name] - 1
        wrong = sum(
            int((found[name][: len(values)] != values).sum())
            for name, values in zip(names, expected, strict=True)
            if name in found
        )
        count = sum(values.size for values in expected)
        ctx.prove(
            "every activation integer of the FINN graph equals QONNX's",
            wrong == 0,
            measured=f"{wrong} of {count} differ",
            required="none",
        )
