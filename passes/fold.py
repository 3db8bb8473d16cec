"""fold: the allocated PE, SIMD and memories set on the FINN graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from compiler.stages import DataflowModel
from hw_targets import finn_adapter
from hw_targets.errors import LiftFlowError
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.wiring import evaluate
from passes._score import agreeing, answers_of
from passes.base import Context, Pass

COMPARED = 4
"""Frames on which every kernel's model is compared with FINN's node."""


@dataclass(frozen=True)
class Fold(Pass[DataflowModel, DataflowModel]):
    """Fold the graph as allocated; units without lanes of their own follow their matrix.

    Leaves FINN's own folding configuration as folding.json. Then the kernels that the RTL is made
    of are proven, by their exact integer models, to give FINN's values node by node on a few
    frames and the quantized network's class, or outputs, on every test sample.
    """

    name: ClassVar[str] = "fold"
    tools: ClassVar[tuple[str, ...]] = ("finn-plus", "qonnx", "onnx")
    uses: ClassVar[tuple[str, ...]] = (
        "hw_targets.finn_adapter",
        "hw_targets.lanes",
        "hw_targets.rtl",
        "passes._score",
    )

    def run(self, model: DataflowModel, ctx: Context) -> DataflowModel:
        path = ctx.workdir / f"{model.name}.folded.onnx"
        ctx.say("folding", 0.1)
        folding = finn_adapter.fold(
            model.path, path, model.network, model.allocation.layers, model.allocation.interval
        )
        chosen = model.allocation.layers
        instances = finn_adapter.instances(path, model.network, chosen, model.allocation.interval)
        kernels = {unit.name: unit.kernel for unit in instances}
        as_allocated = sum(
            _folding(kernels[finn_adapter.matrix_name(name)]) == (choice.pe, choice.simd)
            for name, choice in chosen.items()
        )
        ctx.prove(
            "every matrix unit of the folded graph has the allocated PE and SIMD",
            as_allocated == len(chosen),
            measured=f"{as_allocated} of {len(chosen)}",
            required="all",
        )
        self._check_widths(model, instances)
        encoded = model.input.encode(ctx.data.test_x)
        streamed = model.input.stream(ctx.data.test_x)
        ctx.say("comparing kernels with FINN", 0.4)
        wrong = finn_adapter.disagreements(path, instances, encoded[:COMPARED])
        ctx.prove(
            "every kernel's model equals FINN's node",
            not wrong,
            measured=f"{len(instances) - len(wrong)} of {len(instances)} on {COMPARED} frames",
            required="all",
        )
        ctx.say(f"kernels' models on {len(encoded)} frames", 0.6)
        equal = 0
        for start in range(0, len(encoded), 256):
            *_, (_, values) = evaluate(instances, streamed[start : start + 256])
            equal += agreeing(values, model.predictions[start : start + 256])
        ctx.prove(
            f"the kernels' models give the quantized network's {answers_of(model.network)}",
            equal == len(encoded),
            measured=f"{equal} of {len(encoded)} test samples",
            required="all",
        )
        return replace(model, path=path, folding=folding)

    def _check_widths(
        self, model: DataflowModel, instances: tuple[finn_adapter.Instance, ...]
    ) -> None:
        """Raise LiftFlowError where the graph's weight bits are not the allocated ones."""
        units = {instance.name: instance.kernel for instance in instances}
        for name, choice in model.allocation.layers.items():
            kernel = units[finn_adapter.matrix_name(name)]
            assert isinstance(kernel, Mvu | Depthwise)
            bits = kernel.weight_bits
            if bits != choice.weight_bits:
                raise LiftFlowError(
                    f"{bits} bit weights in the graph, {choice.weight_bits} allocated", where=name
                )


def _folding(kernel: Kernel) -> tuple[int, int]:
    """(PE, SIMD) of a matrix-vector or depthwise unit."""
    if isinstance(kernel, Mvu):
        return (kernel.pe, kernel.simd)
    assert isinstance(kernel, Depthwise)
    return (kernel.pe, 1)
