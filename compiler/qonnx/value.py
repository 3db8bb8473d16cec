"""What is known of a tensor on the way from a network's input to its output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor of the file beside the tensor that stands for it, channels first.

    tensor: its name in the file that is written; "" before the input's quantizer. unit: which of
    the network's units gives it. shape: (channels, height, width) or (features,), no batch.
    axes: which of these each axis of the file's tensor is, behind the batch; sides of one pixel may
    be left out. order: of a flattened image, which feature each one of the file is; None: the same.
    bits: 0 where they are the sums of a layer, not integers of one step. step, offset: integers
    times `step` plus `offset` are its values; a step of None differs from channel to channel.
    held: a ReLU or clip bounds it. layer: whose sums they are, and nothing else; owned: nothing
    else takes them. image: shape of the image that a flat tensor was.
    signs: (channels,) -1 where it stands for the opposite of what the file has. bias: of sums, what
    is added to them: (1,) or (channels,), None for nothing.
    """

    tensor: str
    unit: str
    shape: tuple[int, ...]
    axes: Axes
    order: NDArray[np.int64] | None = None
    image: tuple[int, ...] = ()
    bits: int = 0
    signed: bool = True
    step: float | None = None
    offset: float | None = 0.0
    held: bool = False
    layer: str = ""
    owned: bool = False
    signs: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None

    @property
    def on_grid(self) -> bool:
        """Are they integers of one step, with nothing beside?"""
        return self.bits > 0 and self.step is not None and self.offset == 0 and not self.held

    @property
    def file_shape(self) -> tuple[int, ...]:
        """As the file has it, batch of one included."""
        return (1, *(self.shape[axis] for axis in self.axes))

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def pixels(self) -> int:
        return prod(self.shape[1:])

    def by_channel(self, constant: NDArray[Any]) -> NDArray[np.float64] | None:
        """A constant that is joined with it as (1,) or (channels,); None where pixels differ.

        Raises:
            ValueError: it does not broadcast to the tensor.
        """
        values = np.asarray(constant, dtype=np.float64)
        if values.size == 1:
            return values.reshape(1)
        full = np.broadcast_to(values, self.file_shape)[0]
        if self.order is not None:
            turned = np.empty_like(full)
            turned[self.order] = full
            full = turned
        left = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        full = full.reshape(*full.shape, *(1,) * len(left))
        full = np.transpose(full, np.argsort((*self.axes, *left)))
        rows = full.reshape(self.image[0] if self.image else self.channels, -1)
        if (rows != rows[:, :1]).any():
            return None
        first = rows[:, 0]
        if (first == first[0]).all():
            return first[:1].copy()
        return None if self.image and prod(self.image[1:]) > 1 else first.copy()

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(1,) or (channels,) values in a shape that broadcasts to the written tensor."""
        if values.size == 1:
            return values.reshape(())
        return values.reshape(-1, *(1,) * (len(self.shape) - 1))

    def flat(self, tensor: str, unit: str) -> Value:
        """The same, flattened in the file's order."""
        count = prod(self.shape)
        index = np.arange(count).reshape(self.shape)
        left = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        order = np.transpose(index, (*self.axes, *left)).reshape(-1)
        same = bool((order == np.arange(count)).all())
        image = self.shape if len(self.shape) > 1 else self.image
        return replace(
            self,
            tensor=tensor,
            unit=unit,
            shape=(count,),
            axes=(0,),
            order=(None if same else order) if len(self.shape) > 1 else self.order,
            image=image,
        )
