"""FINN's matrix-vector unit in place of ours, for comparison: same shape, same integers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from hw_targets.rtl import finn_library
from hw_targets.rtl.kernel import IntArray, Kernel, require
from hw_targets.rtl.mvu import Mvu

LEAST_BITS = 2
"""Of weights and of activations (checked in FINN's mvu.sv)."""
VERSIONS = {"DSP48E1": 1, "DSP48E2": 2}
"""Multiplier cell -> what FINN calls its version."""
UNKNOWN_CELLS = ("DSP58",)
"""Multipliers for which FINN has a unit of another kind, which is not wrapped."""
_OURS_ALONE = ("USE_DSP", "PACKED_ROWS", "MULTIPLIER_BITS", "ROM_BANKS")
NO_DEPTHWISE = "FINN's RTL has a depthwise unit for DSP58 alone"


@dataclass(frozen=True)
class FinnMvu(Mvu):
    """`mvu_vvu_axi` of FINN's RTL library behind its memory streamer; fields are those of `Mvu`.

    Its arithmetic is always that of multipliers: slices of AMD's where `version` names one, their
    behavioural description elsewhere, from which synthesis makes what it can. `multiplier_bits` and
    `arithmetic` change nothing.
    narrow: no weight has the least value that its bits hold, which lets FINN pack rows closer.
    version: FINN's own number of the DSP slice, 0 for the behavioural description.

    Raises:
        ValueError: what `obstacle` tells.
    """

    module: ClassVar[str] = "lf_finn_mvu"
    source: ClassVar[str] = "finn_mvu.sv"
    uses: ClassVar[tuple[str, ...]] = (*finn_library.SOURCES, "finn_cells.sv")

    narrow: bool = False
    version: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        reason = obstacle(self)
        require(not reason, "finn_mvu: {reason}: {kernel}", reason=reason, kernel=self)
        require(
            self.version in (0, *VERSIONS.values()),
            "finn_mvu: version must be 0, 1 or 2: {kernel}",
            kernel=self,
        )

    @classmethod
    def of(cls, kernel: Mvu, weights: IntArray, cell: str) -> FinnMvu:
        """FINN's unit in place of ours. weights: (mh, mw). cell: the family's multiplier.

        Raises:
            ValueError: what `obstacle` tells.
        """
        narrow = bool(np.min(weights) > -(1 << (kernel.weight_bits - 1)))
        shape = {field.name: getattr(kernel, field.name) for field in fields(Mvu)}
        return cls(**shape, narrow=narrow, version=VERSIONS.get(cell, 0))

    @property
    def packed_rows(self) -> int:
        """1: FINN packs rows inside the unit, and keeps weights as they are."""
        return 1

    @property
    def rom_banks(self) -> int:
        """0: FINN's streamer has one memory, whatever it is made of."""
        return 0

    def text(self, source: str) -> str:
        if source in finn_library.SOURCES:
            return finn_library.text(source)
        return super().text(source)

    def parameters(self) -> dict[str, int | str]:
        ours = super().parameters()
        kept = {name: value for name, value in ours.items() if name not in _OURS_ALONE}
        own = {"NARROW_WEIGHTS": int(self.narrow), "VERSION": self.version}
        return {**kept, "ROM_STYLE": self.rom_style, **own}

    @property
    def _without_least(self) -> bool:
        return self.narrow


def obstacle(kernel: Kernel, cell: str = "") -> str:
    """Why FINN's RTL cannot take a unit's place; empty where it can. cell: the family's multiplier.

    FINN's unit keeps too few outputs when each beat of its input makes one (SIMD = MW): those that
    are on their way when it has to wait overwrite each other. (finn-plus 1.6.1, mvu_vvu_axi.sv;
    tests/hardware/test_finn_mvu.py shows it.)
    """
    if not isinstance(kernel, Mvu):
        return NO_DEPTHWISE
    if cell in UNKNOWN_CELLS:
        return f"FINN's unit for {cell} is of another kind"
    if kernel.weight_bits < LEAST_BITS:
        return "FINN's RTL has no weights of 1 bit"
    if kernel.act_bits < LEAST_BITS:
        return "FINN's RTL takes no values of 1 bit"
    if kernel.column_folds == 1:
        return f"FINN's RTL loses outputs where SIMD is the whole row ({kernel.mw})"
    return ""


def sources_present() -> None:
    """Raise MissingToolError or LiftFlowError unless FINN's sources are here and known."""
    for source in finn_library.SOURCES:
        finn_library.text(source)
