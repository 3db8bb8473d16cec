"""What every option means, read from the docstring of the pass or section that has it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def meanings(kind: type, options: Iterable[str]) -> dict[str, str]:
    """Option -> what the docstring of `kind` says of it, for those of `options` that it tells of.

    A docstring tells of options as "macs: least share to remove. steps: rounds of it.", at the
    start of a sentence or line; "weight_bits, act_bits: widths" tells of both. What is told ends
    where the next option begins, or the paragraph.
    """
    known = sorted(options, key=len, reverse=True)
    if not known:
        return {}
    any_of = "|".join(map(re.escape, known))
    told = re.compile(rf"(?:^|(?<=[.;] ))(?P<names>(?:{any_of})(?:, (?:{any_of}))*): ")
    found: dict[str, str] = {}
    for paragraph in paragraphs(kind):
        for names, text in _parts(told, paragraph):
            found.update(dict.fromkeys(names, text))
    return found


def summary(kind: type, options: Iterable[str]) -> list[str]:
    """The paragraphs of the docstring of `kind` that tell of no option, each in one line."""
    known = "|".join(map(re.escape, options))
    starts = re.compile(rf"(?:{known})(?:, \w+)*: ") if known else None
    return [text for text in paragraphs(kind) if starts is None or not starts.match(text)]


def paragraphs(kind: type) -> list[str]:
    """The docstring's paragraphs, each in one line."""
    text = inspect.cleandoc(kind.__doc__ or "")
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _parts(told: re.Pattern[str], paragraph: str) -> Iterable[tuple[Sequence[str], str]]:
    places = list(told.finditer(paragraph))
    ends = [*(place.start() for place in places[1:]), len(paragraph)]
    for place, end in zip(places, ends, strict=False):  # A paragraph may tell of none.
        text = paragraph[place.end() : end]
        yield place["names"].split(", "), text.strip().rstrip(";.") + "."
