"""Coupled channels: what goes together, and that taking it out is sound."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.networks import resnet20
from passes._coupling import Group, added_layers, coupled_groups, remove_units, rows_of
from passes._graph import layers_of
from passes.prepare import prepared_network

SHAPE = (3, 8, 8)


class Mixed(nn.Module):
    """Concatenation into a depthwise convolution, a residual add, and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(3, 6, 3, padding=1)
        self.depth = nn.Conv2d(14, 14, 3, padding=1, groups=14)
        self.c = nn.Conv2d(14, 8, 1)
        self.d = nn.Conv2d(8, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.fc = nn.Linear(8 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.a(x).relu(), F.relu(self.b(x))], 1)
        y = self.c(F.relu(self.depth(y)))
        y = F.relu(y + self.d(F.relu(y)))
        y = F.relu(self.grouped(F.max_pool2d(y, 2)))
        return self.fc(y.flatten(1))


class Streams(nn.Module):
    """Two stages of a residual network; the shortcut between them skips pixels and pads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.a1 = nn.Conv2d(4, 5, 3, padding=1)
        self.a2 = nn.Conv2d(5, 4, 3, padding=1)
        self.b1 = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.b2 = nn.Conv2d(6, 8, 3, padding=1)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.a2(F.relu(self.a1(x))))
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        x = F.relu(self.b2(F.relu(self.b1(x))) + short)
        return self.fc(x.mean((2, 3)))


def prepared(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> nn.Module:
    module, _, _ = prepared_network(net.eval(), shape)
    return module


def named(groups: tuple[Group, ...]) -> list[tuple[str, int]]:
    return [(group.name, len(group.units)) for group in groups]


def test_groups_of_concatenation_depthwise_and_add() -> None:
    module = prepared(Mixed())
    groups = coupled_groups(module, SHAPE)
    # c and d meet in an add, which feeds the grouped convolution: these channels stay.
    assert named(groups) == [("a", 8), ("b", 6)]
    unit = groups[1].units[2]
    assert (unit.outputs, unit.depthwise, unit.inputs) == (
        {"b": [2]},
        {"depth": [10]},
        {"c": [10]},
    )
    assert rows_of([unit]) == {"b": {2}, "depth": {10}}
    assert added_layers(module) == {"c", "d"}


def test_padding_shortcuts_couple_channels_of_other_numbers() -> None:
    module = prepared(Streams())
    groups = coupled_groups(module, SHAPE)
    assert named(groups) == [("stem", 4), ("a1", 5), ("b1", 6), ("b2", 2), ("b2", 2)]
    stream = groups[0].units[1]
    assert stream.outputs == {"stem": [1], "a2": [1], "b2": [3]}
    assert stream.inputs == {"a1": [1], "b1": [1], "fc": [3]}
    assert groups[3].units[0].before == {"pad_1": [0]}
    assert groups[4].units[1].after == {"pad_1": [1]}
    assert added_layers(module) == {"stem", "a2", "b2"}


@pytest.mark.parametrize("make", [Mixed, Streams])
@pytest.mark.parametrize("seed", range(4))
def test_channels_that_give_nothing_can_go(make: type[nn.Module], seed: int) -> None:
    """Units whose every row is zero carry zeros: without them the outputs are the same."""
    torch.manual_seed(seed)
    module = prepared(make())
    units = [unit for group in coupled_groups(module, SHAPE) for unit in group.units[1:]]
    gone = [unit for unit in units if torch.rand(1) < 0.5]
    layers = layers_of(module)
    with torch.no_grad():
        for name, rows in rows_of(gone).items():
            layers[name].weight[sorted(rows)] = 0
            layers[name].bias[sorted(rows)] = 0  # type: ignore[index]
    smaller = copy.deepcopy(module)
    remove_units(smaller, gone)
    assert sum(p.numel() for p in smaller.parameters()) < sum(
        p.numel() for p in module.parameters()
    )
    x = torch.randn(3, *SHAPE)
    torch.testing.assert_close(smaller(x), module(x), rtol=1e-5, atol=1e-5)


def test_groups_stay_groups_while_the_network_shrinks() -> None:
    """Units found again after a removal are those that were left."""
    torch.manual_seed(0)
    module = prepared(Streams())
    for _ in range(3):
        groups = coupled_groups(module, SHAPE)
        before = [len(group.units) for group in groups]
        remove_units(
            module, [groups[0].units[0], groups[-1].units[0]][: 2 if before[-1] > 1 else 1]
        )
        after = {g.name: len(g.units) for g in coupled_groups(module, SHAPE)}
        assert after["stem"] == before[0] - 1
        module(torch.randn(2, *SHAPE))


def test_resnet20_inner_channels_and_streams() -> None:
    module = prepared(resnet20(), (3, 32, 32))
    groups = coupled_groups(module, (3, 32, 32))
    through_adds = added_layers(module)
    inner = [group for group in groups if through_adds.isdisjoint(group.rows)]
    assert [len(g.units) for g in inner] == [16] * 3 + [32] * 3 + [64] * 3
    streams = [group for group in groups if not through_adds.isdisjoint(group.rows)]
    # Stage 1 runs through all; stages 2 and 3 add channels before and after.
    assert [len(g.units) for g in streams] == [16, 8, 8, 16, 16]


def test_same_groups_as_torch_pruning_where_it_has_an_answer() -> None:
    tp = pytest.importorskip("torch_pruning")

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3, padding=1)
            self.b = nn.Conv2d(8, 8, 3, padding=1)
            self.c = nn.Conv2d(8, 6, 3, padding=1)
            self.fc = nn.Linear(6 * 64, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.a(x))
            x = F.relu(x + self.b(x))
            return self.fc(F.relu(self.c(x)).flatten(1))

    module = prepared(Plain())
    names = {m: name for name, m in module.named_modules()}
    graph = tp.DependencyGraph().build_dependency(module, torch.zeros(1, *SHAPE))
    for group in coupled_groups(module, SHAPE):
        for at, unit in enumerate(group.units):
            root = module.get_submodule(group.name)
            theirs = graph.get_pruning_group(root, tp.prune_conv_out_channels, idxs=[at])
            outputs: dict[str, set[int]] = {}
            inputs: dict[str, set[int]] = {}
            for dep, indices in theirs:
                name = names.get(dep.target.module)
                if name is None or not isinstance(dep.target.module, nn.Conv2d | nn.Linear):
                    continue
                side = inputs if "in_channels" in dep.handler.__name__ else outputs
                side.setdefault(name, set()).update(tp._helpers.to_plain_idxs(indices))
            assert {k: set(v) for k, v in unit.outputs.items()} == outputs
            assert {k: set(v) for k, v in unit.inputs.items()} == inputs
