"""Samples on the host: reading .npy files and turning floats into elements. Stdlib only.

This file is also copied to the machine that the board is plugged into.
"""

from __future__ import annotations

import ast
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

_TYPES = {"<f4": "f", "<f8": "d", "|u1": "B", "|i1": "b", "<i2": "h", "<i4": "i", "<i8": "q"}


@dataclass(frozen=True)
class Encoding:
    """How floats become integers: round(x / scale), half to even, clipped to `bits`.

    order: for each element on the line, its index in the flattened sample: samples are channels
    first, the accelerator takes pixel by pixel with channels innermost.
    """

    bits: int
    signed: bool
    scale: float
    order: tuple[int, ...]

    def encode(self, sample: Sequence[float]) -> list[int]:
        """Elements of one flattened sample in the order of the line.

        Raises:
            ValueError: the sample has another number of elements.
        """
        if len(sample) != len(self.order):
            raise ValueError(f"a sample has {len(self.order)} elements, not {len(sample)}")
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        high = low + 2**self.bits - 1
        return [min(max(round(sample[index] / self.scale), low), high) for index in self.order]


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """Order of the line for samples of `shape`: (channels, ...), or (features,)."""
    channels, pixels = shape[0], prod(shape[1:])
    return tuple(c * pixels + pixel for pixel in range(pixels) for c in range(channels))


def read_samples(path: Path, shape: Sequence[int]) -> list[Sequence[float]]:
    """Flattened samples of `shape` in a .npy file that holds one, or a batch.

    Raises:
        ValueError: not such a file.
    """
    found, values = read_npy(path)
    size = prod(shape)
    if not values or found not in (tuple(shape), (len(values) // size, *shape)):
        wanted = " x ".join(map(str, shape))
        raise ValueError(f"{path} holds an array of shape {found}, not samples of {wanted}")
    return [values[at : at + size] for at in range(0, len(values), size)]


def read_npy(path: Path) -> tuple[tuple[int, ...], Sequence[float]]:
    """(shape, flat values) of a .npy file: little-endian numbers in C order.

    Raises:
        ValueError: not such a file.
    """
    data = path.read_bytes()
    if data[:6] != b"\x93NUMPY":
        raise ValueError(f"{path} is no .npy file")
    width = 2 if data[6] == 1 else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    header = ast.literal_eval(data[8 + width : start].decode("latin1").strip())
    kind = _TYPES.get(header["descr"])
    if kind is None or header["fortran_order"]:
        raise ValueError(f"{path} holds {header['descr']}, wanted one of {', '.join(_TYPES)}")
    count = (len(data) - start) // struct.calcsize(kind)
    values: Iterable[float] = struct.unpack(f"<{count}{kind}", data[start:])
    return tuple(header["shape"]), array("d", values)
