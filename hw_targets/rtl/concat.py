"""Channels of several image streams one behind the other: where a network's branches meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require

FOLD_BITS = 32
"""Bits of a stream's beats a pixel in the parameter that lists them."""


@dataclass(frozen=True)
class Concat(Kernel):
    """Of every pixel the `channels[0]` channels of stream 0, then those of stream 1, ..."""

    module: ClassVar[str] = "lf_concat"
    source: ClassVar[str] = "concat.sv"

    pixels: int
    channels: tuple[int, ...]
    lanes: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        require(
            min(self.pixels, self.lanes, self.bits, *self.channels) >= 1,
            "concat: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(len(self.channels) >= 2, "concat: needs two streams: {kernel}", kernel=self)
        require(
            all(channels % self.lanes == 0 for channels in self.channels),
            "concat: lanes must divide the channels of every stream: {kernel}",
            kernel=self,
        )

    @property
    def folds(self) -> tuple[int, ...]:
        """Beats a pixel of each stream."""
        return tuple(channels // self.lanes for channels in self.channels)

    @property
    def streams(self) -> int:
        return len(self.channels)

    @property
    def most_folds(self) -> int:
        """Beats a pixel of the stream that has the most."""
        return max(self.folds)

    @property
    def input(self) -> Stream:
        return self.inputs[0]

    @property
    def inputs(self) -> tuple[Stream, ...]:
        return tuple(self._stream(folds) for folds in self.folds)

    @property
    def output(self) -> Stream:
        return self._stream(sum(self.folds))

    @property
    def cycles(self) -> int:
        return self.output.beats

    def parameters(self) -> dict[str, int | str]:
        listed = sum(folds << FOLD_BITS * index for index, folds in enumerate(self.folds))
        return {
            "STREAMS": len(self.channels),
            "FOLDS": listed,
            "WIDTH": self.lanes * self.bits,
        }

    def compute(
        self, inputs: Sequence[IntArray], arrays: Mapping[str, IntArray]
    ) -> tuple[IntArray, ...]:
        images = [
            frames.reshape(len(frames), self.pixels, channels)
            for frames, channels in zip(inputs, self.channels, strict=True)
        ]
        return (np.concatenate(images, axis=2).reshape(len(images[0]), -1),)

    def _stream(self, folds: int) -> Stream:
        return Stream(self.lanes, self.bits, self.signed, self.pixels * folds)
