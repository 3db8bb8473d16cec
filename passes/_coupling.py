"""Which channels can only go together, in a network that may branch and join.

Every channel of every tensor gets a name; operations say which names are one and the same channel
(an add, a depthwise convolution), and a union-find keeps the classes. A class is a unit: the rows
and columns of all weights that go with it. Torch-Pruning's dependency graph (Fang et al., CVPR
2023, arXiv 2301.12900) has the same aim; it couples whole tensors, so that it has no answer for
shortcuts that pad channels (ResNet's option A), where a channel is coupled to one that has
another number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from hw_targets.network import INPUT
from passes._graph import Step, output_shapes, wired_steps
from passes._modules import Add, Concat, Shortcut

Places = dict[str, list[int]]
"""Step -> positions along its channel axis."""


KINDS = ("outputs", "inputs", "depthwise", "before", "after")


@dataclass
class Unit:
    """One class of channels that are one and the same.

    outputs: layer -> rows of its weight. inputs: layer -> columns of its weight. depthwise:
    layer -> filters. before, after: shortcut -> zero channels that it pads with.
    """

    outputs: Places = field(default_factory=dict)
    inputs: Places = field(default_factory=dict)
    depthwise: Places = field(default_factory=dict)
    before: Places = field(default_factory=dict)
    after: Places = field(default_factory=dict)

    @property
    def signature(self) -> tuple[tuple[str, str, int], ...]:
        """What the unit touches, and how often: units of one signature cost the same."""
        return tuple(
            (kind, step, len(at))
            for kind in KINDS
            for step, at in sorted(getattr(self, kind).items())
        )


@dataclass(frozen=True)
class Group:
    """Units of one signature. name: the first layer whose outputs they are."""

    name: str
    units: tuple[Unit, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Layer -> its outputs a unit, depthwise layers included."""
        unit = self.units[0]
        return {layer: len(at) for layer, at in (*unit.outputs.items(), *unit.depthwise.items())}

    @property
    def columns(self) -> dict[str, int]:
        """Layer -> its inputs a unit."""
        return {layer: len(at) for layer, at in self.units[0].inputs.items()}


def coupled_groups(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[Group, ...]:
    """All channels of a prepared network that may be removed, in the order of execution.

    The input's channels, the network's outputs and channels of grouped convolutions that are not
    depthwise stay, and with them whatever is coupled to them.
    """
    return _Coupling(wired_steps(module), output_shapes(module, input_shape)).groups()


class _Coupling:
    """One walk over the steps. Channels are numbers, `parent` is the union-find forest."""

    def __init__(self, steps: Sequence[Step], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.steps, self.shapes = steps, shapes
        self.parent: list[int] = []
        self.fixed: set[int] = set()
        self.uses: dict[str, list[tuple[str, list[int]]]] = {kind: [] for kind in KINDS}
        self.channels = {INPUT: self.new(shapes[INPUT][0])}
        self.fixed.update(self.channels[INPUT])
        for step in steps:
            self.channels[step.name] = self.walk(step, [self.channels[s] for s in step.inputs])
        self.fixed.update(self.channels[steps[-1].name])

    def new(self, count: int) -> list[int]:
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return list(range(start, start + count))

    def find(self, channel: int) -> int:
        while self.parent[channel] != channel:
            self.parent[channel] = self.parent[self.parent[channel]]
            channel = self.parent[channel]
        return channel

    def walk(self, step: Step, inputs: list[list[int]]) -> list[int]:
        """Channels of what `step` gives."""
        module, taken = step.module, inputs[0]
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            return self.grouped(step.name, module, taken)
        if isinstance(module, nn.Conv2d | nn.Linear):
            given = self.new(len(module.weight))
            self.uses["inputs"].append((step.name, taken))
            self.uses["outputs"].append((step.name, given))
            return given
        if isinstance(module, Add):
            for left, right in zip(*inputs, strict=True):
                self.parent[self.find(right)] = self.find(left)
            return taken
        if isinstance(module, Concat):
            return [channel for part in inputs for channel in part]
        if isinstance(module, Shortcut):
            before, after = self.new(module.before), self.new(module.after)
            self.uses["before"].append((step.name, before))
            self.uses["after"].append((step.name, after))
            return [*before, *taken, *after]
        if isinstance(module, nn.Flatten):
            pixels = self.shapes[step.name][0] // len(taken)
            return [channel for channel in taken for _ in range(pixels)]
        return taken  # ReLU and pooling, channel by channel

    def grouped(self, name: str, module: nn.Conv2d, taken: list[int]) -> list[int]:
        if module.groups == module.in_channels == module.out_channels:
            self.uses["depthwise"].append((name, taken))
            return taken
        given = self.new(module.out_channels)
        self.fixed.update(taken)
        self.fixed.update(given)
        return given

    def groups(self) -> tuple[Group, ...]:
        fixed = {self.find(channel) for channel in self.fixed}
        units: dict[int, Unit] = {}
        for kind, uses in self.uses.items():
            for step, channels in uses:
                for position, channel in enumerate(channels):
                    root = self.find(channel)
                    if root not in fixed:
                        places: Places = getattr(units.setdefault(root, Unit()), kind)
                        places.setdefault(step, []).append(position)
        alike: dict[tuple[tuple[str, str, int], ...], list[Unit]] = {}
        for unit in units.values():
            if unit.outputs:  # channels that are only padding carry nothing and need no decision
                alike.setdefault(unit.signature, []).append(unit)
        order = {step.name: at for at, step in enumerate(self.steps)}
        named = [
            Group(min(members[0].outputs, key=order.__getitem__), tuple(members))
            for members in alike.values()
        ]
        return tuple(sorted(named, key=lambda group: order[group.name]))


def added_layers(module: nn.Module) -> set[str]:
    """Layers whose outputs reach an add with no other layer in between: residual streams."""
    steps = wired_steps(module)
    writers: dict[str, set[str]] = {INPUT: set()}
    found: set[str] = set()
    for step in steps:
        reaching = set().union(*(writers[source] for source in step.inputs))
        if isinstance(step.module, Add):
            found |= reaching
        layer = isinstance(step.module, nn.Conv2d | nn.Linear)
        writers[step.name] = {step.name} if layer else reaching
    return found


def rows_of(units: Iterable[Unit]) -> dict[str, set[int]]:
    """Layer -> its output channels that go with `units`."""
    found: dict[str, set[int]] = {}
    for unit in units:
        for layer, rows in (*unit.outputs.items(), *unit.depthwise.items()):
            found.setdefault(layer, set()).update(rows)
    return found


@torch.no_grad()
def remove_units(module: nn.Module, units: Iterable[Unit]) -> None:
    """Takes the channels of `units` out of `module` (a prepared network), in place."""
    gone: dict[str, dict[str, set[int]]] = {}
    for unit in units:
        for kind in KINDS:
            for step, at in getattr(unit, kind).items():
                gone.setdefault(step, {}).setdefault(kind, set()).update(at)
    for name, kinds in gone.items():
        step = module.get_submodule(name)
        if isinstance(step, Shortcut):
            step.before -= len(kinds.get("before", ()))
            step.after -= len(kinds.get("after", ()))
        elif isinstance(step, nn.Conv2d) and "depthwise" in kinds:
            _select(step, 0, kinds["depthwise"])
            step.in_channels = step.out_channels = step.groups = len(step.weight)
        elif isinstance(step, nn.Conv2d | nn.Linear):
            _select(step, 0, kinds.get("outputs", set()))
            _select(step, 1, kinds.get("inputs", set()))
            if isinstance(step, nn.Conv2d):
                step.out_channels, step.in_channels = step.weight.shape[:2]
            else:
                step.out_features, step.in_features = step.weight.shape


def _select(layer: nn.Conv2d | nn.Linear, axis: int, gone: set[int]) -> None:
    """Leaves out rows (axis 0, with their biases) or columns (axis 1) of the weight."""
    if not gone:
        return
    keep = torch.tensor([i for i in range(layer.weight.shape[axis]) if i not in gone])
    layer.weight = nn.Parameter(layer.weight.index_select(axis, keep))
    if axis == 0 and layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[keep])
