"""share_weights: optimal clusters, zeros kept, and nothing else changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from quant_case import context
from quant_chain import chain

from compiler.stages import Codebook
from hw_targets.errors import LiftFlowError
from passes import _brevitas_exact as exact
from passes.share_weights import ShareWeights, importance, share


def test_off_passes_the_model_through(tmp_path: Path) -> None:
    found = chain("dense_on_images")
    assert ShareWeights().run(found.quantized, context(tmp_path, found.data)) is found.quantized


def test_every_layer_uses_only_its_entries(tmp_path: Path) -> None:
    found = chain("odd_eight_bits")
    shared = ShareWeights(values=5).run(found.quantized, context(tmp_path, found.data))
    for name, book in shared.codebooks.items():
        integers = exact.integer_weights(shared.module, name)
        assert len(book.values) <= 5
        assert list(book.values) == sorted(book.values)
        np.testing.assert_array_equal(book.values[book.indices], integers)
    before = exact.integer_weights(found.quantized.module, "second")
    assert len(np.unique(before)) > 5, "the model given must not be changed"


def test_masked_weights_stay_zero(tmp_path: Path) -> None:
    found = chain("odd_eight_bits")
    weight = exact.integer_weights(found.quantized.module, "second")
    mask = np.abs(weight) > 20
    model = replace(found.quantized, masks={"second": mask})
    shared = ShareWeights(values=4).run(model, context(tmp_path, found.data))
    after = exact.integer_weights(shared.module, "second")
    assert (after[~mask] == 0).all()
    assert after.any()


def test_the_partition_is_the_best_there_is() -> None:
    rng = np.random.default_rng(3)
    integers = rng.integers(-12, 13, 60)
    importance = rng.uniform(0.1, 1.0, 60)
    book = share(integers, importance, 3, np.ones(60, dtype=bool))

    def loss(values: np.ndarray) -> float:
        return float((importance * (integers - values) ** 2).sum())

    grid = np.unique(integers)
    best = np.inf
    for cuts in combinations(range(1, len(grid)), 2):
        groups = np.searchsorted(grid[list(cuts)], integers, side="right")
        means = [
            np.average(integers[groups == g], weights=importance[groups == g]) for g in range(3)
        ]
        best = min(best, loss(np.round(np.array(means))[groups]))
    assert loss(book.values[book.indices].astype(float)) == pytest.approx(best, rel=0.02)


def test_one_value_is_refused() -> None:
    with pytest.raises(LiftFlowError, match="shares nothing"):
        ShareWeights(values=1)


def test_relevance_of_another_shape_is_refused(tmp_path: Path) -> None:
    found = chain("one_layer")
    layers = dict(found.quantized.relevance.layers)
    layers["f1"] = replace(layers["f1"], weights=np.ones((2, 2), dtype=np.float32))
    model = replace(found.quantized, relevance=replace(found.quantized.relevance, layers=layers))
    with pytest.raises(LiftFlowError, match="f1: relevance has shape"):
        ShareWeights(values=2).run(model, context(tmp_path, found.data))


def test_codebook_sizes_are_chosen_like_bits(tmp_path: Path) -> None:
    found = chain("odd_eight_bits")
    ctx = context(tmp_path, found.data)
    shared = ShareWeights(values=16, mean_index_bits=2.5).run(found.quantized, ctx)
    books = shared.codebooks.values()
    spent = sum(book.index_bits * book.indices.size for book in books)
    assert spent <= 2.5 * sum(book.indices.size for book in books)
    assert any(check.claim == "mean index bits within the limit" for check in ctx.checks)
    # With room for it every layer gets all of its entries.
    most = ShareWeights(values=16, mean_index_bits=4.0).run(found.quantized, ctx)
    same = ShareWeights(values=16).run(found.quantized, ctx)
    for name, book in most.codebooks.items():
        np.testing.assert_array_equal(book.values, same.codebooks[name].values)


def test_errors_count_by_scale_and_relevance() -> None:
    relevance, step = np.array([4.0, 0.0]), np.array([0.5, 2.0])
    np.testing.assert_allclose(importance(relevance, step), [(0.5 * 4.0) ** 2, 0.0])


def test_stored_bits_count_indices_and_entries() -> None:
    book = Codebook(np.array([-3, 0, 5]), np.zeros((4, 6), dtype=np.int64))
    assert book.index_bits == 2
    assert book.stored_bits(4) == 24 * 2 + 3 * 4
    assert Codebook(np.array([7]), np.zeros(9, dtype=np.int64)).stored_bits(8) == 8


def test_no_index_is_refused() -> None:
    with pytest.raises(LiftFlowError, match="leaves no index"):
        ShareWeights(values=4, mean_index_bits=0.5)
