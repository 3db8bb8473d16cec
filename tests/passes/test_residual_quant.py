"""Networks that branch, from allocation to QONNX: exact in every integer, like chains."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quant_case import context
from quant_graph import NETWORKS, SHAPE, graph

from hw_targets.errors import VerificationError
from hw_targets.network import JOIN_BITS
from passes import _brevitas_exact as exact
from passes import _qonnx as qonnx
from passes._brevitas_fused import quantized
from passes._brevitas_structure import deciders
from passes.export_qonnx import ExportQonnx
from passes.fold import Fold
from passes.lower_finn import LowerFinn
from passes.quantize import Quantize
from passes.retrain import Retrain
from passes.share_weights import ShareWeights


def brevitas_integers(network: Any, samples: np.ndarray) -> list[np.ndarray]:
    """Integers that every quantizer gives in float64, in order, channels innermost."""
    found = []
    doubled = copy.deepcopy(network).double().eval()
    whole = doubled.compute

    def compute(unit: Any, inputs: list[torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = whole(unit, inputs)
        if unit.quantizer:
            steps = result.numpy() / exact.quantizer_scale(network, unit.quantizer).item()
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
            last = np.moveaxis(steps, 1, -1) if steps.ndim == 4 else steps
            found.append(np.rint(last).astype(np.int64).reshape(len(samples), -1))
        return result

    doubled.compute = compute
    with torch.no_grad():
        doubled(torch.from_numpy(samples))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_every_claim_holds(name: str) -> None:
    found = graph(name)
    assert [check.passed for check in found.checks["export"]] == [True, True]
    assert all(check.passed for check in found.checks["allocate"])
    *budgets, bits = [check.claim for check in found.checks["allocate"]]
    assert bits == "mean weight bits within the limit"
    # Of "mixed" hardware has no average over the pixels that are there.
    assert len(budgets) == (0 if name == "mixed" else 4)
    np.testing.assert_array_equal(
        found.exported.predictions, exact.classes(found.trained.module, found.data.test_x)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_activation_integer_of_the_file_is_brevitas_s(name: str) -> None:
    found = graph(name)
    encoded = found.trained.input.encode(found.data.test_x[:6]).astype(np.float64)
    samples = encoded * float(np.float32(found.trained.input.scale))
    ours = brevitas_integers(found.trained.module, samples)
    theirs = qonnx.activations(found.exported.path, samples)
    assert (
        len(ours) == len(theirs) == sum(bool(u.quantizer) for u in found.trained.module.structure)
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
        assert len(np.unique(mine)) > 1


@pytest.mark.parametrize("name", NETWORKS)
def test_both_executors_agree(name: str) -> None:
    found = graph(name)
    samples = exact.on_grid(found.data.test_x[:5], found.trained.input).astype(np.float64)
    own = qonnx.execute(found.exported.path, samples)
    theirs = qonnx.execute(found.exported.path, samples, own_convolutions=False)
    np.testing.assert_allclose(own, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_of_integers_and_fused_quantizers_give_brevitas_s_logits(name: str) -> None:
    found = graph(name)
    samples = found.data.test_x
    for model in (found.quantized, found.trained):
        expected = exact.logits(model.module, samples)
        assert np.abs(expected - exact.integer_logits(model.module, samples)).max() < 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_no_decision_lies_near_an_integer(name: str) -> None:
    network = graph(name).trained.module
    decided = 0
    for shape in network.network.layers[:-1]:
        units = deciders(network.structure, shape.name)
        edges = np.concatenate([exact._edges(network, unit) for unit in units])
        scale = exact.weight_scale(network, shape.name).detach().double().numpy().reshape(-1, 1)
        step = exact.input_scale(network, shape.name) * scale
        bias = network.layer(shape.name).bias.detach().double().numpy()
        thresholds = (edges - bias[:, None]) / step
        assert np.abs(thresholds - np.round(thresholds)).min() > 0.1 / (8 * len(edges))
        decided += len(units)
    assert decided >= len(network.network.layers) - 1


@pytest.mark.parametrize("name", NETWORKS)
def test_no_integer_lies_on_an_edge(name: str) -> None:
    network = graph(name).trained.module
    moved = copy.deepcopy(network)
    with torch.no_grad():  # ratios of a half: every odd integer lies on an edge
        for at, quantizer in enumerate(moved.quantizers()):
            exact.quantizer_scale(moved, quantizer).fill_(2.0 ** (at % 3 - 4))
    exact.settle(moved)
    scales = [exact.quantizer_scale(moved, q).item() for q in moved.quantizers()]
    assert any(np.log2(scale) % 1 for scale in scales)
    before = {key: value.clone() for key, value in moved.state_dict().items()}
    exact.settle(moved)
    for key, value in moved.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=1e-6, atol=1e-9)


def test_joins_have_one_scale_and_all_layers_but_the_last_one_a_channel() -> None:
    network = graph("residual").trained.module
    arms = [unit for unit in network.structure if unit.quantizer.startswith("join_")]
    assert len(arms) == 4
    assert len({unit.quantizer for unit in arms}) == 2
    assert all(unit.signed and unit.bits(network.widths) == JOIN_BITS for unit in arms)
    for shape in network.network.layers:
        count = exact.weight_scale(network, shape.name).numel()
        assert count == (1 if shape.name == "head" else shape.out_channels)


@pytest.mark.parametrize("name", NETWORKS)
def test_pickled_networks_compute_the_same(name: str) -> None:
    found = graph(name)
    again = pickle.loads(pickle.dumps(found.trained)).module
    assert repr(again) == repr(found.trained.module)
    np.testing.assert_array_equal(
        exact.integer_logits(again, found.data.test_x),
        exact.integer_logits(found.trained.module, found.data.test_x),
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    precision: str, tmp_path: Path
) -> None:
    found = graph("residual")
    option = Retrain(epochs=2, batch=32, shift=1, mirror=True, samples=64, precision=precision)
    whole = option.run(found.quantized, context(tmp_path / "whole", found.data))

    def interrupt(text: str, share: float | None) -> None:
        if text.startswith("epoch 2/"):
            raise KeyboardInterrupt

    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        option.run(found.quantized, replace(context(folder, found.data), say=interrupt))
    resumed = option.run(found.quantized, context(folder, found.data))
    for key, value in whole.module.state_dict().items():
        torch.testing.assert_close(resumed.module.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_and_codebooks_hold_in_the_file(name: str, tmp_path: Path) -> None:
    found = graph(name)
    rng = np.random.default_rng(0)
    masks = {
        layer: rng.random(relevance.weights.shape) < 0.6
        for layer, relevance in found.scored.relevance.layers.items()
    }
    model = Quantize().run(replace(found.scored, masks=masks), context(tmp_path / "q", found.data))
    shared = ShareWeights(values=4).run(model, context(tmp_path / "s", found.data))
    trained = Retrain(epochs=1, batch=32).run(shared, context(tmp_path / "r", found.data))
    ctx = context(tmp_path / "e", found.data)
    ExportQonnx().run(trained, ctx)
    assert [check.claim for check in ctx.checks[2:]] == [
        "pruned weights are zero in QONNX",
        "shared weights have their codebook's values in QONNX",
    ]
    layer = next(iter(masks))
    wrong = replace(trained, masks={layer: np.zeros_like(masks[layer])})
    with pytest.raises(VerificationError, match="pruned weights are zero"):
        ExportQonnx().run(wrong, context(tmp_path / "wrong", found.data))
    book = replace(trained.codebooks[layer], values=trained.codebooks[layer].values + 100)
    wrong = replace(trained, codebooks={**trained.codebooks, layer: book})
    with pytest.raises(VerificationError, match="shared weights"):
        ExportQonnx().run(wrong, context(tmp_path / "book", found.data))


def test_the_file_s_weights_are_the_network_s() -> None:
    found = graph("mixed")
    for shape, weights in zip(
        found.trained.network.layers, qonnx.integer_weights(found.exported.path), strict=True
    ):
        expected = exact.integer_weights(found.trained.module, shape.name)
        np.testing.assert_array_equal(weights, expected)


def test_the_residual_network_lowers_and_folds_exactly(tmp_path: Path) -> None:
    """Its joins, its option-A shortcut and its global pooling are hardware."""
    found = graph("residual")
    room = context(tmp_path, found.data)
    lowered = LowerFinn(frames=4).run(found.exported, room)
    folded = Fold().run(lowered, room)
    assert all(check.passed for check in room.checks)
    kinds = {name.rpartition("_")[2] for name in folded.folding}
    assert {"add", "fork", "window", "mvu", "threshold", "sum", "label"} <= kinds


@pytest.mark.parametrize("quantizer", ["act_relu_1", "join_add_1"])
@pytest.mark.parametrize("shape", [(5, *SHAPE), (300, 3, 32, 32)])
def test_fused_quantization_is_brevitas_s(quantizer: str, shape: tuple[int, ...]) -> None:
    network = copy.deepcopy(graph("residual").trained.module).train()
    unit = network.quantizers()[quantizer]
    module = network.lf_quant[quantizer]
    scale = exact.quantizer_scale(network, quantizer)
    torch.manual_seed(0)
    x, grad = torch.randn(shape) * scale.item() * 100, torch.randn(shape)
    results = []
    for compute in (
        module,
        lambda x: quantized(module, x, unit.limits(network.widths), unit.kind == "relu"),
    ):
        leaf, scale.grad = x.clone().requires_grad_(), None
        y = compute(leaf)
        y.backward(grad)
        assert scale.grad is not None
        results.append((y.detach(), leaf.grad, scale.grad))
    (y, dx, ds), (fused_y, fused_dx, fused_ds) = results
    torch.testing.assert_close(fused_y, y, rtol=0, atol=0)
    torch.testing.assert_close(fused_dx, dx, rtol=0, atol=0)
    torch.testing.assert_close(fused_ds, ds, rtol=1e-4, atol=1e-2)
