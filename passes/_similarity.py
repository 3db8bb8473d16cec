"""How alike heatmaps are, and how much of that is chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compiler.stages import FloatArray, Similarity

Float64 = NDArray[np.float64]


def similarity(before: FloatArray, after: FloatArray) -> Similarity:
    """Cosine and Spearman's rank correlation of heatmaps, sample by sample.

    Args:
        before, after: (k, *sample) of the same samples.
    """
    one, other = _rows(before), _rows(after)
    cosine = _unit(one) @ _unit(other).T
    spearman = _unit(_ranks(one)) @ _unit(_ranks(other)).T
    return Similarity(
        np.diag(cosine).astype(np.float32),
        np.diag(spearman).astype(np.float32),
        _off_diagonal(cosine),
        _off_diagonal(spearman),
    )


def mean(values: FloatArray) -> float:
    """Of those that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _rows(maps: FloatArray) -> Float64:
    return maps.reshape(len(maps), -1).astype(np.float64)


def _ranks(rows: Float64) -> Float64:
    """Ranks about their mean, so that their cosine is Spearman's correlation; ties share one."""
    # Not above: a compilation that finds everything done should not wait for SciPy.
    from scipy.stats import rankdata

    ranks: Float64 = rankdata(rows, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    return ranks


def _unit(rows: Float64) -> Float64:
    """Rows of length 1; of NaN where the length is 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Float64 = np.full_like(rows, np.nan)
    np.divide(rows, lengths, out=result, where=lengths > 0)
    return result


def _off_diagonal(matrix: Float64) -> float:
    return mean(matrix[~np.eye(len(matrix), dtype=bool)].astype(np.float32))
