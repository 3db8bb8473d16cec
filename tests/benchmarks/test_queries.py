"""The benchmark of the cost model's speed asks for the same layers alone and in columns."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.queries.__main__ import random_layers, random_singles
from hw_targets.cost.query import layer_cost


def test_layers_alone_are_those_of_the_columns() -> None:
    columns = layer_cost(random_layers(20, seed=1), "ecp5")
    alone = [layer_cost(query, "ecp5") for query in random_singles(20, seed=1)]
    for field in dataclasses.fields(columns):
        found = [getattr(cost, field.name) for cost in alone]
        np.testing.assert_allclose(getattr(columns, field.name), found, rtol=1e-9, atol=1e-6)
