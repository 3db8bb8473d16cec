"""Any function of a narrow value, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, pack, require
from hw_targets.rtl.table_logic import TableLogic, usual_table_logic

MOST_IN_BITS = 8


@dataclass(frozen=True)
class Table(Kernel):
    """`out = table[x]`, one table for all lanes; `x` counts as its bits in two's complement.

    logic: what the contents cost, by `table_logic`, where they are known. Hardware is the same.
    """

    module: ClassVar[str] = "lf_table"
    source: ClassVar[str] = "table.sv"

    in_bits: int
    in_signed: bool
    out_bits: int
    out_signed: bool
    lanes: int
    beats: int
    logic: TableLogic | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(
            min(self.in_bits, self.out_bits, self.lanes, self.beats) >= 1,
            "table: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.in_bits <= MOST_IN_BITS,
            "table: in_bits must be at most {most}: {kernel}",
            most=MOST_IN_BITS,
            kernel=self,
        )

    @property
    def input(self) -> Stream:
        return Stream(self.lanes, self.in_bits, self.in_signed, self.beats)

    @property
    def output(self) -> Stream:
        return Stream(self.lanes, self.out_bits, self.out_signed, self.beats)

    @property
    def cycles(self) -> int:
        return self.beats

    @property
    def content(self) -> TableLogic:
        """What is known of the contents, else what is usual."""
        form = self.in_bits, self.in_signed, self.out_bits, self.out_signed
        return self.logic or usual_table_logic(*form)

    def parameters(self) -> dict[str, int | str]:
        return {"LANES": self.lanes, "IN_BITS": self.in_bits, "OUT_BITS": self.out_bits}

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `x` holds the result of `x`."""
        words = self._table(arrays).reshape(-1, 1)
        return {"TABLE": [pack(word, self.out_bits) for word in words]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        index = np.asarray(frames, dtype=np.int64) & ((1 << self.in_bits) - 1)
        return np.asarray(self._table(arrays)[index].reshape(len(frames), -1), dtype=np.int64)

    def _table(self, arrays: Mapping[str, IntArray]) -> IntArray:
        table = np.asarray(arrays["table"], dtype=np.int64)
        require(
            table.shape == (1 << self.in_bits,),
            "table: table has shape {shape}, not (2**in_bits,) = {expected}",
            shape=table.shape,
            expected=(1 << self.in_bits,),
        )
        low = -(1 << (self.out_bits - 1)) if self.out_signed else 0
        require(
            bool(table.min() >= low and table.max() < low + (1 << self.out_bits)),
            "table: a result does not fit into out_bits = {bits}",
            bits=self.out_bits,
        )
        return table
