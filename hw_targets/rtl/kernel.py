"""What every hardware kernel tells about itself: widths, beats, cycles, parameters, exact model.

A kernel is one SystemVerilog module with an AXI-Stream slave and master (`s_axis_*`, `m_axis_*`),
`clk` and a synchronous, active-high `rst`. A *beat* carries `lanes` elements of equal width,
element 0 in the least significant bits, no byte padding. Images travel pixel by pixel in raster
order, channels innermost. A kernel's fields are shapes only; the values it holds in memories
(weights, thresholds) travel beside it as arrays.

Where a kernel has several streams on a side, its ports hold them side by side: `tdata` is their
concatenation, stream 0 in the least significant bits, `tvalid` and `tready` have one bit each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

RTL_DIR = Path(__file__).parent


@dataclass(frozen=True)
class Stream:
    """One side of a kernel: `beats` transfers a frame, each of `lanes` elements of `bits`."""

    lanes: int
    bits: int
    signed: bool
    beats: int

    @property
    def width(self) -> int:
        """Bits a beat."""
        return self.lanes * self.bits

    @property
    def elements(self) -> int:
        """Elements a frame."""
        return self.lanes * self.beats


@dataclass(frozen=True)
class Kernel(ABC):
    """Shape of one hardware unit; subclasses are frozen dataclasses, one file each."""

    module: ClassVar[str]
    """SystemVerilog module name; the source is `<kernel>.sv` beside the Python file."""
    source: ClassVar[str]
    uses: ClassVar[tuple[str, ...]] = ()
    """Sources of other kernels whose modules it is built from."""

    @property
    @abstractmethod
    def input(self) -> Stream:
        """What it takes; the first stream of several."""

    @property
    @abstractmethod
    def output(self) -> Stream:
        """What it gives; the first stream of several."""

    @property
    def inputs(self) -> tuple[Stream, ...]:
        """All streams it takes."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Stream, ...]:
        """All streams it gives."""
        return (self.output,)

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Clock cycles a frame takes in steady state, without stalls from outside."""

    @abstractmethod
    def parameters(self) -> dict[str, int | str]:
        """SystemVerilog parameters of the module, memory file names left out."""

    @property
    def sources(self) -> tuple[str, ...]:
        """All source files that the module needs."""
        return (*self.uses, self.source)

    def text(self, source: str) -> str:
        """Contents of one of `sources`."""
        return (RTL_DIR / source).read_text()

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Memory parameter name -> words in hexadecimal, for `$readmemh`."""
        return {}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        """Exact integer model: (frames, input elements) -> (frames, output elements).

        Kernels with several streams on a side have `compute` alone.
        """
        raise TypeError(f"{type(self).__name__} has several streams on a side: use compute")

    def compute(
        self, inputs: Sequence[IntArray], arrays: Mapping[str, IntArray]
    ) -> tuple[IntArray, ...]:
        """Exact integer model of all streams, each (frames, elements)."""
        (frames,) = inputs
        return (self.reference(frames, arrays),)


@dataclass(frozen=True)
class Source:
    """One of the streams that an instance gives; `instance` "" is the design's own input."""

    instance: str
    stream: int = 0

    def __str__(self) -> str:
        name = self.instance or "s_axis"
        return f"{name}.{self.stream}" if self.stream else name


@dataclass(frozen=True)
class Instance:
    """A named kernel with the values its memories hold.

    sources: where its input streams come from; None for the instance before it, or, for the first
    one, the design's input.
    """

    name: str
    kernel: Kernel
    arrays: Mapping[str, IntArray]
    sources: tuple[Source, ...] | None = None


def source_texts(kernels: Iterable[Kernel]) -> dict[str, str]:
    """Name -> contents of every source of some kernels, in the order to read them.

    Packages stand before what imports them.
    """
    texts: dict[str, str] = {}
    for kernel in kernels:
        texts |= {name: kernel.text(name) for name in kernel.sources if name not in texts}
    return dict(sorted(texts.items(), key=lambda item: (not item[0].endswith("_pkg.sv"), item[0])))


def literal(value: int | str) -> str:
    """A parameter's value in SystemVerilog; what an `int` cannot hold has its width."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if value < 1 << 31 else f"{value.bit_length()}'d{value}"


def pack(values: IntArray, bits: int) -> str:
    """Pack one beat or memory word, element 0 in the low bits, as hexadecimal."""
    word = 0
    mask = (1 << bits) - 1
    for index, value in enumerate(np.asarray(values).ravel().tolist()):
        word |= (int(value) & mask) << (index * bits)
    digits = max(1, -(-len(np.ravel(values)) * bits // 4))
    return f"{word:0{digits}x}"


def require(condition: bool, message: str, **context: Any) -> None:
    """Raise ValueError with the context when a kernel's parameters do not fit together."""
    if not condition:
        raise ValueError(message.format(**context))
