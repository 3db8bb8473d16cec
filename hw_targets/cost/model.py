"""Estimates: basis times coefficients, for one kernel, many, or a whole design."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.boards import Board
from hw_targets.cost.basis import BASES, Terms
from hw_targets.cost.coefficients import Coefficients, KernelFit, ShellFit, load_coefficients
from hw_targets.cost.features import Columns, columns, domain_columns
from hw_targets.families import RESOURCES, load_family
from hw_targets.rtl.kernel import Kernel

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Modelled resources; a value is None where the model is not calibrated.

    why: what is uncalibrated, empty when nothing is.
    """

    lut: float | None
    ff: float | None
    dsp: float | None
    bram: float | None
    why: str = ""

    @property
    def calibrated(self) -> bool:
        return not self.why

    def as_dict(self) -> dict[str, float | None]:
        """Resource name -> value, in the order of `families.RESOURCES`."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram": self.bram}


def estimate(kernel: Kernel, family: str) -> Estimate:
    """Modelled resources of one kernel.

    Raises:
        LiftFlowError: no such family.
    """
    row = estimate_many([kernel], family)[0]
    return _as_estimate(row, _why(kernel, family) if np.isnan(row).any() else "")


def estimate_many(kernels: Sequence[Kernel], family: str) -> Matrix:
    """(n, 4) modelled LUT, FF, DSP, block RAM of every kernel; NaN where uncalibrated."""
    found = np.full((len(kernels), len(RESOURCES)), np.nan)
    rows: dict[str, list[int]] = defaultdict(list)
    for index, kernel in enumerate(kernels):
        rows[type(kernel).__name__].append(index)
    fitted = load_coefficients(family)
    for kind, indices in rows.items():
        if kind in BASES:
            table = columns(kind, [kernels[index] for index in indices])
            found[indices] = _evaluate(kind, table, family, fitted)
    return found


def estimate_design(kernels: Iterable[Kernel], board: Board) -> Estimate:
    """Modelled resources of a whole design: its kernels (FIFOs among them) and the shell.

    On boards whose shell the vendor's tools build, the shell lies outside the design that is
    estimated and measured here, and counts nothing.
    """
    listed = list(kernels)
    values = estimate_many(listed, board.family)
    shell = shell_estimate(board)
    total = values.sum(axis=0) + as_row(shell)
    unknown = [
        _why(k, board.family) for k, row in zip(listed, values, strict=True) if np.isnan(row).any()
    ]
    return _as_estimate(total, "; ".join(dict.fromkeys(filter(None, [*unknown, shell.why]))))


def shell_estimate(board: Board) -> Estimate:
    """Measured resources of the board's shell, uncalibrated where nobody measured it."""
    if board.flow == "vivado":
        return Estimate(0.0, 0.0, 0.0, 0.0)
    fitted = load_coefficients(board.family)
    shell: ShellFit | None = fitted.shells.get(board.flow) if fitted else None
    if shell is None:
        return Estimate(None, None, None, None, f"shell of flow {board.flow!r} was never measured")
    return Estimate(shell.lut, shell.ff, shell.dsp, shell.bram)


def as_row(value: Estimate) -> Matrix:
    """(4,) vector in the order of `families.RESOURCES`; NaN for None."""
    return np.array([np.nan if v is None else v for v in value.as_dict().values()])


def _evaluate(kind: str, table: Columns, family: str, fitted: Coefficients | None) -> Matrix:
    """(n, 4) for kernels of one kind. Hard blocks are counted, hence known even uncalibrated."""
    described = load_family(family)
    if described.lut_ram is None:
        return np.full((len(next(iter(table.values()))), len(RESOURCES)), np.nan)
    basis = BASES[kind](table, described)
    fit = fitted.kernels.get(kind) if fitted else None
    result = np.full((len(basis.dsp), len(RESOURCES)), np.nan)
    result[:, 2], result[:, 3] = basis.dsp, basis.bram
    if fit is not None:
        for column, (terms, weights) in enumerate(((basis.lut, fit.lut), (basis.ff, fit.ff))):
            result[:, column] = _weighted(terms, weights.coefficients)
        result[_outside(kind, table, fit), :2] = np.nan
    return result


def _weighted(terms: Terms, coefficients: Mapping[str, float]) -> Matrix:
    """(n,) sums; NaN where a kernel has some of a term that was in no calibration point."""
    total = np.zeros(len(next(iter(terms.values()))))
    for name, values in terms.items():
        if name in coefficients:
            total += coefficients[name] * values
        else:
            total[values > 0] = np.nan
    return total


def _outside(kind: str, table: Columns, fit: KernelFit) -> NDArray[np.bool_]:
    features = domain_columns(kind, table)
    outside = np.zeros(len(next(iter(features.values()))), dtype=bool)
    for name, values in features.items():
        low, high = fit.domain[name]
        outside |= (values < low) | (values > high)
    return outside


def _why(kernel: Kernel, family: str) -> str:
    """What keeps a kernel from being calibrated; empty when nothing does."""
    kind = type(kernel).__name__
    fitted = load_coefficients(family)
    fit = fitted.kernels.get(kind) if fitted else None
    if fit is None:
        return f"{kind} was never calibrated for {family}"
    table = columns(kind, [kernel])
    for name, values in domain_columns(kind, table).items():
        low, high = fit.domain[name]
        if not low <= values[0] <= high:
            return (
                f"{kind} {name} {values[0]:g} is outside {low:g}..{high:g} calibrated for {family}"
            )
    basis = BASES[kind](table, load_family(family))
    for terms, weights in ((basis.lut, fit.lut), (basis.ff, fit.ff)):
        for name, values in terms.items():
            if name not in weights.coefficients and values[0] > 0:
                return f"{kind} with {name!r} was never synthesised for {family}"
    return ""


def _as_estimate(row: Matrix, why: str) -> Estimate:
    lut, ff, dsp, bram = (None if np.isnan(value) else float(value) for value in row)
    return Estimate(lut, ff, dsp, bram, why)
