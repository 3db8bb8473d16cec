"""Trains the network of a compilation's TOML on its data and writes the weights.

    python examples/train.py examples/lenet5/lenet5.toml --epochs 10 [--start FILE] [--out FILE]

AdamW on one cycle of the learning rate; cross entropy, or the squared error where targets are
numbers. Without --start, weights begin as the factory gives them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compiler.config import load_config
from compiler.frontend.data import load_dataset
from compiler.frontend.model import fill, load_module, read_state
from compiler.stages import Dataset


def augment(images: Tensor, shift: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) shifted by up to `shift` pixels each way, zeros coming in; half mirrored."""
    if shift:
        height, width = images.shape[2:]
        padded = F.pad(images, (shift,) * 4)
        offsets = torch.randint(2 * shift + 1, (len(images), 2), generator=generator).tolist()
        images = torch.stack(
            [
                image[:, top : top + height, left : left + width]
                for image, (top, left) in zip(padded, offsets, strict=True)
            ]
        )
    if mirror:
        turned = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(turned[:, None, None, None], images.flip(3), images)
    return images


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs, targets)


@torch.no_grad()
def score(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples that are classed right, or the mean squared error."""
    model.eval()
    outputs = torch.cat([model(part) for part in x.split(500)])
    if y.is_floating_point():
        return F.mse_loss(outputs, y).item()
    return (outputs.argmax(1) == y).double().mean().item()


def train(
    model: nn.Module,
    data: Dataset,
    *,
    epochs: int,
    lr: float,
    batch: int = 64,
    shift: int = 0,
    mirror: bool = False,
    seed: int = 0,
) -> None:
    """Trains `model` in place on the training split; in eval mode at the end."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=5e-3)
    steps = epochs * math.ceil(len(x) / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=steps)
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for index in torch.randperm(len(x), generator=generator).split(batch):
            loss = loss_of(model(augment(x[index], shift, mirror, generator)), y[index])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item() * len(index)
        print(f"epoch {epoch} of {epochs}: loss {total / len(x):.4f}", flush=True)
    model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="TOML file of the compilation")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-3, help="greatest learning rate")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--shift", type=int, default=0, help="greatest random shift in pixels")
    parser.add_argument("--mirror", action="store_true", help="mirror images by chance")
    parser.add_argument("--samples", type=int, help="training samples used, all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--out", type=Path, help="by default weights.pt beside the TOML file")
    chosen = parser.parse_args()
    config = load_config(chosen.config)
    data = load_dataset(config.data.source, config.base)
    torch.manual_seed(chosen.seed)
    model = load_module(config.model.factory, config.base)
    if chosen.start:
        fill(model, read_state(chosen.start), where=str(chosen.start))
    few = np.random.default_rng(chosen.seed).permutation(len(data.train_x))[: chosen.samples]
    train(
        model,
        Dataset(data.name, data.train_x[few], data.train_y[few], data.test_x, data.test_y,
                data.classes),
        epochs=chosen.epochs,
        lr=chosen.lr,
        batch=chosen.batch,
        shift=chosen.shift,
        mirror=chosen.mirror,
        seed=chosen.seed,
    )  # fmt: skip
    print(f"test: {score(model, torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)):.4f}")
    out = chosen.out or config.base / "weights.pt"
    torch.save({key: value.clone() for key, value in model.state_dict().items()}, out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
