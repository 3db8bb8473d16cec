"""As many threads as a network is worth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

SMALL_STEP = 10**8
"""Multiply-accumulates a step below which PyTorch's threads mostly wait for each other."""


@contextlib.contextmanager
def threads_for(macs: int, batch: int) -> Iterator[None]:
    """One PyTorch thread inside the block if a step of `batch` samples is small."""
    import torch

    before = torch.get_num_threads()
    try:
        if macs * batch < SMALL_STEP:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
