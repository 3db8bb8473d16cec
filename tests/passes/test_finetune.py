"""finetune: norms come and go without a trace, masks hold, training helps."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import SHAPE, scored

from hw_targets.errors import LiftFlowError
from passes._graph import layers_of
from passes._norms import fold_norms, insert_norms
from passes._statistics import output_statistics
from passes._training import Schedule, fit
from passes.finetune import Finetune
from passes.prune_filters import PruneFilters
from passes.prune_weights import PruneWeights


def test_norms_put_back_change_nothing_and_fold_away(tmp_path: Path) -> None:
    model, _ = scored(tmp_path)
    module = copy.deepcopy(model.module)
    samples = torch.randn(64, *SHAPE)
    before = module(samples)
    names = ["conv1", "fc1"]
    insert_norms(module, names, output_statistics(module, samples))
    torch.testing.assert_close(module.eval()(samples), before, rtol=1e-4, atol=1e-4)
    norms = fold_norms(module, names, model.norms)
    torch.testing.assert_close(module(samples), before, rtol=1e-4, atol=1e-4)
    assert list(layers_of(module)) == list(layers_of(model.module))
    # What the weights were multiplied with is still known: 1, as nothing was trained.
    np.testing.assert_allclose(norms["conv1"].scale, model.norms["conv1"].scale, rtol=1e-4)
    assert list(norms) == ["conv1"]


def test_folding_after_training_keeps_the_outputs(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    module = copy.deepcopy(model.module)
    samples = torch.from_numpy(ctx.data.train_x)
    insert_norms(module, ["conv1"], output_statistics(module, samples))
    fit(module, ctx.data, Schedule(160, 0.05, batch=16), seed=0)
    expected = module(samples)
    fold_norms(module, ["conv1"], model.norms)
    torch.testing.assert_close(module(samples), expected, rtol=1e-4, atol=1e-4)


def test_training_wins_back_what_pruning_lost(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    pruned = PruneFilters(macs=0.6, steps=1, divisor=1).run(model, ctx)

    def loss(module: torch.nn.Module) -> float:
        labels = torch.from_numpy(ctx.data.train_y)
        with torch.no_grad():
            logits = module(torch.from_numpy(ctx.data.train_x))
        return float(torch.nn.functional.cross_entropy(logits, labels))

    got = Finetune(epochs=20, batch=16, lr=0.05).run(pruned, ctx)
    assert loss(got.module) < 0.8 * loss(pruned.module)
    assert got.reference is model.module
    assert got.network == pruned.network
    assert got.relevance is not pruned.relevance


def test_masked_weights_stay_zero_and_runs_repeat(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    masked = PruneWeights(sparsity=0.5, rounds=1).run(model, ctx)
    first = Finetune(epochs=2, batch=16).run(masked, ctx)
    second = Finetune(epochs=2, batch=16).run(masked, ctx)
    for name, layer in layers_of(first.module).items():
        assert not layer.weight.detach().numpy()[~masked.masks[name]].any()
        assert torch.equal(layer.weight, layers_of(second.module)[name].weight)


def test_nothing_asked_for(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    assert Finetune().run(model, ctx) is model


@pytest.mark.parametrize(
    "options", [{"epochs": -1}, {"lr": 0.0}, {"distill": 1.5}, {"precision": "half"}]
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(LiftFlowError, match=f"finetune: {next(iter(options))} = .* out of range"):
        Finetune(**options)  # type: ignore[arg-type]


def test_a_last_batch_of_one_is_left_out(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    module = copy.deepcopy(model.module)
    names = ["conv1", "fc1"]
    insert_norms(module, names, output_statistics(module, torch.from_numpy(ctx.data.train_x)))
    assert len(ctx.data.train_x) % 79 == 1
    fit(module, ctx.data, Schedule(200, 0.01, batch=79), seed=0)
    with pytest.raises(LiftFlowError, match="batch = 1 is out of range"):
        Finetune(epochs=1, batch=1)


def test_a_last_step_to_no_number_is_told(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    module = copy.deepcopy(model.module)
    with pytest.raises(LiftFlowError, match=r"\.weight is no finite number .*; lower finetune\.lr"):
        fit(module, ctx.data, Schedule(16, 1e38, batch=16, decay=1e5, warm_up=0.0), seed=0)


def test_a_loss_that_is_no_number_ends_the_training_with_the_mend(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    with pytest.raises(LiftFlowError, match=r"finetune: the loss is .*; lower finetune\.lr"):
        Finetune(epochs=3, batch=16, lr=1e30, clip=0.0).run(model, ctx)
