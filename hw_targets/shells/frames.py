"""Frames as they lie in a DMA's memory, packed and unpacked by NumPy.

This file is also copied to the board: it runs on Python 3.8 and newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # boards have older versions of NumPy
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Frames of `beats` beats, each `lanes` elements of `bits`, element 0 in the low bits.

    beat_bytes: what a beat takes in memory, a power of two, little-endian, zeros above its bits.
    """

    lanes: int
    bits: int
    signed: bool
    beats: int
    beat_bytes: int

    @property
    def elements(self) -> int:
        """Elements a frame."""
        return self.lanes * self.beats

    @property
    def frame_bytes(self) -> int:
        """Bytes a frame; frames of a packet follow each other without a gap."""
        return self.beats * self.beat_bytes

    def pack(self, frames: NDArray[Any]) -> NDArray[np.uint8]:
        """(n, elements) integers to (n, frame_bytes) bytes.

        Raises:
            ValueError: another number of elements, or a value does not fit in `bits`.
        """
        values = np.asarray(frames)
        if values.ndim != 2 or values.shape[1] != self.elements:
            raise ValueError(f"frames of shape {values.shape}, not (n, {self.elements})")
        low = -(1 << (self.bits - 1)) if self.signed else 0
        if values.size and not (low <= values.min() and values.max() < low + (1 << self.bits)):
            raise ValueError(f"a value does not fit in {self.bits} bits")
        lanes = values.astype(np.int64).reshape(-1, self.lanes, 1)
        bits = ((lanes >> np.arange(self.bits)) & 1).astype(np.uint8)
        rows = np.zeros((len(lanes), 8 * self.beat_bytes), np.uint8)
        rows[:, : self.lanes * self.bits] = bits.reshape(len(lanes), -1)
        packed: NDArray[np.uint8] = np.packbits(rows, axis=1, bitorder="little")
        return packed.reshape(-1, self.frame_bytes)

    def unpack(self, packed: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(n, frame_bytes) bytes to (n, elements) integers."""
        rows = np.ascontiguousarray(packed, np.uint8).reshape(-1, self.beat_bytes)
        bits = np.unpackbits(rows, axis=1, bitorder="little")[:, : self.lanes * self.bits]
        lanes = bits.reshape(-1, self.lanes, self.bits).astype(np.int64)
        values: NDArray[np.int64] = (lanes << np.arange(self.bits)).sum(axis=2)
        if self.signed:
            values -= lanes[:, :, -1] << self.bits
        return values.reshape(-1, self.elements)


@dataclass(frozen=True)
class Samples:
    """How samples become elements: round(x / scale), half to even, clipped to the bits.

    shape: of one sample, channels first; elements go channels last.
    """

    shape: tuple[int, ...]
    scale: float
    layout: Layout

    def elements(self, samples: NDArray[Any]) -> NDArray[np.int64]:
        """(n, *shape) floats, or one sample, to (n, elements).

        Raises:
            ValueError: samples of another shape.
        """
        values = np.asarray(samples, np.float64)
        if values.shape == self.shape:
            values = values[np.newaxis]
        if values.shape[1:] != self.shape:
            wanted = " x ".join(str(size) for size in self.shape)
            raise ValueError(f"an array of shape {values.shape}, not samples of {wanted}")
        low = -(1 << (self.layout.bits - 1)) if self.layout.signed else 0
        whole = np.clip(np.round(values / self.scale), low, low + (1 << self.layout.bits) - 1)
        return np.moveaxis(whole, 1, -1).reshape(len(whole), self.layout.elements).astype(np.int64)


def of_model(model: dict[str, Any]) -> tuple[Samples, Layout]:
    """What a deployment's model.json says of samples in and of answers out."""
    taken, given = (Layout(**model["dma"][side]) for side in ("input", "output"))
    form = model["input"]
    return Samples(tuple(form["shape"]), form["scale"], taken), given


def texts(model: dict[str, Any], answers: NDArray[np.int64]) -> list[str]:
    """A line an answer: its class, or the values of the outputs."""
    output = model.get("output")
    if output is None:
        return [str(int(answer[0])) for answer in answers]
    return [" ".join(f"{value * output['step']:.6g}" for value in answer) for answer in answers]
