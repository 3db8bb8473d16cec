"""Criteria that tell which channels and weights matter, all under one interface.

Every criterion gives `LayerRelevance.channels`, the score of losing a channel, and `.weights`, the
importance of a weight per unit of |weight|.
"""

from __future__ import annotations

from passes.criteria.base import Batch, Criterion, Setup
from passes.criteria.deep_lift import Contribution, DeepLift
from passes.criteria.gradients import Gradient, GradientMean, GradientReference, Taylor
from passes.criteria.hessian import Hessian
from passes.criteria.lrp import Lrp
from passes.criteria.reveal_cancel import RevealCancel
from passes.criteria.wanda import Wanda
from passes.criteria.weights_only import L1, L2, BatchNorm, GeometricMedian, Random

CRITERIA: dict[str, type[Criterion]] = {
    "deeplift": DeepLift,
    "deeplift-contribution": Contribution,
    "deeplift-reveal-cancel": RevealCancel,
    "l1": L1,
    "l2": L2,
    "fpgm": GeometricMedian,
    "taylor": Taylor,
    "gradient": Gradient,
    "gradient-reference": GradientReference,
    "gradient-mean": GradientMean,
    "batch-norm": BatchNorm,
    "wanda": Wanda,
    "hessian": Hessian,
    "random": Random,
    "lrp": Lrp,
}

__all__ = ["CRITERIA", "Batch", "Criterion", "Setup"]
