"""attribute: tells what in the network matters, by DeepLIFT or another criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compiler.stages import Dataset, FloatModel, Relevance, ScoredModel
from hw_targets.errors import LiftFlowError
from passes._relevance import REFERENCES, Settings, measure
from passes._threads import threads_for
from passes.base import Context, Pass
from passes.criteria import CRITERIA
from passes.criteria.references import known, references_of
from passes.deeplift import OF_OUTPUTS, SIGNS, TARGETS

# DeepLIFT is complete in exact arithmetic; what is left is the rounding of float32: below 1e-6 of
# the greatest output on ten-layer networks. It is told as a share of the greatest difference of
# outputs, which near references (blur) make a fortieth of that.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Attribute(Pass[FloatModel, ScoredModel]):
    """Score every channel and weight: by DeepLIFT in one pass, or by another criterion.

    Source: Shrikumar et al., ICML 2017, arXiv 1704.02685; used for compression by Sabih, Hannig
    and Teich, arXiv 2008.09072.

    criterion: "deeplift", or one of `passes.criteria` to compare it with. samples: training samples
    the scores are means over, 0 for as many as it takes until the ranking of channels is stable.
    most_samples: at most, where samples is 0. stable: reliability of the ranking (0 to 1) that is
    enough. reference: what a sample is compared with, "random" other training samples, their
    "mean", "zero", the sample under a "blur", or a .npy file of your own. distance: share of the
    way from the sample to that, where its reference lies; 0 leaves it to the network: for random
    references a quarter in a chain of layers, else all the way. target: what is
    explained, the "margin" (logit of the true class minus the best other), the "true" class's
    logit, the "predicted" one's, "all" classes' logits in turn; of a regression every "output" in
    turn, or all of them under random "signs" at once (`passes.deeplift.random_signs`), which counts
    what they move by as a squared error does; left out, the margin, or the signs of a regression.
    batch: samples a backward pass.
    """

    name: ClassVar[str] = "attribute"
    together: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum", "scipy")
    uses: ClassVar[tuple[str, ...]] = (
        "passes.deeplift",
        "passes.criteria",
        "passes._one_pass",
        "passes._threads",
        "passes._rescale",
        "passes._relevance",
        "passes._distill",
        "passes._distributed",
        "passes._graph",
        "passes._score",
        "passes._modules",
    )

    samples: int = 256
    reference: str = "random"
    target: str = ""
    batch: int = 64
    criterion: str = "deeplift"
    most_samples: int = 1024
    stable: float = 0.95
    distance: float = 0.0

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise self._no_such("criterion", self.criterion, ", ".join(CRITERIA))
        if self.target not in ("", *TARGETS, SIGNS):
            raise self._no_such("target", self.target, ", ".join((*TARGETS, SIGNS)))
        if not known(self.reference):
            choices = f"{', '.join(REFERENCES)} or a .npy file"
            raise self._no_such("reference", self.reference, choices)
        for option, least in (("samples", 0), ("batch", 1), ("most_samples", 1)):
            count = getattr(self, option)
            if count < least:
                mend = f"use at least {least}"
                raise LiftFlowError(f"{option} is {count}", where=self.name, mend=mend)
        if not 0 <= self.distance <= 1:
            mend = "give a share from 0 to 1"
            raise LiftFlowError(f"distance is {self.distance:g}", where=self.name, mend=mend)
        if not 0 < self.stable <= 1:
            mend = "give a share from above 0 to 1"
            raise LiftFlowError(f"stable is {self.stable:g}", where=self.name, mend=mend)

    def _no_such(self, option: str, value: str, choices: str) -> LiftFlowError:
        what = f"no such {option}: {value!r}"
        return LiftFlowError(what, where=self.name, mend=f"use {choices}")

    def refuse(self, ctx: Context) -> None:
        """Raises LiftFlowError where the reference or the target does not fit the data."""
        if ctx.data.regression and self.target not in ("", *OF_OUTPUTS):
            raise LiftFlowError(
                f"target {self.target} asks for classes, which a regression has not",
                where=self.name,
                mend=f"use {' or '.join(OF_OUTPUTS)}, or leave it out",
            )
        if CRITERIA[self.criterion].needs_references:
            references_of(self.reference, ctx.data)

    def settings(self, data: Dataset) -> Settings:
        """The options as `measure` takes them."""
        return Settings(
            samples=self.samples,
            reference=self.reference,
            target=self.target or (SIGNS if data.regression else "margin"),
            batch=self.batch,
            criterion=self.criterion,
            most_samples=self.most_samples,
            stable=self.stable,
            distance=self.distance,
        )

    def run(self, model: FloatModel, ctx: Context) -> ScoredModel:
        """Raises LiftFlowError when `prepare` has not run, VerificationError when not complete."""
        if model.network is None or model.accuracy is None:
            raise LiftFlowError("the network is not prepared", where=self.name, mend="run prepare")
        ctx.say(f"{self.criterion} of {len(model.network.layers)} layers", None)
        rng = ctx.rng(self.name)
        with threads_for(model.network.macs, self.batch):
            settings = self.settings(ctx.data)
            relevance = measure(
                model.module, ctx.data, settings, rng, ctx.device, model.norms, ctx.team
            )
        if relevance.stability:
            samples, stability = relevance.stability[-1]
            ctx.say(f"ranking of channels {stability:.3f} reliable over {samples} samples", 1.0)
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
            norms=model.norms,
        )


def prove_complete(relevance: Relevance, ctx: Context) -> None:
    """Enters DeepLIFT's completeness in the ledger; other criteria claim none."""
    if not relevance.criterion.startswith("deeplift"):
        return
    ctx.prove(
        "contributions sum to the difference of the output (DeepLIFT's completeness)",
        relevance.completeness_delta <= TOLERANCE,
        measured=f"off by {relevance.completeness_delta:.2g} over {relevance.samples} samples",
        required=f"at most {TOLERANCE:g} of the greatest difference",
    )
