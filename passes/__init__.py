"""The way through: one pass a file, in the order of `ORDER`, loaded when asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hw_targets.errors import LiftFlowError
from passes.base import Check, Context, Pass

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ORDER: dict[str, str] = {
    "prepare": "Prepare",
    "attribute": "Attribute",
    "prune-filters": "PruneFilters",
    "prune-weights": "PruneWeights",
    "finetune": "Finetune",
    "allocate": "Allocate",
    "quantize": "Quantize",
    "share-weights": "ShareWeights",
    "retrain": "Retrain",
    "explain": "Explain",
    "export-qonnx": "ExportQonnx",
    "lower-finn": "LowerFinn",
    "fold": "Fold",
    "generate-rtl": "GenerateRtl",
    "simulate": "Simulate",
    "synthesize": "Synthesize",
    "package": "Package",
}


ENTRY_POINTS = "liftflow.passes"
"""Group of the entry points, name = "module:Class", by which other packages add passes."""


def names() -> tuple[str, ...]:
    """Every pass: the way through, in order, then those of other packages."""
    return (*ORDER, *_added())


def load(name: str) -> type[Pass[Any, Any]]:
    """The pass class called `name` (as on the command line).

    Raises:
        KeyError: there is none.
        LiftFlowError: another package's pass cannot be imported, or is no pass of that name.
    """
    if name in ORDER:
        module = import_module(f"passes.{name.replace('-', '_')}")
        found: type[Pass[Any, Any]] = getattr(module, ORDER[name])
        return found
    return _load_added(_added()[name])


@cache
def _added() -> dict[str, EntryPoint]:
    """Passes of other packages; none takes the place of one of `ORDER`."""
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point for point in found if point.name not in ORDER}


def _load_added(point: EntryPoint) -> type[Pass[Any, Any]]:
    package = point.dist.name if point.dist else "unknown"
    where = f"pass {point.name} of package {package}"
    try:
        found = point.load()
    except Exception as error:  # Whatever another package's import may raise.
        raise LiftFlowError(
            f"cannot be imported ({type(error).__name__}: {error})",
            where=where,
            mend="mend or uninstall that package",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Pass) and found.name == point.name):
        raise LiftFlowError(
            f"{point.value} is no pass of that name",
            where=where,
            mend="let the entry point name a subclass of passes.Pass with this `name`",
        )
    return found


__all__ = ["ENTRY_POINTS", "ORDER", "Check", "Context", "Pass", "load", "names"]
