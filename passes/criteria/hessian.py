"""Second order of the loss, from Hessian-vector products."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from passes._distill import sample_losses
from passes.criteria.base import Batch, Criterion, Scores, Setup

PROBES = 8
"""Random vectors a batch; estimates of all batches are averaged."""


class Hessian(Criterion):
    """weights: h x |weight| / 2, where h is the filter's mean of the Hessian's diagonal.

    channels: h x squared norm of the filter / 2. The Hessian is that of the mean loss, cross
    entropy or the squared error of a regression, with respect to all weights, its diagonal
    Hutchinson's estimate E[v * (H v)] over random signs v. An estimate below zero counts as zero.

    Source: Dong et al., "HAWQ-V2", NeurIPS 2020, arXiv 1911.03852.
    """

    needs_classes: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        seed = int(setup.rng.integers(2**62))
        self._signs = torch.Generator().manual_seed(seed)
        self._sums = {
            name: torch.zeros(2, len(layer.weight), dtype=torch.double)
            for name, layer in self.layers.items()
        }
        self._counts = [0, 0]

    def add(self, batch: Batch, half: int) -> None:
        weights = {
            f"{name}.weight": layer.weight.detach().requires_grad_()
            for name, layer in self.layers.items()
        }
        with torch.enable_grad():
            logits = functional_call(self.setup.module, weights, (batch.inputs,))
            loss = sample_losses(logits, batch.labels).sum()
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        for probe in range(PROBES):
            products = self._products(gradients, list(weights.values()), probe + 1 < PROBES)
            for name, product in zip(self.layers, products, strict=True):
                self._sums[name][half] += product.flatten(1).mean(1).double().cpu() / PROBES
        self._counts[half] += len(batch.inputs)

    def _products(
        self, gradients: tuple[Tensor, ...], weights: list[Tensor], more: bool
    ) -> list[Tensor]:
        """v * (H v) of one random v, in the shapes of `weights`."""
        signs = [
            # Drawn on the CPU: the same on every device.
            torch.randint(0, 2, weight.shape, generator=self._signs).mul_(2).sub_(1).to(weight)
            for weight in weights
        ]
        found = torch.autograd.grad(gradients, weights, signs, retain_graph=more)
        return [sign * product for sign, product in zip(signs, found, strict=True)]

    def diagonal(self, half: int | None = None) -> Scores:
        """Layer -> (out_channels,) mean over a filter's weights of the Hessian's diagonal."""
        chosen = slice(None) if half is None else slice(half, half + 1)
        count = max(1, sum(self._counts[chosen]))
        return {name: (sums[chosen].sum(0) / count).numpy() for name, sums in self._sums.items()}

    def channels(self, half: int | None = None) -> Scores:
        return {
            name: 0.5 * np.maximum(diagonal, 0) * (self.rows(name) ** 2).sum(1)
            for name, diagonal in self.diagonal(half).items()
        }

    def weights(self) -> Scores:
        return {
            name: (0.5 * np.maximum(diagonal, 0)[:, None] * self.rows(name)).reshape(
                self.layers[name].weight.shape
            )
            for name, diagonal in self.diagonal().items()
        }
