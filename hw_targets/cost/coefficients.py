"""The fitted side of the cost model: one versioned JSON file a family."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hw_targets.families import family_names, load_family

FOLDER = Path(__file__).parent / "data"
VERSION: Literal[2] = 2

Implementation = Literal["rtl", "finn"]
"""What hardware is meant: our own RTL under Yosys, or FINN's nodes under Vivado."""


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


FLOOR = 16.0
"""Size below which errors are told as if the kernel had this many LUTs or registers."""


class Band(_Schema):
    """How far from estimates up to `upto` measurements lie, nine times out of ten.

    low, high: as shares of the estimate (at least `FLOOR`); upto: None for the largest ones.
    """

    upto: float | None
    low: float
    high: float


class Fit(_Schema):
    """Weights of the basis terms of one resource, and how well they fit.

    A term without a weight was in none of the points: what has it is uncalibrated.
    Errors are mean absolute percentages: of the points fitted, and of each shape (or network) left
    out in turn. coverage: share of left-out points that lie in the interval of the others' bands,
    None where all were left out together.
    """

    coefficients: dict[str, float]
    mape: float
    mape_left_out: float
    bands: tuple[Band, ...]
    coverage: float | None


class KernelFit(_Schema):
    """A kernel's fits. domain: feature -> least and greatest value synthesised.

    exact: share of the points whose multipliers and block RAMs the formulas count exactly.
    off: how far the formulas' counts were from the points' at worst, as shares: below, above.
    """

    source: str
    points: int
    domain: dict[str, tuple[float, float]]
    lut: Fit
    ff: Fit
    exact: dict[Literal["dsp", "bram"], float]
    off: dict[Literal["dsp", "bram"], tuple[float, float]]


class ShellFit(_Schema):
    """Measured resources of a board shell without the accelerator in it."""

    lut: float
    ff: float
    dsp: float
    bram: float
    source: str


class Coefficients(_Schema):
    """All that is fitted for one implementation in one family under one tool."""

    version: Literal[2]
    family: str
    implementation: Implementation
    date: str
    tool: str
    kernels: dict[str, KernelFit]
    shells: dict[str, ShellFit] = {}


def data_file(family: str, implementation: Implementation) -> Path:
    """Where the fits are kept."""
    return FOLDER / f"{family}-{implementation}.json"


def calibrated_families() -> tuple[str, ...]:
    """Families that our own RTL was calibrated for, sorted."""
    return tuple(name for name in family_names() if data_file(name, "rtl").is_file())


@cache
def load_coefficients(family: str, implementation: Implementation = "rtl") -> Coefficients | None:
    """The fits of an implementation in a family; None where it was never calibrated.

    Raises:
        LiftFlowError: no such family.
        pydantic.ValidationError: the data file is broken (a defect, not the user's doing).
    """
    load_family(family)
    path = data_file(family, implementation)
    if not path.is_file():
        return None
    return Coefficients.model_validate_json(path.read_text(encoding="utf-8"))
