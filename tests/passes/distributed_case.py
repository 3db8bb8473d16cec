"""What torchrun starts: runs pickled passes in a team, and writes what the first process got.

    torchrun ... distributed_case.py FOLDER

FOLDER/jobs.pkl: a list of (pass, model, context). FOLDER/results.pkl: what each gave.
"""

from __future__ import annotations

import copy
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from compiler.stages import QuantModel
from passes._brevitas_train import Drawing, Trainer
from passes._distill import Distillation
from passes._distributed import call, dismiss, serve, started
from passes.base import Context, Pass


@dataclass(frozen=True)
class Gradients(Pass[QuantModel, dict[str, torch.Tensor]]):
    """Of the last batch of an epoch of retraining, by parameter; nothing is changed by a step."""

    name: ClassVar[str] = "gradients"
    together: ClassVar[bool] = True
    batch: int = 64

    def run(self, model: QuantModel, ctx: Context) -> dict[str, torch.Tensor]:
        network = copy.deepcopy(model.module)
        distillation, drawing = Distillation(0.5, 3.0), Drawing(shift=1)
        trainer = Trainer(model, network, ctx, distillation, holdout=0.15, drawing=drawing)
        still = torch.optim.SGD(network.parameters(), lr=0.0)
        trainer.epoch(still, number=0, batch=self.batch)
        grads = {name: value.grad for name, value in network.named_parameters()}
        return {name: grad for name, grad in grads.items() if grad is not None}


@dataclass(frozen=True)
class Faulty(Pass[int, int]):
    """Fails in all processes but the first, which waits for them."""

    name: ClassVar[str] = "faulty"
    together: ClassVar[bool] = True

    def run(self, model: int, ctx: Context) -> int:
        if not ctx.team.first:
            raise RuntimeError("out of luck")
        return int(ctx.team.added(torch.tensor(model)))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with started() as team:
        if not team.first:
            serve(team)
            return
        jobs = pickle.loads((folder / "jobs.pkl").read_bytes())
        results = [call(entry, model, context, team) for entry, model, context in jobs]
        (folder / "results.pkl").write_bytes(pickle.dumps(results))
        dismiss(team)


if __name__ == "__main__":
    # As a module of that name, so that what is pickled here is found there.
    from distributed_case import main as run

    run(Path(sys.argv[1]))
