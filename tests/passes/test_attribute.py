"""attribute: equal to Captum, complete, and its weight relevance equal to brute force."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerDeepLift
from chain_case import SHAPE, context, dataset, float_model, scored, small_net
from torch import Tensor, nn

from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError, VerificationError
from passes import attribute as attribute_module
from passes._canonical import arrange, steps
from passes._graph import build_chain, layers_of, steps_of
from passes._lower_ops import lower
from passes._relevance import Settings, measure
from passes.attribute import Attribute
from passes.deeplift import (
    Attribution,
    attribute_all_layers,
    margin,
    predicted_class,
    true_class,
)
from passes.prepare import Prepare


class Copy(nn.Module):
    """Keeps Captum's hooks on neighbouring non-linear modules apart."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class Weighted(nn.Module):
    """Captum's own doubled batch: samples, then references, under the same coefficients."""

    def __init__(self, model: nn.Module, coefficients: Tensor) -> None:
        super().__init__()
        self.model = model
        self.coefficients = torch.cat([coefficients, coefficients])

    def forward(self, x: Tensor) -> Tensor:
        return (self.model(x) * self.coefficients).sum(1, keepdim=True)


def prepared() -> nn.Module:
    return build_chain(steps(arrange(lower(small_net(), SHAPE).ops)))


def batch(model: nn.Module, count: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, references, margin coefficients)."""
    generator = torch.Generator().manual_seed(5)
    inputs, references = torch.randn(2, count, *SHAPE, generator=generator)
    references[:, :, :2] = inputs[:, :, :2]  # differences of exactly zero, as image borders give
    labels = torch.randint(4, (count,), generator=generator)
    with torch.no_grad():
        return inputs, references, margin(model(inputs), labels)


def attributed(model: nn.Module) -> tuple[Attribution, tuple[Tensor, Tensor, Tensor]]:
    given = batch(model)
    named = {n: m for n, m in steps_of(model) if not isinstance(m, nn.MaxPool2d)}
    return attribute_all_layers(model, *given, named), given


def test_what_a_pass_held_goes_with_it() -> None:
    """Without waiting for the garbage collector: memory must not grow batch by batch."""
    model = prepared()
    given, named = batch(model), layers_of(model)

    def alive() -> int:
        return sum(each.numel() for each in gc.get_objects() if type(each) is Tensor)

    attribute_all_layers(model, *given, named)
    gc.collect()
    gc.disable()
    try:
        before = alive()
        attribute_all_layers(model, *given, named)
        assert alive() - before < given[0].numel()
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore")
def test_every_layer_equals_captum_to_the_last_bit() -> None:
    model = prepared()
    found, (inputs, references, coefficients) = attributed(model)
    apart: list[tuple[str, nn.Module]] = []
    for name, module in steps_of(model):
        if isinstance(module, nn.MaxPool2d):
            apart.append((f"{name}_copy", Copy()))
        apart.append((name, module))
    theirs = Weighted(build_chain(apart), coefficients)
    for name, record in found.layers.items():
        captum = LayerDeepLift(theirs, theirs.model.get_submodule(name))
        expected = captum.attribute(inputs, references, target=0)
        assert expected.abs().max() > 0
        assert torch.equal(record.contributions, expected), name


@pytest.mark.filterwarnings("ignore")
def test_captum_alone_is_not_complete_where_relu_feeds_maxpool() -> None:
    """Why the rule is not left to Captum's hooks; if this fails, Captum has been mended."""
    model = prepared()
    found, (inputs, references, coefficients) = attributed(model)
    theirs = Weighted(model, coefficients)
    captum = LayerDeepLift(theirs, model.get_submodule("conv1"))
    total = captum.attribute(inputs, references, target=0).flatten(1).sum(1)
    assert (total - found.output_delta).abs().max() > 0.01 * found.output_delta.abs().max()


def test_contributions_of_every_layer_sum_to_the_difference() -> None:
    model = prepared()
    found, (inputs, references, coefficients) = attributed(model)
    with torch.no_grad():
        expected = ((model(inputs) - model(references)) * coefficients).sum(1)
    assert torch.allclose(found.output_delta, expected, atol=1e-6)
    scale = float(expected.abs().max())
    assert float(found.completeness.max()) < 1e-5 * scale
    for name, record in found.layers.items():
        total = record.contributions.flatten(1).sum(1)
        assert float((total - expected).abs().max()) < 1e-5 * scale, name


def test_what_has_no_rule_is_refused() -> None:
    given = (torch.randn(3, 4), torch.randn(3, 4), torch.ones(3, 4))
    for module, says in (
        (nn.Tanh(), "no DeepLIFT rule for Tanh"),
        (nn.ReLU(inplace=True), "works in place"),
    ):
        with pytest.raises(ValueError, match=says):
            attribute_all_layers(nn.Sequential(module), *given, {})
    twice = nn.ReLU()
    with pytest.raises(ValueError, match="more than once"):
        attribute_all_layers(nn.Sequential(twice, nn.Linear(4, 4), twice), *given, {})


def test_targets() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 1.0, 2.0]])
    labels = torch.tensor([1, 2])
    assert margin(logits, labels).tolist() == [[0, 1, -1], [-1, 0, 1]]
    assert true_class(logits, labels).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert predicted_class(logits, labels).tolist() == [[0, 1, 0], [1, 0, 0]]


def brute_force(
    model: nn.Module, record_of: Attribution, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Per-sample autograd: d/dW of sum(layer(input delta) x multiplier), one sample at a time."""
    layer, record = layers_of(model)[name], record_of.layers[name]
    total = torch.zeros_like(layer.weight, dtype=torch.double)
    channels = torch.zeros(len(layer.weight), dtype=torch.double)
    for delta, multiplier, out in zip(
        record.input_delta, record.multiplier, record.output_delta, strict=True
    ):
        layer.weight.grad = None
        (layer(delta[None])[0] * multiplier).sum().backward()
        assert layer.weight.grad is not None
        total += layer.weight.grad.double().abs()
        channels += (multiplier * out).double().reshape(len(out), -1).sum(1).abs()
    count = len(record.multiplier)
    return (total / count).detach().numpy(), (channels / count).numpy()


@pytest.mark.parametrize("distance", [1.0, 0.25])
def test_relevance_equals_brute_force(distance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepared()
    data = dataset(model)
    # Several chunks a batch.
    monkeypatch.setattr("passes.criteria.positions._CHUNK_ELEMENTS", 3 * 8 * 18)
    settings = Settings(
        20, "random", "margin", batch=8, criterion="deeplift-contribution", distance=distance
    )
    got = measure(model, data, settings, np.random.default_rng(1), "cpu")

    rng = np.random.default_rng(1)
    picked = rng.choice(80, 20, replace=False)
    others = (picked + rng.integers(1, 80, 20)) % 80
    inputs, references = (
        torch.from_numpy(data.train_x[picked]),
        torch.from_numpy(data.train_x[others]),
    )
    references = inputs + distance * (references - inputs)
    with torch.no_grad():
        coefficients = margin(model(inputs), torch.from_numpy(data.train_y[picked]))
    record = attribute_all_layers(model, inputs, references, coefficients, layers_of(model))
    assert set(got.layers) == {"conv1", "conv2", "fc1", "fc2"}
    for name, layer in got.layers.items():
        weights, channels = brute_force(model, record, name)
        assert layer.weights.max() > 0
        np.testing.assert_allclose(layer.weights, weights / distance, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.channels, channels / distance, rtol=1e-4, atol=1e-6)


def test_batches_do_not_change_the_figures() -> None:
    model = prepared()
    data = dataset(model)
    one, many = (
        measure(
            model, data, Settings(30, "random", "margin", size), np.random.default_rng(1), "cpu"
        )
        for size in (30, 7)
    )
    for name in one.layers:
        np.testing.assert_allclose(
            one.layers[name].weights, many.layers[name].weights, rtol=1e-5, atol=1e-7
        )


def test_pass_records_and_proves(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    assert model.relevance.samples == 32
    assert (model.relevance.reference, model.relevance.target) == ("random", "margin")
    assert model.relevance.completeness_delta < 1e-5
    assert ctx.checks[-1].passed
    assert "completeness" in ctx.checks[-1].claim
    assert model.reference is model.module
    for layer in model.network.layers:
        found = model.relevance.layers[layer.name]
        assert found.channels.shape == (layer.out_channels,)
        assert found.weights.size == layer.weights
        assert found.weights.dtype == np.float32


def test_same_seed_same_scores(tmp_path: Path) -> None:
    first, second = (scored(tmp_path)[0].relevance for _ in range(2))
    for name in first.layers:
        assert np.array_equal(first.layers[name].weights, second.layers[name].weights)


@pytest.mark.parametrize("reference", ["mean", "zero"])
def test_other_references(tmp_path: Path, reference: str) -> None:
    net = small_net()
    ctx = context(tmp_path, net)
    model = Prepare().run(float_model(net), ctx)
    found = Attribute(samples=999, reference=reference, target="true").run(model, ctx).relevance
    assert found.samples == 80  # all there are
    assert found.completeness_delta < 1e-5


def test_incomplete_attribution_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute_module, "TOLERANCE", 0.0)
    with pytest.raises(VerificationError, match="completeness"):
        scored(tmp_path)


def test_bad_options_and_inputs(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no such reference: 'black'; use random, mean, zero"):
        Attribute(reference="black")
    with pytest.raises(LiftFlowError, match="no such target: 'worst'; use margin"):
        Attribute(target="worst")
    with pytest.raises(
        LiftFlowError, match="no such criterion: 'guess'; use deeplift, deeplift-contr"
    ):
        Attribute(criterion="guess")
    with pytest.raises(LiftFlowError, match="samples is -1; use at least 0"):
        Attribute(samples=-1)
    with pytest.raises(LiftFlowError, match="distance is 2; give a share from 0 to 1"):
        Attribute(distance=2.0)
    with pytest.raises(LiftFlowError, match="stable is 0; give a share"):
        Attribute(stable=0.0)
    net = small_net()
    ctx = context(tmp_path, net)
    with pytest.raises(LiftFlowError, match="not prepared; run prepare"):
        Attribute().run(float_model(net), ctx)
    same = Dataset("same", *([np.ones((4, *SHAPE), np.float32), np.zeros(4, np.int64)] * 2), 4)
    with pytest.raises(LiftFlowError, match="does not change between training samples"):
        measure(prepared(), same, Settings(4, "random", "margin"), np.random.default_rng(0), "cpu")
