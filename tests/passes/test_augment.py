"""Augmentation moves and mirrors whole images, and nothing else."""

from __future__ import annotations

import torch

from passes._augment import augmented


def test_shifts_move_whole_images() -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5) + 1
    moved = augmented(images, 2, False, torch.Generator().manual_seed(1))
    assert moved.shape == images.shape
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for index in range(2):
        offsets = [
            (dy, dx)
            for dy in range(5)
            for dx in range(5)
            if torch.equal(padded[index, :, dy : dy + 4, dx : dx + 5], moved[index])
        ]
        assert len(offsets) == 1


def test_mirroring_turns_some_images_and_only_whole_ones() -> None:
    images = torch.arange(32 * 2 * 3 * 4, dtype=torch.float32).reshape(32, 2, 3, 4)
    moved = augmented(images, 0, True, torch.Generator().manual_seed(1))
    turned = [torch.equal(new, old.flip(2)) for new, old in zip(moved, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(moved, images, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True))
    assert any(turned)
    assert any(kept)


def test_augmentation_moves_and_mirrors() -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    generator = torch.Generator().manual_seed(0)
    assert augmented(images, 0, False, generator) is images
    seen = {tuple(augmented(images, 0, True, generator)[0].flatten().tolist()) for _ in range(20)}
    assert seen == {
        tuple(images[0].flatten().tolist()),
        tuple(images[0].flip(2).flatten().tolist()),
    }
    moved = augmented(images, 1, False, generator)
    assert moved.shape == images.shape
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    for image, whole in zip(moved, padded, strict=True):
        windows = [whole[:, r : r + 4, c : c + 5] for r in range(3) for c in range(3)]
        assert any(torch.equal(image, window) for window in windows)


def test_samples_that_are_no_images_stay() -> None:
    samples = torch.randn(4, 7)
    assert augmented(samples, 2, True, torch.Generator().manual_seed(0)) is samples
