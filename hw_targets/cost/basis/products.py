"""What one product costs, by its widths: measured alone, since it lies between registers.

`benchmarks/calibration/products.py` makes the data files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

MOST_BITS = 8
_FOLDER = Path(__file__).parents[1] / "data"


class Products(BaseModel):
    """Rows: weight bits, activation bits, activation signed, hard multiplier asked for (and
    refused by the tool, or it would not take LUTs), LUT, FF, DSP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    tool: str
    source: str
    rows: tuple[tuple[int, int, bool, bool, float, float, float], ...]


def products_file(family: str) -> Path:
    """Where a family's products are kept."""
    return _FOLDER / f"{family}-products.json"


@cache
def product_table(family: str) -> NDArray[np.float64]:
    """(9, 9, 2, 2, 3): [weight bits, activation bits, signed, hard] -> LUT, FF, DSP of a product.

    Widths are 1 to 8; what was not measured is NaN, all of it in a family without a file.
    """
    table = np.full((MOST_BITS + 1, MOST_BITS + 1, 2, 2, 3), np.nan)
    path = products_file(family)
    if path.is_file():
        for *widths, lut, ff, dsp in Products.model_validate_json(path.read_text()).rows:
            table[tuple(int(width) for width in widths)] = lut, ff, dsp
    return table


@cache
def product_list(family: str) -> list[list[list[list[tuple[float, float, float]]]]]:
    """The same as nested lists, which one look-up is quicker in."""
    found: list[list[list[list[tuple[float, float, float]]]]] = product_table(family).tolist()
    return found
