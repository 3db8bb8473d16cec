"""Several processes at one training or attribution; in one process all of this does nothing.

`torchrun` starts the processes. The first runs the pipeline and writes; the others wait for
passes that are computed `together`, and compute their part of each step: the same samples in the
same order as one process would take, divided. Gradients and sums are added up, so that results are
those of one process but for the order of summation.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""The others wait while the first simulates and synthesizes; torchrun ends all when one fails."""


@dataclass(frozen=True)
class Team:
    """rank: of this process, the first's is 0. size: how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def first(self) -> bool:
        """Is this the process that runs the pipeline and writes?"""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of `count` samples are this process's; they may be none."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def agreed(self, value: T) -> T:
        """What the first process has for `value`."""
        if self.alone:
            return value
        import torch.distributed as dist

        box: list[Any] = [value if self.first else None]
        dist.broadcast_object_list(box, src=0)
        agreed: T = box[0]
        return agreed

    def added(self, values: Tensor) -> Tensor:
        """Sum over all processes; `values` itself is left alone."""
        if self.alone:
            return values
        import torch.distributed as dist

        total = values.detach().clone()
        dist.all_reduce(total)
        return total

    def greatest(self, value: float) -> float:
        """Maximum over all processes."""
        return max(self.all_of(value))

    def all_of(self, value: T) -> list[T]:
        """What each process has for `value`, by rank."""
        if self.alone:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def outputs(self, compute: Callable[[Tensor], Tensor], samples: Tensor, batch: int) -> Tensor:
        """`compute` of all samples, in batches, each process its part. (samples, ...)."""
        import torch

        if self.alone or len(samples) < self.size:
            return torch.cat([compute(part) for part in torch.split(samples, batch)])
        mine = self.part(len(samples))
        found = torch.cat([compute(part) for part in torch.split(samples[mine], batch)])
        whole = found.new_zeros((len(samples), *found.shape[1:]))
        whole[mine] = found
        return self.added(whole)

    def add_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Sum every gradient over the processes, in place; gives the sum of `loss`.

        What has a gradient in no process is left without one.
        """
        loss = loss.detach()
        if self.alone:
            return loss
        import torch

        trained = [value for value in parameters if value.requires_grad]
        there = [float(value.grad is not None) for value in trained]
        grads = [torch.zeros_like(v) if v.grad is None else v.grad for v in trained]
        flat = torch.cat([g.flatten().float() for g in grads])
        notes = torch.tensor([*there, 0.0], device=flat.device)
        notes[-1] = loss
        total = self.added(torch.cat([flat, notes]))
        sizes = [value.numel() for value in trained]
        pieces = torch.split(total[: len(flat)], sizes)
        counts = total[len(flat) : -1].tolist()
        for value, piece, count in zip(trained, pieces, counts, strict=True):
            value.grad = piece.view_as(value).to(value.dtype).clone() if count else None
        return total[-1]


ALONE = Team()


@contextmanager
def started() -> Iterator[Team]:
    """The processes that torchrun started, of which this is one; ALONE where it did not.

    Raises:
        LiftFlowError: there are more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise LiftFlowError(
                f"process {local + 1} of this machine finds {torch.cuda.device_count()} GPUs",
                where="torchrun",
                mend="give --nproc-per-node at most as many, or set CUDA_VISIBLE_DEVICES=",
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    yield Team(dist.get_rank(), size)
    # Not after an error: the others may be in the midst of a step, and torchrun ends them.
    dist.destroy_process_group()


def call(entry: Any, model: Any, context: Any, team: Team) -> Any:
    """Run a pass, with all processes if it is one that they compute together."""
    from dataclasses import replace

    if team.alone or not entry.together:
        return entry.run(model, context)
    team.agreed((entry, model, context.data, context.seed, context.device))
    return entry.run(model, replace(context, team=team))


def serve(team: Team) -> None:
    """Take part, in all processes but the first, until it calls `dismiss`."""
    from passes.base import Context

    while (job := team.agreed(None)) is not None:
        entry, model, data, seed, device = job
        with tempfile.TemporaryDirectory() as folder:
            entry.run(model, Context(Path(folder), data, seed, device, team=team))


def dismiss(team: Team) -> None:
    """Tell the other processes that nothing is left to do."""
    team.agreed(None)


@contextmanager
def joined_norms(module: nn.Module, team: Team) -> Iterator[None]:
    """Batch norms in training take their statistics over the samples of all processes.

    As in one process: torch.nn.SyncBatchNorm does so on CUDA only.
    """
    if team.alone:
        yield
        return
    from torch.nn.modules.batchnorm import _BatchNorm

    from passes._joined_norm import forward

    norms: Sequence[Any] = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    for norm in norms:
        norm.forward = forward(norm)
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward
