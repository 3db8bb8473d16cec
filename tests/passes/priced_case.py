"""Made-up prices of the kernels that stand where a network branches, for every family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter

import pytest

from hw_targets.cost import basis, coefficients, features, model
from hw_targets.cost.basis.arithmetic import Number
from hw_targets.cost.basis.terms import Basis, Fields
from hw_targets.cost.coefficients import Band, Coefficients, Fit, KernelFit
from hw_targets.families import Family
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.table import Table
from hw_targets.rtl.upsample import Upsample

NAMES: dict[type[Kernel], tuple[str, ...]] = {
    Add: ("lanes", "bits"),
    Concat: ("lanes", "bits"),
    Depthwise: ("pe", "taps", "weight_bits", "act_bits", "acc_bits", "arithmetic", "rom_style"),
    Duplicate: ("lanes", "bits", "copies"),
    Reduce: ("pe", "bits", "out_bits", "folds"),
    Table: ("lanes", "in_bits", "out_bits"),
    Upsample: ("simd", "bits", "buffer_depth"),
}
EVERYWHERE = (float("-inf"), float("inf"))


def _basis(k: Fields, _: Family) -> Basis:
    """The fields' sum and product with the lanes; a multiplier a lane where they are asked for."""
    lanes = k.get("lanes", k.get("pe", k.get("simd", 1.0)))
    total = sum(k.values())
    dsp = lanes * k.get("dsp", 0.0)
    return Basis(
        {"a": total, "b": lanes * total - 10 * dsp}, {"a": total}, dsp, k.get("block", 0.0)
    )


def _fit(kind: type[Kernel]) -> KernelFit:
    share = Fit(
        coefficients={"a": 1.3, "b": 0.7},
        mape=0.0,
        mape_left_out=0.0,
        bands=(Band(upto=None, low=-0.1, high=0.1),),
        coverage=None,
    )
    flags = {"arithmetic": "dsp", "rom_style": "block"}
    return KernelFit(
        source="made up",
        points=1,
        domain={flags.get(name, name): EVERYWHERE for name in NAMES[kind]},
        lut=share,
        ff=share,
        exact={"dsp": 1.0, "bram": 1.0},
        off={"dsp": (0.0, 0.0), "bram": (0.0, 0.0)},
    )


@contextmanager
def prices(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if those kernels had been calibrated."""
    for kind, names in NAMES.items():
        name, flags = kind.__name__, features._FLAGS
        patch.setitem(basis.BASES, name, _basis)
        patch.setitem(features._GETTERS, name, attrgetter(*names))
        patch.setitem(features._NAMES, name, tuple(flags.get(n, (n, ""))[0] for n in names))
        words = tuple(flags[n][1] if n in flags else "" for n in names)
        patch.setitem(features._WORDS, name, words)
    bounded = model.domain

    def domain(kind: str, k: Fields) -> dict[str, Number]:
        return dict(k) if kind in made else bounded(kind, k)

    made = {kind.__name__: _fit(kind) for kind in NAMES}
    patch.setattr(model, "domain", domain)
    known = coefficients.load_coefficients

    def loaded(
        family: str, implementation: coefficients.Implementation = "rtl"
    ) -> Coefficients | None:
        found = known(family, implementation)
        if found is None:
            return None
        return found.model_copy(update={"kernels": {**found.kernels, **made}})

    patch.setattr(model, "load_coefficients", loaded)
    model.kernel_model.cache_clear()
    try:
        yield
    finally:
        model.kernel_model.cache_clear()
