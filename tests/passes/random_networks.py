"""Random networks as people might bring them, and the way from one to its hardware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from quant_case import context
from torch import Tensor, nn

from compiler.stages import (
    Allocation,
    Dataset,
    FloatModel,
    InputFormat,
    LayerChoice,
    LayerRelevance,
    Relevance,
    ScoredModel,
)
from hw_targets.lanes import divisors
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.design import Design
from passes.export_qonnx import ExportQonnx
from passes.fold import Fold
from passes.generate_rtl import design_of
from passes.lower_finn import LowerFinn
from passes.prepare import Prepare
from passes.quantize import Quantize

Rng = np.random.Generator
Move = Callable[["_Maker"], None]

CLASSES = 4
TRAIN, TEST = 48, 12
MOST_CYCLES = 20_000
"""Foldings of more cycles a frame are not drawn where there are others: simulations are to end."""
MOST_LANES = 64
"""Products a layer makes at once: a simulator's source grows with them, not with the network."""


class RandomNet(nn.Module):
    """Runs `moves`: (name of a layer or of a function, what it takes) -> next value."""

    def __init__(self, layers: dict[str, nn.Module], moves: list[tuple[str, tuple[int, ...]]]):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.moves = moves

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for name, taken in self.moves:
            inputs = [values[at] for at in taken]
            if name in self.layers:
                values.append(self.layers[name](*inputs))
            elif name == "add":
                values.append(inputs[0] + inputs[1])
            elif name == "concat":
                values.append(torch.cat(inputs, 1))
            elif name == "relu":
                values.append(torch.relu(inputs[0]))
            elif name == "mean":
                values.append(inputs[0].mean((2, 3)))
            else:
                values.append(inputs[0].flatten(1))
        return values[-1]


class _Maker:
    """Adds layers to what there is so far: `at` is the last value, of `shape`."""

    def __init__(self, rng: Rng, shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.layers: dict[str, nn.Module] = {}
        self.moves: list[tuple[str, tuple[int, ...]]] = []
        self.at, self.shape = 0, shape

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def coin(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def go(self, name: str, *taken: int) -> int:
        self.moves.append((name, taken or (self.at,)))
        self.at = len(self.moves)
        return self.at

    def apply(self, module: nn.Module) -> int:
        name = f"l{len(self.layers)}"
        self.layers[name] = module
        self.go(name)
        with torch.no_grad():
            self.shape = tuple(module.eval()(torch.zeros(1, *self.shape)).shape[1:])
        return self.at

    def conv(self, outputs: int = 0, stride: int = 0, same: bool = False) -> None:
        channels, height, width = self.shape
        outputs = outputs or self.pick(2, 3, 4, 5, 6, 8, 13)
        sizes = [k for k in (1, 2, 3, 3, 5) if k <= min(height, width) + 1]
        if same:
            sizes = [k for k in sizes if k % 2]
        size = self.pick(*sizes)
        stride = stride or self.pick(1, 1, 2)
        groups = 1
        if not same and self.coin(0.25):
            groups, outputs = channels, channels
        elif self.coin(0.15) and channels % 2 == 0 and outputs % 2 == 0:
            groups = 2
        padding = size // 2
        if not same and height >= size and width >= size and self.coin(0.3):
            padding = 0
        self.apply(
            nn.Conv2d(channels, outputs, size, stride, padding, groups=groups, bias=self.coin())
        )
        if self.coin(0.4):
            self.apply(nn.BatchNorm2d(outputs))

    def relu(self) -> None:
        if self.coin(0.2):
            self.apply(nn.ReLU6())
        else:
            self.go("relu")

    def plain(self) -> None:
        self.conv()
        if self.coin(0.85):
            self.relu()

    def residual(self) -> None:
        """Two convolutions beside nothing, or beside one of its own."""
        start, shape = self.at, self.shape
        stride, outputs = 1, shape[0]
        if self.coin(0.4):
            stride, outputs = self.pick(1, 2), self.pick(2, 4, 6)
        self.conv(outputs if self.coin() else 0, stride, same=True)
        self.relu()
        self.conv(outputs, 1, same=True)
        left, after = self.at, self.shape
        if (stride, outputs) != (1, shape[0]):
            self.at, self.shape = start, shape
            self.apply(nn.Conv2d(shape[0], outputs, 1, stride))
            right = self.at
        else:
            right = start
        self.shape = after
        self.go("add", left, right)
        if self.coin(0.8):
            self.relu()

    def joined(self) -> None:
        """Two branches side by side in channels, one of which may be nothing."""
        start, shape = self.at, self.shape
        self.conv(0, 1, same=True)
        self.relu()
        left, channels = self.at, self.shape[0]
        self.at, self.shape = start, shape
        if self.coin() and start:
            right = start
        else:
            self.conv(0, 1, same=True)
            self.relu()
            right = self.at
        self.shape = (channels + self.shape[0], *shape[1:])
        self.go("concat", left, right)

    def pool(self) -> None:
        _, height, width = self.shape
        if min(height, width) < 3:
            return
        choices: list[nn.Module] = [
            nn.MaxPool2d(2),
            nn.AvgPool2d(2),
            nn.AvgPool2d(3, 2),
            nn.MaxPool2d(3, 2),
            nn.MaxPool2d((1, 2), 1),
        ]
        self.apply(choices[self.pick(*range(len(choices)))])

    def upsample(self) -> None:
        if max(self.shape[1:]) <= 6:
            self.apply(nn.Upsample(scale_factor=2))

    def head(self) -> None:
        if len(self.shape) == 3:
            if self.coin():
                self.go("mean")
                self.shape = self.shape[:1]
            else:
                self.go("flatten")
                self.shape = (int(np.prod(self.shape)),)
        if self.coin(0.3):
            self.apply(nn.Linear(self.shape[0], self.pick(5, 7, 12)))
            self.relu()
        self.apply(nn.Linear(self.shape[0], CLASSES))


def random_network(rng: Rng) -> tuple[nn.Module, tuple[int, ...]]:
    """A network of 2 to 12 layers with random weights, and its input's shape."""
    depth = int(rng.integers(2, 13))
    kind = rng.random()
    if kind < 0.1:
        shape: tuple[int, ...] = (int(rng.integers(3, 40)),)
    else:
        shape = (int(rng.integers(1, 5)), int(rng.integers(4, 11)), int(rng.integers(4, 11)))
    maker = _Maker(rng, shape)
    if len(shape) == 1:
        for _ in range(min(depth - 1, 4)):
            maker.apply(nn.Linear(maker.shape[0], maker.pick(3, 6, 8, 16)))
            maker.relu()
    else:
        maker.plain()
        while sum(isinstance(m, nn.Conv2d) for m in maker.layers.values()) < depth - 1:
            step = maker.pick(0, 0, 1, 1, 2, 3, 4)
            (maker.plain, maker.residual, maker.joined, maker.pool, maker.upsample)[step]()
            if min(maker.shape[1:]) < 3:
                break
    maker.head()
    net = RandomNet(maker.layers, maker.moves)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                value.normal_(0, 0.2)
    return net.eval(), shape


def _choice(rng: Rng, layer: LayerShape, act_bits: int) -> LayerChoice:
    columns, rows = layer.hardware_matrix
    lanes = [1] if layer.depthwise else [n for n in divisors(columns) if n <= 24]
    work = layer.pixels * columns * rows
    every = [(pe, simd) for pe in divisors(rows) for simd in lanes]
    pairs = sorted((pair for pair in every if prod(pair) <= MOST_LANES), key=prod)
    quick = [(pe, simd) for pe, simd in pairs if work <= MOST_CYCLES * pe * simd]
    pe, simd = map(int, rng.choice(quick or pairs[-1:]))
    # Matrices with zeros, of groups, have no weights of 1 bit.
    zeros = layer.groups > 1 and not layer.depthwise
    return LayerChoice(
        int(rng.integers(2 if zeros else 1, 9)),
        act_bits,
        pe,
        simd,
        "dsp" if rng.random() < 0.3 else "lut",
        str(rng.choice(["auto", "block", "distributed"])),  # type: ignore[arg-type]
        work // (pe * simd),
        quantizer="multiplier" if rng.random() < 0.5 else "threshold",
    )


@dataclass(frozen=True)
class Compiled:
    """frames: as they stream. classes: the quantized network's."""

    network: NetworkShape
    allocation: Allocation
    design: Design
    frames: np.ndarray
    classes: np.ndarray
    proofs: int


def compiled(seed: int) -> Compiled:
    """A random network through every pass from prepare to fold, with random bits and folding.

    The passes prove each other: QONNX equals Brevitas, the FINN graph QONNX, the kernels' integer
    models the FINN graph.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net, shape = random_network(rng)
    form = InputFormat(int(rng.integers(2, 9)), True, 1.0)
    form = InputFormat(form.bits, True, 2.0 / 2 ** (form.bits - 1))
    x = rng.normal(0, 0.8, (TRAIN + TEST, *shape)).astype(np.float32)
    y = rng.integers(0, CLASSES, len(x))
    data = Dataset("random", x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:], CLASSES)
    with TemporaryDirectory(prefix="liftflow-") as temporary:
        room = context(Path(temporary), data)
        name = f"net{seed}"
        prepared = Prepare().run(FloatModel(name, net, shape, form), room)
        network, module = prepared.network, prepared.module
        assert network is not None
        relevance = {}
        for layer in network.layers:
            weight = module.get_parameter(f"{layer.name}.weight").detach().abs().numpy()
            relevance[layer.name] = LayerRelevance(weight.reshape(len(weight), -1).sum(1), weight)
        governing = {unit.governor for unit in network.units if unit.governor}
        choices = {
            layer.name: _choice(
                rng,
                layer,
                int(rng.integers(1, 9)) if layer.activation or layer.name in governing else 0,
            )
            for layer in network.layers
        }
        interval = int(max(c.cycles for c in choices.values()) * rng.choice([1.0, 1.5]))
        allocation = Allocation("none", 50.0, choices, interval, {}, {}, 0.0, 0.0, 4.0)
        model = ScoredModel(
            name,
            module,
            shape,
            form,
            network,
            prepared.accuracy or 0.0,
            module,
            Relevance(relevance, 8, "zero", "class", 0.0),
            allocation=allocation,
        )
        exported = ExportQonnx().run(Quantize(calibration_samples=TRAIN).run(model, room), room)
        folded = Fold().run(LowerFinn(frames=2).run(exported, room), room)
        design = design_of(name, folded.path, network, allocation)
    assert all(check.passed for check in room.checks)
    return Compiled(
        network,
        allocation,
        design,
        form.stream(data.test_x),
        exported.predictions,
        len(room.checks),
    )
