"""What a pass is, and what it is given besides its input."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from hw_targets.errors import LiftFlowError, VerificationError
from passes._distributed import ALONE, Team

if TYPE_CHECKING:
    import numpy as np

    from compiler.stages import Dataset

In = TypeVar("In")
Out = TypeVar("Out")

PRECISIONS = ("float32", "bfloat16")
"""Of layers in training."""


@dataclass(frozen=True)
class Check:
    """One line of the verification ledger: a claim, and the figures that bear it out."""

    claim: str
    measured: str
    required: str
    passed: bool


def _silent(text: str, share: float | None) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """What every pass may use: its folder, the data, the seed, the ledger, a voice.

    workdir: this pass's own folder; everything it leaves for later stages goes there.
    say(text, share): progress, `share` in [0, 1] or None. team: the processes that compute this
    pass together.
    """

    workdir: Path
    data: Dataset
    seed: int = 0
    device: str = "cpu"
    say: Callable[[str, float | None], None] = _silent
    checks: list[Check] = field(default_factory=list)
    team: Team = ALONE

    def prove(self, claim: str, passed: bool, *, measured: object, required: object) -> None:
        """Enter a check in the ledger. Raises VerificationError when it does not hold."""
        check = Check(claim, str(measured), str(required), bool(passed))
        self.checks.append(check)
        if not check.passed:
            raise VerificationError(
                f"{claim}: measured {check.measured}, required {check.required}",
                where=self.workdir.name,
                mend="this is a defect of the compilation, keep the run folder for a report",
            )

    def rng(self, purpose: str) -> np.random.Generator:
        """The run's seeded generator for one named purpose: same seed and name, same numbers."""
        import numpy as np

        digest = hashlib.sha256(f"{self.seed}:{purpose}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))


class Pass(ABC, Generic[In, Out]):
    """A frozen dataclass: its fields are its options, its config section and its CLI spec.

    Subclasses name their stage types as `Pass[In, Out]`; the pipeline reads them to check that
    neighbours fit. `tools` are distributions, `uses` are modules or packages of this project,
    whose versions or sources are part of the cache key beside the pass's own file. Options named
    like goals (board, fps, share, ...) are filled in from the compilation's; with `goals_with`,
    (option, value), only when that option has that value. `after` is for passes of other packages:
    the pass behind which one runs when a configuration names it in `[passes.<name>]`. `unkeyed` are
    options that change nothing about what the pass gives: they are no part of the cache key.
    `together`: every process of a team runs it, and `ctx.team` divides its steps.
    """

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    goals_with: ClassVar[tuple[str, str] | None] = None
    after: ClassVar[str | None] = None
    unkeyed: ClassVar[tuple[str, ...]] = ()
    together: ClassVar[bool] = False

    @abstractmethod
    def run(self, model: In, ctx: Context) -> Out:
        """Compute the next stage. Writes only below `ctx.workdir`."""

    def require(self, limits: Mapping[str, tuple[bool, str]]) -> None:
        """Raise LiftFlowError for the first option of `limits` that does not hold.

        limits: option -> (whether it holds, what to use).
        """
        for option, (holds, wanted) in limits.items():
            if not holds:
                raise LiftFlowError(
                    f"{option} = {getattr(self, option)} is out of range",
                    where=self.name,
                    mend=f"use {wanted}",
                )

    def refuse(self, ctx: Context) -> None:
        """Raise LiftFlowError before the pipeline starts if the pass cannot run here at all."""

    def foresee(self, stage: object) -> None:
        """Raise LiftFlowError if a stage on the way here tells that the pass will be refused.

        stage: of a pass before this one, as soon as that is done.
        """
