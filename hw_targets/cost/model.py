"""Estimates: basis times coefficients, for one kernel, many, or a whole design."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import nan

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis import BASES, Basis, Fields, Number, Terms
from hw_targets.cost.basis.arithmetic import most
from hw_targets.cost.coefficients import FLOOR, Band, KernelFit, load_coefficients
from hw_targets.cost.features import Unit, columns, domain, fields
from hw_targets.families import RESOURCES, Family, load_family
from hw_targets.rtl.kernel import Kernel

Matrix = NDArray[np.float64]
_NO_MARGINS = ((0.0, 0.0),) * len(RESOURCES)
_NOTHING = (0.0,) * len(RESOURCES)


@dataclass(frozen=True)
class Estimate:
    """Modelled resources; a value is None where the model is not calibrated.

    why: what is uncalibrated, empty when nothing is.
    low, high: bounds of the 90 % intervals, in the order of `families.RESOURCES`.
    """

    lut: float | None
    ff: float | None
    dsp: float | None
    bram: float | None
    why: str = ""
    low: tuple[float | None, ...] = (None,) * len(RESOURCES)
    high: tuple[float | None, ...] = (None,) * len(RESOURCES)

    @property
    def calibrated(self) -> bool:
        return not self.why

    def as_dict(self) -> dict[str, float | None]:
        """Resource name -> value, in the order of `families.RESOURCES`."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram": self.bram}

    def intervals(self) -> dict[str, tuple[float, float] | None]:
        """Resource name -> bounds that hold the measured count nine times out of ten."""
        return {
            name: None if low is None or high is None else (low, high)
            for name, low, high in zip(RESOURCES, self.low, self.high, strict=True)
        }


@dataclass(frozen=True)
class KernelModel:
    """Basis and fit of one kernel in one family; `fit` is None where it was never calibrated.

    kept: costs of units that were asked for one by one, by their fields (`query`).
    """

    kind: str
    family: Family
    basis: Callable[[Fields, Family], Basis]
    fit: KernelFit | None
    kept: dict[tuple[Number, ...], tuple[Number, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def resources(self, k: Fields) -> tuple[Number, Number, Number, Number]:
        """LUT, FF, DSP, block RAM of one kernel or a column of them; NaN where uncalibrated.

        Hard blocks are counted, hence known even where LUTs are not.
        """
        if self.family.lut_ram is None:
            unknown = nan + 0.0 * next(iter(k.values()))
            return unknown, unknown, unknown, unknown
        basis = self.basis(k, self.family)
        if self.fit is None:
            unknown = nan + 0.0 * next(iter(k.values()))
            return unknown, unknown, basis.dsp, basis.bram
        unknown = self._outside(k)
        lut = weighted(basis.lut, self.fit.lut.coefficients) + unknown
        ff = weighted(basis.ff, self.fit.ff.coefficients) + unknown
        if self.family.output_registers and basis.inside:
            ff = ff - weighted(basis.inside, self.fit.ff.coefficients)
        return lut, ff, basis.dsp, basis.bram

    def spread(self, row: Sequence[Number]) -> tuple[tuple[Number, Number], ...]:
        """How far below and above each of `resources` the measured count may lie, 9 times of 10."""
        if self.fit is None:
            return ((nan, nan),) * len(RESOURCES)
        lut, ff, dsp, bram = row
        return (
            margins(lut, self.fit.lut.bands),
            margins(ff, self.fit.ff.bands),
            _off(dsp, self.fit.off["dsp"]),
            _off(bram, self.fit.off["bram"]),
        )

    def _outside(self, k: Fields) -> Number:
        """0 inside the calibrated domain, NaN outside."""
        assert self.fit is not None
        beyond: NDArray[np.bool_] | None = None
        for name, value in domain(self.kind, k).items():
            low, high = self.fit.domain[name]
            if isinstance(value, np.ndarray):
                wrong = value > high
                if low > 0:
                    wrong |= value < low
                beyond = wrong if beyond is None else np.logical_or(beyond, wrong, out=beyond)
            elif not low <= value <= high:
                return nan
        return 0.0 if beyond is None or not beyond.any() else np.where(beyond, nan, 0.0)

    def why(self, k: Mapping[str, float]) -> str:
        """What keeps one kernel from being calibrated; empty when nothing does."""
        name = self.family.name
        if self.fit is None or self.family.lut_ram is None:
            return _never(self.kind, name)
        for feature, value in domain(self.kind, k).items():
            low, high = self.fit.domain[feature]
            if not low <= value <= high:
                return (
                    f"{self.kind} {feature} {value:g} is outside {low:g}..{high:g} "
                    f"calibrated for {name}"
                )
        basis = self.basis(k, self.family)
        for terms, weights in ((basis.lut, self.fit.lut), (basis.ff, self.fit.ff)):
            for term, value in terms.items():
                if term not in weights.coefficients and np.any(value > 0):
                    return f"{self.kind} with {term!r} was never synthesised for {name}"
                if np.any(np.isnan(value)):
                    return f"{self.kind} with {term!r} so wide was never synthesised for {name}"
        return ""


def _never(kind: str, family: str) -> str:
    return f"{kind} was never calibrated for {family}"


def margins(value: Number, bands: tuple[Band, ...]) -> tuple[Number, Number]:
    """Below and above an estimate, by the band of sizes that it lies in."""
    size = most(value, FLOOR)
    if len(bands) == 1:
        return -bands[0].low * size, bands[0].high * size
    if isinstance(value, np.ndarray):
        lows, highs, ends = _tabled(bands)
        index = np.zeros(len(value), dtype=np.intp)
        for end in ends:
            index += value > end
        return lows.take(index) * size, highs.take(index) * size
    for band in bands:
        if band.upto is None or not value > band.upto:
            break
    return -band.low * size, band.high * size


@cache
def _tabled(bands: tuple[Band, ...]) -> tuple[Matrix, Matrix, tuple[float, ...]]:
    """Shares below, shares above, and the ends of all bands but the last."""
    lows = np.array([-band.low for band in bands])
    highs = np.array([band.high for band in bands])
    return lows, highs, tuple(band.upto for band in bands if band.upto is not None)


def _off(value: Number, shares: tuple[float, float]) -> tuple[Number, Number]:
    """Below and above a count by formula, as shares of it."""
    below, above = shares
    return (-below * value, above * value) if below or above else (0.0, 0.0)


def weighted(terms: Terms, coefficients: Mapping[str, float]) -> Number:
    """The terms' weighted sum; NaN where a kernel has of a term that no calibration point had."""
    total: Number = 0.0
    for name, values in terms.items():
        coefficient = coefficients.get(name)
        if coefficient:
            total = total + coefficient * values
        elif coefficient is None:
            if isinstance(values, np.ndarray):
                total = total + np.where(values > 0, nan, 0.0)
            elif values > 0:
                return nan
    return total


@cache
def kernel_model(kind: str, family: str) -> KernelModel:
    """The model of a kernel class, by its name.

    Raises:
        LiftFlowError: no such family.
        KeyError: no such kernel.
    """
    fitted = load_coefficients(family, "finn" if kind.startswith("Finn") else "rtl")
    fit = fitted.kernels.get(kind) if fitted else None
    return KernelModel(kind, load_family(family), BASES[kind], fit)


def estimate(kernel: Unit, family: str) -> Estimate:
    """Modelled resources of one kernel.

    Raises:
        LiftFlowError: no such family.
    """
    kind = type(kernel).__name__
    if kind not in BASES:
        return Estimate(None, None, None, None, _never(kind, family))
    model = kernel_model(kind, family)
    numbers = fields(kernel)
    row = model.resources(numbers)
    unknown = any(value != value for value in row)
    return _as_estimate(row, model.spread(row), model.why(numbers) if unknown else "")


def estimate_many(kernels: Sequence[Unit], family: str) -> Matrix:
    """(n, 4) modelled LUT, FF, DSP, block RAM of every kernel; NaN where uncalibrated."""
    found = np.full((len(kernels), len(RESOURCES)), np.nan)
    rows: dict[str, list[int]] = defaultdict(list)
    for index, kernel in enumerate(kernels):
        rows[type(kernel).__name__].append(index)
    for kind, indices in rows.items():
        if kind in BASES:
            table = columns(kind, [kernels[index] for index in indices])
            for column, values in enumerate(kernel_model(kind, family).resources(table)):
                found[indices, column] = values
    return found


def estimate_units(kernels: Iterable[Kernel], family: str) -> Estimate:
    """Modelled resources of several kernels together, of a part of a design: no shell."""
    return estimate_together(list(kernels), family, exactly(_NOTHING))


def estimate_together(kernels: Sequence[Kernel], family: str, shell: Estimate) -> Estimate:
    """Kernels and shell together.

    Kernels of one kind err alike, kinds each for themselves: margins are added within a kind, and
    as squares between kinds.
    """
    values = estimate_many(kernels, family)
    total = values.sum(axis=0) + as_row(shell)
    unknown = [
        estimate(kernel, family).why
        for kernel, row in zip(kernels, values, strict=True)
        if np.isnan(row).any()
    ]
    squares = np.zeros((len(RESOURCES), 2))
    kinds = np.array([type(kernel).__name__ for kernel in kernels])
    for kind in dict.fromkeys(kinds.tolist()):
        if kind not in BASES:
            continue
        model = kernel_model(kind, family)
        beside = model.spread(tuple(values[kinds == kind].T))
        squares += np.array([[np.sum(below), np.sum(above)] for below, above in beside]) ** 2
    why = "; ".join(dict.fromkeys(filter(None, [*unknown, shell.why])))
    return _as_estimate(total, np.sqrt(squares), why)


def exactly(row: Iterable[float]) -> Estimate:
    """Counts without error, in the order of `families.RESOURCES`."""
    return _as_estimate(row, _NO_MARGINS, "")


def as_row(value: Estimate) -> Matrix:
    """(4,) vector in the order of `families.RESOURCES`; NaN for None."""
    return np.array([np.nan if v is None else v for v in value.as_dict().values()])


def _as_estimate(row: Iterable[Number], margins: Iterable[Iterable[Number]], why: str) -> Estimate:
    values, lows, highs = [], [], []
    for value, (below, above) in zip(row, margins, strict=True):
        known = value == value
        values.append(float(value) if known else None)
        sure = known and below == below
        lows.append(max(0.0, float(value) - float(below)) if sure else None)
        highs.append(float(value) + float(above) if sure else None)
    lut, ff, dsp, bram = values
    return Estimate(lut, ff, dsp, bram, why, tuple(lows), tuple(highs))
