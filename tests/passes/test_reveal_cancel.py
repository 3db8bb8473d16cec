"""RevealCancel against what its paper works out by hand, and against completeness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chain_case import dataset, small_net
from torch import nn

from hw_targets.errors import LiftFlowError
from passes._graph import build_chain
from passes.criteria.base import Batch, Setup
from passes.criteria.reveal_cancel import Parts, RevealCancel
from tests.passes.test_criteria import NETWORKS, measured


def least_of_two() -> nn.Module:
    """min(a, b) = a - ReLU(a - b) of positive inputs, the example of section 3.4."""
    one, two = nn.Linear(2, 2), nn.Linear(2, 1)
    with torch.no_grad():
        one.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, -1.0]]))
        two.weight.copy_(torch.tensor([[1.0, -1.0]]))
        for layer in (one, two):
            layer.bias.zero_()
    return build_chain([("one", one), ("relu", nn.ReLU()), ("two", two)])


def test_both_inputs_of_a_minimum_count() -> None:
    module = least_of_two()
    rng = np.random.default_rng(0)
    setup = Setup(module, "output", 0, rng, {}, np.zeros(0, np.int64))
    criterion = RevealCancel(setup)
    inputs = torch.tensor([[10.0, 6.0]])
    criterion.look(inputs)
    criterion.add(Batch(np.zeros(1, np.int64), inputs, inputs, torch.zeros_like(inputs)), 0)
    # ReLU(10 - 6): of its 4, what raises gives (10 + 4) / 2 = 7 of 10, what lowers (0 - 6) / 2 of
    # -6. So 10 - 10 x 0.7 = 3 of the minimum are the one's and 6 x 0.5 = 3 the other's, where the
    # rescale rule has -0 and 6.
    got = criterion.weights()
    np.testing.assert_allclose(got["one"], [[10, 6], [7, 3]], rtol=1e-6)
    np.testing.assert_allclose(got["two"], [[10, 4]], rtol=1e-6)
    assert criterion.completeness_delta < 1e-6


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("target", ["margin", "all"])
def test_contributions_add_up(network: str, target: str) -> None:
    got = measured(NETWORKS[network](), "deeplift-reveal-cancel", target=target, distance=1.0)
    assert 0 < got.completeness_delta < 1e-5
    assert all(
        layer.channels.max() > 0 and layer.weights.max() > 0 for layer in got.layers.values()
    )


@pytest.mark.parametrize("rounded", [0.0, 1e-17, -1e-17, 1e-3, -1e-3])
def test_which_way_a_sum_rounds_does_not_matter(rounded: float) -> None:
    raising = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    lowering = torch.tensor([-0.3], dtype=torch.float64)
    both = Parts(raising + rounded, lowering).netted()
    slopes = [
        float(torch.autograd.grad(part, raising, retain_graph=True)[0])
        for part in (both.positive, both.negative)
    ]
    assert slopes == ([0.5, 0.5] if abs(rounded) < 1e-9 else [rounded > 0, rounded < 0])


def test_where_nothing_bends_it_is_the_rescale_rule() -> None:
    torch.manual_seed(0)
    model = build_chain([("flat", nn.Flatten()), ("fc", nn.Linear(128, 4))])
    data = dataset(small_net())
    reveal, rescale = (
        measured(model, name, data=data).layers["fc"]
        for name in ("deeplift-reveal-cancel", "deeplift")
    )
    np.testing.assert_allclose(reveal.channels, rescale.channels, rtol=1e-5)
    np.testing.assert_allclose(reveal.weights, rescale.weights, rtol=1e-5)


def test_a_step_without_a_rule_is_named() -> None:
    module = build_chain([("flat", nn.Flatten()), ("bend", nn.Tanh()), ("fc", nn.Linear(128, 4))])
    with pytest.raises(LiftFlowError, match="no RevealCancel rule for Tanh") as refused:
        measured(module, "deeplift-reveal-cancel", data=dataset(small_net()))
    assert "bend" in str(refused.value)
