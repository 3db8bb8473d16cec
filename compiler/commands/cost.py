"""`liftflow cost`: what a layer costs on a board, once or for every line of JSON that comes in."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from compiler.commands.console import print_columns, print_json
from hw_targets.boards import Board, load_board
from hw_targets.cost.query import LayerQuery, complaint, layer_cost, uncalibrated
from hw_targets.errors import LiftFlowError

FIELDS = tuple(field.name for field in dataclasses.fields(LayerQuery))
NEEDED = tuple(
    field.name for field in dataclasses.fields(LayerQuery) if field.default is dataclasses.MISSING
)


DEFAULT_BOARD = "ulx3s-85f"
LAYER_FLAGS = ("channels", "size", "kernel", "stride", "dilation", "pad", "pool", "bits", "lines")
NETWORK_FLAGS = (
    "family", "weight_bits", "act_bits", "input_bits", "share", "fps", "interval", "fold",
)  # fmt: skip
LAYER, NETWORK = "Of one layer", "Of a network"


def cost(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(help="A compilation's TOML file, or a QONNX file; none for one layer."),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(help="Board name, or a board's TOML file; the TOML's own, or ulx3s-85f."),
    ] = None,
    clock_mhz: Annotated[
        float | None,
        typer.Option(
            "--clock-mhz", "--clock", help="Clock; the TOML's goal, or the board's default."
        ),
    ] = None,
    pe: Annotated[int | None, typer.Option(help="Rows computed at once; 1.")] = None,
    simd: Annotated[int | None, typer.Option(help="Inputs of a row multiplied at once; 1.")] = None,
    dsp: Annotated[bool, typer.Option("--dsp", help="Multiply in hard multipliers.")] = False,
    block: Annotated[bool, typer.Option("--block", help="Weights in block RAM.")] = False,
    multiplier: Annotated[
        bool,
        typer.Option(
            "--multiplier", help="Multiply outputs of few bits, instead of thresholds for them."
        ),
    ] = False,
    signed: Annotated[
        bool,
        typer.Option("--signed", help="Inputs have a sign; of a QONNX file with --input-bits."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Channels in and out, as in 16:32; a dense layer's sizes.",
            rich_help_panel=LAYER,
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Image, HEIGHTxWIDTH, before padding.", rich_help_panel=LAYER)
    ] = "1x1",
    kernel: Annotated[
        str, typer.Option(help="Kernel, HEIGHTxWIDTH or one side.", rich_help_panel=LAYER)
    ] = "1",
    stride: Annotated[str, typer.Option(help="Stride, the same way.", rich_help_panel=LAYER)] = "1",
    dilation: Annotated[
        str, typer.Option(help="Dilation, the same way.", rich_help_panel=LAYER)
    ] = "1",
    pad: Annotated[
        str, typer.Option(help="Padding on each side, the same way.", rich_help_panel=LAYER)
    ] = "0",
    pool: Annotated[
        int, typer.Option(help="Side of the maximum pooling behind it.", rich_help_panel=LAYER)
    ] = 1,
    bits: Annotated[
        str,
        typer.Option(
            help="Bits of inputs, weights and outputs, as in 4:4:4; 0 for logits.",
            rich_help_panel=LAYER,
        ),
    ] = "4:4:4",
    lines: Annotated[
        bool,
        typer.Option(
            "--lines",
            help="Answer every line of JSON on standard input.",
            rich_help_panel=LAYER,
        ),
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(help="Device family instead of a board: no shell.", rich_help_panel=NETWORK),
    ] = None,
    weight_bits: Annotated[
        int | None, typer.Option(help="Bits of weights; 4.", rich_help_panel=NETWORK)
    ] = None,
    act_bits: Annotated[
        int | None, typer.Option(help="Bits of activations; 4.", rich_help_panel=NETWORK)
    ] = None,
    input_bits: Annotated[
        int | None,
        typer.Option(
            help="Bits of a QONNX file's input that has no quantizer.", rich_help_panel=NETWORK
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(help="Share of the board to use; 0.7.", rich_help_panel=NETWORK),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Least frames a second; the TOML's goal, or as many as fit.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(help="Most cycles between frames, instead.", rich_help_panel=NETWORK),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer's folding by hand, LAYER=PE:SIMD; may be repeated.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
) -> None:
    """What a layer or a network costs: LUT, FF, DSP, block RAM, cycles, with 90 % intervals.

    With MODEL, the whole network, layer by layer: bits by flags (a QONNX file has its own), and
    the folding that the allocator's solver finds, or by hand with --pe, --simd and --fold.

    With --lines, every line of standard input is an object of the fields of LayerQuery, and
    optionally "board" and "clock_mhz"; every answer is a line, an error too, and the command goes
    on. A line of its own is flushed at once, so that other tools can keep it running.
    """
    if model is not None:
        _refuse(context, LAYER_FLAGS, "is of one layer", "leave it or the model out")
        from compiler.commands.cost_network import cost_network
        from compiler.pricing.asked import Asked
        from compiler.pricing.source import Given

        asked_network = Asked(
            board, family, clock_mhz, share, fps, interval, pe, simd, tuple(fold or ()),
            "dsp" if dsp else "lut", "block" if block else "distributed",
            "multiplier" if multiplier else "threshold",
        )  # fmt: skip
        cost_network(
            model, Given(weight_bits, act_bits, input_bits, signed), asked_network, as_json
        )
        return
    _refuse(context, NETWORK_FLAGS, "is of a network", "give a model, a TOML or QONNX file")
    board = board or DEFAULT_BOARD
    pe, simd = 1 if pe is None else pe, 1 if simd is None else simd
    if lines:
        _answer_lines(board, clock_mhz)
        return
    if channels is None:
        raise LiftFlowError(
            "no layer and no model is given",
            where="cost",
            mend="give --channels IN:OUT, a TOML or QONNX file, or --lines",
        )
    in_channels, out_channels = _numbers("channels", channels, ":", 2)
    in_bits, weight_bits, act_bits = _numbers("bits", bits, ":", 3)
    sides = {"in": size, "kernel": kernel, "stride": stride, "dilation": dilation, "pad": pad}
    pairs = {
        f"{name}_{axis}": value
        for name, text in sides.items()
        for axis, value in zip("hw", _pair(name, text), strict=True)
    }
    asked = LayerQuery(
        in_channels=in_channels,
        out_channels=out_channels,
        in_bits=in_bits,
        weight_bits=weight_bits,
        act_bits=act_bits,
        pe=pe,
        simd=simd,
        pool=pool,
        activation=int(act_bits > 0),
        in_signed=int(signed),
        dsp=int(dsp),
        block=int(block),
        multiplier=int(multiplier),
        **pairs,
    )
    place = load_board(board)
    answer = _answer(asked, place, clock_mhz)
    if as_json:
        print_json(answer)
        return
    _show(answer, place)


def _show(answer: Mapping[str, Any], board: Board) -> None:
    rows = [("", "value", "90 % interval", "share of board")]
    for name in ("lut", "ff", "dsp", "bram"):
        found = answer[name]
        if found is None:
            rows.append((name.upper(), "uncalibrated", "", ""))
            continue
        share = found["value"] / max(1, getattr(board.resources, name))
        span = f"{found['low']:,.0f} to {found['high']:,.0f}"
        rows.append((name.upper(), f"{found['value']:,.0f}", span, f"{share:.1%}"))
    rows.append(("cycles", f"{answer['cycles']:,}", "", f"{answer['fps']:,.0f} frames a second"))
    print_columns(rows, numbers=(1,))
    if answer["why"]:
        print(f"uncalibrated: {answer['why']}")


def _refuse(context: typer.Context, flags: Sequence[str], what: str, mend: str) -> None:
    """Raises LiftFlowError where one of `flags` was given."""
    for name in flags:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = f"--{name.replace('_', '-')}"
            raise LiftFlowError(f"{flag} {what}", where="cost", mend=mend)


def _answer_lines(board: str, clock_mhz: float | None) -> None:
    bad = 0
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            answer = _answer_line(line, board, clock_mhz)
        except LiftFlowError as error:
            bad += 1
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    if bad:
        raise LiftFlowError(
            f"{bad} of the lines could not be answered",
            where="standard input",
            mend="see the lines with an error",
        )


def _answer_line(line: str, board: str, clock_mhz: float | None) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except json.JSONDecodeError as error:
        raise LiftFlowError(f"not JSON: {error}", where="line", mend="write one object") from error
    if not isinstance(asked, dict):
        raise LiftFlowError("not a JSON object", where="line", mend="write one object")
    place, clock = asked.pop("board", board), asked.pop("clock_mhz", clock_mhz)
    return _answer(_query(asked), load_board(str(place)), clock)


def _query(asked: Mapping[str, Any]) -> LayerQuery:
    for name, value in asked.items():
        if name not in FIELDS:
            raise LiftFlowError(
                f"no field {name!r}", where="layer", mend=f"known: {', '.join(FIELDS)}"
            )
        if not isinstance(value, (int, float)):
            raise LiftFlowError(f"{name} is {value!r}", where="layer", mend="give a number")
    missing = [name for name in NEEDED if name not in asked]
    if missing:
        raise LiftFlowError(f"no {', '.join(missing)}", where="layer", mend="give every one")
    return LayerQuery(**asked)


def _answer(asked: LayerQuery, board: Board, clock_mhz: float | None) -> dict[str, Any]:
    """The answer as JSON has it; a resource is None where it is uncalibrated."""
    wrong = complaint(asked)
    if wrong:
        raise LiftFlowError(wrong, where="layer", mend="correct it")
    clock = board.clock.default_mhz if clock_mhz is None else clock_mhz
    if not isinstance(clock, (int, float)) or not clock > 0:
        raise LiftFlowError(f"clock_mhz is {clock!r}", where="layer", mend="give it above 0")
    found = layer_cost(asked, board.family)
    bounds = {
        "lut": (found.lut, found.lut_low, found.lut_high),
        "ff": (found.ff, found.ff_low, found.ff_high),
        "dsp": (found.dsp, found.dsp, found.dsp),
        "bram": (found.bram, found.bram_low, found.bram_high),
    }
    cycles = int(found.cycles)
    return {
        "board": board.name,
        **{
            name: None
            if any(value != value for value in values)
            else {
                key: round(float(value), 2)
                for key, value in zip(("value", "low", "high"), values, strict=True)
            }
            for name, values in bounds.items()
        },
        "cycles": cycles,
        "clock_mhz": clock,
        "fps": round(clock * 1e6 / cycles, 3),
        "inside": bool(found.inside),
        "why": "" if found.inside else uncalibrated(asked, board.family),
    }


def _pair(name: str, text: str) -> tuple[int, int]:
    if "x" in text:
        first, second = _numbers(name, text, "x", 2)
        return first, second
    side = _numbers(name, text, "x", 1)[0]
    return side, side


def _numbers(name: str, text: str, separator: str, count: int) -> list[int]:
    parts = text.split(separator)
    try:
        found = [int(part) for part in parts]
    except ValueError:
        found = []
    if len(found) != count:
        form = separator.join(["N"] * count)
        raise LiftFlowError(f"cannot read {text!r}", where=f"--{name}", mend=f"write {form}")
    return found
