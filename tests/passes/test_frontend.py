"""Operations beyond plain chains, from prepare to QONNX: equal at every step of the way."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from frontend_nets import NETS, passed
from onnx.helper import get_attribute_value
from priced_case import prices
from qonnx.core.modelwrapper import ModelWrapper
from quant_case import context
from quant_graph import SHAPE, SIGNED, data_for, passed_on, random_network
from test_residual_quant import brevitas_integers
from torch import nn

from compiler.stages import FloatModel
from hw_targets.errors import LiftFlowError
from hw_targets.network import NetworkShape
from passes import _brevitas_exact as exact
from passes import _qonnx as qonnx
from passes._allocation_error import activation_errors
from passes._allocation_model import layer_errors
from passes._brevitas_structure import deciders
from passes._coupling import coupled_groups, remove_units, rows_of
from passes._graph import layers_of, output_shapes
from passes._twin import deviation, float_twin
from passes.allocate import Allocate
from passes.attribute import Attribute
from passes.explain import Explain
from passes.export_qonnx import ExportQonnx
from passes.prepare import Prepare, support
from passes.prune_filters import PruneFilters
from passes.prune_weights import PruneWeights
from passes.quantize import Quantize


@pytest.mark.parametrize("name", NETS)
def test_every_proof_holds_up_to_the_file(name: str) -> None:
    found = passed(name)
    checks = [check for each in found.checks.values() for check in each]
    assert {"QONNX's classes equal Brevitas's"} <= {check.claim for check in checks}
    assert all(check.passed for check in checks)


@pytest.mark.parametrize("name", NETS)
def test_every_integer_in_the_file_is_brevitas_s(name: str) -> None:
    found = passed(name)
    network = found.trained.module
    samples = exact.on_grid(found.data.test_x[:8], found.trained.input).astype(np.float64)
    ours = brevitas_integers(network, samples)
    theirs = qonnx.activations(found.exported.path, samples)
    assert len(ours) == len(theirs) == sum(bool(u.quantizer) for u in network.structure)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
        assert len(np.unique(mine)) > 1


@pytest.mark.parametrize("name", NETS)
def test_units_tell_the_shapes_that_the_network_has(name: str) -> None:
    found = passed(name)
    network = found.trained.module
    shapes: dict[str, tuple[int, ...]] = {}
    whole = network.compute

    def compute(unit: object, inputs: list[torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = whole(unit, inputs)
        shapes[unit.name] = tuple(result.shape[1:])  # type: ignore[attr-defined]
        return result

    network.compute = compute
    try:
        network(torch.from_numpy(found.data.test_x[:2]))
    finally:
        del network.compute
    for unit in network.network.units:
        assert unit.shape == shapes[unit.name]
    for layer in network.network.layers:
        spread = shapes[layer.name][1:] if layer.kind == "conv" else (1, 1)
        assert layer.out_size == spread


@pytest.mark.parametrize("name", NETS)
def test_deeplift_is_complete(name: str, tmp_path: Path) -> None:
    made, shape = NETS[name]
    ctx = context(tmp_path, data_for(shape=shape))
    prepared = Prepare().run(FloatModel(name, random_network(made), shape, SIGNED), ctx)
    Attribute(samples=32, batch=8).run(prepared, ctx)
    checks = [check for check in ctx.checks if "DeepLIFT" in check.claim]
    assert checks
    assert all(check.passed for check in checks)


@pytest.mark.parametrize("name", NETS)
def test_the_float_twin_computes_what_the_units_do(name: str) -> None:
    found = passed(name)
    twin = float_twin(found.trained.module)
    assert deviation(found.trained.module, twin, found.data.test_x[:8]) < 1e-6


@pytest.mark.parametrize("name", NETS)
def test_channels_that_give_nothing_can_go(name: str) -> None:
    torch.manual_seed(3)
    found = passed(name)
    module, shape = found.scored.module, NETS[name][1]
    groups = coupled_groups(module, shape)
    gone = [unit for group in groups for unit in group.units[1:] if torch.rand(1) < 0.5]
    assert gone
    silent = copy.deepcopy(module)
    layers = layers_of(silent)
    with torch.no_grad():
        for layer, rows in rows_of(gone).items():
            layers[layer].weight[sorted(rows)] = 0
            layers[layer].bias[sorted(rows)] = 0  # type: ignore[index]
    smaller = copy.deepcopy(silent)
    remove_units(smaller, gone)
    x = torch.randn(3, *shape)
    torch.testing.assert_close(smaller(x), silent(x), rtol=1e-5, atol=1e-5)
    assert output_shapes(smaller, shape)


@pytest.mark.parametrize("name", NETS)
def test_no_decision_lies_near_an_integer(name: str) -> None:
    network = passed(name).trained.module
    for shape in network.network.layers[:-1]:
        units = deciders(network.structure, shape.name)
        edges = np.concatenate([exact._edges(network, unit) for unit in units])
        scale = exact.weight_scale(network, shape.name).detach().double().numpy().reshape(-1, 1)
        step = exact.input_scale(network, shape.name) * scale
        bias = network.layer(shape.name).bias.detach().double().numpy()
        thresholds = (edges - bias[:, None]) / step
        assert np.abs(thresholds - np.round(thresholds)).min() > 0.1 / (8 * len(edges))


def network_of(name: str) -> NetworkShape:
    return passed(name).trained.network


def test_only_uneven_padding_is_a_unit_of_its_own() -> None:
    network = network_of("padded")
    pads = {unit.name: unit.numbers for unit in network.units if unit.kind == "pad"}
    assert pads == {"pad": (2, 1, 1, 0), "b_pad": (0, 1, 1, 2), "pad_1": (0, 1, 0, 0)}
    layers = {layer.name: layer for layer in network.layers}
    assert [layers[name].padding for name in "abcd"] == [
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (2, 2, 2, 2),
        (2, 2, 2, 2),
    ]
    assert layers["c"].dilation == (2, 2)
    assert layers["d"].dilation == (2, 1)


def test_max_units_tell_their_whole_window() -> None:
    units = network_of("pooled").units
    assert {unit.name: unit.numbers for unit in units if unit.kind == "max"} == {
        "stem": (3, 3, 2, 2, 1, 1, 1, 2),
        "flat": (1, 2, 1, 1, 0, 0, 0, 0),
        "edge": (3, 3, 2, 2, 0, 0, 1, 0),
        "maxpool_1": (1, 2, 2, 2, 0, 0, 0, 0),
    }


LIMITS = {"act": 6.0, "signed": 1.5, "clamp_1": 1.25, "hardtanh_1": 1.0, "clamp_2": 0.0}


def test_clipped_activations_keep_to_their_limits() -> None:
    found = passed("clipped")
    network = found.trained.module
    units = {unit.name: unit for unit in network.structure}
    assert {name: units[name].limit for name in LIMITS} == LIMITS
    assert [units[name].kind for name in LIMITS] == ["relu", "quant", "relu", "quant", "relu"]
    assert [units[name].signed for name in LIMITS] == [False, True, False, True, False]
    for model in (found.quantized.module, network):
        at_limit = 0
        for name in LIMITS:
            scale = exact.quantizer_scale(model, units[name].quantizer).item()
            most = units[name].most_scale(model.widths)
            greatest = max(map(abs, units[name].limits(model.widths)))
            assert scale <= most
            assert not LIMITS[name] or most * greatest <= LIMITS[name]
            at_limit += scale > 0.9 * most
        assert at_limit
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for name in LIMITS:
            exact.quantizer_scale(moved, units[name].quantizer).fill_(1.0)
    exact.settle(moved)
    for name in LIMITS:
        scale = exact.quantizer_scale(moved, units[name].quantizer).item()
        assert scale <= units[name].most_scale(network.widths)


def test_a_chain_with_relu6_stays_one(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU6(), nn.MaxPool2d(2), nn.Hardtanh(0, 2),
        nn.Flatten(), nn.Linear(45, 7), nn.ReLU(), nn.Linear(7, 4),
    ).eval()  # fmt: skip
    assert support(net, SHAPE) == []
    found = passed_on("capped", lambda: net)
    network = found.trained.network
    assert network.chain
    assert [layer.limit for layer in network.layers] == [2.0, 0.0, 0.0]
    first = found.trained.module.structure[1]
    scale = exact.quantizer_scale(found.trained.module, first.quantizer).item()
    assert 0 < scale * first.limits(found.trained.module.widths)[1] <= 2.0


def test_signals_are_images_of_one_row() -> None:
    network = network_of("signal")
    assert network.input_shape == (2, 24)
    assert network.units[0].kind == "unsqueeze"
    assert network.units[0].shape == (2, 1, 24)
    kernels = [(layer.in_size, layer.kernel, layer.dilation) for layer in network.layers[:3]]
    assert kernels == [
        ((1, 24), (1, 5), (1, 1)),
        ((1, 15), (1, 4), (1, 1)),
        ((1, 12), (1, 3), (1, 2)),
    ]
    found = passed("signal")
    streamed = found.trained.input.stream(found.data.test_x[:3])
    taken = np.moveaxis(found.trained.input.encode(found.data.test_x[:3])[:, :, None], 1, -1)
    np.testing.assert_array_equal(streamed, taken.reshape(3, -1))


def test_upsampling_tells_its_factors() -> None:
    units = network_of("decoder").units
    ups = {unit.name: unit.numbers for unit in units if unit.kind == "upsample"}
    assert ups == {"up": (2, 2), "upsample_1": (2, 3)}


def test_layers_used_twice_have_scales_of_their_own() -> None:
    found = passed("twice")
    network = found.trained.module
    names = [layer.name for layer in network.network.layers]
    assert names == ["stem", "shared", "shared_1", "inner_0_0", "again", "again_1", "head"]
    for one, other in (("shared", "shared_1"), ("again", "again_1")):
        float_one, float_other = (found.scored.module.get_submodule(n) for n in (one, other))
        torch.testing.assert_close(float_one.weight, float_other.weight, rtol=0, atol=0)
        assert float_one.weight is not float_other.weight
        pair = [exact.activation_scale(network, name).item() for name in (one, other)]
        assert pair[0] != pair[1]
        assert network.layer(one) is not network.layer(other)


def test_inner_channels_of_depthwise_blocks_go_with_their_filters() -> None:
    found = passed("mobile")
    module = found.scored.module
    groups = coupled_groups(module, (3, 12, 12))
    assert [(group.name, len(group.units)) for group in groups] == [
        ("stem_0", 7),
        ("blocks_0_layers_0", 13),
        ("blocks_1_layers_0", 13),
        ("blocks_1_layers_6", 9),
        ("last", 11),
    ]
    unit = groups[1].units[4]
    assert unit.outputs == {"blocks_0_layers_0": [4]}
    assert unit.depthwise == {"blocks_0_layers_3": [4]}
    assert unit.inputs == {"blocks_0_layers_6": [4]}


@pytest.mark.parametrize("name", ["padded", "mobile", "signal", "decoder"])
def test_filters_and_weights_are_pruned(name: str, tmp_path: Path) -> None:
    made, shape = NETS[name]
    data = data_for(shape=shape)
    ctx = context(tmp_path, data)
    prepared = Prepare().run(FloatModel(name, random_network(made), shape, SIGNED), ctx)
    model = Attribute(samples=32, batch=8).run(prepared, ctx)
    pruned = PruneFilters(macs=0.3, divisor=1, steps=2).run(model, ctx)
    assert pruned.network.macs <= 0.7 * model.network.macs
    assert pruned.pruned is not None
    sparse = PruneWeights(sparsity=0.5).run(pruned, ctx)
    assert set(sparse.masks) <= {layer.name for layer in pruned.network.layers}
    assert sparse.masks
    with pytest.MonkeyPatch.context() as patch, prices(patch):
        allocated = Allocate("ulx3s-85f", 50.0, time_limit_s=2.0).run(sparse, ctx)
    quantized = Quantize().run(allocated, ctx)
    ExportQonnx().run(quantized, ctx)
    assert all(check.passed for check in ctx.checks)


def test_layers_with_nothing_between_them_have_a_quantizer_there() -> None:
    units = {unit.name: unit for unit in network_of("mobile").units}
    between = units["last/in"]
    assert (between.kind, between.quantizer, between.governor) == ("quant", "in_last", "")
    assert between.signed
    assert units["last"].inputs == ("last/in",)
    assert between.inputs == ("blocks_1_layers_6",)


def test_norms_alone_are_layers_and_those_before_a_dense_layer_part_of_it() -> None:
    network = network_of("normed")
    assert [(layer.name, layer.groups) for layer in network.layers] == [
        ("first", 3), ("a", 1), ("norm", 6), ("b", 1),
        ("after", 6), ("c", 1), ("d", 1), ("head", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["signal", "clipped", "mobile"])
def test_quantized_networks_are_explained(name: str, tmp_path: Path) -> None:
    found = passed(name)
    ctx = context(tmp_path, found.data)
    insight = Explain().run(found.trained, ctx).insight
    assert insight is not None
    assert all(check.passed for check in ctx.checks)


def test_a_convolution_at_the_end_is_a_dense_layer(tmp_path: Path) -> None:
    assert [(layer.name, layer.kind) for layer in network_of("whole").layers] == [
        ("body_0", "conv"), ("body_2", "conv"), ("end_1", "dense"),
    ]  # fmt: skip
    window = nn.Sequential(
        nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 4, 3, bias=False), nn.Flatten()
    ).eval()
    assert support(window, SHAPE) == []
    data = data_for()
    model = Prepare().run(FloatModel("window", window, SHAPE, SIGNED), context(tmp_path, data))
    assert model.network is not None
    assert model.network.chain
    assert model.network.layers[-1].matrix == (45, 4)


def test_prepare_says_which_layers_it_copies(tmp_path: Path) -> None:
    made, shape = NETS["twice"]
    said: list[str] = []
    ctx = replace(context(tmp_path, data_for()), say=lambda text, _share: said.append(text))
    Prepare().run(FloatModel("twice", random_network(made), shape, SIGNED), ctx)
    assert "used more than once, weights copied: shared_1, again_1" in said


def test_windows_over_the_edge_are_padded_in_the_file() -> None:
    nodes = ModelWrapper(str(passed("pooled").exported.path)).graph.node
    pools = [node for node in nodes if node.op_type == "MaxPool"]
    stored = [{a.name: get_attribute_value(a) for a in node.attribute} for node in pools]
    assert [tuple(one["pads"]) for one in stored] == [
        (1, 1, 1, 2), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0),
    ]  # fmt: skip
    assert not any(one.get("ceil_mode") for one in stored)


def test_signed_activations_err_as_those_of_one_bit_less() -> None:
    model = passed("clipped").scored
    assert {unit.governor for unit in model.network.units if unit.signed} == {"", "b", "d"}
    errors = dict(zip("abcd", layer_errors(model, (4,), (3, 4)), strict=False))
    of_b = activation_errors(model.relevance.layers["b"], (2, 3, 4))
    ratio = errors["b"].activations[3] / errors["b"].activations[4]
    assert ratio == pytest.approx(of_b[2] / of_b[3])
    assert ratio > errors["a"].activations[3] / errors["a"].activations[4]


def test_criteria_without_a_rule_for_clipping_say_so(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU6(), nn.Linear(5, 4)).eval()
    ctx = context(tmp_path, data_for())
    prepared = Prepare().run(FloatModel("capped", net, SHAPE, SIGNED), ctx)
    with pytest.raises(LiftFlowError, match="no layer-wise relevance propagation rule for Clipped"):
        Attribute(criterion="lrp", samples=16, batch=8).run(prepared, ctx)
