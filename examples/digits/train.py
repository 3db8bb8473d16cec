"""Trains DigitsNet on the training split of scikit-learn's digits and writes weights.pt.

    python examples/digits/train.py [--epochs 120] [--seed 0] [--out weights.pt]

Takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from model import DigitsNet
from torch import Tensor, nn

from compiler.frontend.data import load_dataset

HERE = Path(__file__).resolve().parent


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 1, H, W) turned by up to 12 degrees, scaled by up to 10 %, shifted by up to a pixel."""
    count, _, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(12))
    scale = 1 + uniform(0.1)
    theta = torch.stack(
        [
            torch.stack([scale * angle.cos(), -scale * angle.sin(), uniform(2 / width)], 1),
            torch.stack([scale * angle.sin(), scale * angle.cos(), uniform(2 / height)], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    return (model(x).argmax(1) == y).double().mean().item()


def train(epochs: int, seed: int, batch: int = 64) -> nn.Module:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = load_dataset("sklearn-digits", HERE)
    train_x, train_y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    test_x, test_y = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)

    model = DigitsNet()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=5e-3)
    steps = epochs * math.ceil(len(train_x) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(1, epochs + 1):
        model.train()
        for index in torch.randperm(len(train_x), generator=generator).split(batch):
            logits = model(augment(train_x[index], generator))
            loss = F.cross_entropy(logits, train_y[index], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if epoch % 20 == 0 or epoch == epochs:
            print(f"epoch {epoch}: train accuracy {accuracy(model, train_x, train_y):.4f}")
    print(f"test accuracy {accuracy(model, test_x, test_y):.4f}")
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "weights.pt")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    model = train(arguments.epochs, arguments.seed)
    torch.save({key: value.clone() for key, value in model.state_dict().items()}, arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
