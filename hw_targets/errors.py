"""The one error a person sees: what is wrong, where, and what to change."""

from __future__ import annotations


class LiftFlowError(Exception):
    """A problem the user can mend; the command line prints it as one line and exits with status 2.

    Args:
        what: the problem, one clause, no full stop.
        where: file, layer, option or tool it belongs to.
        mend: what to do about it, one clause.
    """

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what = " ".join(what.split())
        self.where = where
        self.mend = " ".join(mend.split()) if mend else None
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}; {self.mend}" if self.mend else line

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.mend))


class UnsupportedError(LiftFlowError):
    """The network asks for something no kernel here computes."""


class InfeasibleError(LiftFlowError):
    """No design meets the goals on this board; the text says by how much."""


class MissingToolError(LiftFlowError):
    """A tool the step needs is not on this machine; the text says how to get it."""


class VerificationError(LiftFlowError):
    """A stage does not compute what the stage before it computes: a defect, never to be ignored."""


def _rebuild(
    kind: type[LiftFlowError], what: str, where: str | None, mend: str | None
) -> LiftFlowError:
    return kind(what, where=where, mend=mend)
