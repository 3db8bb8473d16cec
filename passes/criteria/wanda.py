"""Wanda: weights times the norm of what they are multiplied with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from passes.criteria.base import Batch, Criterion, Scores, Setup, recorded
from passes.criteria.positions import windows


class Wanda(Criterion):
    """weights: Euclidean norm of the weight's input feature. channels: sum of the filter's scores.

    A convolution is a dense layer over patches: the feature of one of its weights is the value
    under that place of the kernel at every position. Squares are summed over positions and
    averaged over samples, so that figures do not grow with samples.

    Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", ICLR
    2024, arXiv 2306.11695.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        # Layer -> two halves' sums over samples of the input's squares, shape of the input.
        self._squares: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        self._counts = [0, 0]

    @torch.no_grad()
    def add(self, batch: Batch, half: int) -> None:
        sums = self._squares[half]

        def keep(name: str, taken: Tensor, _given: Tensor) -> None:
            part = taken.double().square().sum(0).cpu()
            sums[name] = sums[name] + part if name in sums else part

        recorded(self.layers, keep, lambda: self.setup.module(batch.inputs))
        self._counts[half] += len(batch.inputs)

    def channels(self, half: int | None = None) -> Scores:
        return {
            name: (self.rows(name) * norms.reshape(len(norms), -1)).sum(1)
            for name, norms in self._norms(half).items()
        }

    def weights(self) -> Scores:
        return self._norms(None)

    def _norms(self, half: int | None) -> Scores:
        """Layer -> norm of every weight's input feature, shape of the weight."""
        halves = (0, 1) if half is None else (half,)
        count = max(1, sum(self._counts[one] for one in halves))
        found = {}
        for name, layer in self.layers.items():
            sums = [self._squares[one][name] for one in halves if name in self._squares[one]]
            squares = torch.stack(sums).sum(0) if sums else torch.zeros(())
            found[name] = _per_weight(layer, squares / count)
        return found


def _per_weight(layer: nn.Conv2d | nn.Linear, squares: Tensor) -> NDArray[np.float64]:
    """Mean squares of the input -> norms, shape of the layer's weight."""
    shape = tuple(layer.weight.shape)
    if not squares.dim():  # no sample yet
        return np.zeros(shape)
    groups = 1
    if isinstance(layer, nn.Conv2d):
        squares, groups = windows(layer, squares[None])[0].sum(1), layer.groups
    norms = squares.sqrt().reshape(groups, -1).repeat_interleave(shape[0] // groups, 0)
    result: NDArray[np.float64] = norms.reshape(shape).numpy()
    return result
