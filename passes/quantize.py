"""quantize: the float network becomes a Brevitas network under the allocated widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compiler.stages import QuantModel, ScoredModel
from hw_targets.errors import LiftFlowError
from passes._score import told
from passes._uses import QUANT_NETWORK
from passes.base import Context, Pass

if TYPE_CHECKING:
    from torch import nn

WEIGHT_BITS, ACT_BITS = range(1, 9), range(9)
"""Widths the kernels have; 0 bits of activation stands for the logits."""


@dataclass(frozen=True)
class Quantize(Pass[ScoredModel, QuantModel]):
    """Give every weight and activation its allocated bits; scales by least squared error.

    Weights have a float scale an output channel (the last layer one for all, so that arg-max needs
    no multiplier), activations one learned float scale, the input its fixed format. The last
    layer's bias is an integer on the accumulator's grid, the others' vanish in thresholds.

    calibration_samples: training samples that set the activation scales.
    """

    name: ClassVar[str] = "quantize"
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        *QUANT_NETWORK,
        "passes._brevitas_calibrate",
    )

    calibration_samples: int = 1024

    def run(self, model: ScoredModel, ctx: Context) -> QuantModel:
        """Raises LiftFlowError when nothing was allocated, or widths the hardware has not."""
        import torch

        from passes import _brevitas_calibrate as calibrate
        from passes import _brevitas_exact as exact
        from passes._brevitas_network import QuantNetwork
        from passes._brevitas_structure import structure_of

        if model.allocation is None:
            raise LiftFlowError("no bits are allocated", where="quantize", mend="run allocate")
        widths = {
            name: (choice.weight_bits, choice.act_bits)
            for name, choice in model.allocation.layers.items()
        }
        for name, (weight_bits, act_bits) in widths.items():
            if weight_bits not in WEIGHT_BITS or act_bits not in ACT_BITS:
                raise LiftFlowError(
                    f"{weight_bits} bit weights and {act_bits} bit activations",
                    where=name,
                    mend="allocate 1 to 8 bits for weights, 1 to 8 for activations",
                )
            if weight_bits == 1:
                _refuse_zeros(model, name)
        structure = structure_of(model.network)
        network = QuantNetwork(model.network, model.input, widths, structure)
        with torch.no_grad():
            for shape in model.network.layers:
                source = model.module.get_submodule(shape.name)
                _refuse_no_numbers(source, shape.name)
                target = network.layer(shape.name)
                target.weight.copy_(source.weight)
                if source.bias is None:
                    target.bias.zero_()
                else:
                    target.bias.copy_(source.bias)
        calibrate.calibrate_weights(network)
        count = min(self.calibration_samples, len(ctx.data.train_x))
        chosen = ctx.rng("calibration").choice(len(ctx.data.train_x), count, replace=False)
        samples = exact.on_grid(ctx.data.train_x[chosen], model.input)
        ctx.say(f"calibrating on {count} samples", None)
        calibrate.calibrate_activations(network, torch.from_numpy(samples), ctx.seed)
        network.eval()
        exact.settle(network)
        accuracy = exact.accuracy(network, ctx.data.test_x, ctx.data.test_y)
        ctx.say(f"{told(accuracy, ctx.data.regression)} before retraining", 1.0)
        return QuantModel(
            name=model.name,
            module=network,
            input_shape=model.input_shape,
            input=model.input,
            network=model.network,
            allocation=model.allocation,
            reference=model.reference,
            relevance=model.relevance,
            masks=model.masks,
            accuracy=accuracy,
        )


def _refuse_no_numbers(layer: nn.Module, name: str) -> None:
    """Raise LiftFlowError for a layer that no scale fits."""
    for key, value in layer.named_parameters():
        if not bool(value.isfinite().all()):
            raise LiftFlowError(
                f"its {key} has values that are no finite numbers",
                where=name,
                mend="train the network anew, or with a smaller finetune.lr",
            )


def _refuse_zeros(model: ScoredModel, name: str) -> None:
    """Raise LiftFlowError for a layer that needs weights of 0, which 1 bit has not."""
    layer = next(layer for layer in model.network.layers if layer.name == name)
    mask = model.masks.get(name)
    if mask is not None and not mask.all():
        why = "some of its weights are pruned"
    elif not layer.depthwise and layer.groups > 1:
        why = "it is grouped, a matrix with zeros"
    else:
        return
    raise LiftFlowError(
        f"weights of 1 bit are -1 and 1, and {why}",
        where=name,
        mend="allocate it 2 bits (allocate.weight_bits)",
    )
