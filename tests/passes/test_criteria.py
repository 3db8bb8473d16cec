"""Criteria: each equal to an independent, slower way to compute it, on chains and on branches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerDeepLift
from chain_case import SHAPE, context, dataset, float_model, small_net
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from compiler.stages import Dataset, FoldedNorm, Relevance
from hw_targets.errors import LiftFlowError
from passes import _relevance
from passes._canonical import arrange, steps
from passes._distributed import ALONE
from passes._graph import Step, build_chain, build_graph, layers_of
from passes._lower_ops import lower
from passes._modules import Add, Concat, Shortcut
from passes._relevance import NEAR, Settings, measure, rank_stability
from passes.attribute import TOLERANCE, Attribute
from passes.criteria import CRITERIA, Batch, Setup
from passes.criteria.hessian import PROBES, Hessian
from passes.criteria.positions import weight_gradients
from passes.criteria.references import blurred, load
from passes.deeplift import attribute_all_layers, margin
from passes.prepare import Prepare

BATCHED = (
    "deeplift",
    "deeplift-contribution",
    "deeplift-reveal-cancel",
    "taylor",
    "gradient",
    "gradient-reference",
    "gradient-mean",
    "wanda",
    "lrp",
)


def chain() -> nn.Module:
    return build_chain(steps(arrange(lower(small_net(), SHAPE).ops)))


def branching() -> nn.Module:
    """Residual add, option-A shortcut, concatenation, depthwise layer, both average pools."""
    torch.manual_seed(2)
    return build_graph(
        [
            Step("stem", nn.Conv2d(2, 4, 3, padding=1), ("x",)),
            Step("relu1", nn.ReLU(), ("stem",)),
            Step("deep", nn.Conv2d(4, 4, 3, padding=1, groups=4), ("relu1",)),
            Step("relu2", nn.ReLU(), ("deep",)),
            Step("wide", nn.Conv2d(4, 6, 3, stride=2, padding=1), ("relu2",)),
            Step("short", Shortcut(2, 1, 1), ("relu1",)),
            Step("add", Add(), ("wide", "short")),
            Step("relu3", nn.ReLU(), ("add",)),
            Step("pool", nn.AvgPool2d(2), ("relu3",)),
            Step("side", nn.Conv2d(6, 4, 1), ("pool",)),
            Step("relu4", nn.ReLU(), ("side",)),
            Step("both", Concat(), ("pool", "relu4")),
            Step("all", nn.AdaptiveAvgPool2d(1), ("both",)),
            Step("flat", nn.Flatten(), ("all",)),
            Step("out", nn.Linear(10, 4), ("flat",)),
        ]
    )


NETWORKS = {"chain": chain, "branching": branching}


def measured(
    model: nn.Module,
    criterion: str,
    *,
    samples: int = 20,
    batch: int = 8,
    target: str = "margin",
    reference: str = "random",
    data: Dataset | None = None,
    norms: dict[str, FoldedNorm] | None = None,
    **more: float,
) -> Relevance:
    settings = Settings(samples, reference, target, batch, criterion, **more)  # type: ignore[arg-type]
    given = data or dataset(model)
    return measure(model, given, settings, np.random.default_rng(1), "cpu", norms)


def samples_of(data: Dataset, count: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, references, labels) that `measured` takes."""
    rng = np.random.default_rng(1)
    available = len(data.train_x)
    picked = rng.choice(available, count, replace=False)
    others = (picked + rng.integers(1, available, count)) % available
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    return x[picked], x[others], y[picked]


def close(
    got: Relevance,
    channels: dict[str, NDArray[np.float64]],
    weights: dict[str, NDArray[np.float64]],
) -> None:
    for name, layer in got.layers.items():
        assert layer.weights.max() > 0, name
        np.testing.assert_allclose(layer.channels, channels[name], rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(layer.weights, weights[name], rtol=2e-4, atol=1e-6)


def outputs_of(
    model: nn.Module, x: Tensor, watched: dict[str, nn.Module] | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Layer (or each module of `watched`) -> what it gives for `x`, and the logits."""
    found: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(lambda _m, _a, out, name=name: found.__setitem__(name, out))
        for name, layer in (watched or layers_of(model)).items()
    ]
    logits = model(x)
    for handle in handles:
        handle.remove()
    return found, logits


def one_by_one(
    model: nn.Module, inputs: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Mean |sum of output x gradient| and mean |gradient of the weight|, a sample at a time."""
    layers = layers_of(model)
    channels = {name: np.zeros(len(layer.weight)) for name, layer in layers.items()}
    weights = {name: np.zeros(tuple(layer.weight.shape)) for name, layer in layers.items()}
    for x, y in zip(inputs, labels, strict=True):
        model.zero_grad()
        found, logits = outputs_of(model, x[None])
        for out in found.values():
            out.retain_grad()
        loss(logits, y[None]).backward()
        for name, layer in layers.items():
            out, grad = found[name].detach()[0], found[name].grad
            assert grad is not None
            assert layer.weight.grad is not None
            products = (out * grad[0]).reshape(len(out), -1).sum(1)
            channels[name] += products.abs().numpy() / len(inputs)
            weights[name] += layer.weight.grad.abs().numpy() / len(inputs)
    return channels, weights


@pytest.mark.parametrize("network", NETWORKS)
def test_taylor_and_gradient_equal_one_sample_at_a_time(network: str) -> None:
    model = NETWORKS[network]()
    inputs, _, labels = samples_of(dataset(model))

    def of_margin(logits: Tensor, y: Tensor) -> Tensor:
        return (logits * margin(logits.detach(), y)).sum()

    for criterion, loss in (("taylor", F.cross_entropy), ("gradient", of_margin)):
        close(measured(model, criterion), *one_by_one(model, inputs, labels, loss))


def test_gradient_of_all_classes_is_their_mean() -> None:
    model = chain()
    inputs, _, labels = samples_of(dataset(model))
    parts = [
        one_by_one(model, inputs, labels, lambda logits, _, at=at: logits[0, at]) for at in range(4)
    ]
    channels, weights = (
        {name: np.mean([part[kind][name] for part in parts], axis=0) for name in parts[0][kind]}
        for kind in (0, 1)
    )
    close(measured(model, "gradient", target="all"), channels, weights)


def test_gradient_reference_is_deeplift_where_nothing_bends() -> None:
    torch.manual_seed(0)
    model = build_chain([("flat", nn.Flatten()), ("fc", nn.Linear(128, 4))])
    names = "gradient-reference", "deeplift-contribution"
    plain, lift = (measured(model, name) for name in names)
    for kind in ("channels", "weights"):
        got, expected = getattr(plain.layers["fc"], kind), getattr(lift.layers["fc"], kind)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


# Layer of `branching` -> what gives its activation.
ACTIVATIONS = {"stem": "relu1", "deep": "relu2", "wide": "wide", "side": "relu4", "out": "out"}


@pytest.mark.parametrize("criterion", ["gradient-reference", "gradient-mean"])
def test_gradients_multiply_with_the_difference(criterion: str) -> None:
    model = branching()
    inputs, references, labels = samples_of(dataset(model))
    steps_ = {name: model.get_submodule(name) for name in ACTIVATIONS.values()}
    found, logits = outputs_of(model, inputs, steps_)
    with torch.no_grad():
        others, _ = outputs_of(model, references, steps_)
    target = (logits * margin(logits.detach(), labels)).sum()
    gradients = dict(zip(found, torch.autograd.grad(target, list(found.values())), strict=True))
    got = measured(model, criterion)
    for name, step in ACTIVATIONS.items():
        out = found[step].detach().reshape(20, len(got.layers[name].channels), -1)
        other = others[step].reshape(out.shape)
        if criterion == "gradient-mean":
            other = out.mean((0, 2), keepdim=True)
        products = gradients[step].reshape(out.shape) * (out - other)
        expected = products.sum(2).abs().mean(0)
        np.testing.assert_allclose(got.layers[name].channels, expected, rtol=2e-4, atol=1e-6)


def test_deeplift_scores_channels_by_their_distance_from_the_mean() -> None:
    model = branching()
    inputs, references, labels = samples_of(dataset(model))
    with torch.no_grad():
        coefficients = margin(model(inputs), labels)
    watched = {step: model.get_submodule(step) for step in ACTIVATIONS.values()}
    found = attribute_all_layers(model, inputs, references, coefficients, watched)
    got, contribution = (measured(model, n) for n in ("deeplift", "deeplift-contribution"))
    for name, step in ACTIVATIONS.items():
        record = found.layers[step]
        out = record.outputs.reshape(20, len(got.layers[name].channels), -1)
        lost = record.multiplier.reshape(out.shape) * (out - out.mean((0, 2), keepdim=True))
        expected = lost.sum(2).abs().mean(0)
        np.testing.assert_allclose(got.layers[name].channels, expected, rtol=2e-4, atol=1e-6)
        assert np.array_equal(got.layers[name].weights, contribution.layers[name].weights)


@pytest.mark.filterwarnings("ignore")
def test_lrp_of_a_relu_network_is_gradient_times_activation() -> None:
    """Ancona et al., arXiv 1711.06104: for a vanishing epsilon."""
    model = chain()
    for target in ("true", "all"):
        lrp, gradient = (measured(model, name, target=target) for name in ("lrp", "gradient"))
        for name, layer in gradient.layers.items():
            got = lrp.layers[name]
            np.testing.assert_allclose(got.channels, layer.channels, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(got.weights, layer.weights, rtol=1e-3, atol=1e-5)
    assert not any(hasattr(part, "activations") for part in model.modules())


def test_lrp_refuses_branches_by_name() -> None:
    with pytest.raises(LiftFlowError, match="short: no layer-wise relevance .* rule for Shortcut;"):
        measured(branching(), "lrp")


@pytest.mark.parametrize("network", NETWORKS)
def test_wanda_equals_norms_of_patches(network: str) -> None:
    model = NETWORKS[network]()
    inputs, _, _ = samples_of(dataset(model))
    got = measured(model, "wanda").layers
    taken: dict[str, NDArray[np.float64]] = {}
    for name, layer in layers_of(model).items():
        layer.register_forward_hook(
            lambda _m, args, _o, name=name: taken.__setitem__(name, args[0].double().numpy())
        )
    with torch.no_grad():
        model(inputs)
    for name, layer in layers_of(model).items():
        expected = np.zeros(tuple(layer.weight.shape))
        if isinstance(layer, nn.Linear):
            expected[:] = np.sqrt((taken[name] ** 2).mean(0))
        else:
            high, wide, step = *layer.kernel_size, layer.stride[0]
            pad = layer.padding[0]
            padded = np.pad(taken[name], ((0, 0), (0, 0), (pad, pad), (pad, pad)))
            rows, cols = padded.shape[2] - high + 1, padded.shape[3] - wide + 1
            per_group = layer.out_channels // layer.groups
            for out, channel, i, j in np.ndindex(expected.shape):
                source = out // per_group * expected.shape[1] + channel
                seen = padded[:, source, i : i + rows : step, j : j + cols : step]
                expected[out, channel, i, j] = np.sqrt((seen**2).sum() / 20)
        sizes = layer.weight.detach().abs().numpy()
        np.testing.assert_allclose(got[name].weights, expected, rtol=1e-5)
        scores = (sizes * expected).reshape(len(sizes), -1).sum(1)
        np.testing.assert_allclose(got[name].channels, scores, rtol=1e-5)


def test_hutchinson_finds_the_hessians_diagonal() -> None:
    torch.manual_seed(3)
    model = build_chain(
        [
            ("flat", nn.Flatten()),
            ("fc1", nn.Linear(6, 5)),
            ("relu", nn.ReLU()),
            ("fc2", nn.Linear(5, 3)),
        ]
    )
    inputs, labels = torch.randn(40, 6), torch.randint(3, (40,))
    layers = layers_of(model)

    def loss(*weights: Tensor) -> Tensor:
        hidden = F.linear(inputs, weights[0], layers["fc1"].bias).relu()
        return F.cross_entropy(F.linear(hidden, weights[1], layers["fc2"].bias), labels)

    blocks = torch.autograd.functional.hessian(loss, tuple(m.weight for m in layers.values()))
    sizes = [layer.weight.numel() for layer in layers.values()]
    exact = torch.cat(
        [
            torch.cat([b.reshape(s, -1) for b in row], 1)
            for s, row in zip(sizes, blocks, strict=True)
        ]
    )
    empty = np.zeros(0, np.int64)
    setup = Setup(model, "margin", 3, np.random.default_rng(0), {}, empty)
    criterion = Hessian(setup)
    rounds = 100
    for _ in range(rounds):  # the same samples under new signs
        criterion.add(Batch(np.arange(40), inputs, labels, None), 0)
    scores, start = criterion.result(), 0
    for name, layer in layers.items():
        columns = layer.weight.shape[1]
        for got in criterion.diagonal()[name]:
            own = slice(start, start + columns)
            # Pairs of signs inside the filter meet twice, others once.
            squares = exact[own].square()
            inside = float(squares[:, own].sum() - squares[:, own].diagonal().sum())
            variance = float(squares.sum() - squares[:, own].sum()) + 2 * inside
            error = (variance / rounds / PROBES) ** 0.5 / columns
            assert abs(got - float(exact[own, own].diagonal().mean())) < 4 * error + 1e-8
            start += columns
        h, weight = criterion.diagonal()[name].clip(0), layer.weight.detach().numpy()
        norms = (weight**2).sum(1)
        np.testing.assert_allclose(scores[name].channels, 0.5 * h * norms, rtol=1e-5)
        got = scores[name].weights * np.abs(weight)
        np.testing.assert_allclose(got, 0.5 * h[:, None] * weight**2, rtol=1e-4, atol=1e-9)


def test_criteria_of_weights_alone() -> None:
    model = branching()
    layers = layers_of(model)
    filters = {n: m.weight.detach().flatten(1).double().numpy() for n, m in layers.items()}
    for name, rows in filters.items():
        ones = np.ones(tuple(layers[name].weight.shape))
        l1, l2, fpgm = (measured(model, key).layers[name] for key in ("l1", "l2", "fpgm"))
        np.testing.assert_allclose(l1.channels, np.abs(rows).sum(1), rtol=1e-5)
        np.testing.assert_array_equal(l1.weights, ones)
        np.testing.assert_allclose(l2.channels, np.linalg.norm(rows, axis=1), rtol=1e-5)
        np.testing.assert_allclose(l2.weights, np.abs(rows).reshape(ones.shape), rtol=1e-6)
        apart = np.linalg.norm(rows[:, None] - rows[None], axis=2).sum(1)
        np.testing.assert_allclose(fpgm.channels, apart, rtol=1e-5)
        np.testing.assert_array_equal(fpgm.weights, ones)


def test_criteria_of_weights_alone_need_no_samples() -> None:
    model = chain()
    nothing = np.zeros((0, *SHAPE), np.float32), np.zeros(0, np.int64)
    found = measured(model, "l1", data=Dataset("none", *nothing, *nothing, 4))
    assert (found.samples, found.stability, found.criterion) == (0, (), "l1")


def test_batch_norm_takes_the_folded_gains(tmp_path: Path) -> None:
    net = nn.Sequential(
        *(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
    )
    gains = torch.linspace(-1, 2, 8)
    with torch.no_grad():
        net[1].weight.copy_(gains)
    ctx = context(tmp_path, net.eval())
    prepared = Prepare().run(float_model(net), ctx)
    got = Attribute(criterion="batch-norm").run(prepared, ctx)
    assert not [check for check in ctx.checks if "completeness" in check.claim]
    name = next(iter(got.relevance.layers))
    layer = got.relevance.layers[name]
    np.testing.assert_allclose(layer.channels, gains.abs())
    size = np.abs(got.module.get_submodule(name).weight.detach().numpy())
    np.testing.assert_allclose((size * layer.weights).sum((1, 2, 3)), gains.abs(), rtol=1e-4)


def plain(channels: int) -> FoldedNorm:
    """A batch norm that changes nothing."""
    return FoldedNorm(np.ones(channels, np.float32), np.ones(channels, np.float32))


def test_criteria_of_weights_look_at_them_as_trained() -> None:
    model = chain()
    scale = np.linspace(0.5, 2, 8).astype(np.float32)
    norms = {"conv1": FoldedNorm(np.ones(8, np.float32), scale)}
    size = layers_of(model)["conv1"].weight.detach().abs().numpy()
    trained = size / scale[:, None, None, None]
    for criterion, power in (("l1", 1), ("l2", 2)):
        layer = measured(model, criterion, norms=norms).layers["conv1"]
        expected = (trained**power).sum((1, 2, 3)) ** (1 / power)
        np.testing.assert_allclose(layer.channels, expected, rtol=1e-5)
        np.testing.assert_allclose(layer.weights * size, trained**power, rtol=1e-5)


def test_batch_norm_names_the_layer_without_one() -> None:
    model = chain()
    with pytest.raises(LiftFlowError, match="conv1: the layer has no batch norm"):
        measured(model, "batch-norm")
    with pytest.raises(LiftFlowError, match="conv2: the layer has no batch norm"):
        measured(model, "batch-norm", norms={"conv1": plain(8)})


def test_random_is_seeded_and_blind_to_size() -> None:
    model = chain()
    first, second = (measured(model, "random").layers["conv2"] for _ in range(2))
    assert np.array_equal(first.channels, second.channels)
    assert np.array_equal(first.weights, second.weights)
    size = layers_of(model)["conv2"].weight.detach().abs().numpy()
    scores = (first.weights * size).ravel()
    assert scores.min() >= 0
    assert scores.max() <= 1.0001
    assert abs(float(spearmanr(scores, size.ravel()).statistic)) < 0.15


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores_are_finite_and_shaped(criterion: str) -> None:
    model = chain()
    norms = {name: plain(len(m.weight)) for name, m in layers_of(model).items()}
    found = measured(model, criterion, norms=norms)
    assert (found.criterion, found.completeness_delta < 1e-4) == (criterion, True)
    for name, layer in layers_of(model).items():
        scores = found.layers[name]
        assert scores.channels.shape == (len(layer.weight),)
        assert scores.weights.shape == layer.weight.shape
        for values in (scores.channels, scores.weights):
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
            assert values.min() >= 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("criterion", BATCHED)
def test_batches_do_not_change_the_figures(criterion: str) -> None:
    model = chain()
    one, many = (measured(model, criterion, samples=40, batch=size) for size in (40, 7))
    for name, layer in one.layers.items():
        other = many.layers[name]
        np.testing.assert_allclose(layer.channels, other.channels, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.weights, other.weights, rtol=1e-4, atol=1e-6)
    if criterion == "deeplift":
        for name, layer in one.layers.items():
            np.testing.assert_allclose(layer.noise, many.layers[name].noise, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(layer.classes, many.layers[name].classes, rtol=1e-4)
            assert (layer.peak, layer.rms) == pytest.approx(
                (many.layers[name].peak, many.layers[name].rms)
            )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("criterion", [*BATCHED, "hessian"])
def test_autocast_changes_nothing(criterion: str) -> None:
    model = chain()
    data = dataset(model)
    plain = measured(model, criterion, data=data)
    with torch.autocast("cpu", torch.bfloat16):
        under = measured(model, criterion, data=data)
    for name, layer in plain.layers.items():
        assert np.array_equal(layer.channels, under.layers[name].channels)
        assert np.array_equal(layer.weights, under.layers[name].weights)


def test_gradients_need_not_be_enabled() -> None:
    model = chain()
    data = dataset(model)
    for criterion in ("deeplift", "taylor", "hessian"):
        plain = measured(model, criterion, data=data)
        with torch.no_grad():
            under = measured(model, criterion, data=data)
        assert np.array_equal(plain.layers["conv1"].weights, under.layers["conv1"].weights)


@pytest.mark.filterwarnings("ignore")
def test_branches_are_complete_and_equal_captum() -> None:
    model = branching()
    inputs, references, labels = samples_of(dataset(model))
    references[:, :, :2] = inputs[:, :, :2]
    with torch.no_grad():
        coefficients = margin(model(inputs), labels)
    layers = layers_of(model)
    found = attribute_all_layers(model, inputs, references, coefficients, layers)
    assert float(found.completeness.max()) < 1e-5 * float(found.output_delta.abs().max())

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return (self.model(x) * torch.cat([coefficients] * 2)).sum(1, keepdim=True)

    theirs = Weighted()
    for name, record in found.layers.items():
        captum = LayerDeepLift(theirs, layers[name])
        expected = captum.attribute(inputs, references, target=0)
        assert expected.abs().max() > 0
        assert torch.equal(record.contributions, expected), name


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_weight_scores_equal_autograd(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passes.criteria.positions._CHUNK_ELEMENTS", 900)
    torch.manual_seed(groups)
    conv = nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), groups=groups, bias=False)
    layers = {"conv": conv, "out": nn.Linear(8 * 3 * 4, 3)}
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), layers["out"])
    inputs, references = torch.randn(2, 7, 4, 6, 5)
    record = attribute_all_layers(model, inputs, references, torch.ones(7, 3), layers)
    total = torch.zeros_like(conv.weight)
    one = record.layers["conv"]
    for delta, multiplier in zip(one.input_delta, one.multiplier, strict=True):
        (gradient,) = torch.autograd.grad((conv(delta[None])[0] * multiplier).sum(), conv.weight)
        total += gradient.abs()
    got = weight_gradients(conv, [(one.input_delta, one.multiplier)])
    assert got.shape == conv.weight.shape
    torch.testing.assert_close(got, total.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_all_classes_are_the_mean_of_each(network: str) -> None:
    model = NETWORKS[network]()
    data = dataset(model)
    inputs, references, _ = samples_of(data)
    layers = layers_of(model)
    got = measured(model, "deeplift-contribution", target="all", data=data, distance=1.0)
    assert got.completeness_delta < 1e-5
    channels = {name: np.zeros(len(m.weight)) for name, m in layers.items()}
    weights = {name: np.zeros(tuple(m.weight.shape)) for name, m in layers.items()}
    for at in range(4):
        one = torch.eye(4)[at].expand(20, 4)
        found = attribute_all_layers(model, inputs, references, one, layers)
        for name, layer in layers.items():
            record = found.layers[name]
            sums = record.contributions.reshape(20, len(layer.weight), -1).sum(2)
            channels[name] += sums.abs().mean(0).numpy() / 4
            terms = [(record.input_delta, record.multiplier)]
            weights[name] += weight_gradients(layer, terms).numpy() / 20 / 4
    close(got, channels, weights)
    output = measured(model, "deeplift-contribution", target="output", data=data, distance=1.0)
    for name, layer in output.layers.items():
        assert np.array_equal(layer.channels, got.layers[name].channels)
        assert layer.classes is None
        assert got.layers[name].classes is not None


def test_a_regression_needs_no_classes() -> None:
    model = chain()
    data = dataset(model)
    values = np.zeros((80, 4), np.float32)
    free = Dataset("free", data.train_x, values, data.test_x, values, 4)  # type: ignore[arg-type]
    assert measured(model, "deeplift", target="output", data=free).samples == 20
    for criterion in ("taylor", "hessian"):
        with pytest.raises(LiftFlowError, match=f"{criterion} needs the class of every sample"):
            measured(model, criterion, target="output", data=free)


def test_class_scores_average_to_all() -> None:
    model = branching()
    data = dataset(model)
    _, _, labels = samples_of(data)
    counts = np.bincount(labels.numpy(), minlength=data.classes)
    for layer in measured(model, "deeplift", data=data).layers.values():
        assert layer.classes is not None
        assert layer.classes.shape == (data.classes, len(layer.channels))
        np.testing.assert_allclose(counts @ layer.classes / 20, layer.channels, rtol=1e-4)


def test_noise_and_range_of_governed_activations() -> None:
    model = branching()
    inputs, references, labels = samples_of(dataset(model))
    with torch.no_grad():
        coefficients = margin(model(inputs), labels)
    governs = {"stem": "relu1", "deep": "relu2", "wide": "relu3", "side": "relu4"}
    relus = {relu: model.get_submodule(relu) for relu in governs.values()}
    found = attribute_all_layers(model, inputs, references, coefficients, relus)
    got = measured(model, "deeplift").layers
    for name, relu in governs.items():
        record = found.layers[relu]
        values, squares = record.outputs.numpy(), record.multiplier.numpy() ** 2
        expected = np.sqrt((squares * (values > 0)).sum((2, 3))).mean(0)
        np.testing.assert_allclose(got[name].noise, expected, rtol=1e-4)
        assert got[name].peak == pytest.approx(values.max())
        assert got[name].rms == pytest.approx(np.sqrt((values[values > 0] ** 2).mean()))
    assert got["out"].noise is not None
    assert (got["out"].noise.max(), got["out"].peak, got["out"].rms) == (0, 0, 0)


def test_inputs_contributions_are_kept_one_of_each_class_first() -> None:
    model = chain()
    data = dataset(model)
    found = measured(model, "deeplift", samples=70, data=data, distance=1.0)
    assert found.inputs is not None
    assert found.input_samples is not None
    assert found.inputs.shape == (16, *SHAPE)
    picked = np.random.default_rng(1).choice(80, 70, replace=False)[:32]
    assert set(found.input_samples) <= set(picked)
    present = len(set(data.train_y[picked]))
    assert len(set(data.train_y[found.input_samples[:present]])) == present
    with torch.no_grad():
        logits = model(torch.from_numpy(data.train_x))
        coefficients = margin(logits, torch.from_numpy(data.train_y))
    rng = np.random.default_rng(1)
    order = rng.choice(80, 70, replace=False)
    others = (order + rng.integers(1, 80, 70)) % 80
    other = dict(zip(order, others, strict=True))
    for at, heat in zip(found.input_samples, found.inputs, strict=True):
        difference = (logits[at] - logits[other[at]]) @ coefficients[at]
        assert heat.sum() == pytest.approx(float(difference), abs=1e-4)


def test_stability_of_known_rankings() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=2000)
    halves = [{"one": truth + rng.normal(size=2000)} for _ in range(2)]
    # Halves correlate by 1/2, which is 2/3 for both together.
    assert rank_stability(*halves) == pytest.approx(2 / 3, abs=0.05)
    assert rank_stability({"one": truth}, {"one": truth}) == 1
    assert rank_stability({"one": truth}, {"one": -truth}) == 0
    flat = {"one": np.ones(5)}
    assert rank_stability(flat, flat) == 0


def test_samples_stop_when_the_ranking_is_stable() -> None:
    model = chain()
    data = dataset(model, count=600)
    fixed = measured(model, "deeplift", samples=600, data=data, batch=64)
    assert [count for count, _ in fixed.stability] == [32, 64, 128, 256, 512, 600]
    assert fixed.stability[-1][1] > 0.9
    assert fixed.stability[-1][1] > fixed.stability[0][1]
    enough = fixed.stability[1][1]
    until = measured(model, "deeplift", samples=0, data=data, most_samples=600, stable=enough)
    assert until.samples == (32 if fixed.stability[0][1] >= enough else 64)
    for (count, stability), before in zip(until.stability, fixed.stability, strict=False):
        assert (count, pytest.approx(stability)) == before
    most = measured(model, "wanda", samples=0, data=data, most_samples=100, stable=1.0)
    assert most.samples in (32, 64, 100)
    again = Settings.like(until, 16)
    assert (again.samples, again.criterion, again.batch) == (until.samples, "deeplift", 16)


def test_nothing_is_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    batch = _relevance._Source.batch

    def counted(source: _relevance._Source, part: NDArray[np.int64]) -> Batch:
        seen.extend(part.tolist())
        return batch(source, part)

    monkeypatch.setattr(_relevance._Source, "batch", counted)
    measured(chain(), "deeplift", samples=75, batch=10)
    assert sorted(seen) == list(range(75))


def test_sums_do_not_grow_with_samples() -> None:
    model = chain()
    data = dataset(model, count=300)

    def kept(count: int) -> int:
        """Numbers in all tensors that a criterion holds."""
        empty = np.arange(4)
        setup = Setup(model, "margin", 4, np.random.default_rng(0), {}, empty)
        criterion = CRITERIA["deeplift"](setup)
        settings = Settings(count, "random", "margin", 16)
        source = _relevance._Source(data, settings, np.random.default_rng(0), "cpu", True)
        for inputs in source.first(_relevance.AVERAGED, 16):
            criterion.look(inputs)
        _relevance._stream(criterion, source, settings, ALONE)
        return sum(tensor.numel() for tensor in tensors(criterion))

    def tensors(value: object) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value]
        if isinstance(value, dict):
            return [tensor for part in value.values() for tensor in tensors(part)]
        if isinstance(value, list | tuple):
            return [tensor for part in value for tensor in tensors(part)]
        if type(value).__module__.startswith("passes."):
            return tensors(vars(value))
        return []

    assert kept(280) <= kept(64) + 4 * int(np.prod(SHAPE))  # the few inputs shown


def test_references_are_near_in_chains_and_other_images_where_branches_join() -> None:
    for network, distance in ((chain(), NEAR), (branching(), 1.0)):
        data = dataset(network)
        for criterion in ("deeplift", "deeplift-contribution"):
            found, same = (
                measured(network, criterion, data=data, distance=at) for at in (0.0, distance)
            )
            assert found.distance == distance
            for name, layer in found.layers.items():
                assert np.array_equal(layer.channels, same.layers[name].channels)
                assert np.array_equal(layer.weights, same.layers[name].weights)
    # What someone names is taken as it is, and gradients have no use for it.
    assert measured(chain(), "deeplift", reference="zero").distance == 1.0
    assert measured(chain(), "gradient-reference").distance == 1.0


def test_distance_does_not_matter_where_nothing_bends() -> None:
    """Scores are those of a whole difference, whatever part of it was looked at."""
    torch.manual_seed(0)
    layers = ("fc1", nn.Linear(128, 6)), ("fc2", nn.Linear(6, 4))
    model = build_chain([("flat", nn.Flatten()), *layers])
    far, near = (measured(model, "deeplift", distance=at) for at in (1.0, 0.125))
    for name, layer in far.layers.items():
        other = near.layers[name]
        np.testing.assert_allclose(other.channels, layer.channels, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(other.weights, layer.weights, rtol=1e-3, atol=1e-6)


def test_blur_and_own_references(tmp_path: Path) -> None:
    model = chain()
    data = dataset(model)
    images = data.train_x[:2]
    soft = blurred(images)
    assert soft.shape == images.shape
    assert soft.std() < images.std()
    np.testing.assert_allclose(blurred(np.ones_like(images)), 1, rtol=1e-6)
    # Channels apart: one of zeros stays so.
    half = images * np.array([1, 0], np.float32)[:, None, None]
    assert np.array_equal(blurred(half)[:, 1], np.zeros_like(half[:, 1]))
    # What rounding leaves is a share of the outputs; beside so near a reference it looks large.
    x, _, labels = samples_of(data)
    near = torch.from_numpy(blurred(x.numpy()))
    for number, rounding in ((torch.float32, 1e-6), (torch.float64, 1e-15)):
        network = copy.deepcopy(model).to(number)
        inputs, references = x.to(number), near.to(number)
        outputs = network(inputs).detach()
        found = attribute_all_layers(network, inputs, references, margin(outputs, labels), {})
        assert found.output_delta.abs().max() < 0.05 * outputs.abs().max()
        assert found.completeness.max() < rounding * outputs.abs().max()
    assert 0 < measured(model, "deeplift", reference="blur").completeness_delta < TOLERANCE

    own = tmp_path / "own.npy"
    np.save(own, np.zeros(1))
    zero, mine = (measured(model, "deeplift", reference=one) for one in ("zero", str(own)))
    for name, layer in zero.layers.items():
        assert np.array_equal(layer.weights, mine.layers[name].weights)
    np.save(own, data.test_x[:3])
    assert load(str(own), SHAPE).shape == (3, *SHAPE)
    given = measured(model, "deeplift", reference=str(own))
    assert given.completeness_delta < 1e-5
    assert given.reference == str(own)


def test_bad_references_are_refused(tmp_path: Path) -> None:
    net = small_net()
    ctx = context(tmp_path, net)
    bad = {
        "shape.npy": (np.zeros((3, 5)), "does not fit samples of shape"),
        "text.npy": (np.array(["a"]), "holds no array of numbers"),
        "nan.npy": (np.full(1, np.nan), "not finite"),
    }
    for name, (array, says) in bad.items():
        np.save(tmp_path / name, array)
        with pytest.raises(LiftFlowError, match=says):
            Attribute(reference=str(tmp_path / name)).refuse(ctx)
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes(b"no array")
    for name in ("pickled.npy", "broken.npy", "missing.npy"):
        with pytest.raises(LiftFlowError, match=f"{name}: cannot be read") as caught:
            Attribute(reference=str(tmp_path / name)).refuse(ctx)
        assert "\n" not in str(caught.value)
    flat = Dataset("flat", *([np.zeros((4, 3), np.float32), np.zeros(4, np.int64)] * 2), 2)
    with pytest.raises(LiftFlowError, match="are no images to blur"):
        Attribute(reference="blur").refuse(context(tmp_path, net).__class__(tmp_path, flat))
    # What compares with nothing does not mind.
    Attribute(criterion="l1", reference=str(tmp_path / "missing.npy")).refuse(ctx)


def test_module_is_left_as_it_was() -> None:
    model = chain()
    before = copy.deepcopy(model.state_dict())
    for criterion in ("deeplift", "taylor", "hessian", "wanda"):
        measured(model, criterion)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(part._forward_hooks for part in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
