"""Random QONNX networks through the door: bits, scales, signs and roundings as they come."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from qonnx_case import File

from compiler.config import Goals
from compiler.qonnx_door import open_qonnx
from compiler.stages import RtlDesign
from hw_targets.finn_adapter.edges import ROUNDINGS


class Drawn:
    """A random network, layer by layer."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.channels, self.side = int(self.rng.integers(1, 4)), int(self.rng.integers(4, 8))
        self.file = File(self.channels, self.side, self.side)
        bits, signed = int(self.rng.integers(2, 9)), bool(self.rng.integers(2))
        self.file.quant(bits, signed, self.scale(2.0**-bits))

    def scale(self, about: float) -> float:
        """A power of two, or any number."""
        if self.rng.integers(2):
            return float(2.0 ** np.round(np.log2(about)))
        return float(np.float32(about * self.rng.uniform(0.7, 1.4)))

    def weights(self, *shape: int) -> str:
        file, bits = self.file, int(self.rng.integers(1, 9))
        drawn = file.constant(self.rng.normal(size=shape))
        if bits == 1:
            return file.node("BipolarQuant", drawn, file.constant(self.scale(0.5)))
        outputs = (shape[0], *(1,) * (len(shape) - 1)) if len(shape) > 2 else (1, shape[1])
        scale = self.scale(3 / 2 ** (bits - 1))
        by_channel = scale * self.rng.uniform(0.5, 1, outputs) if self.rng.integers(2) else scale
        return file.quantized(drawn, bits, scale=by_channel)

    def layer(self) -> None:
        rng, file = self.rng, self.file
        out, side = int(rng.integers(2, 6)), int(rng.choice([1, 3]))
        pad, stride = int(rng.integers(0, side // 2 + 1)), int(rng.integers(1, 3))
        weights = self.weights(out, self.channels, side, side)
        bias = [file.constant(rng.normal(size=out))] if rng.integers(2) else []
        file.add("Conv", weights, *bias, pads=[pad] * 4, strides=[stride] * 2)
        self.side = (self.side + 2 * pad - side) // stride + 1
        self.channels = out

    def act(self) -> None:
        rng, file = self.rng, self.file
        if rng.integers(2):
            gain = rng.uniform(0.5, 1.5, self.channels) * rng.choice([-1, 1], self.channels)
            moments = (gain, rng.normal(size=self.channels), rng.normal(size=self.channels),
                       rng.uniform(0.5, 2, self.channels))  # fmt: skip
            file.add("BatchNormalization", *map(file.constant, moments))
        kind = rng.choice(
            ["relu", "clip", "signed", "bipolar", "sign"], p=[0.4, 0.1, 0.2, 0.2, 0.1]
        )
        if kind == "bipolar":
            file.add("BipolarQuant", file.constant(self.scale(0.5)))
        elif kind == "sign":
            file.add("Sign")
        else:
            if kind != "signed":
                bounds = [] if kind == "relu" else [file.constant(-0.3), file.constant(1.7)]
                file.add("Relu" if kind == "relu" else "Clip", *bounds)
            bits = int(rng.integers(1 + (kind == "signed"), 9))
            file.quant(bits, kind == "signed", self.scale(4 / 2**bits))
            modes = file.nodes[-1].attribute
            for each in modes:
                if each.name == "rounding_mode":
                    each.s = str(rng.choice(ROUNDINGS)).encode()
                if each.name == "narrow":
                    each.i = int(rng.integers(2)) if bits > 1 else 0
        if self.side >= 4 and rng.integers(2):
            file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            self.side //= 2


def network(seed: int) -> File:
    drawn = Drawn(seed)
    for _ in range(int(drawn.rng.integers(1, 4))):
        if drawn.side < 3:
            break
        drawn.layer()
        drawn.act()
    drawn.file.add("Flatten")
    features = drawn.channels * drawn.side**2
    weights = drawn.file.constant(drawn.rng.normal(size=(features, 4)))
    drawn.file.add("MatMul", drawn.file.quantized(weights, 4, scale=drawn.scale(0.3)))
    return drawn.file.add("Add", drawn.file.constant(drawn.rng.normal(size=4)))


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_are_exact(seed: int, tmp_path: Path) -> None:
    """To the kernels' integer models, which give every class and activation that QONNX gives."""
    path = network(seed).write(tmp_path / "net.onnx")
    entry = open_qonnx(path, goals=Goals(fps=1000), until="generate-rtl", output=tmp_path)
    run = entry.run([])
    checks = [check for record in run.records for check in record.checks]
    assert all(check.passed for check in checks)
    assert "every activation integer of the FINN graph equals QONNX's" in {c.claim for c in checks}
    assert len(cast(RtlDesign, run.last).units) > 3
