"""prune-weights: score, masks and the pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import scored

from compiler.stages import LayerRelevance
from hw_targets.errors import LiftFlowError
from passes._graph import layers_of
from passes.prune_filters import PruneFilters
from passes.prune_weights import PruneWeights, keep_masks, weight_score


def test_score_is_the_geometric_mean() -> None:
    weight = np.array([[1.0, -2.0], [3.0, 0.0]], np.float32)
    relevance = LayerRelevance(
        np.zeros(2, np.float32), np.array([[4.0, 1.0], [0.0, 9.0]], np.float32)
    )
    contribution = np.abs(weight) * relevance.weights
    normalised = np.abs(weight) / 1.5
    np.testing.assert_allclose(weight_score(weight, relevance), np.sqrt(contribution * normalised))


def test_masks_take_the_least_of_all_layers() -> None:
    scores = {"a": np.array([[5.0, 1.0], [2.0, 9.0]]), "b": np.array([3.0, 0.0, 7.0])}
    masks = keep_masks(scores, 0.4)  # ceil(2.8) = 3 of 7
    assert masks["a"].tolist() == [[True, False], [False, True]]
    assert masks["b"].tolist() == [True, False, True]
    assert all(mask.all() for mask in keep_masks(scores, 0.0).values())


def test_pass_zeroes_and_records(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    got = PruneWeights(sparsity=0.5, batch=16).run(model, ctx)
    assert got.sparsity >= 0.5
    assert set(got.masks) == {layer.name for layer in model.network.layers}
    kept = 0
    for name, layer in layers_of(got.module).items():
        before = layers_of(model.module)[name].weight.detach().numpy()
        np.testing.assert_array_equal(layer.weight.detach().numpy(), before * got.masks[name])
        kept += int(got.masks[name].sum())
    assert got.pruned is not None
    assert got.pruned.weights_after == kept == model.network.weights // 2
    assert got.pruned.macs_after == model.network.macs
    assert got.pruned.accuracy == got.accuracy
    assert got.relevance is not model.relevance
    assert torch.count_nonzero(layers_of(model.module)["fc1"].weight) == 48 * 16


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
