"""Training of float networks: fine-tuning after pruning, and the networks benchmarks start from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError
from passes._augment import augmented
from passes._distill import Distillation
from passes._distributed import ALONE, Team, joined_norms


@dataclass(frozen=True)
class Schedule:
    """Stochastic gradient descent with Nesterov momentum 0.9, learning rate on one cosine.

    images: samples seen in all, each epoch in a new order. decay: of weights. shift: greatest
    random shift in pixels. mirror: mirror every other image. warm_up: share of the steps in which
    the rate rises. clip: greatest norm of the gradient, 0 for no limit. distillation: part of the
    loss that a teacher gives. precision: of layers in the forward pass, "float32" or "bfloat16".
    """

    images: int
    lr: float
    batch: int = 128
    decay: float = 5e-4
    shift: int = 0
    mirror: bool = False
    warm_up: float = 0.05
    clip: float = 0.0
    distillation: Distillation = field(default_factory=Distillation)
    precision: str = "float32"


def fit(
    module: nn.Module,
    data: Dataset,
    schedule: Schedule,
    seed: int,
    device: str = "cpu",
    *,
    masks: Mapping[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    report: Callable[[float, float], None] | None = None,
    team: Team = ALONE,
) -> None:
    """Trains `module` in place on the training split; in eval mode and contiguous at the end.

    Args:
        masks: parameter's module -> True where its weight may be other than zero.
        teacher: network in eval mode whose outputs are learned by `distillation`.
        report: called with the share of steps done and the mean loss since the last call.
        team: the processes that divide every step among them.

    Raises:
        LiftFlowError: the loss is no finite number any more, or a parameter is not.
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    layout = torch.channels_last if x.dim() == 4 else torch.contiguous_format
    _place(module, device, layout)
    module.train()
    kept = {name: mask.to(device) for name, mask in (masks or {}).items()}
    optimizer = torch.optim.SGD(
        module.parameters(), schedule.lr, 0.9, weight_decay=schedule.decay, nesterov=True
    )
    steps = max(1, math.ceil(schedule.images / schedule.batch))
    order = _orders(len(x), schedule.batch, generator)
    running, since = 0.0, 0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * _rate(step, steps, schedule.warm_up)
        chosen = next(order)
        images = augmented(x[chosen], schedule.shift, schedule.mirror, generator)
        whole, mine = len(chosen), team.part(len(chosen))
        images, chosen = images[mine], chosen[mine]
        images = images.to(device, memory_format=layout)
        low = torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=schedule.precision == "bfloat16"
        )
        optimizer.zero_grad()
        with joined_norms(module, team):
            with low:
                logits = module(images).float()
                taught = _taught(teacher, images) if schedule.distillation.weight else None
            if len(chosen):
                loss = schedule.distillation.loss(logits, y[chosen].to(device), taught)
                loss = loss * (len(chosen) / whole)
            else:  # no sample, but a part in the norms of the others'
                loss = logits.sum()
            loss.backward()  # type: ignore[no-untyped-call]
        loss = team.add_gradients(module.parameters(), loss)
        if not bool(torch.isfinite(loss)):
            raise _diverged(f"the loss is {loss.item():g} after {step} of {steps} steps")
        if schedule.clip:
            nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
        optimizer.step()
        with torch.no_grad():
            for name, mask in kept.items():
                module.get_submodule(name).weight.mul_(mask)  # type: ignore[operator,union-attr]
        running, since = running + float(loss), since + 1
        if report is not None and (step + 1) % max(1, steps // 10) == 0:
            report((step + 1) / steps, running / since)
            running, since = 0.0, 0
    # The last step has no loss behind it that would tell.
    odd = [key for key, value in module.named_parameters() if not bool(value.isfinite().all())]
    if odd:
        raise _diverged(f"{odd[0]} is no finite number any more after {steps} steps")
    _place(module, "cpu", torch.contiguous_format)
    module.eval()


def _diverged(what: str) -> LiftFlowError:
    return LiftFlowError(
        f"{what} of training", where="finetune", mend="lower finetune.lr, or set finetune.clip"
    )


def _place(module: nn.Module, device: str, layout: torch.memory_format) -> None:
    untyped: Any = module  # torch's stubs have no overload for a device with a memory format
    untyped.to(device, memory_format=layout)


def _rate(step: int, steps: int, warm_up: float) -> float:
    rise = min(1.0, (step + 1) / (warm_up * steps + 1))
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


@torch.no_grad()
def _taught(teacher: nn.Module | None, images: Tensor) -> Tensor | None:
    if teacher is None:
        return None
    logits: Tensor = teacher(images)
    return logits.float()


def _orders(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        parts = torch.split(torch.randperm(count, generator=generator), batch)
        # A batch norm has nothing to learn from a single sample.
        yield from (part for part in parts if len(part) > 1 or count == 1)
