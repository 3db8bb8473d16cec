"""Random shifts and mirroring of the images that networks are trained on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(images: Tensor, shift: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """(N, C, H, W), each shifted by up to `shift` pixels (zeros move in), mirrored by chance.

    Samples of another rank are no images and are given back as they are.
    """
    if images.dim() != 4 or (shift == 0 and not mirror):
        return images
    count, _, height, width = images.shape
    padded = F.pad(images, (shift, shift, shift, shift))
    offsets = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    rows, columns = torch.arange(height) + offsets[0], torch.arange(width) + offsets[1]
    if mirror:
        flipped = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    index, rows, columns = (
        part.to(images.device) for part in (torch.arange(count)[:, None, None], rows, columns)
    )
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
