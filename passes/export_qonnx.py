"""export_qonnx: the Brevitas network as a QONNX file, proven to compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from compiler.stages import QonnxModel, QuantModel
from hw_targets.errors import InfeasibleError
from passes._score import agreeing, answers_of
from passes._uses import QUANT_NETWORK
from passes.base import Context, Pass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from passes._brevitas_network import QuantNetwork

CROSS_CHECKED = 4
"""Samples whose convolutions qonnx computes too, not only PyTorch."""
TOLERANCE = 1e-6
"""Greatest difference of logits, in steps of the last accumulator; both sides are float64."""


@dataclass(frozen=True)
class ExportQonnx(Pass[QuantModel, QonnxModel]):
    """Write the quantized network as QONNX and compare both on the whole test split.

    The exchange format's description: Pappalardo et al., "QONNX: Representing Arbitrary-Precision
    Quantized Neural Networks", 2022.

    least_accuracy: share of test samples the quantized network must get right, or R^2 that it must
    reach in a regression, or the compilation ends here, before any hardware is made. None asks for
    nothing.
    """

    name: ClassVar[str] = "export-qonnx"
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "qonnx", "onnx", "onnxruntime", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        "passes._qonnx",
        *QUANT_NETWORK,
    )

    least_accuracy: float | None = None

    def run(self, model: QuantModel, ctx: Context) -> QonnxModel:
        """Raises InfeasibleError when the network is less accurate than asked for."""
        self._require_accuracy(model.accuracy, model.network.regression)
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
        step = exact.logit_step(network)
        found = qonnx.execute(path, samples) / step
        few = samples[:CROSS_CHECKED]
        crossed = qonnx.execute(path, few, own_convolutions=False) / step
        difference = max(
            float(np.abs(found - brevitas).max()),
            float(np.abs(crossed - brevitas[: len(few)]).max()),
        )
        ctx.prove(
            "QONNX's logits equal Brevitas's (in accumulator steps)",
            difference <= TOLERANCE,
            measured=f"{difference:.1e} on {len(samples)} samples",
            required=f"{TOLERANCE:.0e}",
        )
        outputs = exact.rounded(brevitas)
        predictions = exact.answers(network, outputs)
        equal = agreeing(exact.answers(network, np.round(found).astype(np.int64)), predictions)
        ctx.prove(
            f"QONNX's {answers_of(model.network)} equal Brevitas's",
            equal == len(predictions),
            measured=f"{equal} of {len(predictions)}",
            required="all",
        )
        self._prove_weights(model, qonnx.integer_weights(path), ctx)
        return QonnxModel(
            name=model.name,
            path=path,
            input=model.input,
            network=model.network,
            allocation=model.allocation,
            accuracy=exact.measured(network, outputs, ctx.data.test_y),
            predictions=predictions,
            step=step if model.network.regression else 0.0,
        )

    def _prove_weights(
        self, model: QuantModel, weights: list[NDArray[np.int64]], ctx: Context
    ) -> None:
        """Masks and codebooks, where there are any, hold in the file itself."""
        layers = {
            shape.name: found for shape, found in zip(model.network.layers, weights, strict=True)
        }
        if model.masks:
            pruned = {name: layers[name][~mask] for name, mask in model.masks.items()}
            zeros = sum(int((values == 0).sum()) for values in pruned.values())
            count = sum(values.size for values in pruned.values())
            ctx.prove(
                "pruned weights are zero in QONNX",
                zeros == count,
                measured=f"{zeros} of {count}",
                required="all",
            )
        if model.codebooks:
            shared = sum(
                int(np.isin(layers[name], book.values).sum())
                for name, book in model.codebooks.items()
            )
            count = sum(layers[name].size for name in model.codebooks)
            ctx.prove(
                "shared weights have their codebook's values in QONNX",
                shared == count,
                measured=f"{shared} of {count}",
                required="all",
            )

    def _require_accuracy(self, reached: float, regression: bool) -> None:
        if self.least_accuracy is not None and reached < self.least_accuracy:
            raise InfeasibleError(
                f"the quantized network reaches an R^2 of {reached:.4f} on the test samples, less "
                f"than the goal of {self.least_accuracy:.4f}"
                if regression
                else f"the quantized network gets {reached:.2%} of the test samples right, "
                f"{100 * (self.least_accuracy - reached):.2f} points less than the goal of "
                f"{self.least_accuracy:.2%}",
                where="goals.accuracy",
                mend="prune less (prune-filters.macs), allow more bits "
                "(allocate.mean_weight_bits), or train longer (retrain.epochs)",
            )
