"""Layer queries: the same figures as the kernels that lowering builds, one layer or many."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_targets.cost import estimate, estimate_many
from hw_targets.cost.layer import kernels_of, simd_limit
from hw_targets.cost.query import LayerCost, LayerQuery, layer_cost
from hw_targets.lanes import window_lanes
from hw_targets.network import LayerShape
from hw_targets.quantizers import Quantizer


@dataclass(frozen=True)
class Choice:
    weight_bits: int
    act_bits: int
    pe: int
    simd: int
    arithmetic: Literal["lut", "dsp"]
    memory: Literal["auto", "block", "distributed"]
    quantizer: Quantizer


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


@st.composite
def layers(draw: st.DrawFn) -> tuple[LayerShape, Choice, int, bool]:
    """A layer, a choice that divides it, and the bits and sign of what arrives."""
    channels, out = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    activation = draw(st.booleans())
    if draw(st.booleans()):
        layer = LayerShape("dense", "dense", channels, out, activation=activation)
    else:
        kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        size = (draw(st.integers(4, 20)), draw(st.integers(4, 20)))
        stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
        pool = draw(st.sampled_from((1, 1, 2))) if activation else 1
        layer = LayerShape(
            "conv", "conv", channels, out, size, kernel, stride, padding * 2, pool, activation
        )
        apart = (draw(st.sampled_from((1, 1, 2))), draw(st.sampled_from((1, 1, 3))))
        dilated = dataclasses.replace(layer, dilation=apart)
        layer = dilated if min(dilated.out_size) > 0 else layer
        if min(layer.out_size) < pool or not activation:
            layer = dataclasses.replace(layer, pool=1)
    bits = st.integers(2, 8)
    choice = Choice(
        draw(bits),
        draw(st.integers(1, 8)) if activation else 0,
        draw(st.sampled_from(_divisors(out))),
        draw(
            st.sampled_from(
                [
                    *_divisors(simd_limit(layer)),
                    *(n for n in window_lanes(layer) if n > layer.in_channels),
                ]
            )
        ),
        draw(st.sampled_from(("lut", "dsp"))),
        draw(st.sampled_from(("block", "distributed"))),
        draw(st.sampled_from(("threshold", "multiplier"))),
    )
    return layer, choice, draw(st.integers(1, 8)), draw(st.booleans())


def query_of(layer: LayerShape, choice: Choice, in_bits: int, in_signed: bool) -> LayerQuery:
    return LayerQuery(
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        in_bits=in_bits,
        weight_bits=choice.weight_bits,
        act_bits=choice.act_bits,
        pe=choice.pe,
        simd=choice.simd,
        in_h=layer.in_size[0],
        in_w=layer.in_size[1],
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        stride_h=layer.stride[0],
        stride_w=layer.stride[1],
        pad_h=layer.padding[0],
        pad_w=layer.padding[1],
        dilation_h=layer.dilation[0],
        dilation_w=layer.dilation[1],
        pool=layer.pool,
        activation=int(layer.activation),
        in_signed=int(in_signed),
        dsp=int(choice.arithmetic == "dsp"),
        block=int(choice.memory == "block"),
        multiplier=int(choice.quantizer == "multiplier"),
    )


def as_row(cost: LayerCost) -> list[float]:
    return [float(getattr(cost, field.name)) for field in dataclasses.fields(LayerCost)]


@pytest.mark.parametrize("family", ["ecp5", "xc7"])
@given(drawn=layers())
@settings(max_examples=200, deadline=None)
def test_a_query_is_the_sum_of_the_units_that_lowering_builds(
    family: str, drawn: tuple[LayerShape, Choice, int, bool]
) -> None:
    layer, choice, in_bits, in_signed = drawn
    kernels = kernels_of(layer, choice, in_bits, in_signed)
    expected = [*estimate_many(kernels, family).sum(axis=0), max(k.cycles for k in kernels)]
    found = as_row(layer_cost(query_of(*drawn), family))[: len(expected)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@given(drawn=st.lists(layers(), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_a_batch_is_every_query_by_itself(
    drawn: list[tuple[LayerShape, Choice, int, bool]],
) -> None:
    queries = [query_of(*each) for each in drawn]
    names = [field.name for field in dataclasses.fields(LayerQuery)]
    batch = LayerQuery(
        **{name: np.array([float(getattr(q, name)) for q in queries]) for name in names}
    )
    found = layer_cost(batch, "ecp5")
    singles = np.array([as_row(layer_cost(query, "ecp5")) for query in queries])
    together = np.stack([getattr(found, f.name) for f in dataclasses.fields(LayerCost)], axis=1)
    np.testing.assert_allclose(together, singles, rtol=1e-9)


@given(
    drawn=layers(),
    columns=st.sets(st.sampled_from([f.name for f in dataclasses.fields(LayerQuery)]), min_size=1),
)
@settings(max_examples=100, deadline=None)
def test_any_field_may_be_a_column_and_the_others_numbers(
    drawn: tuple[LayerShape, Choice, int, bool], columns: set[str]
) -> None:
    query = query_of(*drawn)
    some = {name: np.full(3, float(getattr(query, name))) for name in columns}
    found = layer_cost(dataclasses.replace(query, **some), "ecp5")
    alone = as_row(layer_cost(query, "ecp5"))
    together = np.stack([getattr(found, f.name) for f in dataclasses.fields(LayerCost)], axis=1)
    np.testing.assert_allclose(together, [alone] * 3, rtol=1e-9)


def test_one_kernel_is_a_column_of_one() -> None:
    """Numbers and columns go through the same formulas, with the same outcome."""
    from benchmarks.calibration.points import COUNTS, points

    for family in ("ecp5", "xc7"):
        for kernel in points(tuple(COUNTS), 12):
            single = [
                np.nan if v is None else v for v in estimate(kernel, family).as_dict().values()
            ]
            np.testing.assert_allclose(single, estimate_many([kernel], family)[0], rtol=1e-11)
