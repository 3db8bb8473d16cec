"""Pictures of the report as PNG files in data URIs: samples, heatmaps, channels by classes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Insight

SIDE = 96
"""Pixels of a picture's longer side at most: larger samples are averaged, to bound the page."""

SHOWN = 10
"""Samples at most."""

HEAT = "RdBu_r"
GRID = "viridis"

Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """width, height: in cells, which are pixels unless the sample was averaged."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Triple:
    """A sample and its heatmaps. image: None where a sample is no picture or strip."""

    image: Picture | None
    before: Picture
    after: Picture


def triples(insight: Insight) -> list[Triple]:
    """One a sample, `SHOWN` at most."""
    maps = zip(insight.images, insight.before, insight.after, strict=True)
    return [
        Triple(_sample(image), _heatmap(before), _heatmap(after))
        for image, before, after in list(maps)[:SHOWN]
    ]


def grids(insight: Insight) -> dict[str, Picture]:
    """Layer -> a cell for every class (down) and channel (across), bright where it matters."""
    found = {}
    for name, layer in insight.layers.items():
        totals = layer.classes.sum(axis=1, keepdims=True, dtype=np.float64)
        shares = layer.classes / np.where(totals > 0, totals, 1.0)
        found[name] = _coloured(shares, GRID, 0.0, float(shares.max()) or 1.0)
    return found


def _sample(image: NDArray[np.float32]) -> Picture | None:
    """Of one channel in grey, of three in colour, of features a strip, of a signal's channels
    one below the other."""
    if image.ndim < 3:
        planes = np.atleast_2d(image)[None]
    elif image.ndim == 3 and len(image) in (1, 3):
        planes = image
    else:
        return None
    pixels = np.stack([_averaged(plane.astype(np.float64)) for plane in planes], axis=-1)
    span = float(np.ptp(pixels)) or 1.0
    pixels = (pixels - pixels.min()) / span
    if pixels.shape[2] == 1:
        return _coloured(pixels[:, :, 0], "gray", 0.0, 1.0)
    return _png(pixels)


def _heatmap(contributions: NDArray[np.float32]) -> Picture:
    """Summed over an image's channels; zero is the middle of the colours, the greatest value an
    end."""
    values = contributions.astype(np.float64)
    plane = np.atleast_2d(values) if values.ndim < 3 else values.sum(axis=0)
    plane = _averaged(plane.reshape(len(plane), -1))
    span = float(np.abs(plane).max()) or 1.0
    return _coloured(plane, HEAT, -span, span)


def _averaged(plane: Pixels) -> Pixels:
    """(height, width) in blocks, so that no side is above `SIDE`; a rest at the edges is cut."""
    block = [-(-size // SIDE) for size in plane.shape]
    height, width = (size // by for size, by in zip(plane.shape, block, strict=True))
    cut = plane[: height * block[0], : width * block[1]]
    result: Pixels = cut.reshape(height, block[0], width, block[1]).mean(axis=(1, 3))
    return result


def _coloured(plane: Pixels, colours: str, low: float, high: float) -> Picture:
    from matplotlib import colormaps

    scaled = (plane - low) / (high - low)
    return _png(np.asarray(colormaps[colours](scaled), np.float64)[:, :, :3])


def _png(pixels: Pixels) -> Picture:
    """pixels: (height, width, 3) from 0 to 1."""
    from matplotlib.image import imsave

    room = BytesIO()
    imsave(room, np.ascontiguousarray(np.clip(pixels, 0.0, 1.0)), format="png")
    text = base64.b64encode(room.getvalue()).decode()
    return Picture(f"data:image/png;base64,{text}", pixels.shape[1], pixels.shape[0])
