"""Weights of -1 and 1, and of -1, 0 and 1, through all passes to the RTL."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from quant_case import context, conv, dense, random_data, scored
from quant_chain import chain

from hw_targets.errors import LiftFlowError
from hw_targets.flows.simulator import build
from hw_targets.network import NetworkShape
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.mvu import Mvu
from passes import _brevitas_exact as exact
from passes._allocation_error import quantized
from passes._brevitas_quantizers import SignSte
from passes.generate_rtl import GenerateRtl, design_of
from passes.quantize import Quantize


@pytest.mark.parametrize(("name", "values"), [("binary", {-1, 1}), ("dense_only", {-1, 0, 1})])
def test_the_rtl_computes_what_the_network_computes(
    name: str, values: set[int], tmp_path: Path
) -> None:
    found = chain(name)
    network = found.quantized.module
    for layer in found.quantized.network.layers:
        integers = exact.integer_weights(network, layer.name)
        assert set(np.unique(integers)) == values
        weight, scale = network.layer(layer.name).weight, exact.weight_scale(network, layer.name)
        np.testing.assert_array_equal(
            weight.detach().numpy(), (torch.from_numpy(integers) * scale).detach().numpy()
        )
    assert all(check.passed for checks in found.checks.values() for check in checks)

    ctx = context(tmp_path / "rtl", found.data)
    rtl = GenerateRtl().run(found.folded, ctx)
    assert all(check.passed for check in ctx.checks)
    design = design_of(name, rtl.finn, rtl.network, rtl.allocation)
    matrices = [unit.kernel for unit in design.units if isinstance(unit.kernel, Mvu | Depthwise)]
    bits = min(len(values) - 1, 2)
    assert {kernel.weight_bits for kernel in matrices} == {bits}
    manifest = design.write(tmp_path)
    simulator = build(tmp_path, manifest.top, manifest.sources, tmp_path / "obj", optimize="-O1")
    frames = rtl.input.stream(found.data.test_x)[:40]
    run = simulator.run(frames, design.input, design.output, in_valid=0.6, out_ready=0.6)
    np.testing.assert_array_equal(run.outputs[:, 0], rtl.predictions[:40])


def test_a_layer_that_needs_zeros_has_no_binary_weights(tmp_path: Path) -> None:
    layers = (
        dataclasses.replace(conv("grouped", 4, 8, (4, 4)), groups=2),
        dense("last", 128, 3, activation=False),
    )
    network = NetworkShape("zeros", layers, (4, 4, 4), 5, False, 3)
    data = random_data(network)
    model = scored(network, data, weight_bits=1)
    with pytest.raises(LiftFlowError, match="grouped, a matrix with zeros"):
        Quantize().run(model, context(tmp_path, data))


def test_signs_are_the_nearest_there_are_and_pass_gradients() -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(0.0, 1.0, (4, 3, 3))
    rounded = quantized(weight, 1, per_channel=True)
    scale = np.abs(rounded).reshape(4, -1)
    assert (np.ptp(scale, axis=1) < 1e-12).all()
    assert (np.sign(rounded) == np.sign(weight)).all()
    for factor in (0.98, 1.02):  # no other scale is nearer
        assert ((weight - rounded) ** 2).sum() < ((weight - factor * rounded) ** 2).sum()
    x = torch.tensor([-0.3, 0.0, 2.0], requires_grad=True)
    SignSte()(x).sum().backward()
    assert SignSte()(x).tolist() == [-1.0, 1.0, 1.0]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
