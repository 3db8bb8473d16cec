"""explain: the float twin, heatmaps that can be compared, channels that serve classes."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import chain_case
import numpy as np
import pytest
import quant_graph
import torch
from quant_case import conv, dense

from compiler.digest import digest
from compiler.insight import _margins
from compiler.stages import Allocation, Insight, LayerChoice, QuantModel, ScoredModel
from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.network import NetworkShape
from passes import _brevitas_exact as exact
from passes import _twin as twin_module
from passes._allocation_model import layer_errors
from passes._bit_margins import bit_margins
from passes._brevitas_network import QuantNetwork
from passes._graph import is_chain, predict, wired_steps
from passes._similarity import mean, similarity
from passes._twin import deviation, float_twin
from passes.base import Context
from passes.deeplift import attribute_all_layers, margin
from passes.explain import Explain, layer_insight
from passes.quantize import Quantize

NETWORKS = ("chain", *quant_graph.NETWORKS)


def allocated(model: ScoredModel, weight_bits: int, act_bits: int) -> ScoredModel:
    layers = {
        layer.name: LayerChoice(weight_bits, act_bits, 1, 1, "lut", "auto", layer.macs)
        for layer in model.network.layers
    }
    last = model.network.layers[-1].name
    layers[last] = replace(layers[last], act_bits=0)
    given = Allocation("ulx3s-85f", 50.0, layers, 1, {}, {}, 1.0, 0.0, float(weight_bits))
    return replace(model, allocation=given)


@cache
def case(name: str, weight_bits: int = 4, act_bits: int = 8) -> tuple[QuantModel, Context]:
    """A small network quantized under equal widths, prepared reference included."""
    folder = Path(mkdtemp(prefix="liftflow-explain-"))
    if name == "chain":
        scored, ctx = chain_case.scored(folder)
    else:
        data = quant_graph.data_for()
        scored = quant_graph.scored(name, data, folder)
        ctx = Context(folder, data)
    return Quantize().run(allocated(scored, weight_bits, act_bits), ctx), ctx


def explained(name: str, **options: int) -> tuple[QuantModel, Insight, Context]:
    model, ctx = case(name)
    ctx = replace(ctx, checks=[])
    insight = Explain(**options).run(model, ctx).insight
    assert insight is not None
    return model, insight, ctx


def spans(model: QuantModel, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the twin and of the quantized network, in units of the greatest of the latter."""
    network: Any = model.module
    own = exact.logits(network, samples) * exact.logit_step(network)
    return predict(float_twin(network).module, samples) / np.abs(own).max(), own / np.abs(own).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_differs_by_the_rounding_of_activations_alone(name: str) -> None:
    model, ctx = case(name)
    network: Any = model.module
    twin = float_twin(network)
    assert is_chain(twin.module) == (name == "chain")
    assert deviation(network, twin, ctx.data.test_x[:16]) < 1e-6
    theirs, own = spans(model, ctx.data.test_x)
    coarse_theirs, coarse_own = spans(case(name, 4, 2)[0], ctx.data.test_x)
    fine = np.abs(theirs - own).mean()
    assert fine < 0.05
    assert np.abs(coarse_theirs - coarse_own).mean() > 3 * fine
    assert np.corrcoef(theirs.ravel(), own.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_s_weights_are_the_integers(name: str) -> None:
    network: Any = case(name)[0].module
    twin = float_twin(network)
    assert list(twin.layers) == [shape.name for shape in network.network.layers]
    for layer, step in twin.layers.items():
        scale = exact.weight_scale(network, layer).detach().numpy()
        weight = twin.module.get_parameter(f"{step}.weight").detach().numpy()
        np.testing.assert_allclose(
            weight / scale, exact.integer_weights(network, layer), rtol=1e-6, atol=1e-6
        )


def test_names_with_dots_become_names_of_steps() -> None:
    layers = (
        conv("body.first", 2, 3, (4, 4), pool=2),
        conv("body_first", 3, 3, (2, 2)),
        dense("head.0", 12, 3, activation=False),
    )
    shape = NetworkShape("dotted", layers, (2, 4, 4), 8, True, 3)
    network = QuantNetwork(shape, chain_case.FORMAT, {layer.name: (4, 4) for layer in layers})
    with torch.no_grad():
        exact.quantizer_scale(network, "act0").fill_(0.1)
        exact.quantizer_scale(network, "act1").fill_(0.1)
        for layer in layers:
            exact.weight_scale(network, layer.name).fill_(0.1)
    twin = float_twin(network.eval())
    assert list(twin.layers.values()) == ["body_first", "body_first_2", "head_0"]
    samples = np.random.default_rng(0).normal(size=(4, 2, 4, 4)).astype(np.float32)
    assert deviation(network, twin, samples) < 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_claims_and_shapes(name: str) -> None:
    model, insight, ctx = explained(name, samples=24, shown=6, batch=4)
    assert len(ctx.checks) == 3
    assert all(check.passed for check in ctx.checks)
    data = ctx.data
    assert insight.before.shape == insight.after.shape == (6, *data.sample_shape)
    np.testing.assert_array_equal(insight.images, data.train_x[insight.samples])
    np.testing.assert_array_equal(insight.labels, data.train_y[insight.samples])
    assert len(np.unique(insight.samples)) == 6
    present = np.unique(data.train_y)
    np.testing.assert_array_equal(insight.labels[: len(present)], present)
    assert list(insight.layers) == [layer.name for layer in model.network.layers]
    for shape in model.network.layers:
        layer = insight.layers[shape.name]
        assert layer.classes.shape == (data.classes, shape.out_channels)
        assert layer.top.shape == layer.shares.shape == (data.classes, min(3, shape.out_channels))
    assert insight.measured == 24
    assert 0 <= insight.agreement <= 1
    assert insight.target == "margin"


@pytest.mark.parametrize("name", NETWORKS)
def test_an_identical_network_looks_at_the_same_values(name: str) -> None:
    model, ctx = case(name)
    network: Any = model.module
    same = replace(model, reference=float_twin(network).module)
    insight = Explain(samples=16).run(same, ctx).insight
    assert insight is not None
    np.testing.assert_array_equal(insight.before, insight.after)
    np.testing.assert_allclose(insight.similarity.cosine, 1, atol=1e-6)
    np.testing.assert_allclose(insight.similarity.spearman, 1, atol=1e-6)
    assert insight.similarity.cosine_chance < 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_a_random_network_is_near_chance(name: str) -> None:
    model, ctx = case(name)
    other = copy.deepcopy(model.reference)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_(0, float(parameter.std()), generator=generator)
    near = Explain(samples=16, shown=40).run(model, ctx).insight
    far = Explain(samples=16, shown=40).run(replace(model, reference=other), ctx).insight
    assert near is not None
    assert far is not None
    for of in ("cosine", "spearman"):
        by_chance = getattr(far.similarity, f"{of}_chance")
        assert abs(mean(getattr(far.similarity, of)) - by_chance) < 0.2
        assert mean(getattr(near.similarity, of)) > 0.8


def test_classes_equal_brute_force() -> None:
    model, ctx = case("residual")
    model = replace(model, relevance=replace(model.relevance, reference="mean"))
    data = replace(ctx.data, train_x=ctx.data.train_x[:40], train_y=ctx.data.train_y[:40])
    insight = Explain(samples=40, shown=2, batch=7).run(model, replace(ctx, data=data)).insight
    assert insight is not None
    network: Any = model.module
    twin = float_twin(network)
    layer = "first_conv1"
    (relu,) = (s for s in wired_steps(twin.module) if s.inputs == (twin.layers[layer],))
    expected = np.zeros((data.classes, 4))
    inputs, labels = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    references = inputs.mean(0, keepdim=True).expand_as(inputs).clone()
    with torch.no_grad():
        coefficients = margin(twin.module(inputs), labels)
    watched = {relu.name: relu.module}
    found = attribute_all_layers(twin.module, inputs, references, coefficients, watched)
    record = found.layers[relu.name]
    average = record.outputs.mean((0, 2, 3), keepdim=True)
    scores = (record.multiplier * (record.outputs - average)).sum((2, 3)).abs().numpy()
    for label in range(data.classes):
        expected[label] = scores[data.train_y == label].mean(0)
    np.testing.assert_allclose(insight.layers[layer].classes, expected, rtol=1e-4)


def test_selectivity_and_top_channels() -> None:
    classes = np.array([[4, 0, 1, 0], [4, 2, 0, 0], [0, 0, 0, 0]], np.float32)
    found = layer_insight(classes)
    assert found.top.tolist() == [[0, 2, 1], [0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(found.shares, [[0.8, 0.2, 0], [2 / 3, 1 / 3, 0], [0, 0, 0]])
    parts = np.array([0.8, 2 / 3]) / (0.8 + 2 / 3)
    first = 1 + (parts * np.log(parts)).sum() / np.log(2)
    np.testing.assert_allclose(found.selectivity, [first, 1, 1, 0], atol=1e-7)
    assert layer_insight(classes[2:]).selectivity.tolist() == [0, 0, 0, 0]


def test_similarity_of_known_maps() -> None:
    one = np.array([[1, 0, 0, 2], [0, 3, 1, 0]], np.float32)
    found = similarity(one, 2 * one[::-1])
    np.testing.assert_allclose(found.cosine, 0, atol=1e-7)
    assert found.cosine_chance == pytest.approx(1)
    assert found.spearman_chance == pytest.approx(1)
    flat = similarity(np.zeros((1, 4), np.float32), one[:1])
    assert np.isnan(flat.cosine[0])
    assert np.isnan(flat.spearman[0])
    assert np.isnan(flat.cosine_chance)
    assert np.isnan(mean(flat.cosine))


def test_same_seed_same_insight() -> None:
    one, other = (explained("chain", samples=16)[1] for _ in range(2))
    assert digest(one) == digest(other)


def test_a_twin_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ctx = case("chain")

    def wrong(network: QuantNetwork) -> Any:
        twin = float_twin(network)
        with torch.no_grad():
            twin.module.get_parameter("fc2.weight").mul_(1.001)
        return twin

    monkeypatch.setattr(twin_module, "float_twin", wrong)
    with pytest.raises(VerificationError, match="computes what the quantized one does"):
        Explain().run(model, ctx)


def test_a_structure_without_a_twin_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ctx = case("chain")
    said: list[str] = []

    def none(network: QuantNetwork) -> Any:
        raise ValueError("no float form of softmax")

    monkeypatch.setattr(twin_module, "float_twin", none)
    found = Explain().run(model, replace(ctx, say=lambda text, _: said.append(text)))
    assert found is model
    assert said == ["not explained: no float form of softmax"]


def test_a_constant_network_is_left_out() -> None:
    model, ctx = case("chain")
    dead = copy.deepcopy(model.module)
    with torch.no_grad():
        dead.get_parameter("fc2.weight").zero_()
    said: list[str] = []
    ctx = replace(ctx, say=lambda text, _: said.append(text))
    assert Explain().run(replace(model, module=dead), ctx).insight is None
    assert said[-1].startswith("not explained: ")


def test_nothing_shown_passes_through() -> None:
    model, ctx = case("chain")
    assert Explain(shown=0).run(model, ctx) is model
    with pytest.raises(LiftFlowError, match="explain: shown is -1"):
        Explain(shown=-1)


def test_margins_are_what_the_allocation_weighed() -> None:
    scored, _ = chain_case.scored(Path(mkdtemp(prefix="liftflow-margins-")))
    assert bit_margins(scored) == {}
    model = allocated(scored, 4, 4)
    assert model.allocation is not None
    layers = dict(model.allocation.layers)
    layers["fc1"] = replace(layers["fc1"], weight_bits=2)
    layers["fc2"] = replace(layers["fc2"], weight_bits=8)
    errors = dict(zip(layers, layer_errors(model, range(2, 9), ()), strict=True))
    told = {name: each.weights for name, each in errors.items()}
    model = replace(model, allocation=replace(model.allocation, layers=layers, errors=told))
    found = bit_margins(model)
    assert (found["fc1"].less, found["fc2"].more) == (None, None)
    for name, margin_of in found.items():
        bits = layers[name].weight_bits
        assert margin_of.bits == bits
        assert margin_of.error == pytest.approx(errors[name].weights[bits])
        if margin_of.less is not None:
            assert margin_of.less == pytest.approx(errors[name].weights[bits - 1])
            assert margin_of.less > margin_of.error
        if margin_of.more is not None:
            assert margin_of.more == pytest.approx(errors[name].weights[bits + 1])
    assert sum(one.relevance for one in found.values()) == pytest.approx(1)
    assert sum(one.weights for one in found.values()) == pytest.approx(1)
    assert sum(one.step * one.bits for one in found.values()) == pytest.approx(1)
    assert _margins(model, {}) == _margins(model, {"sensitivity": "deeplift"}) == found
    assert _margins(model, {"sensitivity": "mse"}) == {}
