"""finetune: the float network learns to do without what was pruned."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch

from compiler.stages import ScoredModel
from passes._distill import Distillation, refuse_augmentation, variance_of
from passes._graph import accuracy, placed
from passes._norms import fit_with_norms
from passes._relevance import remeasure
from passes._score import told
from passes._statistics import statistics_samples
from passes._threads import threads_for
from passes._training import Schedule
from passes._uses import TRAINING
from passes.attribute import Attribute, prove_complete
from passes.base import PRECISIONS, Context, Pass


@dataclass(frozen=True)
class Finetune(Pass[ScoredModel, ScoredModel]):
    """Train the pruned network in float before bits are allocated; masked weights stay zero.

    Loss is cross entropy, of a regression the squared error, mixed with distillation from the
    network before pruning. Batch norms that
    were folded into layers are put back for the training and folded again. Relevance is measured
    anew on the trained network.

    epochs: 0 passes the model through; a part of one may be given. batch: samples a step. lr: of
    momentum SGD, falling on a cosine. decay: of weights. distill: share of the loss that is
    distillation. shift, mirror: augmentation, as in `retrain`. clip: greatest norm of the gradient.
    precision: of the layers in training, "float32" or "bfloat16".
    """

    name: ClassVar[str] = "finetune"
    together: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum")
    uses: ClassVar[tuple[str, ...]] = (
        *Attribute.uses,
        "passes.attribute",
        "passes._norms",
        "passes._statistics",
        "passes._training",
        *TRAINING,
    )

    epochs: float = 0.0
    batch: int = 128
    lr: float = 5e-3
    decay: float = 1e-4
    distill: float = 0.5
    shift: int = 0
    mirror: bool = False
    clip: float = 1.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        self.require(
            {
                "epochs": (self.epochs >= 0, "0 or more"),
                "batch": (self.batch >= 2, "at least 2"),
                "lr": (self.lr > 0, "more than 0"),
                "decay": (self.decay >= 0, "0 or more"),
                "distill": (0 <= self.distill <= 1, "a share from 0 to 1"),
                "shift": (self.shift >= 0, "0 or more"),
                "clip": (self.clip >= 0, "0 or more"),
                "precision": (self.precision in PRECISIONS, " or ".join(PRECISIONS)),
            }
        )

    def refuse(self, ctx: Context) -> None:
        """Raises LiftFlowError where the targets do not move with the samples."""
        if self.epochs:
            refuse_augmentation(ctx.data, self.shift, self.mirror, self.name)

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        if self.epochs == 0:
            return model
        schedule = Schedule(
            images=round(self.epochs * len(ctx.data.train_x)),
            lr=self.lr,
            batch=self.batch,
            decay=self.decay,
            shift=self.shift,
            mirror=self.mirror,
            clip=self.clip,
            distillation=Distillation(self.distill, variance=variance_of(ctx.data)),
            precision=self.precision,
        )
        module = copy.deepcopy(model.module)
        devices = [torch.device(ctx.device)] if ctx.device == "cuda" else []
        with torch.random.fork_rng(devices), threads_for(model.network.macs, self.batch):
            torch.manual_seed(ctx.seed)
            norms = fit_with_norms(
                module,
                model.norms,
                statistics_samples(ctx, self.name).cpu(),
                ctx.data,
                schedule,
                ctx.seed,
                ctx.device,
                masks={name: torch.from_numpy(mask) for name, mask in model.masks.items()},
                teacher=copy.deepcopy(placed(model.reference, ctx.device)),
                report=lambda share, loss: ctx.say(f"loss {loss:.4f}", share),
                team=ctx.team,
            )
        relevance = remeasure(module, model.network, model.relevance, norms, ctx)
        prove_complete(relevance, ctx)
        measured = accuracy(module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        ctx.say(told(measured, ctx.data.regression), 1.0)
        return dataclasses.replace(
            model, module=module, relevance=relevance, accuracy=measured, norms=norms
        )
