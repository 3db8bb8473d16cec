"""prune-weights: scores, patterns, the weights that are left, and the pass."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import SHAPE, scored
from torch import nn

from hw_targets.errors import LiftFlowError
from passes._graph import build_chain, layers_of
from passes._guides import MOST, guides
from passes._reconstruct import reconstruct
from passes._sparsity import Pattern, as_matrix, as_weight, keep_masks, parse_pattern
from passes.attribute import Attribute
from passes.prune_filters import PruneFilters
from passes.prune_weights import PruneWeights, tempered

SINGLE = Pattern()


def test_score_tempers_trained_magnitude_with_relevance() -> None:
    magnitude = np.array([[1.0, 2.0], [3.0, 0.0]])
    importance = np.array([[4.0, 1.0], [0.0, 11.0]], np.float32)
    scale = np.array([-0.5, 2.0], np.float32)
    got = tempered(magnitude, importance, scale)
    expected = np.array([[2 * 1.0, 4 * 0.25**0.25], [0.0, 0.0]])
    np.testing.assert_allclose(got, expected)
    # A channel folded away to nothing has no trained weight to speak of, and no infinity.
    assert np.isfinite(tempered(magnitude, importance, np.zeros(2, np.float32))).all()


def test_masks_take_the_least_of_all_layers() -> None:
    scores = {"a": np.array([[5.0, 1.0], [2.0, 9.0]]), "b": np.array([[3.0, 0.0, 7.0]])}
    masks = keep_masks(scores, 0.4, SINGLE, scope="network")  # ceil(2.8) = 3 of 7
    assert masks["a"].tolist() == [[True, False], [False, True]]
    assert masks["b"].tolist() == [[True, False, True]]
    every = keep_masks(scores, 0.0, SINGLE, scope="network")
    assert all(mask.all() for mask in every.values())
    apart = keep_masks(scores, 0.5, SINGLE, scope="layer")
    assert [int(mask.sum()) for mask in apart.values()] == [2, 1]
    rows = keep_masks(scores, 0.5, SINGLE, scope="row")
    assert rows["a"].tolist() == [[True, False], [False, True]]
    assert rows["b"].tolist() == [[False, False, True]]


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (4, 3, 3, 3), (3, 5, 1, 1)])
def test_matrix_order_is_the_hardwares(shape: tuple[int, ...]) -> None:
    weight = np.arange(np.prod(shape)).reshape(shape)
    matrix = as_matrix(weight)
    assert matrix.shape == (shape[0], np.prod(shape[1:]))
    if len(shape) == 4:  # the inputs of one tap lie side by side
        assert matrix[1, : shape[1]].tolist() == weight[1, :, 0, 0].tolist()
    assert np.array_equal(as_weight(matrix, shape), weight)


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (4, 3, 3, 3), (3, 5, 1, 1)])
def test_n_of_m_keeps_the_greatest_of_each_group(shape: tuple[int, ...]) -> None:
    scores = np.random.default_rng(0).random(shape)
    mask = keep_masks({"a": scores}, 0.5, Pattern(most=2, group=4), scope="network")["a"]
    kept, values = as_matrix(mask), as_matrix(scores)
    for row in range(len(kept)):
        for start in range(0, kept.shape[1], 4):
            group = values[row, start : start + 4]
            expected = group >= np.sort(group)[-2:].min()
            assert kept[row, start : start + 4].tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [(8, 16), (6, 10), (6, 4, 3, 3)])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_blocks_go_whole(shape: tuple[int, ...], share: float) -> None:
    scores = {"a": np.random.default_rng(1).random(shape), "b": np.ones((4, 8)) * 2}
    masks = keep_masks(scores, share, Pattern(4, 8), scope="network")
    total = sum(mask.size for mask in masks.values())
    gone = total - sum(int(mask.sum()) for mask in masks.values())
    assert share * total <= gone < share * total + 32
    matrix = as_matrix(masks["a"])
    for row in range(0, matrix.shape[0], 4):
        for column in range(0, matrix.shape[1], 8):
            block = matrix[row : row + 4, column : column + 8]
            assert block.all() or not block.any()


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("", SINGLE), ("2:4", Pattern(most=2, group=4)), ("4x8", Pattern(4, 8))],
)
def test_patterns_by_text(text: str, pattern: Pattern) -> None:
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize("text", ["4:2", "0:4", "x", "0x8", "2:4:8", "-1x4"])
def test_bad_patterns(text: str) -> None:
    with pytest.raises(LiftFlowError, match="no such pattern"):
        PruneWeights(pattern=text)


def test_bad_share_of_guidance() -> None:
    with pytest.raises(LiftFlowError, match="guided is 1.5; give a share from 0 to 1"):
        PruneWeights(guided=1.5)


def test_reconstruction_is_the_least_squares_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against numpy's lstsq on the very rows each output sees, behind a layer that changed."""
    monkeypatch.setattr("passes._reconstruct._ROOM", 500)
    torch.manual_seed(0)
    layers = [("first", nn.Conv2d(2, 3, 3, padding=1)), ("relu", nn.ReLU())]
    chain = build_chain([*layers, ("conv", nn.Conv2d(3, 4, 3, padding=1, stride=2))])
    original = copy.deepcopy(chain)
    samples = torch.randn(40, 2, 9, 9)
    samples[:, 1] += 0.7 * samples[:, 0]  # correlated, so that weights can stand in for others
    masks = {"first": torch.rand(3, 2, 3, 3) < 0.6, "conv": torch.rand(4, 3, 3, 3) < 0.5}
    masks["conv"][0] = False  # all that is left of it is the bias
    masks["conv"][1] = True
    drawn = torch.Generator().manual_seed(0)
    reconstruct(chain, original, masks, samples, 10**6, drawn)
    with torch.no_grad():
        x = windows(original.relu(original.first(samples)))
        z = windows(chain.relu(chain.first(samples)))
    conv, before = layers_of(chain)["conv"], layers_of(original)["conv"]
    assert torch.equal(conv.weight != 0, masks["conv"])
    for out in range(4):
        w = np.append(before.weight[out].detach().numpy().ravel(), before.bias[out].item())
        kept = np.append(masks["conv"][out].numpy().ravel(), True)
        solution, *_ = np.linalg.lstsq(z[:, kept], x @ w, rcond=None)
        got = np.append(conv.weight[out].detach().numpy().ravel(), conv.bias[out].item())[kept]
        np.testing.assert_allclose(got, solution, atol=0.02)
        best = np.square(z[:, kept] @ solution - x @ w).mean()
        assert np.square(z[:, kept] @ got - x @ w).mean() <= 1.01 * best
        assert best < np.square(z[:, kept] @ w[kept] - x @ w).mean()


def test_guided_reconstruction_is_weighted_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against numpy's lstsq with rows weighted by counts, an output apart from the other."""
    torch.manual_seed(0)
    steps = [("first", nn.Conv2d(2, 3, 3, padding=1)), ("relu", nn.ReLU())]
    steps += [("conv", nn.Conv2d(3, 4, 3, padding=1, stride=2)), ("relu2", nn.ReLU())]
    chain = build_chain([*steps, ("flat", nn.Flatten()), ("last", nn.Linear(100, 3))])
    original = copy.deepcopy(chain)
    samples = torch.randn(70, 2, 9, 9)  # more than a batch of guides
    masks = {n: torch.rand(la.weight.shape) < 0.5 for n, la in layers_of(chain).items()}
    drawn = torch.Generator().manual_seed(0)
    guide = guides(original, samples, "predicted", 0.8, 10**6, drawn)
    reconstruct(chain, original, masks, samples, 10**6, drawn, guide)
    with torch.no_grad():
        x = windows(original.relu(original.first(samples)))
        z = windows(chain.relu(chain.first(samples)))
    conv, before = layers_of(chain)["conv"], layers_of(original)["conv"]
    assert torch.equal(conv.weight != 0, masks["conv"])
    for out in range(4):
        count = guide["conv"].counts[:, out].numpy()
        root = np.sqrt(count)
        w = np.append(before.weight[out].detach().numpy().ravel(), before.bias[out].item())
        kept = np.append(masks["conv"][out].numpy().ravel(), True)
        a, b = z[:, kept] * root[:, None], x @ w * root
        solution, *_ = np.linalg.lstsq(a, b, rcond=None)
        got = np.append(conv.weight[out].detach().numpy().ravel(), conv.bias[out].item())[kept]
        np.testing.assert_allclose(got, solution, atol=0.03)
        alike, *_ = np.linalg.lstsq(z[:, kept], x @ w, rcond=None)
        assert np.square(a @ got - b).mean() < np.square(a @ alike - b).mean()
    # Too much work: errors count alike.
    monkeypatch.setattr("passes._reconstruct.MOST_WORK", 0)
    whole, plain = copy.deepcopy(original), copy.deepcopy(original)
    reconstruct(whole, original, masks, samples, 10**6, drawn, guide)
    reconstruct(plain, original, masks, samples, 10**6, drawn)
    assert torch.equal(layers_of(whole)["conv"].weight, layers_of(plain)["conv"].weight)


def test_guides_count_squares_of_multipliers() -> None:
    torch.manual_seed(0)
    steps = [("conv", nn.Conv2d(2, 5, 3, padding=1)), ("relu", nn.ReLU()), ("flat", nn.Flatten())]
    chain = build_chain([*steps, ("last", nn.Linear(5 * 36, 3))])
    with torch.no_grad():
        chain.last.weight.view(3, 5, 36)[:, 0] = 0.0  # nothing depends on the first channel
    samples = torch.randn(70, 2, 6, 6)
    drawn = torch.Generator().manual_seed(0)
    found = guides(chain, samples, "all", 0.5, 7, drawn)
    assert [len(part) for part in found["conv"].positions] == [7, 7]
    assert [len(part) for part in found["last"].positions] == [1, 1]
    counts = found["conv"].counts
    assert counts.shape == (70 * 7, 5)
    assert torch.equal(counts[:, 0], torch.ones(70 * 7))
    torch.testing.assert_close(counts.mean(0), torch.ones(5))
    # A multiplier of the convolution is the slope of its ReLU times the next layer's weight.
    with torch.no_grad():
        here, there = chain.conv(samples), chain.conv(samples.roll(1, 0))
    slope = ((here.relu() - there.relu()) / (here - there)).flatten(2)
    weight = chain.last.weight.detach().view(3, 5, 36)
    squares = (slope[None] * weight[:, None]).square().sum(0)
    rows = torch.cat(
        [
            part[:, :, positions].permute(0, 2, 1).flatten(0, 1)
            for part, positions in zip(squares.split(64), found["conv"].positions, strict=True)
        ]
    )[:, 1:]
    assert rows.max() < MOST * rows.mean(0).min()
    torch.testing.assert_close(counts[:, 1:], 0.5 + 0.5 * rows / rows.mean(0), rtol=1e-3, atol=1e-4)
    # Every class counts the last layer's outputs for itself.
    torch.testing.assert_close(found["last"].counts, torch.ones(70, 3))


def windows(taken: torch.Tensor) -> np.ndarray:
    """(rows, 3 x 3 x 3 + 1) what single outputs of a 3 x 3 convolution of stride 2 see."""
    rows = torch.nn.functional.unfold(taken, 3, padding=1, stride=2).transpose(1, 2)
    return np.concatenate([rows.reshape(-1, 27).numpy(), np.ones((rows.numel() // 27, 1))], 1)


@pytest.mark.parametrize("rebuild", [False, True])
def test_pass_zeroes_and_records(tmp_path: Path, rebuild: bool) -> None:
    model, ctx = scored(tmp_path)
    got = PruneWeights(sparsity=0.5, rounds=2, reconstruct=rebuild, batch=16).run(model, ctx)
    assert got.sparsity >= 0.5
    assert set(got.masks) == {layer.name for layer in model.network.layers}
    kept = 0
    for name, layer in layers_of(got.module).items():
        assert not layer.weight.detach().numpy()[~got.masks[name]].any()
        kept += int(got.masks[name].sum())
    assert got.pruned is not None
    assert got.pruned.weights_after == kept == model.network.weights // 2
    assert got.pruned.macs_after == model.network.macs
    assert got.pruned.accuracy == got.accuracy
    assert got.relevance is not model.relevance
    assert torch.count_nonzero(layers_of(model.module)["fc1"].weight) == 48 * 16
    assert got.module(torch.zeros(1, *SHAPE)).isfinite().all()


@pytest.mark.parametrize("pattern", ["2:4", "4x8"])
@pytest.mark.parametrize("scope", ["network", "layer", "row"])
def test_pass_with_patterns(tmp_path: Path, pattern: str, scope: str) -> None:
    model, ctx = scored(tmp_path)
    got = PruneWeights(sparsity=0.5, rounds=2, pattern=pattern, scope=scope).run(model, ctx)
    assert 0.45 <= got.sparsity <= 0.75
    assert all(check.passed for check in ctx.checks)


def test_other_criteria_rank_by_their_own_score(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    prepared = model
    from compiler.stages import FloatModel

    again = FloatModel(
        "made", prepared.module, SHAPE, prepared.input, prepared.network, 1.0, prepared.norms
    )
    by_size = Attribute(criterion="l1").run(again, ctx)
    got = PruneWeights(sparsity=0.4, rounds=1, reconstruct=False).run(by_size, ctx)
    sizes = {}
    for name, layer in layers_of(model.module).items():
        scale = torch.ones(len(layer.weight))
        if name in model.norms:
            scale = torch.from_numpy(np.abs(model.norms[name].scale))
        shape = (-1, *[1] * (layer.weight.dim() - 1))
        sizes[name] = (layer.weight.detach().abs() / scale.reshape(shape)).numpy()
    gone = np.concatenate([sizes[name][~mask] for name, mask in got.masks.items()])
    left = np.concatenate([sizes[name][mask] for name, mask in got.masks.items()])
    assert gone.max() <= left.min() * (1 + 1e-6)


def test_zero_passes_through(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    assert PruneWeights().run(model, ctx) is model


def test_after_filters_the_report_goes_on(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    filtered = PruneFilters(macs=0.3, steps=1).run(model, ctx)
    got = PruneWeights(sparsity=0.25).run(filtered, ctx)
    assert got.pruned is not None
    assert got.pruned.macs_before == model.network.macs
    assert got.pruned.weights_before == model.network.weights
    assert got.pruned.weights_after <= 0.75 * filtered.network.weights
    with pytest.raises(LiftFlowError, match="prune filters before weights"):
        PruneFilters(macs=0.3).run(got, ctx)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0])
def test_bad_options(sparsity: float) -> None:
    with pytest.raises(LiftFlowError, match="prune-weights: sparsity is"):
        PruneWeights(sparsity=sparsity)
