"""prune-filters: the plan, the statistics that are given back, and the pass."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import FORMAT, SHAPE, context, float_model, scored
from test_coupling import Mixed, Streams
from torch import nn

from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.network import LayerShape, NetworkShape
from passes._coupling import Group, Unit, coupled_groups, remove_units
from passes._graph import layers_of, predict
from passes._network_shape import network_shape
from passes._prune_plan import (
    Limits,
    Plan,
    choose_units,
    group_keys,
    least_cost,
    macs,
    weights,
)
from passes._statistics import output_statistics, restore_statistics
from passes.attribute import Attribute
from passes.prepare import Prepare, prepared_network
from passes.prune_filters import PruneFilters, unit_scores

NET = NetworkShape(
    "made",
    (
        LayerShape("a", "conv", 1, 8, (4, 4), (3, 3), (1, 1), (1, 1, 1, 1), pool=2),
        LayerShape("b", "dense", 8 * 4, 6),
        LayerShape("c", "dense", 6, 3, activation=False),
    ),
    (1, 4, 4),
    8,
    False,
    3,
)
GOLDEN = """\
x -> (2, 8, 8)
conv1: Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) -> (4, 8, 8)
relu_1: ReLU() -> (4, 8, 8)
conv2: Conv2d(4, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)) -> (4, 4, 4)
relu_2: ReLU() -> (4, 4, 4)
maxpool_1: MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False) -> (4, 2, 2)
flatten_1: Flatten(start_dim=1, end_dim=-1) -> (16,)
fc1: Linear(in_features=16, out_features=4, bias=True) -> (4,)
relu_3: ReLU() -> (4,)
fc2: Linear(in_features=4, out_features=4, bias=True) -> (4,)
"""

GROUPS = (
    Group("a", tuple(Unit({"a": [i]}, {"b": list(range(4 * i, 4 * i + 4))}) for i in range(8))),
    Group("b", tuple(Unit({"b": [i]}, {"c": [i]}) for i in range(6))),
)
LIMITS = Limits({"a": 8, "b": 6}, 4)


def chosen(scores: dict[str, np.ndarray], budget: float, thrift: float = 1.0) -> dict[str, int]:
    """Group -> channels the plan takes."""
    plan = Plan(NET, GROUPS, LIMITS, macs)
    gone = choose_units(plan, scores, budget, thrift)
    assert len(gone) == 14 - sum(plan.counts.values())
    return {key: len(plan.groups[key].units) - left for key, left in plan.counts.items()}


def test_costs_follow_channels_through_the_flatten() -> None:
    plan = Plan(NET, GROUPS, LIMITS, macs)
    assert plan.cost == NET.macs == 9 * 8 * 16 + 32 * 6 + 6 * 3
    plan.take("a", 4)
    plan.take("b", 5)
    assert plan.cost == 9 * 4 * 16 + 16 * 5 + 5 * 3
    assert Plan(NET, GROUPS, LIMITS, weights).cost == NET.weights


def test_limits_keep_multiples_or_one() -> None:
    assert least_cost(NET, GROUPS, LIMITS, macs) == 9 * 4 * 16 + 16 * 1 + 1 * 3
    assert Limits({"a": 10}, 4).next_below("a", 10) == 8
    assert Limits({"a": 10}, 4).next_below("a", 4) is None
    assert Limits({"a": 6}, 4).next_below("a", 6) == 5


def test_plan_takes_the_least_relevance_for_what_is_saved() -> None:
    scores = {"a": np.arange(8.0), "b": np.array([9, 0.1, 8, 7, 9, 9])}
    # One channel of b: 0.1 for 35 MACs. Four channels of a: 1.5 each, for 168 each.
    assert chosen(scores, NET.macs - 35) == {"a": 0, "b": 1}
    assert chosen(scores, NET.macs - 36) == {"a": 4, "b": 1}
    assert chosen(scores, NET.macs) == {"a": 0, "b": 0}
    assert chosen(scores, 0) == {"a": 4, "b": 5}


def test_thrift_weighs_what_is_saved() -> None:
    scores = {"a": np.full(8, 1.0), "b": np.full(6, 0.9)}
    assert chosen(scores, NET.macs - 1, thrift=0.0) == {"a": 0, "b": 1}
    assert chosen(scores, NET.macs - 1, thrift=1.0) == {"a": 4, "b": 0}


def test_groups_that_begin_alike_get_names_of_their_own() -> None:
    module, _, _ = prepared_network(Streams().eval(), (3, 8, 8))
    assert group_keys(coupled_groups(module, (3, 8, 8))) == ["stem", "a1", "b1", "b2", "b2#2"]


@pytest.mark.parametrize("make", [Mixed, Streams])
def test_plans_cost_is_what_the_smaller_network_costs(make: type[nn.Module]) -> None:
    torch.manual_seed(1)
    shape = (3, 8, 8)
    module, _, _ = prepared_network(make().eval(), shape)
    network = network_shape(module, "made", shape, FORMAT)
    groups = coupled_groups(module, shape)
    keys = group_keys(groups)
    limits = Limits({k: len(g.units) for k, g in zip(keys, groups, strict=True)}, 1)
    plan = Plan(network, groups, limits, macs)
    assert plan.cost == network.macs
    rng = np.random.default_rng(2)
    scores = {key: rng.random(len(plan.groups[key].units)) for key in keys}
    remove_units(module, choose_units(plan, scores, 0.7 * network.macs, 0.5))
    smaller = network_shape(module, "made", shape, FORMAT)
    assert plan.cost == smaller.macs <= 0.7 * network.macs


def test_unit_scores_add_what_goes_together(tmp_path: Path) -> None:
    net = Streams().eval()
    shape = (3, 8, 8)
    ctx = context(tmp_path, net, shape)
    model = Attribute(samples=16).run(Prepare().run(float_model(net, shape), ctx), ctx)
    group = coupled_groups(model.module, shape)[0]
    layers = model.relevance.layers
    expected = [
        layers["stem"].channels[i] + layers["a2"].channels[i] + layers["b2"].channels[i + 2]
        for i in range(4)
    ]
    assert unit_scores(group, model.relevance) == pytest.approx(expected, rel=1e-6)


def test_statistics_come_back(tmp_path: Path) -> None:
    """After a pruning and a wild scaling every layer gives its old mean and deviation again."""
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    samples = torch.randn(64, *SHAPE)
    wanted = output_statistics(module, samples)
    layers = layers_of(module)
    with torch.no_grad():
        layers["conv2"].weight.mul_(torch.rand(12, 8, 3, 3) * 3)
        layers["fc1"].weight.mul_(0.1)
        layers["fc2"].bias.add_(5)  # type: ignore[union-attr]
    scales = restore_statistics(module, wanted, samples)
    assert list(scales) == list(layers)
    got = output_statistics(module, samples)
    for name, statistics in wanted.items():
        torch.testing.assert_close(got[name].mean, statistics.mean, rtol=1e-3, atol=1e-4)
        if name != "fc2":  # of the logits the mean alone
            torch.testing.assert_close(
                got[name].deviation, statistics.deviation, rtol=1e-3, atol=1e-4
            )
    assert torch.equal(scales["fc2"], torch.ones(4))


def test_a_channel_without_deviation_gets_its_mean_only(tmp_path: Path) -> None:
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    samples = torch.randn(16, *SHAPE)
    wanted = output_statistics(module, samples)
    with torch.no_grad():
        layers_of(module)["conv2"].weight[3] = 0
    restore_statistics(module, wanted, samples)
    assert all(bool(p.isfinite().all()) for p in module.parameters())
    got = output_statistics(module, samples)["conv2"]
    assert float(got.mean[3]) == pytest.approx(float(wanted["conv2"].mean[3]), rel=1e-3, abs=1e-4)


def test_removing_constant_channels_changes_nothing(tmp_path: Path) -> None:
    """A constant channel is its mean, which the next layer's bias takes over."""
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    layers = layers_of(module)
    with torch.no_grad():
        for name, channels in {"conv2": [0, 7, 11], "fc1": [3]}.items():
            layers[name].weight[channels] = 0
            layers[name].bias[channels] = 0.7  # type: ignore[index]
    samples = torch.randn(256, *SHAPE)
    before, wanted = module(samples), output_statistics(module, samples)
    conv2, fc1 = (g for g in coupled_groups(module, SHAPE) if g.name in ("conv2", "fc1"))
    gone = [conv2.units[0], conv2.units[7], conv2.units[11], fc1.units[3]]
    remove_units(module, gone)
    rows = {"conv2": {0, 7, 11}, "fc1": {3}}
    wanted = {name: s.without(rows.get(name, set())) for name, s in wanted.items()}
    restore_statistics(module, wanted, samples)
    assert [len(layer.weight) for layer in layers_of(module).values()] == [8, 9, 15, 4]
    torch.testing.assert_close(module(samples), before, rtol=1e-3, atol=1e-3)


def test_a_channel_that_others_tell_of_can_go_without_loss(tmp_path: Path) -> None:
    """Twice another channel: the weights of the next layer take over, whatever it gave."""
    model, ctx = scored(tmp_path)
    module = copy.deepcopy(model.module)
    layers = layers_of(module)
    with torch.no_grad():
        for name, (one, other) in {"conv2": (0, 7), "fc1": (3, 5)}.items():
            layers[name].weight[one] = 2 * layers[name].weight[other]
            layers[name].bias[one] = 2 * layers[name].bias[other]  # type: ignore[index]
    samples = torch.randn(256, *SHAPE)
    before = module(samples)
    conv2, fc1 = (g for g in coupled_groups(module, SHAPE) if g.name in ("conv2", "fc1"))
    gone = [conv2.units[0], fc1.units[3]]
    crude = copy.deepcopy(module)
    PruneFilters()._choose_weights_anew(module, gone, samples, ctx)
    errors = []
    for pruned in (module, crude):
        remove_units(pruned, gone)
        errors.append(float(((pruned(samples) - before).norm() / before.norm()).detach()))
    assert errors[0] < 0.02 < errors[1]


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_pass_removes_what_was_asked(tmp_path: Path, share: float) -> None:
    model, ctx = scored(tmp_path)
    before = predict(model.module, ctx.data.test_x)
    got = PruneFilters(macs=share, steps=2, batch=16).run(model, ctx)
    assert got.pruned is not None
    assert 1 - got.network.macs / model.network.macs >= share
    assert got.pruned.macs_after == got.network.macs
    assert got.pruned.channels_after["fc2"] == 4
    for name, count in got.pruned.channels_after.items():
        assert name == "fc2" or count % 4 == 0
        assert got.relevance.layers[name].channels.shape == (count,)
        assert (
            got.relevance.layers[name].weights.shape == got.module.get_submodule(name).weight.shape
        )
    assert got.accuracy == got.pruned.accuracy
    hits = predict(got.module, ctx.data.test_x).argmax(1) == ctx.data.test_y
    assert got.accuracy == pytest.approx(hits.mean())
    # The teacher stays what it was.
    assert got.reference is model.module
    assert np.array_equal(predict(model.module, ctx.data.test_x), before)


def test_golden_ir(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    # 70.7 % is all that divisor 4 allows: every layer ends at its least.
    PruneFilters(macs=0.707, steps=1, divisor=4).run(model, ctx)
    assert (tmp_path / "pruned.txt").read_text() == GOLDEN


def test_zero_passes_through(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    assert PruneFilters(macs=0).run(model, ctx) is model


def test_too_much_says_how_much_there_is(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    with pytest.raises(InfeasibleError, match=r"at most \d\d\.\d% .* 99\.0% are asked for"):
        PruneFilters(macs=0.99).run(model, ctx)


@pytest.mark.parametrize(
    "options", [{"macs": 1.0}, {"macs": -0.1}, {"steps": 0}, {"divisor": 0}, {"thrift": -1.0}]
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(LiftFlowError, match=f"prune-filters: {next(iter(options))} is"):
        PruneFilters(**options)  # type: ignore[arg-type]


def test_torch_layers_keep_their_types(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    got = PruneFilters(macs=0.4, steps=1).run(model, ctx)
    assert [type(layer) for layer in layers_of(got.module).values()] == [
        *(nn.Conv2d, nn.Conv2d, nn.Linear, nn.Linear)
    ]


def test_unknown_cost() -> None:
    with pytest.raises(LiftFlowError, match="no such cost: 'watts'; use macs, weights"):
        PruneFilters(cost="watts")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("cost", ["macs", "weights"])
def test_residual_network(tmp_path: Path, streams: bool, cost: str) -> None:
    torch.manual_seed(0)
    net, shape = Streams().eval(), (3, 8, 8)
    ctx = context(tmp_path, net, shape)
    model = Attribute(samples=16).run(Prepare().run(float_model(net, shape), ctx), ctx)
    got = PruneFilters(macs=0.3, steps=2, divisor=1, cost=cost, streams=streams).run(model, ctx)
    left = got.network.macs if cost == "macs" else got.network.weights
    total = model.network.macs if cost == "macs" else model.network.weights
    assert left <= 0.7 * total
    if not streams:
        assert got.pruned is not None
        for layer in ("stem", "a2", "b2"):
            assert got.pruned.channels_after[layer] == got.pruned.channels_before[layer]


def test_too_much_of_a_residual_network_names_the_streams(tmp_path: Path) -> None:
    net, shape = Streams().eval(), (3, 8, 8)
    ctx = context(tmp_path, net, shape)
    model = Attribute(samples=16).run(Prepare().run(float_model(net, shape), ctx), ctx)
    with pytest.raises(InfeasibleError, match="streams = true"):
        PruneFilters(macs=0.95, divisor=1).run(model, ctx)


class Narrow(nn.Module):
    """A depthwise convolution of four channels: it must not become an ordinary one."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.d = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.b = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.d(self.a(x).relu()).relu()
        logits: torch.Tensor = self.fc(self.b(x).relu().mean((2, 3)))
        return logits


def test_depthwise_layers_keep_two_channels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, shape = Narrow().eval(), (3, 8, 8)
    ctx = context(tmp_path, net, shape)
    model = Attribute(samples=16).run(Prepare().run(float_model(net, shape), ctx), ctx)
    got = PruneFilters(macs=0.5, steps=6, divisor=1).run(model, ctx)
    depthwise = got.module.get_submodule("d")
    assert isinstance(depthwise, nn.Conv2d)
    assert depthwise.groups == depthwise.in_channels == depthwise.out_channels >= 2
