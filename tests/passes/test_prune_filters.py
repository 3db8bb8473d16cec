"""prune-filters: the plan, the surgery and the pass."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import SHAPE, scored
from torch import nn

from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.network import LayerShape, NetworkShape
from passes._graph import layers_of, predict
from passes._prune_channels import ChannelGroups, DeepLiftImportance, mean_inputs
from passes._prune_plan import Limits, channel_counts, least_counts, macs, plan
from passes.prune_filters import PruneFilters

NET = NetworkShape(
    "made",
    (
        LayerShape("a", "conv", 1, 8, (4, 4), (3, 3), (1, 1), (1, 1), pool=2),
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

LIMITS = Limits(channel_counts(NET), 4)


def test_macs_follow_channels_through_the_flatten() -> None:
    assert macs(NET, channel_counts(NET)) == NET.macs == 9 * 8 * 16 + 32 * 6 + 6 * 3
    assert macs(NET, {"a": 4, "b": 5, "c": 3}) == 9 * 4 * 16 + 16 * 5 + 5 * 3


def test_limits_keep_multiples_or_one() -> None:
    assert least_counts(NET, LIMITS) == {"a": 4, "b": 1, "c": 3}
    assert Limits({"a": 10}, 4).next_below("a", 10) == 8
    assert Limits({"a": 10}, 4).next_below("a", 4) is None
    assert Limits({"a": 6}, 4).next_below("a", 6) == 5


def test_plan_takes_the_least_relevance_a_mac() -> None:
    scores = {"a": np.arange(8, dtype=np.float32), "b": np.array([9, 0.1, 8, 7, 9, 9], np.float32)}
    # One channel of b: 0.1 for 35 MACs. Four channels of a: 0+1+2+3 for 576 + 96.
    assert plan(NET, scores, LIMITS, NET.macs - 35) == {"b": [1]}
    assert plan(NET, scores, LIMITS, NET.macs - 36) == {"a": [0, 1, 2, 3], "b": [1]}
    assert plan(NET, scores, LIMITS, NET.macs) == {}
    everything = plan(NET, scores, LIMITS, 0)
    assert {name: len(gone) for name, gone in everything.items()} == {"a": 4, "b": 5}


def test_removing_channels_that_are_constant_changes_nothing(tmp_path: Path) -> None:
    """A constant channel is its mean: with the mean in the next bias nothing is lost."""
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    layers = layers_of(module)
    gone = {"conv1": [1, 5], "conv2": [0, 7, 11], "fc1": [3]}
    with torch.no_grad():
        for name, channels in gone.items():
            layers[name].weight[channels] = 0
            layers[name].bias[channels] = 0.7  # type: ignore[index]
        # Zero padding makes a constant channel's effect differ at the border: none here.
        layers["conv2"].padding = (0, 0)
    shape = (2, 10, 10)
    samples = torch.randn(16, *shape)
    before = module(samples)
    groups = ChannelGroups(module, torch.zeros(1, *shape))
    means = mean_inputs(module, samples, batch=5)
    for name, channels in gone.items():
        groups.remove(name, channels, means)
    assert [len(layer.weight) for layer in layers_of(module).values()] == [6, 9, 15, 4]
    assert layers["fc1"].weight.shape == (15, 36)
    torch.testing.assert_close(module(samples), before, rtol=1e-4, atol=1e-5)


def test_mean_is_folded_over_all_positions(tmp_path: Path) -> None:
    """With padding, outputs keep their mean exactly, border included."""
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    samples = torch.randn(32, *SHAPE)
    conv2 = layers_of(module)["conv2"]

    def mean_of_conv2() -> torch.Tensor:
        seen: list[torch.Tensor] = []
        handle = conv2.register_forward_hook(lambda _m, _a, out: seen.append(out.mean((0, 2, 3))))
        module(samples)
        handle.remove()
        return seen[0]

    before = mean_of_conv2()
    means = mean_inputs(module, samples)
    ChannelGroups(module, torch.zeros(1, *SHAPE)).remove("conv1", [0, 2, 6], means)
    torch.testing.assert_close(mean_of_conv2(), before, rtol=1e-4, atol=1e-5)


def test_importance_is_the_roots_relevance(tmp_path: Path) -> None:
    model, _ = scored(tmp_path)
    groups = ChannelGroups(model.module, torch.zeros(1, *SHAPE))
    scores = groups.scores(DeepLiftImportance(model.relevance, model.module))
    assert list(scores) == ["conv1", "conv2", "fc1"]
    for name, values in scores.items():
        assert np.array_equal(values.numpy(), model.relevance.layers[name].channels)


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


@pytest.mark.parametrize("options", [{"macs": 1.0}, {"macs": -0.1}, {"steps": 0}, {"divisor": 0}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(LiftFlowError, match=f"prune-filters: {next(iter(options))} is"):
        PruneFilters(**options)  # type: ignore[arg-type]


def test_torch_layers_keep_their_types(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    got = PruneFilters(macs=0.4, steps=1).run(model, ctx)
    assert [type(layer) for layer in layers_of(got.module).values()] == [
        *(nn.Conv2d, nn.Conv2d, nn.Linear, nn.Linear)
    ]
