"""Elements of frames to beats as rows of 32-bit words, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.kernel import IntArray, Stream

WORD_BITS = 32
WordArray = NDArray[np.uint32]


def words_per_beat(stream: Stream) -> int:
    """32-bit words that hold one beat."""
    return -(-stream.width // WORD_BITS)


def to_words(frames: IntArray, stream: Stream) -> WordArray:
    """(n, elements) integers to (n * beats, words per beat), element 0 in the low bits.

    Raises:
        ValueError: the frames have another number of elements, or a value does not fit.
    """
    values = np.asarray(frames, dtype=np.int64)
    if values.ndim != 2 or values.shape[1] != stream.elements:
        raise ValueError(f"frames of shape {values.shape}, not (n, {stream.elements})")
    if stream.bits < 63:
        low = -(1 << (stream.bits - 1)) if stream.signed else 0
        high = low + (1 << stream.bits)
        if values.size and (values.min() < low or values.max() >= high):
            raise ValueError(f"values outside {stream.bits} bits, signed={stream.signed}")
    lanes = values.reshape(-1, stream.lanes, 1)
    # Shifts of an int64 beyond its sign bit repeat it, which is what two's complement asks for.
    shifts = np.minimum(np.arange(stream.bits, dtype=np.int64), 63)
    bits = ((lanes >> shifts) & 1).astype(np.uint8).reshape(len(lanes), stream.width)
    padding = words_per_beat(stream) * WORD_BITS - stream.width
    padded = np.pad(bits, ((0, 0), (0, padding)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def from_words(words: WordArray, frames: int, stream: Stream) -> IntArray:
    """Inverse of `to_words`: (frames, elements), signed elements with their sign."""
    rows = np.ascontiguousarray(words, dtype="<u4").reshape(-1, words_per_beat(stream))
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")[:, : stream.width]
    lanes = bits.reshape(-1, stream.lanes, stream.bits)
    values = np.zeros(lanes.shape[:2], dtype=np.int64)
    for bit in range(min(stream.bits, 64)):
        values |= lanes[:, :, bit].astype(np.int64) << bit
    if stream.signed and stream.bits < 64:
        values -= lanes[:, :, -1].astype(np.int64) << stream.bits
    return values.reshape(frames, stream.elements)
