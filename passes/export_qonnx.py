"""export_qonnx: the Brevitas network as a QONNX file, proven to compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from compiler.stages import QonnxModel, QuantModel
from hw_targets.errors import InfeasibleError
from passes.base import Context, Pass

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork

TOLERANCE = 1e-6
"""Greatest difference of logits, in steps of the last accumulator; both sides are float64."""


@dataclass(frozen=True)
class ExportQonnx(Pass[QuantModel, QonnxModel]):
    """Write the quantized network as QONNX and compare both on the whole test split.

    The exchange format's description: Pappalardo et al., "QONNX: Representing Arbitrary-Precision
    Quantized Neural Networks", 2022.

    least_accuracy: share of test samples the quantized network must get right, or the compilation
    ends here, before any hardware is made. None asks for nothing.
    """

    name: ClassVar[str] = "export-qonnx"
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "qonnx", "onnx", "onnxruntime", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        "passes._qonnx",
        "passes._brevitas_network",
        "passes._brevitas_exact",
        "passes._threads",
    )

    least_accuracy: float | None = None

    def run(self, model: QuantModel, ctx: Context) -> QonnxModel:
        """Raises InfeasibleError when the network is less accurate than asked for."""
        self._require_accuracy(model.accuracy)
        from passes import _brevitas_exact as exact
        from passes import _qonnx as qonnx

        network = cast("QuantNetwork", model.module)
        path = ctx.workdir / f"{model.name}.qonnx.onnx"
        ctx.say("writing QONNX", 0.1)
        qonnx.export(network, model.input_shape, path)

        ctx.say(f"executing QONNX on {len(ctx.data.test_x)} samples", 0.3)
        brevitas = exact.logits(network, ctx.data.test_x)
        scale = float(np.float32(model.input.scale))
        samples = model.input.encode(ctx.data.test_x).astype(np.float64) * scale
        found = qonnx.execute(path, samples) / exact.logit_step(network)
        difference = float(np.abs(found - brevitas).max())
        ctx.prove(
            "QONNX's logits equal Brevitas's (in accumulator steps)",
            difference <= TOLERANCE,
            measured=f"{difference:.1e} on {len(samples)} samples",
            required=f"{TOLERANCE:.0e}",
        )
        predictions = exact.classes(network, ctx.data.test_x)
        equal = int((np.round(found).argmax(axis=1) == predictions).sum())
        ctx.prove(
            "QONNX's classes equal Brevitas's",
            equal == len(predictions),
            measured=f"{equal} of {len(predictions)}",
            required="all",
        )
        return QonnxModel(
            name=model.name,
            path=path,
            input=model.input,
            network=model.network,
            allocation=model.allocation,
            accuracy=float((predictions == ctx.data.test_y).mean()),
            predictions=predictions,
        )

    def _require_accuracy(self, reached: float) -> None:
        if self.least_accuracy is not None and reached < self.least_accuracy:
            raise InfeasibleError(
                f"the quantized network gets {reached:.2%} of the test samples right, "
                f"{100 * (self.least_accuracy - reached):.2f} points less than the goal of "
                f"{self.least_accuracy:.2%}",
                where="goals.accuracy",
                mend="prune less (prune-filters.macs), allow more bits "
                "(allocate.mean_weight_bits), or train longer (retrain.epochs)",
            )
