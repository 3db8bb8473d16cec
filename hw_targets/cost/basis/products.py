"""What one product or maximum costs, by its widths: measured alone, as it lies between registers.

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
    refused by the tool, or it would not take LUTs), LUT, FF, DSP.

    maxima: LUTs of the running maximum of a lane, of 1 bit and more: kept in a register, and in a
        memory, which is not counted.
    source, maxima_source: digests of the sources and the script (`sources_digest`,
        `recipe_digest`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    tool: str
    source: str
    rows: tuple[tuple[int, int, bool, bool, float, float, float], ...]
    maxima_source: str
    maxima: tuple[tuple[float, ...], tuple[float, ...]]


def products_file(family: str) -> Path:
    """Where a family's products are kept."""
    return _FOLDER / f"{family}-products.json"


@cache
def product_table(family: str) -> NDArray[np.float64]:
    """(9, 9, 2, 2, 3): [weight bits, activation bits, signed, hard] -> LUT, FF, DSP of a product.

    Widths are 1 to 8; what was not measured is NaN, all of it in a family without a file.
    """
    table = np.full((MOST_BITS + 1, MOST_BITS + 1, 2, 2, 3), np.nan)
    products = _load(family)
    if products is not None:
        for *widths, lut, ff, dsp in products.rows:
            table[tuple(int(width) for width in widths)] = lut, ff, dsp
    return table


@cache
def product_list(family: str) -> list[list[list[list[tuple[float, float, float]]]]]:
    """The same as nested lists, which one look-up is quicker in."""
    found: list[list[list[list[tuple[float, float, float]]]]] = product_table(family).tolist()
    return found


@cache
def maximum_table(family: str) -> NDArray[np.float64]:
    """(2, 17) LUTs of a lane's running maximum: [kept in a memory, bits]; NaN without a file.

    Wider ones than were measured grow as the wider half of those does.
    """
    table = np.full((2, 2 * MOST_BITS + 1), np.nan)
    products = _load(family)
    if products is not None:
        for row, measured in zip(table, products.maxima, strict=True):
            slope = (measured[-1] - measured[MOST_BITS // 2 - 1]) / (MOST_BITS / 2)
            row[1 : MOST_BITS + 1] = measured
            row[MOST_BITS + 1 :] = measured[-1] + slope * np.arange(1, MOST_BITS + 1)
    return table


@cache
def _load(family: str) -> Products | None:
    path = products_file(family)
    return Products.model_validate_json(path.read_text()) if path.is_file() else None
