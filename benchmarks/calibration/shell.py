"""Measure what a board's shell takes without an accelerator, for several input frames.

    python -m benchmarks.calibration.shell ulx3s-85f

Synthesises the shell round a stub that only hands its input on, and writes the largest figures
found into the family's cost data: the frames differ in lanes, bits and beats, and the allocator
must not count on less than the shell may take. Block RAMs that hold the frames themselves are
counted (`hw_targets.cost.shell`), and not part of what is written.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
from pathlib import Path

from benchmarks.calibration.sweep import WORK
from benchmarks.calibration.synthesis import resources, yosys_version
from hw_targets.boards import Board, load_board
from hw_targets.cost.coefficients import (
    VERSION,
    Coefficients,
    ShellFit,
    data_file,
    load_coefficients,
)
from hw_targets.cost.shell import block_rams
from hw_targets.families import RESOURCES, load_family
from hw_targets.rtl.kernel import Stream
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.shell import Shell

CLASS = (1, 4, 1)
Frame = tuple[int, int, int]
"""(lanes, bits, beats)."""

FRAMES: tuple[tuple[Frame, Frame], ...] = (
    ((1, 4, 64), CLASS),
    ((8, 8, 8), CLASS),
    ((1, 8, 784), CLASS),
    ((3, 8, 1024), CLASS),
    ((1, 8, 27648), CLASS),
    ((1, 8, 640), (1, 20, 640)),
)
"""(input, output) frames tried: digits to 96 x 96 colour images, and MLPerf Tiny's autoencoder."""

_STUB = """module stub (
    input logic clk, input logic rst,
    input logic [{high}:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
    output logic [{out_high}:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready
);
    assign s_axis_tready = m_axis_tready;
    assign m_axis_tvalid = s_axis_tvalid;
    assign m_axis_tdata = s_axis_tdata;
endmodule
"""


def measure(board: Board, taken: Frame, given: Frame, folder: Path) -> dict[str, float]:
    """Resource name -> count of the shell alone for one input and one output frame."""
    streams = [Stream(lanes, bits, False, beats) for lanes, bits, beats in (taken, given)]
    stub = Accelerator("0" * 16, *streams, 10 if given == CLASS else 0, ("stub.sv",), top="stub")
    shell = Shell(board, stub, board.clock.default_mhz)
    shell.write(folder)
    (folder / "stub.sv").write_text(
        _STUB.format(high=streams[0].width - 1, out_high=streams[1].width - 1)
    )
    family = load_family(board.family)
    return resources(shell.top, ("stub.sv", *shell.sources), family, folder)


def measured_shell(board: Board) -> ShellFit:
    """The largest count of every resource over `FRAMES`."""
    found: list[dict[str, float]] = []
    for taken, given in FRAMES:
        name = f"{board.name}-{_text(taken)}-{_text(given)}"
        found.append(measure(board, taken, given, WORK / "shell" / name))
        print(f"{name}: {found[-1]}")
        found[-1]["bram"] -= sum(_held(frame, board) for frame in (taken, given))
    most = {name: max(each[name] for each in found) for name in RESOURCES}
    frames = ", ".join(f"{_text(taken)} to {_text(given)}" for taken, given in FRAMES)
    return ShellFit(
        lut=most["lut"],
        ff=most["ff"],
        dsp=most["dsp"],
        bram=most["bram"],
        source=f"{yosys_version()}, {board.name}, largest over frames {frames} "
        "(lanes x bits x beats)",
    )


def _held(frame: Frame, board: Board) -> float:
    """Block RAMs that hold a frame."""
    lanes, bits, beats = frame
    return block_rams(Stream(lanes, bits, False, beats), load_family(board.family))


def _text(frame: Frame) -> str:
    return "x".join(map(str, frame))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("board")
    board = load_board(parser.parse_args().board)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        shell = measured_shell(board)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error.stdout}\n{error.stderr}") from error
    fitted = load_coefficients(board.family) or Coefficients(
        version=VERSION,
        family=board.family,
        implementation="rtl",
        date=today,
        tool=yosys_version(),
        kernels={},
    )
    fitted = fitted.model_copy(update={"shells": {**fitted.shells, board.flow: shell}})
    path = data_file(board.family, "rtl")
    path.write_text(fitted.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
