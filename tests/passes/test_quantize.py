"""quantize: widths, scales, biases clear of integers, and the exact integer view."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quant_case import DIGITS, context, digits_data, digits_shape, random_data, scored
from quant_chain import CASES, chain

from hw_targets.errors import LiftFlowError
from passes import _brevitas_exact as exact
from passes.quantize import Quantize


def test_digits_lose_little_at_eight_bits(tmp_path: Path) -> None:
    data = digits_data()
    model = scored(digits_shape(), data, 8, 8, epochs=6)
    found = Quantize().run(model, context(tmp_path, data))
    assert model.accuracy > 0.85
    assert found.accuracy > model.accuracy - 0.02


@pytest.mark.parametrize("name", ["odd", "odd_eight_bits", "dense_only"])
def test_weights_use_the_allocated_narrow_range(name: str) -> None:
    case, network = CASES[name], chain(name).quantized.module
    limit = 2 ** (case.weight_bits - 1) - 1
    for shape in case.network.layers:
        integers = exact.integer_weights(network, shape.name)
        assert np.abs(integers).max() == limit


def test_layers_keep_their_dotted_names() -> None:
    assert chain("odd").quantized.module.get_submodule("body.first").weight.shape == (13, 3, 3, 3)


def test_scales_are_one_a_channel_but_for_the_last_layer() -> None:
    network = chain("odd").quantized.module
    assert exact.weight_scale(network, "second").numel() == 37
    assert exact.weight_scale(network, "last").numel() == 1


@pytest.mark.parametrize("name", ["odd", "odd_eight_bits"])
def test_no_threshold_lies_near_an_integer(name: str) -> None:
    network = chain(name).quantized.module
    for shape in CASES[name].network.layers[:-1]:
        step = exact.input_scale(network, shape.name) * exact.weight_scale(
            network, shape.name
        ).detach().double().numpy().reshape(-1, 1)
        levels = np.arange(1, 2 ** CASES[name].act_bits) - 0.5
        scale = exact.activation_scale(network, shape.name).double().item()
        bias = network.get_submodule(shape.name).bias.detach().double().numpy()
        thresholds = (levels * scale - bias[:, None]) / step
        distance = np.abs(thresholds - np.round(thresholds)).min()
        # A clearance of 1/8 of the mean distance, less what a float32 bias rounds away.
        assert distance > 0.1 / (8 * len(levels))


def test_settling_again_changes_nothing() -> None:
    network = pickle.loads(pickle.dumps(chain("odd").quantized.module))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    exact.settle(network)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=1e-6, atol=1e-9)


def test_the_last_bias_is_a_whole_number_of_accumulator_steps() -> None:
    network = chain("odd").quantized.module
    counts = network.get_submodule("last").bias.detach().double() / exact.logit_step(network)
    assert float((counts - counts.round()).abs().max()) < 1e-3


def test_float32_and_exact_logits_agree() -> None:
    found = chain("odd")
    samples = exact.on_grid(found.data.test_x, found.quantized.input)
    with torch.no_grad():
        single = found.quantized.module(torch.from_numpy(samples)).numpy()
    counts = single / exact.logit_step(found.quantized.module)
    expected = exact.integer_logits(found.quantized.module, found.data.test_x)
    np.testing.assert_allclose(counts, expected, atol=0.05)


def test_the_input_scale_is_the_given_one() -> None:
    network = chain("strided").quantized.module
    samples = torch.linspace(0, 31, 32)[:, None, None, None].expand(32, 2, 12, 8) * DIGITS.scale
    with torch.no_grad():
        given = network.lf_quant["input"](samples)
    np.testing.assert_array_equal(given.numpy(), samples.numpy())


def test_pickled_networks_compute_the_same() -> None:
    found = chain("odd")
    again = pickle.loads(pickle.dumps(found.quantized)).module
    np.testing.assert_array_equal(
        exact.integer_logits(again, found.data.test_x),
        exact.integer_logits(found.quantized.module, found.data.test_x),
    )


def test_missing_allocation_and_foreign_widths_are_refused(tmp_path: Path) -> None:
    network = CASES["one_layer"].network
    data = random_data(network)
    model = scored(network, data)
    with pytest.raises(LiftFlowError, match="no bits are allocated"):
        Quantize().run(replace(model, allocation=None), context(tmp_path, data))
    with pytest.raises(LiftFlowError, match="f1: 9 bit weights"):
        Quantize().run(scored(network, data, 9), context(tmp_path, data))


def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    data = digits_data()
    model = scored(digits_shape(), data, 4, 4, epochs=0)
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.module.get_submodule("conv2").bias[3] = torch.inf  # type: ignore[operator,index]
    with pytest.raises(LiftFlowError, match="conv2: its bias has values that are no finite"):
        Quantize().run(broken, context(tmp_path, data))
