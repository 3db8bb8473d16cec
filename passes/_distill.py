"""The loss of every training: cross entropy mixed with what a teacher gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Distillation:
    """Loss = (1 - weight) * cross entropy + weight * T^2 * KL(teacher / T || student / T).

    Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv 1503.02531.
    """

    weight: float = 0.0
    temperature: float = 3.0

    def loss(self, logits: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        """logits, teacher: (batch, classes); no teacher is needed where `weight` is 0."""
        hard = F.cross_entropy(logits, labels)
        if self.weight == 0.0:
            return hard
        assert teacher is not None
        soft = F.kl_div(
            F.log_softmax(logits / self.temperature, dim=1),
            F.log_softmax(teacher / self.temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * soft
