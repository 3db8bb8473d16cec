"""The loss of every training: that of the data mixed with what a teacher gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError


@dataclass(frozen=True)
class Distillation:
    """Loss = (1 - weight) * cross entropy + weight * T^2 * KL(teacher / T || student / T).

    Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv 1503.02531.

    Of a regression both are squared errors of the outputs, of the targets and of the teacher's
    outputs, over `variance`: for the targets 1 - R^2.
    """

    weight: float = 0.0
    temperature: float = 3.0
    variance: float = 1.0

    def loss(self, logits: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        """logits, teacher: (batch, *outputs); no teacher is needed where `weight` is 0.

        labels: (batch,) classes, or (batch, *outputs) of a regression.
        """
        regression = labels.is_floating_point()
        hard = self._distance(logits, labels) if regression else F.cross_entropy(logits, labels)
        if self.weight == 0.0:
            return hard
        assert teacher is not None
        if regression:
            return (1 - self.weight) * hard + self.weight * self._distance(logits, teacher)
        soft = F.kl_div(
            F.log_softmax(logits / self.temperature, dim=1),
            F.log_softmax(teacher / self.temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * soft

    def _distance(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        return F.mse_loss(outputs, wanted) / self.variance


def sample_losses(outputs: Tensor, wanted: Tensor) -> Tensor:
    """(batch,) loss of each sample: cross entropy, or mean squared error of its outputs."""
    if not wanted.is_floating_point():
        return F.cross_entropy(outputs, wanted, reduction="none")
    return F.mse_loss(outputs, wanted, reduction="none").flatten(1).mean(1)


def variance_of(data: Dataset) -> float:
    """Mean over outputs of the training targets' variance; 1.0 where samples have classes."""
    if not data.regression:
        return 1.0
    return float(np.var(data.train_y, axis=0, dtype=np.float64).mean()) or 1.0


def refuse_augmentation(data: Dataset, shift: int, mirror: bool, where: str) -> None:
    """Raises LiftFlowError where samples would move and the outputs wanted of them would not."""
    if data.regression and (shift or mirror):
        raise LiftFlowError(
            "shift and mirror do not move the targets of a regression",
            where=where,
            mend="leave them out, or put such samples into the data set",
        )
