"""How much the error of an output counts, sample by sample: what it moves the target by, squared.

Weights that are left are chosen so that layers give what they gave, and not every error matters
alike: by DeepLIFT, an error e of an output of multiplier m moves the target by m e. Counted by m^2,
errors are those of the target, as far as outputs err apart from each other. With gradients in place
of multipliers this is known from quantization (Kim et al., "GuidedQuant", ICML 2025, arXiv
2505.07004).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from passes._graph import layers_of
from passes.deeplift import Attribution, attribute_targets, target_coefficients

BATCH = 64
"""Samples of which the same positions are drawn."""
MOST = 20.0
"""Times the mean of an output: what a single error counts at most."""


@dataclass(frozen=True)
class Guide:
    """Of one layer.

    positions: of the output map, drawn, a tensor for each BATCH of samples; one position if the
    layer has no map. counts: (samples x drawn, outputs), mean 1 for every output.
    """

    positions: list[Tensor]
    counts: Tensor


def guides(
    module: nn.Module,
    samples: Tensor,
    target: str,
    share: float,
    positions: int,
    generator: torch.Generator,
) -> dict[str, Guide]:
    """Layer -> its guide, by the multipliers of `module` at `samples`.

    A sample's reference is the sample before it, its class the one that is predicted.

    Args:
        module: prepared network. samples: (N, ...) inputs, in an order that means nothing.
        target: one of `passes.deeplift.TARGETS`.
        share: of an error's count that its multiplier decides; the rest is alike for all.
        positions: of a convolution's output positions at most so many a sample are drawn.
    """
    layers = layers_of(module)
    drawn: dict[str, list[Tensor]] = {name: [] for name in layers}
    squares: dict[str, list[Tensor]] = {name: [] for name in layers}
    references = samples.roll(1, 0)
    for number, inputs in enumerate(torch.split(samples, BATCH)):
        with torch.no_grad():
            logits = module(inputs)
            coefficients = target_coefficients(target, logits, logits.argmax(1), inputs)

        def visit(found: Attribution, number: int = number) -> None:
            for name in layers:
                # A map of one position where the layer has none.
                multiplier = found.layers[name].multiplier[:, :, None].flatten(2)
                if len(drawn[name]) == number:  # the first target of this batch
                    drawn[name].append(draw(multiplier.shape[2], positions, generator))
                    squares[name].append(torch.zeros(()))
                seen = multiplier[:, :, drawn[name][number].to(multiplier.device)]
                rows = seen.square().permute(0, 2, 1).flatten(0, 1)
                squares[name][number] = squares[name][number].to(rows.device) + rows

        attribute_targets(
            module, inputs, references[number * BATCH :][: len(inputs)], coefficients, layers, visit
        )
    return {name: Guide(drawn[name], _counts(torch.cat(squares[name]), share)) for name in layers}


def draw(available: int, positions: int, generator: torch.Generator) -> Tensor:
    """At most `positions` of the positions, by chance; all of them in order if they are no more."""
    if available <= positions:
        return torch.arange(available)
    return torch.randperm(available, generator=generator)[:positions]


def _counts(squares: Tensor, share: float) -> Tensor:
    """Means of 1; outputs that the target never depends on have the same count everywhere."""
    counts = squares / squares.mean(0).clamp_min(1e-30)
    counts = counts.clamp_max(MOST)
    mean = counts.mean(0)
    counts = torch.where(mean > 0, counts / mean.clamp_min(1e-30), 1.0)
    return (1 - share) + share * counts
