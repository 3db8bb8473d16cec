"""Index of the largest logit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class LabelSelect(Kernel):
    """Class with the largest value, the first of them on a tie; one beat a frame."""

    module: ClassVar[str] = "lf_label_select"
    source: ClassVar[str] = "label_select.sv"

    classes: int
    pe: int
    in_bits: int
    in_signed: bool

    def __post_init__(self) -> None:
        require(
            min(self.classes, self.pe, self.in_bits) >= 1,
            "label_select: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.classes % self.pe == 0,
            "label_select: pe must divide classes: {kernel}",
            kernel=self,
        )

    @property
    def index_bits(self) -> int:
        return max(1, (self.classes - 1).bit_length())

    @property
    def input(self) -> Stream:
        return Stream(self.pe, self.in_bits, self.in_signed, self.classes // self.pe)

    @property
    def output(self) -> Stream:
        return Stream(1, self.index_bits, False, 1)

    @property
    def cycles(self) -> int:
        return self.classes // self.pe

    def parameters(self) -> dict[str, int | str]:
        return {
            "CLASSES": self.classes,
            "PE": self.pe,
            "IN_BITS": self.in_bits,
            "IN_SIGNED": int(self.in_signed),
        }

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        labels = np.asarray(frames, dtype=np.int64).argmax(axis=1)
        return np.asarray(labels, dtype=np.int64).reshape(-1, 1)
