"""The shape of a network as hardware sees it: matrix-vector layers and windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LayerShape:
    """One convolution or dense layer and what follows it up to the next one.

    Sizes are (height, width) in pixels. A dense layer has `in_size == (1, 1)`, kernel (1, 1) and
    `in_channels` equal to its number of inputs (a flatten before it is part of that number, in
    channel-last order in hardware). `pool` is the side of the max pooling (kernel == stride)
    after the activation, 1 for none. `activation` is False for the layer that gives the logits,
    and for layers whose output goes elsewhere than into a ReLU, as into a residual add. `groups`
    splits channels as `torch.nn.Conv2d` does.
    """

    name: str
    kind: Literal["conv", "dense"]
    in_channels: int
    out_channels: int
    in_size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: int = 1
    activation: bool = True
    groups: int = 1

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the convolution's output, before pooling."""
        h, w = (
            (size + 2 * pad - k) // s + 1
            for size, pad, k, s in zip(
                self.in_size, self.padding, self.kernel, self.stride, strict=True
            )
        )
        return (h, w)

    @property
    def pixels(self) -> int:
        """Output pixels a frame: how many vectors the matrix-vector unit multiplies."""
        h, w = self.out_size
        return h * w

    @property
    def matrix(self) -> tuple[int, int]:
        """(MW, MH): columns (inputs of one output) and rows (outputs) of the weight matrix."""
        inputs = self.in_channels // self.groups
        return (self.kernel[0] * self.kernel[1] * inputs, self.out_channels)

    @property
    def weights(self) -> int:
        mw, mh = self.matrix
        return mw * mh

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return self.weights * self.pixels


@dataclass(frozen=True)
class NetworkShape:
    """A whole network: its input frame and its layers in order of execution."""

    name: str
    layers: tuple[LayerShape, ...]
    input_shape: tuple[int, ...]
    """Without the batch: (channels, height, width), or (features,)."""
    input_bits: int
    input_signed: bool
    classes: int
    chain: bool = True
    """Is it a chain of layers that hardware has kernels for? False where branches join."""

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)
