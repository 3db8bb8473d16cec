"""Which weights go together, and which go: global or layer by layer, alone, N of M, or in blocks.

Hardware reads a layer as a matrix (outputs, taps x inputs), the inputs of one tap side by side;
patterns are laid over that matrix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import LiftFlowError

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pattern:
    """What is kept or removed as one: a tile of `rows` x `columns` of the matrix.

    most: of `group` neighbours in a row at most this many are kept (N:M); 0 for no such rule.
    """

    rows: int = 1
    columns: int = 1
    most: int = 0
    group: int = 0

    @property
    def structured(self) -> bool:
        return self.most > 0


def parse_pattern(text: str) -> Pattern:
    """ "" for single weights, "2:4" for N of M, "4x8" for blocks of PE x SIMD.

    Raises:
        LiftFlowError: `text` is none of these.
    """
    if not text:
        return Pattern()
    if found := re.fullmatch(r"(\d+):(\d+)", text):
        most, group = int(found[1]), int(found[2])
        if 0 < most < group:
            return Pattern(most=most, group=group)
    if found := re.fullmatch(r"(\d+)x(\d+)", text):
        rows, columns = int(found[1]), int(found[2])
        if rows and columns:
            return Pattern(rows, columns)
    raise LiftFlowError(
        f"no such pattern: {text!r}",
        where="prune-weights",
        mend='give "" for single weights, "2:4" for N of M, or "4x8" for blocks of PE x SIMD',
    )


def as_matrix(weight: NDArray[np.generic]) -> NDArray[np.generic]:
    """(out, in, kh, kw) or (out, in) -> (out, kh x kw x in), as hardware has it."""
    if weight.ndim == 4:
        weight = weight.transpose(0, 2, 3, 1)
    return weight.reshape(len(weight), -1)


def as_weight(matrix: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """The inverse of `as_matrix`."""
    if len(shape) == 2:
        return matrix.reshape(shape)
    out, into, height, width = shape
    return matrix.reshape(out, height, width, into).transpose(0, 3, 1, 2)


def keep_masks(
    scores: Mapping[str, Scores], sparsity: float, pattern: Pattern, *, scope: str
) -> dict[str, Mask]:
    """Layer -> True where a weight stays.

    At least the share `sparsity` of all weights ("network"), of every layer's ("layer") or of every
    row of tiles ("row") goes: tiles in the order of their mean score. Under N:M it is the pattern
    that decides how many go.

    Args:
        scores: layer -> score of each weight, in the weight's own shape.
    """
    if pattern.structured:
        return {name: _n_of_m(values, pattern) for name, values in scores.items()}
    tiles = {name: _tile_means(values, pattern) for name, values in scores.items()}
    if scope == "row":
        return {
            name: _untiled(_least_of_rows(*each, sparsity), scores[name].shape, pattern)
            for name, each in tiles.items()
        }
    parts = [[name] for name in tiles] if scope == "layer" else [list(tiles)]
    masks: dict[str, Mask] = {}
    for names in parts:
        masks |= _least_go({name: tiles[name] for name in names}, sparsity)
    return {name: _untiled(masks[name], scores[name].shape, pattern) for name in scores}


def _n_of_m(values: Scores, pattern: Pattern) -> Mask:
    matrix = as_matrix(values)
    rows, columns = matrix.shape
    # The last group of a row may be short; what is missing counts as removed already.
    groups = math.ceil(columns / pattern.group)
    padded = np.full((rows, groups * pattern.group), -np.inf)
    padded[:, :columns] = matrix
    grouped = padded.reshape(rows, groups, pattern.group)
    order = np.argsort(-grouped, axis=2, kind="stable")
    keep = np.zeros(grouped.shape, dtype=bool)
    np.put_along_axis(keep, order[:, :, : pattern.most], True, axis=2)
    kept = keep.reshape(rows, -1)[:, :columns]
    return np.ascontiguousarray(as_weight(kept, values.shape), dtype=bool)


def _tile_means(values: Scores, pattern: Pattern) -> tuple[Scores, NDArray[np.int64]]:
    """(mean score, number of weights) of every tile, (tile rows, tile columns)."""
    matrix = as_matrix(values).astype(np.float64)
    down = np.arange(0, matrix.shape[0], pattern.rows)
    across = np.arange(0, matrix.shape[1], pattern.columns)

    def summed(array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(np.add.reduceat(array, down, axis=0), across, axis=1)

    counts = summed(np.ones(matrix.shape))
    return summed(matrix) / counts, counts.astype(np.int64)


def _least_go(
    tiles: Mapping[str, tuple[Scores, NDArray[np.int64]]], sparsity: float
) -> dict[str, Mask]:
    means = np.concatenate([mean.ravel() for mean, _ in tiles.values()])
    sizes = np.concatenate([count.ravel() for _, count in tiles.values()])
    order = np.argsort(means, kind="stable")
    # The epsilon keeps a share such as 0.8 x 10 from asking for nine.
    wanted = math.ceil(sparsity * int(sizes.sum()) - 1e-9)
    gone = int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1 if wanted else 0
    keep = np.ones(len(means), dtype=bool)
    keep[order[:gone]] = False
    ends = np.cumsum([mean.size for mean, _ in tiles.values()])[:-1]
    parts = zip(tiles.items(), np.split(keep, ends), strict=True)
    return {name: part.reshape(mean.shape) for (name, (mean, _)), part in parts}


def _least_of_rows(means: Scores, sizes: NDArray[np.int64], sparsity: float) -> Mask:
    rows = [
        _least_go({"": (mean[None], size[None])}, sparsity)[""]
        for mean, size in zip(means, sizes, strict=True)
    ]
    return np.concatenate(rows)


def _untiled(mask: Mask, shape: tuple[int, ...], pattern: Pattern) -> Mask:
    rows, columns = shape[0], int(np.prod(shape[1:]))
    spread = mask.repeat(pattern.rows, axis=0)[:rows].repeat(pattern.columns, axis=1)[:, :columns]
    return np.ascontiguousarray(as_weight(spread, shape), dtype=bool)
