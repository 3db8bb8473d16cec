"""Quantization-aware training by the epoch, and what keeps masks and codebooks meanwhile."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from compiler.stages import Codebook
from passes._augment import augmented
from passes._brevitas_exact import integer_weights, on_grid, quantizer_scale, weight_scale
from passes._score import score

if TYPE_CHECKING:
    from compiler.stages import QuantModel
    from passes._brevitas_network import QuantNetwork
    from passes._distill import Distillation
    from passes.base import Context

EVAL_BATCH = 512
LEAST_SCALE = 0.05
"""A weight scale never falls below this share of what it was at the beginning."""
SCALE_SHARE = 0.05
"""Steps of scales, which move all values of a tensor at once, as a share of those of weights."""
SCALE_EPS = 1e-6
"""Adam's epsilon of scales. Weights begin on their grid, where a scale's gradient is zero but for
rounding, 1e-8 and less; Adam would make whole steps of that, in directions of chance."""


class Constraints:
    """Projects the weights after every step: masked ones to zero, shared ones to their entries.

    A codebook's entries stay float while training (the mean, in integer steps, of the weights that
    share one); Brevitas rounds them in the forward pass and passes gradients straight through.
    """

    def __init__(
        self,
        network: QuantNetwork,
        masks: Mapping[str, NDArray[np.bool_]],
        codebooks: Mapping[str, Codebook],
    ) -> None:
        device = next(network.parameters()).device
        self.network = network
        # Steps are of the mean scale's size: a small channel's scale must not cross zero.
        self.floors = {
            shape.name: weight_scale(network, shape.name).detach() * LEAST_SCALE
            for shape in network.network.layers
        }
        self.ceilings = {
            quantizer: unit.most_scale(network.widths)
            for quantizer, unit in network.quantizers().items()
            if unit.limit
        }
        self.masks = {name: torch.from_numpy(mask).to(device) for name, mask in masks.items()}
        self.indices = {
            name: torch.from_numpy(book.indices.astype(np.int64)).to(device)
            for name, book in codebooks.items()
        }
        self.counts = {
            name: torch.bincount(index.flatten()).clamp_min(1)
            for name, index in self.indices.items()
        }

    @torch.no_grad()
    def apply(self) -> None:
        for name, floor in self.floors.items():
            scale = weight_scale(self.network, name)
            scale.copy_(torch.maximum(scale, floor))
        for quantizer, most in self.ceilings.items():
            quantizer_scale(self.network, quantizer).clamp_(max=most)
        for name, index in self.indices.items():
            weight, scale = self.network.layer(name).weight, weight_scale(self.network, name)
            steps = (weight / scale).flatten()
            count = self.counts[name]
            entries = torch.zeros(len(count), device=steps.device, dtype=steps.dtype)
            entries.index_add_(0, index.flatten(), steps)
            entries /= count
            if name in self.masks:
                entries[index[~self.masks[name]]] = 0.0
            weight.copy_(entries[index] * scale)
        for name, mask in self.masks.items():
            self.network.layer(name).weight.mul_(mask)

    def codebooks(self) -> dict[str, Codebook]:
        """The codebooks of the weights as they are now."""
        return {name: codebook(integer_weights(self.network, name)) for name in self.indices}


def codebook(integers: NDArray[np.int64]) -> Codebook:
    """The codebook of a layer's integer weights: its distinct values, and who has which."""
    values, indices = np.unique(integers, return_inverse=True)
    return Codebook(values.astype(np.int64), indices.reshape(integers.shape).astype(np.int64))


def optimizer(network: QuantNetwork, lr: float) -> torch.optim.Adam:
    """Adam; every tensor steps in proportion to its own root mean square.

    Batch norms are folded in, so that tensors differ by orders of magnitude: steps of one size for
    all would be far too large for some. A bias, which may be all zeros, steps no less than the
    weights of its layer.

    Source: Shazeer and Stern, "Adafactor", ICML 2018, arXiv 1804.04235: relative step size.
    """
    groups: list[dict[str, object]] = []
    for shape in network.network.layers:
        layer = network.layer(shape.name)
        weight, bias = _rms(layer.weight), _rms(layer.bias)
        groups.append({"params": [layer.weight], "lr": lr * weight})
        groups.append({"params": [layer.bias], "lr": lr * max(bias, weight)})
    scales = [weight_scale(network, shape.name) for shape in network.network.layers]
    scales += [quantizer_scale(network, quantizer) for quantizer in network.quantizers()]
    groups.extend(
        {"params": [s], "lr": lr * SCALE_SHARE * _rms(s), "eps": SCALE_EPS} for s in scales
    )
    for group in groups:
        group["initial_lr"] = group["lr"]
    return torch.optim.Adam(groups)


def _rms(values: torch.Tensor) -> float:
    return float(values.detach().double().square().mean().sqrt())


@dataclass(frozen=True)
class Drawing:
    """What an epoch trains on.

    samples: how many, 0 for all that are kept. shift: greatest random shift in pixels. mirror: by
    chance.
    """

    samples: int = 0
    shift: int = 0
    mirror: bool = False

    @property
    def augments(self) -> bool:
        return self.shift > 0 or self.mirror

    def images(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return augmented(x, self.shift, self.mirror, generator)


class Trainer:
    """Trains a network in place, an epoch at a time, on its device.

    precision: "bfloat16" computes convolutions and what lies between quantizers in bfloat16;
    quantization, loss and parameters stay float32, and so does what is measured.

    The held-out part of the training split is drawn once from the run's seed. Each epoch draws
    from a generator of its own, so that a resumed training sees what an uninterrupted one sees.
    """

    def __init__(
        self,
        model: QuantModel,
        network: QuantNetwork,
        ctx: Context,
        distillation: Distillation,
        holdout: float,
        drawing: Drawing,
        precision: str = "float32",
    ) -> None:
        device = torch.device(ctx.device)
        self.network, self.seed, self.drawing = network, ctx.seed, drawing
        self.team = ctx.team
        self.distillation = distillation
        self.lowered = precision == "bfloat16"
        # Faster for convolutions; chains in float32 keep the order of summation they had.
        self.channels_last = self.lowered or not network.network.chain
        self.x = torch.from_numpy(on_grid(ctx.data.train_x, model.input)).to(device)
        self.y = torch.from_numpy(ctx.data.train_y).to(device)
        order = torch.from_numpy(ctx.rng("holdout").permutation(len(self.x))).to(device)
        count = max(1, round(holdout * len(order)))
        self.held, self.kept = order[:count], order[count:]
        self.teacher = copy.deepcopy(model.reference).to(device).eval()
        if self.channels_last:
            for module in (self.network, self.teacher):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.taught = self._taught()
        self.constraints = Constraints(network, model.masks, model.codebooks)

    @torch.no_grad()
    def _taught(self) -> torch.Tensor:
        """The teacher's logits; NaN for samples that are asked for with each step's images."""
        if not self._teaches_steps():
            return self.team.outputs(self.teacher, self.x, EVAL_BATCH)
        held = self.team.outputs(self.teacher, self.x[self.held], EVAL_BATCH)
        taught = torch.full((len(self.x), *held.shape[1:]), torch.nan, device=held.device)
        taught[self.held] = held
        return taught

    def _teaches_steps(self) -> bool:
        """Is the teacher asked with each step? Of few or augmented images it knows none before."""
        return self.drawing.augments or self.drawing.samples > 0

    def epoch(self, optimizer: torch.optim.Optimizer, number: int, batch: int) -> float:
        """One pass over the samples drawn; the mean loss."""
        self.network.train()
        total = count = 0.0
        for images, chosen in self._drawn(number, batch):
            optimizer.zero_grad()
            loss = self._shared_loss(images, chosen)
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
            loss = self.team.add_gradients(self.network.parameters(), loss)
            optimizer.step()
            self.constraints.apply()
            total += float(loss) * len(chosen)
            count += len(chosen)
        return total / count

    @torch.no_grad()
    def loss(self, batch: int) -> float:
        """The network's mean loss, as it is, on what the first epoch trains on."""
        self.network.eval()
        total = count = 0.0
        for images, chosen in self._drawn(0, batch):
            loss = self.team.added(self._shared_loss(images, chosen))
            total += float(loss) * len(chosen)
            count += len(chosen)
        return total / count

    def _drawn(self, number: int, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(images, their places among the samples) of epoch `number`, batch by batch."""
        generator = torch.Generator().manual_seed((self.seed << 20) + number)
        drawn = torch.randperm(len(self.kept), generator=generator).to(self.kept.device)
        drawn = drawn[: self.drawing.samples or None]
        for chosen in torch.split(self.kept[drawn], batch):
            images = self.drawing.images(self.x[chosen], generator)
            if self.channels_last and images.dim() == 4:
                images = images.contiguous(memory_format=torch.channels_last)
            yield images, chosen

    def _shared_loss(self, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """This process's part of the batch's mean loss; of no samples it has no gradient."""
        if self.team.alone:
            return self._loss(images, chosen)
        mine = self.team.part(len(chosen))
        count = mine.stop - mine.start
        if not count:
            return torch.zeros((), device=images.device)
        loss: torch.Tensor = self._loss(images[mine], chosen[mine]) * (count / len(chosen))
        return loss

    def _loss(self, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.lowered):
            logits = self.network(images).float()
            taught = self._teach(images, chosen)
        return self.distillation.loss(logits, self.y[chosen], taught)

    @torch.no_grad()
    def _teach(self, images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        if not self._teaches_steps() or self.distillation.weight == 0.0:
            return self.taught[chosen]
        return self.teacher(images).float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def held_out(self) -> tuple[float, float]:
        """(mean loss, accuracy or R^2) on the held-out samples."""
        self.network.eval()
        logits = self.team.outputs(self.network, self.x[self.held], EVAL_BATCH)
        labels = self.y[self.held]
        loss = float(self.distillation.loss(logits, labels, self.taught[self.held]))
        return loss, score(logits.cpu().numpy(), labels.cpu().numpy())
