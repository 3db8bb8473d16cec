"""What hardware cannot compute of a prepared network, so that it is told before any training."""

from __future__ import annotations

from hw_targets.network import INPUT, Unit
from passes._brevitas_structure import MOVES, Structure
from passes._lower_ops import Problem


def problems(structure: Structure) -> list[Problem]:
    """Every unit that no kernel computes, with what to do about it."""
    found = []
    units = {unit.name: unit for unit in structure}
    for unit in structure:
        if unit.kind == "average" and _uneven(unit):
            found.append(
                Problem(
                    unit.name,
                    "AvgPool2d",
                    "its windows at the border hold fewer pixels, which no kernel divides by",
                    "use count_include_pad=True, or padding=0",
                )
            )
        elif unit.kind == "max" and any(unit.numbers[4:]) and _negative(unit.inputs[0], units):
            found.append(
                Problem(
                    unit.name,
                    "MaxPool2d",
                    "it pads values that may be negative",
                    "put a ReLU before it, or use padding=0",
                )
            )
    return found


def _uneven(unit: Unit) -> bool:
    """Is an average at the border over fewer pixels than elsewhere?"""
    if len(unit.numbers) == 2:
        return False
    *_, ceil_mode, counted = unit.numbers
    return bool(ceil_mode or (any(unit.numbers[4:6]) and not counted))


def _negative(name: str, units: dict[str, Unit]) -> bool:
    """May what a unit gives be below zero? The network's input counts as what may not."""
    if name == INPUT:
        return False
    unit = units[name]
    if unit.quantizer:
        return unit.signed
    if unit.kind in ("layer", "average"):
        return True
    inputs = unit.inputs if unit.kind not in MOVES else unit.inputs[:1]
    return any(_negative(source, units) for source in inputs)
