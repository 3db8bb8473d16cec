"""Shapes of the networks that are folded: chains that the compiler supports end to end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hw_targets.network import LayerShape, NetworkShape


def conv(
    name: str,
    inputs: int,
    outputs: int,
    side: int,
    *,
    kernel: int = 3,
    padding: int = 1,
    pool: int = 1,
) -> LayerShape:
    """A square convolution of stride 1 on `side` x `side` pixels, then max pooling by `pool`."""
    size, window, pad = (side, side), (kernel, kernel), (padding,) * 4
    return LayerShape(name, "conv", inputs, outputs, size, window, padding=pad, pool=pool)


def dense(sizes: Sequence[int]) -> tuple[LayerShape, ...]:
    """Dense layers between `sizes`; the last one gives the logits."""
    return tuple(
        LayerShape(f"fc{number}", "dense", before, after, activation=number < len(sizes) - 1)
        for number, (before, after) in enumerate(pairwise(sizes), 1)
    )


def network(name: str, shape: tuple[int, ...], *layers: LayerShape) -> NetworkShape:
    """A chain on unsigned 8-bit pixels with 10 classes."""
    return NetworkShape(name, layers, shape, 8, False, 10)


def cnv(name: str, width: int) -> NetworkShape:
    """CNV (Umuroglu et al., FPGA 2017) with `width` channels in its first layer, 64 there."""
    return network(
        name,
        (3, 32, 32),
        conv("conv1", 3, width, 32, padding=0),
        conv("conv2", width, width, 30, padding=0, pool=2),
        conv("conv3", width, 2 * width, 14, padding=0),
        conv("conv4", 2 * width, 2 * width, 12, padding=0, pool=2),
        conv("conv5", 2 * width, 4 * width, 5, padding=0),
        conv("conv6", 4 * width, 4 * width, 3, padding=0),
        *dense((4 * width, 8 * width, 8 * width, 10)),
    )


NETWORKS: dict[str, NetworkShape] = {
    shape.name: shape
    for shape in (
        network("digits-mlp", (64,), *dense((64, 32, 16, 10))),
        network("mlp", (784,), *dense((784, 256, 128, 10))),
        network("tfc", (784,), *dense((784, 64, 64, 64, 10))),
        network(
            "digits",
            (1, 8, 8),
            conv("conv1", 1, 16, 8),
            conv("conv2", 16, 32, 8, pool=2),
            conv("conv3", 32, 32, 4, pool=2),
            *dense((128, 64, 10)),
        ),
        network(
            "lenet5",
            (1, 28, 28),
            conv("conv1", 1, 6, 28, kernel=5, padding=2, pool=2),
            conv("conv2", 6, 16, 14, kernel=5, padding=0, pool=2),
            *dense((400, 120, 84, 10)),
        ),
        network(
            "odd",
            (3, 16, 16),
            conv("conv1", 3, 13, 16),
            conv("conv2", 13, 37, 16, pool=2),
            conv("conv3", 37, 13, 8, pool=2),
            *dense((208, 10)),
        ),
        cnv("cnv", 64),
        cnv("cnv-half", 32),
        network(
            "vgg",
            (3, 32, 32),
            conv("conv1", 3, 16, 32),
            conv("conv2", 16, 16, 32, pool=2),
            conv("conv3", 16, 32, 16),
            conv("conv4", 32, 32, 16, pool=2),
            conv("conv5", 32, 64, 8),
            conv("conv6", 64, 64, 8),
            conv("conv7", 64, 64, 8, pool=2),
            conv("conv8", 64, 128, 4),
            conv("conv9", 128, 128, 4),
            conv("conv10", 128, 128, 4, pool=2),
            *dense((512, 128, 10)),
        ),
    )
}
"""digits-mlp is the quick one. tfc: TFC of FINN's examples (Umuroglu et al., FPGA 2017), digits:
examples/digits, lenet5: LeCun et al. 1998, vgg: a quarter as wide as VGG-13."""
