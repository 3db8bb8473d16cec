"""DeepLIFT contributions of input values, of several networks for the same samples and target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from compiler.stages import Dataset, FloatArray, LabelArray
from passes._graph import placed, predict
from passes._relevance import choose
from passes.criteria.references import references_of
from passes.deeplift import attribute_all_layers, target_coefficients


@dataclass(frozen=True)
class Shown:
    """Training samples to explain.

    samples: (k,) their indices. inputs, references: (k, *sample). coefficients: (k, *outputs) of
    the outputs in what is explained.
    """

    samples: LabelArray
    inputs: FloatArray
    references: FloatArray
    coefficients: FloatArray


@dataclass(frozen=True)
class Heatmaps:
    """contributions: (k, *sample). gap: greatest distance from completeness, as a share of the
    greatest difference of the target between sample and reference."""

    contributions: FloatArray
    gap: float


def choose_shown(
    data: Dataset,
    count: int,
    reference: str,
    target: str,
    judge: nn.Module,
    rng: np.random.Generator,
) -> Shown:
    """At most `count` samples, one of each class before others.

    Args:
        target: of one combination of logits, as the logits of `judge` choose it.

    Raises:
        LiftFlowError: there is but one sample, or the reference does not fit the data.
    """
    picked, others = choose(data, len(data.train_x), rng)
    firsts = np.zeros(0, dtype=np.int64)
    if not data.regression:
        _, firsts = np.unique(data.train_y[picked], return_index=True)
    rest = np.setdiff1d(np.arange(len(picked)), firsts)
    order = np.concatenate([firsts, rest])[:count]
    picked, others = picked[order], others[order]
    inputs = data.train_x[picked]
    logits, labels = (
        torch.from_numpy(predict(judge, inputs)),
        torch.from_numpy(data.train_y[picked]),
    )
    (coefficients,) = target_coefficients(target, logits, labels, torch.from_numpy(inputs))
    references = references_of(reference, data)(picked, others)
    whole = np.broadcast_to(references, inputs.shape).copy()
    return Shown(picked, inputs, whole, coefficients.numpy())


def heatmaps(module: nn.Module, shown: Shown, batch: int, device: str) -> Heatmaps:
    """Contributions of the samples' values in `module`, `batch` samples a backward pass."""
    model = placed(module, device)
    found, gap, span = [], 0.0, 0.0
    for at in range(0, len(shown.samples), batch):
        part = slice(at, at + batch)
        inputs, references, coefficients = (
            torch.from_numpy(array[part]).to(device)
            for array in (shown.inputs, shown.references, shown.coefficients)
        )
        one = attribute_all_layers(model, inputs, references, coefficients, {})
        found.append(one.inputs.detach().cpu().numpy())
        gap = max(gap, float(one.completeness.max()))
        span = max(span, float(one.output_delta.abs().max()))
    return Heatmaps(np.concatenate(found), gap / span if span else 0.0)
