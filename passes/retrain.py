"""retrain: quantization-aware training with the float network as teacher."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from compiler.stages import Epoch, QuantModel
from passes._score import told
from passes._threads import threads_for
from passes._uses import QUANT_NETWORK, TRAINING
from passes.base import PRECISIONS, Context, Pass

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork
    from passes._checkpoint import Checkpoint

SMALLER = 0.25
"""Steps of a training that is begun anew, as a share of those that failed."""


@dataclass(frozen=True)
class Retrain(Pass[QuantModel, QuantModel]):
    """Train weights, biases and scales under quantization; keep the best held-out epoch.

    A training that leaves the loss on what it trains on above what it was has failed. It is begun
    anew in smaller steps; when all have failed, the network is handed back as it came. One whose
    loss becomes no number ends there, with the best epoch before. Held-out samples could not tell:
    the float network knows them.
    Loss is cross entropy, of a regression the squared error, mixed with distillation from the
    float network before pruning. Masks stay zero, codebooks keep who shares an entry while entries
    move. The test split is measured once, after the choice. An interrupted training goes on at its
    last epoch.

    epochs: 0 passes the model through. batch: samples a step. lr: step of Adam's, as a share of
    each tensor's root mean square; it falls on a cosine. retries: trainings after one that failed,
    each with a quarter of the `lr` before. distill: share of the loss that is distillation.
    temperature: of the distillation. patience: epochs without a better held-out result before it
    stops. holdout: share of the training split held out to choose the epoch. shift: greatest random
    shift in pixels. mirror: images left to right, by chance. samples: drawn anew for an epoch, 0
    for all. precision: of convolutions in training, "float32" or "bfloat16"; accuracy is measured
    exactly either way.
    """

    name: ClassVar[str] = "retrain"
    together: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        *QUANT_NETWORK,
        *TRAINING,
        "passes._brevitas_train",
        "passes._checkpoint",
    )

    epochs: int = 60
    batch: int = 64
    lr: float = 0.02
    retries: int = 2
    distill: float = 0.5
    temperature: float = 3.0
    patience: int = 25
    holdout: float = 0.15
    shift: int = 0
    mirror: bool = False
    samples: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        self.require(
            {
                "epochs": (self.epochs >= 0, "0 or more"),
                "batch": (self.batch >= 1, "at least 1"),
                "lr": (self.lr > 0, "more than 0"),
                "retries": (self.retries >= 0, "0 or more"),
                "distill": (0 <= self.distill <= 1, "a share from 0 to 1"),
                "temperature": (self.temperature > 0, "more than 0"),
                "patience": (self.patience >= 1, "at least 1"),
                "holdout": (0 < self.holdout < 1, "a share between 0 and 1"),
                "shift": (self.shift >= 0, "0 or more"),
                "samples": (self.samples >= 0, "0 or more"),
                "precision": (self.precision in PRECISIONS, " or ".join(PRECISIONS)),
            }
        )

    def refuse(self, ctx: Context) -> None:
        """Raises LiftFlowError where the targets do not move with the samples."""
        if not self.epochs:
            return
        from passes._distill import refuse_augmentation

        refuse_augmentation(ctx.data, self.shift, self.mirror, self.name)

    def run(self, model: QuantModel, ctx: Context) -> QuantModel:
        if self.epochs == 0:
            ctx.say("no retraining asked for", 1.0)
            return model
        import torch

        devices = [torch.device(ctx.device)] if ctx.device == "cuda" else []
        for attempt in range(self.retries + 1):
            network = cast("QuantNetwork", copy.deepcopy(model.module)).to(ctx.device)
            with (
                torch.random.fork_rng(devices),
                threads_for(model.network.macs, self.batch),
            ):
                torch.manual_seed(ctx.seed)
                state, loss = self._train(model, network, attempt, ctx)
            if loss <= state.loss_before:
                return self._trained(model, network, state, ctx)
            # No number is a failure too.
            failed = f"failed: loss {loss:.4f} after training, {state.loss_before:.4f} before; "
            if attempt < self.retries:
                ctx.say(f"{failed}begun anew with an lr of {self._lr(attempt + 1):g}", 0.0)
        untrained = f"{failed}the network stays as it was, try a smaller lr"
        ctx.say(untrained, 1.0)
        return replace(model, untrained=untrained)

    def _lr(self, attempt: int) -> float:
        return self.lr * SMALLER**attempt

    def _trained(
        self, model: QuantModel, network: QuantNetwork, state: Checkpoint, ctx: Context
    ) -> QuantModel:
        """The model with its trained network: on its integers, and measured."""
        import torch

        from passes import _brevitas_exact as exact
        from passes._brevitas_train import Constraints

        network = network.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        constraints = Constraints(network, model.masks, model.codebooks)
        constraints.apply()
        exact.settle(network)
        network.eval()
        accuracy = exact.accuracy(network, ctx.data.test_x, ctx.data.test_y)
        reached = told(accuracy, ctx.data.regression)
        ctx.say(f"{reached}, of epoch {state.best_epoch} of {state.epoch}", 1.0)
        return replace(
            model,
            module=network,
            accuracy=accuracy,
            codebooks=constraints.codebooks(),
            history=state.history,
            untrained="",
        )

    def _train(
        self, model: QuantModel, network: QuantNetwork, attempt: int, ctx: Context
    ) -> tuple[Checkpoint, float]:
        """Trains in place, going on where a checkpoint of the same training stands.

        Leaves the best epoch's network, and tells its loss on what the first epoch trains on.
        """
        from passes import _brevitas_train as train
        from passes._checkpoint import Checkpoint
        from passes._distill import Distillation, variance_of

        distillation = Distillation(self.distill, self.temperature, variance_of(ctx.data))
        drawing = train.Drawing(self.samples, self.shift, self.mirror)
        trainer = train.Trainer(
            model, network, ctx, distillation, self.holdout, drawing, self.precision
        )
        file = ctx.workdir / (f"checkpoint-{attempt}.pt" if attempt else "checkpoint.pt")
        # Only the first process has one.
        state = ctx.team.agreed(Checkpoint.load(file, self._tag(model, ctx)))
        if state.epoch:
            network.load_state_dict(state.network)
            ctx.say(f"going on after epoch {state.epoch}", state.epoch / self.epochs)
        else:
            state.loss_before = trainer.loss(self.batch)
        # Only now: loading a state makes Brevitas replace its scale parameters by new ones.
        optimizer = train.optimizer(network, self._lr(attempt))
        if state.epoch:
            optimizer.load_state_dict(state.optimizer)
        while state.epoch < self.epochs and state.epoch - state.best_epoch <= self.patience:
            rate = 0.5 * (1 + math.cos(math.pi * state.epoch / self.epochs))
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            loss = trainer.epoch(optimizer, state.epoch, self.batch)
            held_loss, held_right = ctx.team.agreed(trainer.held_out())
            if not math.isfinite(loss + held_loss):
                ctx.say(
                    f"epoch {state.epoch + 1}: the loss is no number any more; "
                    f"the network of epoch {state.best_epoch} counts",
                    1.0,
                )
                break
            state.epoch += 1
            held = told(held_right, ctx.data.regression)
            ctx.say(
                f"epoch {state.epoch}/{self.epochs}: loss {loss:.4f}, held out {held}",
                state.epoch / self.epochs,
            )
            state.history += (Epoch(loss, held_right),)
            state.network, state.optimizer = network.state_dict(), optimizer.state_dict()
            if (held_right, -held_loss) > state.best_key:
                state.best_key, state.best_epoch = (held_right, -held_loss), state.epoch
                state.best = {k: v.detach().cpu().clone() for k, v in state.network.items()}
            if ctx.team.first:
                state.save(file)
        if not state.best:
            return state, math.nan
        network.load_state_dict(state.best)
        return state, trainer.loss(self.batch)

    def _tag(self, model: QuantModel, ctx: Context) -> str:
        """What a checkpoint must have been made from to be gone on with."""
        digest = hashlib.sha256(repr((asdict(self), ctx.seed, ctx.data.name)).encode())
        for key, value in sorted(model.module.state_dict().items()):
            digest.update(key.encode() + value.cpu().numpy().tobytes())
        digest.update(ctx.data.train_x.tobytes() + ctx.data.train_y.tobytes())
        for name, mask in sorted(model.masks.items()):
            digest.update(name.encode() + mask.tobytes())
        for name, book in sorted(model.codebooks.items()):
            digest.update(name.encode() + book.indices.tobytes())
        return digest.hexdigest()
