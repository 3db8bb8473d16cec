"""Networks whose outputs are the answer: an autoencoder, and one that answers for every pixel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from compiler.stages import Dataset, FloatArray

SAMPLES = 400
TESTED = 60


class Autoencoder(nn.Module):
    """12 values through 3 and back, as MLPerf Tiny's anomaly detector has 640 through 8."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(12, 10),
            nn.BatchNorm1d(10),
            nn.ReLU(),
            nn.Linear(10, 4),
            nn.ReLU(),
            nn.Linear(4, 10),
            nn.ReLU(),
            nn.Linear(10, 12),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


class PerPixel(nn.Module):
    """A U-Net of one level: two numbers for every pixel, from a 1 x 1 convolution at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.Conv2d(10, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 1)
        self.pool = nn.MaxPool2d(2)
        self.wide = nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        shallow = torch.relu(self.down(x))
        deep = torch.relu(self.deep(self.pool(shallow)))
        joined = torch.cat([shallow, self.wide(deep)], 1)
        out: Tensor = self.last(torch.relu(self.up(joined)))
        return out


class PixelChain(nn.Module):
    """Two numbers for every pixel from layers one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.relu(self.norm(self.first(x))))
        return out


def vectors() -> Dataset:
    """Vectors of 12 on a curved sheet of three dimensions; they are their own targets."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(0, 1, (SAMPLES + TESTED, 3))
    x = np.tanh(hidden @ rng.normal(0, 1, (3, 12)) + 0.3).astype(np.float32)
    train, test = x[:SAMPLES], x[SAMPLES:]
    return Dataset("vectors", train, train.copy(), test, test.copy(), classes=0)


def images() -> Dataset:
    """Images of 8 x 8 with a blob; wanted are the image smoothed, and what it differs from it."""
    rng = np.random.default_rng(1)
    centre = rng.uniform(1, 7, (SAMPLES + TESTED, 2, 1, 1))
    rows, columns = np.mgrid[:8, :8]
    blob = np.exp(-((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2) / 3)
    noisy = np.clip(blob + rng.normal(0, 0.1, blob.shape), 0, 1)
    x = noisy[:, None].astype(np.float32)
    y = np.stack([blob, noisy - blob], 1).astype(np.float32)
    return Dataset("blobs", x[:SAMPLES], y[:SAMPLES], x[SAMPLES:], y[SAMPLES:], classes=0)


def trained(model: nn.Module, data: Dataset, steps: int = 400) -> nn.Module:
    """The network after a short training, in eval mode."""
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    model.train()
    for step in range(steps):
        part = torch.arange(step * 64, (step + 1) * 64) % len(x)
        loss = nn.functional.mse_loss(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def autoencoder() -> tuple[nn.Module, Dataset]:
    torch.manual_seed(0)
    data = vectors()
    return trained(Autoencoder(), data), data


def pixel_chain() -> tuple[nn.Module, Dataset]:
    torch.manual_seed(0)
    data = images()
    return trained(PixelChain(), data), data


def per_pixel() -> tuple[nn.Module, Dataset]:
    torch.manual_seed(0)
    data = images()
    return trained(PerPixel(), data), data


def outputs(model: nn.Module, samples: FloatArray) -> FloatArray:
    with torch.no_grad():
        found: FloatArray = model(torch.from_numpy(samples)).numpy()
    return found
