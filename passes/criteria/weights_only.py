"""Criteria that need no samples: they look at the weights, or at nothing."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hw_targets.errors import LiftFlowError
from passes.criteria.base import Criterion, Scores


class WithoutSamples(Criterion):
    """A criterion that needs no samples; weights count as they were trained unless it says more."""

    needs_samples: ClassVar[bool] = False

    def weights(self) -> Scores:
        found = {}
        for name, layer in self.layers.items():
            size, trained = self.rows(name), np.abs(self.trained(name))
            share = np.divide(trained, size, out=np.zeros_like(size), where=size > 0)
            found[name] = share.reshape(layer.weight.shape)
        return found


class L1(WithoutSamples):
    """channels: sum of |weight| of the filter, as trained. weights: that |weight| a unit of weight.

    Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv 1608.08710.
    """

    def channels(self, half: int | None = None) -> Scores:
        return {name: np.abs(self.trained(name)).sum(1) for name in self.layers}


class L2(WithoutSamples):
    """channels: Euclidean norm of the filter. weights: that the score be the weight's square.

    Source: He et al., "Soft Filter Pruning", IJCAI 2018, arXiv 1808.06866.
    """

    def channels(self, half: int | None = None) -> Scores:
        return {name: np.sqrt((self.trained(name) ** 2).sum(1)) for name in self.layers}

    def weights(self) -> Scores:
        found = {}
        for name, layer in self.layers.items():
            size, squares = self.rows(name), self.trained(name) ** 2
            share = np.divide(squares, size, out=np.zeros_like(size), where=size > 0)
            found[name] = share.reshape(layer.weight.shape)
        return found


class GeometricMedian(WithoutSamples):
    """channels: sum of the Euclidean distances to the layer's other filters. weights: 1.

    A filter near the geometric median of its layer can be replaced by the others.

    Source: He et al., "Filter Pruning via Geometric Median", CVPR 2019, arXiv 1811.00250.
    """

    def channels(self, half: int | None = None) -> Scores:
        found = {}
        for name in self.layers:
            filters = self.trained(name)
            squares = [((filters - one) ** 2).sum(1) for one in filters]
            found[name] = np.sqrt(np.array(squares)).sum(1)
        return found


class BatchNorm(WithoutSamples):
    """channels: |gain| of the batch norm that was folded into the layer.

    weights: |gain| over the sum of |weight| of the filter, that the filter's weights share it.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    ICCV 2017, arXiv 1708.06519.
    """

    def channels(self, half: int | None = None) -> Scores:
        """Raises LiftFlowError where a layer but the last has no batch norm, or any pruned one.

        The last layer gives the outputs, which are not ranked; without a norm its gains are 1.
        """
        found = {}
        *_, last = self.layers
        for name, layer in self.layers.items():
            count = len(layer.weight)
            norm = self.setup.norms.get(name)
            if norm is None and name != last:
                raise LiftFlowError(
                    "the layer has no batch norm to be scored by",
                    where=name,
                    mend="use another criterion, such as deeplift or l1",
                )
            gains = np.ones(count) if norm is None else norm.gain
            found[name] = np.abs(gains.astype(np.float64))
        return found

    def weights(self) -> Scores:
        gains, found = self.channels(), {}
        for name, layer in self.layers.items():
            total = self.rows(name).sum(1)
            share = np.divide(gains[name], total, out=np.zeros_like(total), where=total > 0)
            shape = (-1, *[1] * (layer.weight.dim() - 1))
            found[name] = np.broadcast_to(share.reshape(shape), layer.weight.shape).copy()
        return found


class Random(WithoutSamples):
    """Uniform scores from the run's seed: what a criterion must beat.

    weights: a uniform score over |weight|, so that the score does not depend on the weight's size;
    0 for weights that are 0.
    """

    def channels(self, half: int | None = None) -> Scores:
        rng = self.setup.rng
        return {name: rng.random(len(layer.weight)) for name, layer in self.layers.items()}

    def weights(self) -> Scores:
        found = {}
        for name, layer in self.layers.items():
            size = self.rows(name).reshape(layer.weight.shape)
            scores = self.setup.rng.random(size.shape)
            found[name] = np.divide(scores, size, out=np.zeros_like(size), where=size > 0)
        return found
