"""Where a network is to be priced and how it is folded there, as the flags of a command say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from compiler.pricing import folding
from compiler.pricing.limits import too_large
from compiler.pricing.source import Source
from compiler.stages import LayerChoice
from hw_targets.boards import Board
from hw_targets.cost.coefficients import calibrated_families
from hw_targets.errors import LiftFlowError
from hw_targets.quantizers import Quantizer


@dataclass(frozen=True)
class Asked:
    """Where a network is to be priced, and how it is to be folded; None where no flag said so."""

    board: str | None
    family: str | None
    clock_mhz: float | None
    share: float | None
    fps: float | None
    interval: int | None
    pe: int | None
    simd: int | None
    folds: tuple[str, ...]
    arithmetic: Literal["lut", "dsp"]
    memory: Literal["block", "distributed"]
    quantizer: Quantizer

    def __post_init__(self) -> None:
        """Raises LiftFlowError for values that make no sense, alone or together."""
        positive("--clock-mhz", self.clock_mhz)
        positive("--fps", self.fps)
        positive("--interval", self.interval)
        positive("--share", self.share, top=1.0)
        hand = next(iter(self._hands()), None)
        pairs = (
            ("--board", self.board, "--family", self.family),
            ("--fps", self.fps, "--interval", self.interval),
            ("--fps", self.fps, hand, hand),
            ("--interval", self.interval, hand, hand),
            ("--share", self.share, hand, hand),
            ("--share", self.share, "--family", self.family),
        )
        for first, one, second, other in pairs:
            if one is not None and other is not None:
                raise LiftFlowError(
                    f"{first} and {second} do not go together", where="cost", mend="give one"
                )

    @property
    def by_hand(self) -> bool:
        """Whether flags say how every layer is folded."""
        return bool(self._hands())

    def _hands(self) -> list[str]:
        given = {
            "--pe": self.pe is not None,
            "--simd": self.simd is not None,
            "--fold": bool(self.folds),
            "--dsp": self.arithmetic == "dsp",
            "--block": self.memory == "block",
            "--multiplier": self.quantizer == "multiplier",
        }
        return [flag for flag, found in given.items() if found]


def positive(flag: str, value: float | None, top: float = float("inf")) -> None:
    """Raises LiftFlowError where a flag's value is not above 0, or above `top`."""
    if value is not None and not 0 < value <= top:
        raise LiftFlowError(
            f"{value:g}", where=flag, mend="give it above 0" + (", up to 1" if top == 1 else "")
        )


def folded(
    source: Source, asked: Asked, board: Board | None, family: str, clock_mhz: float
) -> tuple[Sequence[LayerChoice], str, int]:
    """The choices of bits and folding, in words how they were come by, and the interval they keep.

    By hand where flags say so; else the least hardware at the rate asked for, which without flags
    is the goal of the TOML file, or without a goal the greatest that the share of the board holds.

    Raises:
        LiftFlowError: nothing in the family or on the board meets what is asked for.
    """
    if asked.by_hand:
        folds = _folds_by_hand(source, asked)
        choices = folding.by_hand(
            source.network,
            source.widths,
            folds,
            asked.arithmetic,
            asked.memory,
            asked.quantizer,
        )
        return choices, "as given", 0
    place = board.name if board else family
    priced = folding.price(source.network, source.widths, family)
    if priced.space is None:
        why = "" if priced.unknown == "uncalibrated" else f": {priced.unknown}"
        raise LiftFlowError(
            f"family {family} is uncalibrated{why}",
            where=place,
            mend=f"use a calibrated family ({', '.join(calibrated_families())}), or give --pe and "
            "--simd for cycles alone",
        )
    goal = source.goals.fps if asked.fps is None and asked.interval is None else None
    fps = asked.fps or goal
    interval = asked.interval or (folding.interval_of(fps, clock_mhz) if fps else None)
    share = asked.share or source.goals.share
    room = (
        folding.require_room(board, share, source.network) if board else folding.boundless(family)
    )
    inside = f" in {share:.0%} of the board" if board else ""
    if interval is None:
        find = folding.fastest if board else folding.smallest
        found, words = find(priced, room), "the fastest" if board else "the least hardware"
        wanted, interval = "the smallest folding", folding.NO_RATE
    else:
        wanted = f"{fps:,.0f} frames a second" if fps else f"{interval:,} cycles between frames"
        found = folding.smallest(priced, room, interval)
        words = f"the least hardware for {wanted}{', the goal,' if goal else ''}"
    if found is None:
        raise too_large(priced, room, interval, wanted, place)
    return found.choices, words + inside, found.interval


def _folds_by_hand(source: Source, asked: Asked) -> list[tuple[int, int]]:
    """(PE, SIMD) of every layer: --fold where it names the layer, else --pe and --simd."""
    names = [layer.name for layer in source.network.layers]
    folds = dict.fromkeys(names, (_or_1(asked.pe), _or_1(asked.simd)))
    for text in asked.folds:
        matched = re.fullmatch(r"(.+)=(\d+):(\d+)", text)
        if matched is None:
            raise LiftFlowError(f"cannot read {text!r}", where="--fold", mend="write LAYER=PE:SIMD")
        name, pe, simd = matched.groups()
        if name not in folds:
            raise LiftFlowError(
                f"no layer {name!r}", where="--fold", mend=f"layers: {', '.join(names)}"
            )
        folds[name] = (int(pe), int(simd))
    return list(folds.values())


def _or_1(given: int | None) -> int:
    return 1 if given is None else given
