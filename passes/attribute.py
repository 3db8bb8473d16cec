"""attribute: DeepLIFT tells what in the network matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.stages import FloatModel, Relevance, ScoredModel
from hw_targets.errors import LiftFlowError
from passes._relevance import REFERENCES, Settings, measure
from passes._threads import threads_for
from passes.base import Context, Pass
from passes.deeplift import TARGETS

# DeepLIFT is complete in exact arithmetic; what is left is the rounding of float32, which was seen
# to stay below 1e-6 of the greatest output difference on ten-layer networks.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Attribute(Pass[FloatModel, ScoredModel]):
    """Score every channel and weight by DeepLIFT (rescale rule), all layers in one backward pass.

    Source: Shrikumar et al., ICML 2017, arXiv 1704.02685; used for compression by Sabih, Hannig
    and Teich, arXiv 2008.09072.

    samples: training samples the scores are means over. reference: what a sample is compared with,
    "random" other training samples, their "mean", or "zero". target: what is explained, the
    "margin" (logit of the true class minus the best other), the "true" class's logit, or the
    "predicted" one's. batch: samples a backward pass.
    """

    name: ClassVar[str] = "attribute"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum")
    uses: ClassVar[tuple[str, ...]] = (
        "passes.deeplift",
        "passes._one_pass",
        "passes._threads",
        "passes._rescale",
        "passes._relevance",
        "passes._graph",
    )

    samples: int = 256
    reference: str = "random"
    target: str = "margin"
    batch: int = 64

    def __post_init__(self) -> None:
        for option, value, known in (
            ("reference", self.reference, REFERENCES),
            ("target", self.target, TARGETS),
        ):
            if value not in known:
                raise LiftFlowError(
                    f"no such {option}: {value!r}", where=self.name, mend=f"use {', '.join(known)}"
                )
        for option, count in (("samples", self.samples), ("batch", self.batch)):
            if count < 1:
                raise LiftFlowError(f"{option} is {count}", where=self.name, mend="use at least 1")

    def run(self, model: FloatModel, ctx: Context) -> ScoredModel:
        """Raises LiftFlowError when `prepare` has not run, VerificationError when not complete."""
        if model.network is None or model.accuracy is None:
            raise LiftFlowError("the network is not prepared", where=self.name, mend="run prepare")
        ctx.say(f"DeepLIFT of {len(model.network.layers)} layers", None)
        settings = Settings(self.samples, self.reference, self.target, self.batch)
        with threads_for(model.network.macs, self.batch):
            relevance = measure(model.module, ctx.data, settings, ctx.rng(self.name), ctx.device)
        prove_complete(relevance, ctx)
        return ScoredModel(
            name=model.name,
            module=model.module,
            input_shape=model.input_shape,
            input=model.input,
            network=model.network,
            accuracy=model.accuracy,
            reference=model.module,
            relevance=relevance,
        )


def prove_complete(relevance: Relevance, ctx: Context) -> None:
    """Enters DeepLIFT's completeness in the ledger."""
    ctx.prove(
        "contributions sum to the difference of the output (DeepLIFT's completeness)",
        relevance.completeness_delta <= TOLERANCE,
        measured=f"off by {relevance.completeness_delta:.2g} over {relevance.samples} samples",
        required=f"at most {TOLERANCE:g} of the greatest difference",
    )
