"""The fitted side of the cost model: one versioned JSON file a family."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hw_targets.families import load_family

FOLDER = Path(__file__).parent / "data"
VERSION: Literal[1] = 1


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fit(_Schema):
    """Weights of the basis terms of one resource, and how well they fit.

    A term without a weight was in none of the points: what has it is uncalibrated.
    Errors are mean absolute percentages: of the points fitted, and of each left out in turn.
    """

    coefficients: dict[str, float]
    mape: float
    mape_left_out: float


class KernelFit(_Schema):
    """A kernel's fits. domain: feature -> least and greatest value synthesised.

    exact: share of the points whose multipliers and block RAMs the formulas count exactly.
    """

    source: str
    points: int
    domain: dict[str, tuple[float, float]]
    lut: Fit
    ff: Fit
    exact: dict[Literal["dsp", "bram"], float]


class ShellFit(_Schema):
    """Measured resources of a board shell without the accelerator in it."""

    lut: float
    ff: float
    dsp: float
    bram: float
    source: str


class Coefficients(_Schema):
    """All that is fitted for one family under one tool."""

    version: Literal[1]
    family: str
    date: str
    tool: str
    kernels: dict[str, KernelFit]
    shells: dict[str, ShellFit] = {}


@cache
def load_coefficients(family: str) -> Coefficients | None:
    """The fits of a family; None where it was never calibrated.

    Raises:
        LiftFlowError: no such family.
        pydantic.ValidationError: the data file is broken (a defect, not the user's doing).
    """
    load_family(family)
    path = FOLDER / f"{family}.json"
    if not path.is_file():
        return None
    return Coefficients.model_validate_json(path.read_text(encoding="utf-8"))
