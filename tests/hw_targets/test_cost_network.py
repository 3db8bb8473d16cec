"""A network's cost: its layers and the shell add up to what `estimate_design` says of the whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compiler.stages import LayerChoice
from hw_targets.boards import load_board
from hw_targets.cost import estimate_design, network_kernels
from hw_targets.cost.layer import pad_kernel, window_kernel
from hw_targets.cost.model import Estimate, as_row
from hw_targets.cost.network import layer_query, network_cost, require_division
from hw_targets.cost.planned import layered_kernels
from hw_targets.cost.query import layer_cost
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import LiftFlowError
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.width_converter import WidthConverter

NETWORK = NetworkShape(
    "net",
    (
        LayerShape("conv", "conv", 4, 8, (8, 8), (3, 3), padding=(1, 1, 1, 1), pool=2),
        LayerShape("fc1", "dense", 128, 24),
        LayerShape("fc2", "dense", 24, 10, activation=False),
    ),
    (4, 8, 8),
    5,
    True,
    10,
)
CHOICES = (
    LayerChoice(4, 3, 4, 2, "lut", "distributed", 0),
    LayerChoice(3, 4, 2, 8, "lut", "block", 0),
    LayerChoice(5, 0, 1, 4, "dsp", "distributed", 0),
)
BOARDS = ("ulx3s-85f", "pynq-z2")


@pytest.mark.parametrize("board", BOARDS)
def test_layers_and_shell_add_up_to_the_whole_design(board: str) -> None:
    place = load_board(board)
    found = network_cost(NETWORK, CHOICES, place.family, place)
    whole = estimate_design(network_kernels(NETWORK, CHOICES), place, NETWORK)
    assert found.total == whole
    assert found.shell is not None
    parts = [as_row(part.estimate) for part in found.layers] + [as_row(found.shell)]
    np.testing.assert_allclose(sum(parts), as_row(whole), rtol=1e-12)


@pytest.mark.parametrize("board", BOARDS)
def test_units_fifos_and_converters_add_up_too(board: str) -> None:
    place = load_board(board)
    found = network_cost(NETWORK, CHOICES, place.family)
    assert found.shell is None
    kernels = network_kernels(NETWORK, CHOICES)
    assert any(isinstance(kernel, WidthConverter) for kernel in kernels)
    bare = [k for k in kernels if not isinstance(k, Fifo | WidthConverter)]
    # On a board of the vendor's flow no shell is counted.
    without = estimate_design(bare, place.model_copy(update={"flow": "vivado"}))
    parts = as_row(without) + as_row(found.fifos) + as_row(found.converters)
    np.testing.assert_allclose(parts, as_row(found.total), rtol=1e-12)


def test_units_are_those_of_the_whole_network_in_order() -> None:
    by_layer = layered_kernels(NETWORK, CHOICES)
    assert len(by_layer) == len(NETWORK.layers)
    assert tuple(k for units in by_layer for k in units) == network_kernels(NETWORK, CHOICES)


def test_an_interval_of_the_whole_holds_its_value() -> None:
    total = network_cost(NETWORK, CHOICES, "ecp5", load_board("ulx3s-85f")).total
    for name, value in total.as_dict().items():
        span = total.intervals()[name]
        assert value is not None
        assert span is not None
        assert span[0] <= value <= span[1]


def test_the_slowest_layer_sets_the_interval() -> None:
    found = network_cost(NETWORK, CHOICES, "ecp5")
    assert found.interval == max(part.cycles for part in found.layers)
    assert found.layers[0].cycles >= 64 * (36 // 2) * (8 // 4)
    assert found.latency > found.interval / 2


def test_what_is_not_calibrated_is_not_zero() -> None:
    found = network_cost(NETWORK, CHOICES, "versal")
    unknown: list[Estimate] = [found.total, *(part.estimate for part in found.layers)]
    assert all(each.lut is None and each.ff is None and each.why for each in unknown)


def test_a_layer_alone_is_what_a_query_says() -> None:
    layer = NETWORK.layers[0]
    one = NetworkShape("one", (layer,), (4, 8, 8), 5, True, 8)
    choice = LayerChoice(4, 3, 1, 1, "lut", "distributed", 0)
    found = network_cost(one, (choice,), "ecp5").total
    asked = layer_cost(layer_query(layer, 4, 3, 5, True), "ecp5")
    assert found.lut == pytest.approx(asked.lut)
    assert found.intervals()["lut"] == pytest.approx((asked.lut_low, asked.lut_high))


@pytest.mark.parametrize(("pe", "simd"), [(3, 2), (4, 5), (0, 1), (1, -1)])
def test_a_folding_that_does_not_divide_is_refused_by_layer(pe: int, simd: int) -> None:
    with pytest.raises(LiftFlowError, match=r"layer conv: .* does not divide .* use one of 1, 2"):
        require_division(NETWORK.layers[0], pe, simd)
    wrong = dataclasses.replace(CHOICES[0], pe=pe, simd=simd)
    with pytest.raises(LiftFlowError, match="layer conv"):
        network_cost(NETWORK, (wrong, *CHOICES[1:]), "ecp5")


def test_what_the_models_have_no_form_for_is_said() -> None:
    uneven = LayerShape("odd", "conv", 4, 8, (8, 8), (2, 2), padding=(0, 0, 1, 1))
    assert uneven.out_size == (8, 8)
    assert pad_kernel(uneven, 1, 4, False).out_h == 9
    with pytest.raises(LiftFlowError, match="layer odd: its padding .* differs from side to side"):
        layer_query(uneven, 4, 3, 5, True)
    apart = LayerShape("apart", "conv", 4, 8, (8, 8), (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2))
    assert apart.out_size == (8, 8)
    assert layer_query(apart, 4, 3, 5, True).above == 4


@pytest.mark.parametrize("lanes", [1, 4, 36])
def test_a_dilated_window_gives_its_taps_alone(lanes: int) -> None:
    apart = LayerShape("apart", "conv", 4, 8, (8, 8), (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2))
    window = window_kernel(apart, lanes, 4, False)
    assert window.output.elements == 8 * 8 * 3 * 3 * 4
    assert apart.hardware_matrix == (36, 8)


def test_a_shell_holds_a_frame() -> None:
    board = load_board("ulx3s-85f")
    bare = shell_estimate(board)
    small = dataclasses.replace(NETWORK, input_shape=(1, 8, 8))
    assert shell_estimate(board, small) == bare, "64 elements of 5 bits lie in LUT RAM"
    large = dataclasses.replace(NETWORK, input_shape=(3, 96, 96), input_bits=8)
    held = shell_estimate(board, large)
    assert (held.lut, held.ff) == (bare.lut, bare.ff)
    # 27,648 bytes in blocks of 2,048 x 9.
    assert held.bram == bare.bram + 14
    answer = dataclasses.replace(NETWORK.layers[-1], out_channels=640, answers=True)
    outputs = dataclasses.replace(small, layers=(*NETWORK.layers[:-1], answer))
    assert shell_estimate(board, outputs).bram == bare.bram + 2
    assert shell_estimate(load_board("pynq-z2"), large).bram == 0
