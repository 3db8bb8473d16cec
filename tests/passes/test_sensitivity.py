"""Sensitivities to rounded weights, and what activations lose, against figures worked out apart."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_case import scored

from compiler.stages import LayerRelevance
from hw_targets.errors import LiftFlowError
from passes._allocation_error import activation_errors, quantized
from passes._graph import layers_of
from passes._relevance import choose
from passes._rounding_lift import output_shifts, signed_shifts
from passes._sensitivity import SENSITIVITIES, comparable
from passes.allocate import Allocate
from passes.attribute import Attribute
from passes.deeplift import target_coefficients

WIDTHS = (2, 4, 8)


@pytest.mark.parametrize("name", list(SENSITIVITIES))
def test_fewer_bits_hurt_more(tmp_path: Path, name: str) -> None:
    model, ctx = scored(tmp_path)
    errors = SENSITIVITIES[name](model, WIDTHS, ctx)
    assert list(errors) == list(layers_of(model.module))
    for table in errors.values():
        assert table[2] > table[4] > table[8] >= 0


def test_shifts_of_all_layers_sum_to_what_rounding_does_to_the_output(tmp_path: Path) -> None:
    """DeepLIFT's completeness, against the network really rounded: one sample, one target."""
    model, ctx = scored(tmp_path)
    layers = layers_of(model.module)
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    last = list(layers)[-1]
    rounded = {
        name: {
            width: torch.from_numpy(
                quantized(w.double().numpy(), width, per_channel=name != last)
            ).float()
            for width in (2, 3)
        }
        for name, w in before.items()
    }
    one = replace(model, relevance=replace(model.relevance, samples=1))
    picked, _ = choose(ctx.data, 1, ctx.rng("sensitivity"))
    x = torch.from_numpy(ctx.data.train_x[picked])
    y = torch.from_numpy(ctx.data.train_y[picked])
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        logits = module(x)
        coefficients = target_coefficients(model.relevance.target, logits, y, x)[0]
        for name, layer in layers_of(module).items():
            layer.weight.copy_(rounded[name][3])
        moved = float(((module(x) - logits) * coefficients).sum())
    shifts = signed_shifts(one, before, rounded, ctx)
    assert sum(float(table[3]) for table in shifts.values()) == pytest.approx(moved, rel=1e-4)
    found = output_shifts(one, before, rounded, ctx)
    for name, table in found.items():
        assert table[3] == pytest.approx(abs(float(shifts[name][3])), rel=1e-6)
    for name, layer in layers.items():
        assert torch.equal(layer.weight, before[name])


def test_rounding_that_does_nothing_shifts_nothing(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    layers = layers_of(model.module)
    with torch.no_grad():
        for layer in layers.values():
            layer.weight.copy_(layer.weight.sign())
    errors = SENSITIVITIES["deeplift"](model, (2, 8), ctx)
    assert all(error < 1e-4 for table in errors.values() for error in table.values())


def test_mse_is_the_squared_rounding_error(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    errors = SENSITIVITIES["mse"](model, WIDTHS, ctx)
    weight = layers_of(model.module)["conv2"].weight.detach().numpy().astype(np.float64)
    delta = weight - quantized(weight, 4, per_channel=True)
    assert errors["conv2"][4] == pytest.approx(float((delta**2).sum()))
    last = layers_of(model.module)["fc2"].weight.detach().numpy().astype(np.float64)
    delta = last - quantized(last, 4, per_channel=False)
    assert errors["fc2"][4] == pytest.approx(float((delta**2).sum()))


def test_measured_is_the_divergence_of_one_rounded_layer(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    before = {k: v.clone() for k, v in model.module.state_dict().items()}
    errors = SENSITIVITIES["measured"](model, (2,), ctx)
    assert all(torch.equal(before[k], v) for k, v in model.module.state_dict().items())
    picked = ctx.rng("sensitivity").permutation(len(ctx.data.train_x))[:256]
    x = torch.from_numpy(ctx.data.train_x[picked])
    module = copy.deepcopy(model.module)
    weight = layers_of(module)["fc1"].weight
    rounded = quantized(weight.detach().numpy().astype(np.float64), 2, per_channel=True)
    with torch.no_grad():
        p = model.module(x).softmax(1)
        weight.copy_(torch.from_numpy(rounded))
        q = module(x).softmax(1)
    expected = float((p * (p / q).log()).sum(1).mean())
    assert errors["fc1"][2] == pytest.approx(expected, rel=1e-3)


def test_hessian_uses_the_mean_diagonal_of_the_layer(tmp_path: Path) -> None:
    """The same whether the model was scored by the criterion already or is measured for it."""
    model, ctx = scored(tmp_path)
    errors = SENSITIVITIES["hessian"](model, (4,), ctx)
    layer = layers_of(model.module)["fc1"]
    weight = layer.weight.detach().numpy().astype(np.float64)
    ones = {name: LayerRelevance(r.channels, np.abs(layers_of(model.module)[name].weight.detach()
            .numpy()) / 2) for name, r in model.relevance.layers.items()}  # fmt: skip
    known = replace(model, relevance=replace(model.relevance, layers=ones, criterion="hessian"))
    got = SENSITIVITIES["hessian"](known, (4,), ctx)["fc1"][4]
    delta = weight - quantized(weight, 4, per_channel=True)
    assert got == pytest.approx(0.5 * float((delta**2).sum()), rel=1e-5)  # a diagonal of ones
    assert errors["fc1"][4] != pytest.approx(got)


def test_other_units_are_brought_to_deeplifts(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    ours = SENSITIVITIES["deeplift-relevance"](model, WIDTHS, ctx)
    theirs = SENSITIVITIES["mse"](model, WIDTHS, ctx)
    scaled = comparable(theirs, model)
    total = sum(table[4] for table in ours.values())
    assert sum(table[4] for table in scaled.values()) == pytest.approx(total)
    ratios = {scaled[name][w] / theirs[name][w] for name in theirs for w in WIDTHS}
    assert max(ratios) == pytest.approx(min(ratios))


def test_unknown_sensitivity(tmp_path: Path) -> None:
    _, ctx = scored(tmp_path)
    with pytest.raises(
        LiftFlowError, match="no such sensitivity: 'guess'; use deeplift, deeplift-relevance, mse"
    ):
        Allocate(board="ulx3s-85f", clock_mhz=50, sensitivity="guess").refuse(ctx)


def test_activation_error_is_what_rounding_does_to_the_output(tmp_path: Path) -> None:
    """Against the network with one layer's activations rounded, within a small factor."""
    model, ctx = scored(tmp_path, samples=64)
    exact = Attribute(samples=64, batch=16, target="true")
    from compiler.stages import FloatModel

    start = FloatModel("made", model.module, model.input_shape, model.input, model.network, 1.0)
    relevance = exact.run(start, ctx).relevance.layers["conv1"]
    errors = activation_errors(relevance, (3, 4, 5, 8))
    assert errors[3] > 1.5 * errors[4] > 2.2 * errors[5]
    x = torch.from_numpy(ctx.data.train_x)
    labels = torch.from_numpy(ctx.data.train_y)
    step = relevance.peak / 255

    def rounded(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        return (output / step).round() * step

    with torch.no_grad():
        before = model.module(x).gather(1, labels[:, None])
        handle = model.module.get_submodule("relu_1").register_forward_hook(rounded)
        after = model.module(x).gather(1, labels[:, None])
        handle.remove()
    moved = float((after - before).square().mean().sqrt())
    # The model adds channels as if their errors had one sign, hence the upper bound.
    assert 0.5 * moved < errors[8] < 6 * moved


def test_activations_without_multipliers_fall_back(tmp_path: Path) -> None:
    relevance = LayerRelevance(np.ones(3, np.float32), np.ones((3, 2), np.float32))
    errors = activation_errors(relevance, (2, 3))
    assert errors[2] / errors[3] == pytest.approx(7 / 3)
