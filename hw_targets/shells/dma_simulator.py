"""The DMA shell with its accelerator, simulated: packets of bytes in, packets of bytes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import VerificationError
from hw_targets.flows.simulator import PATIENCE, SimRun, Simulator, Stimulus, build
from hw_targets.rtl.kernel import Stream
from hw_targets.shells.dma_shell import TOP, DmaShell

FOLDER = "dma-simulation"
"""Where the simulated shell of a compilation is built."""

BENCH = "liftflow_dma_bench"
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class SimulatedDma:
    """A compiled simulation of the shell round its accelerator.

    A word of the DMA is one beat of the simulator: its bytes, those of tkeep, and one of tlast.
    """

    simulator: Simulator
    in_bytes: int
    out_bytes: int

    def run(
        self,
        packets: Bytes,
        out_words: int,
        *,
        in_valid: float = 1.0,
        out_ready: float = 1.0,
        seed: int = 0,
        patience: int = PATIENCE,
    ) -> tuple[list[Bytes], SimRun]:
        """Send packets of equal length, (n, bytes); the bytes of each packet that came back.

        out_words: words of the DMA that each comes back in. in_valid, out_ready: see `Stimulus`.
        patience: cycles without any transfer after which it counts as stuck.

        Raises:
            VerificationError: the shell is stuck, breaks AXI-Stream's rules, or a packet does not
                end with its last word.
        """
        sent = stimulus(packets, out_words, (self.in_bytes, self.out_bytes), in_valid, out_ready)
        (run,) = self.simulator.run_channels((sent,), seed=seed, patience=patience)
        return received(run, out_words, self.out_bytes), run


def stimulus(
    packets: Bytes,
    out_words: int,
    word_bytes: tuple[int, int],
    in_valid: float = 1.0,
    out_ready: float = 1.0,
) -> Stimulus:
    """What a channel of the simulator is to send; word_bytes: of the DMA's words in and out."""
    into, out = word_bytes
    beats = _to_words(packets, into)
    return Stimulus(
        beats.reshape(len(beats), beats.shape[1] * beats.shape[2]),
        _stream(into, beats.shape[1]),
        _stream(out, out_words),
        in_valid,
        out_ready,
    )


def received(run: SimRun, out_words: int, word_bytes: int) -> list[Bytes]:
    """The bytes of every packet that a channel gave. Raises VerificationError: see `run`."""
    words = run.outputs.reshape(len(run.outputs), out_words, _stream(word_bytes, 1).lanes)
    return [_kept(packet, word_bytes) for packet in words]


def build_dma_simulator(
    shell: DmaShell, folder: Path, obj: Path, optimize: str = "-O1"
) -> SimulatedDma:
    """Compile the shell round the accelerator in `folder`; `obj` is for everything generated."""
    obj.mkdir(parents=True, exist_ok=True)
    into, out = shell.word_bytes(shell.input), shell.word_bytes(shell.output)
    files = {**shell.files(), f"{BENCH}.sv": bench(into, out).encode()}
    for name, data in files.items():
        (obj / name).write_bytes(data)
    sources = [
        *(str(name) for name in shell.accelerator.sources),
        *(str((obj / name).resolve()) for name in (*shell.sources, f"{BENCH}.sv")),
    ]
    made = build(folder, BENCH, sources, obj / "obj", strict=True, optimize=optimize)
    return SimulatedDma(made, into, out)


def _stream(word_bytes: int, words: int) -> Stream:
    return Stream(lanes=word_bytes + _keep_bytes(word_bytes) + 1, bits=8, signed=False, beats=words)


def _keep_bytes(word_bytes: int) -> int:
    return -(-word_bytes // 8)


def _to_words(packets: Bytes, word_bytes: int) -> NDArray[np.int64]:
    """(n, bytes) to (n, words, lanes of `_stream`)."""
    count, size = packets.shape
    words = -(-size // word_bytes)
    data = np.full((count, words * word_bytes), 0xA5, np.uint8)  # what is not kept means nothing
    data[:, :size] = packets
    keep = np.zeros((count, words * word_bytes), np.uint8)
    keep[:, :size] = 1
    kept = np.packbits(keep.reshape(count, words, word_bytes), axis=2, bitorder="little")
    last = np.zeros((count, words, 1), np.uint8)
    last[:, -1] = 1
    parts = [data.reshape(count, words, word_bytes), kept, last]
    return np.concatenate(parts, axis=2).astype(np.int64)


def _kept(words: NDArray[np.int64], word_bytes: int) -> Bytes:
    """Bytes of one packet out, from (words, lanes of `_stream`)."""
    last = words[:, -1] & 1
    if last[:-1].any() or not last[-1]:
        at = int(np.argmax(last)) if last.any() else len(last)
        raise VerificationError(
            f"a packet of {len(words)} words ended with word {at + 1}", where="DMA shell"
        )
    keep = np.unpackbits(words[:, word_bytes:-1].astype(np.uint8), axis=1, bitorder="little")
    kept = keep[:, :word_bytes].astype(bool)
    if not kept[:-1].all() or (np.diff(kept[-1].astype(int)) > 0).any() or not kept[-1][0]:
        raise VerificationError("a packet has a gap", where="DMA shell")
    data: Bytes = words[:, :word_bytes].astype(np.uint8)[kept]
    return data


def bench(into: int, out: int) -> str:
    """The top with each stream as one `tdata`, for the simulator that knows nothing of packets."""
    lanes = {name: 8 * _stream(size, 1).lanes for name, size in (("s", into), ("m", out))}
    ends = 8 * (into + _keep_bytes(into))
    padding = 8 * _keep_bytes(out) - out
    zeros = f"{padding}'d0, " if padding else ""
    return f"""\
module {BENCH} (
    input  logic clk, input logic rst,
    input  logic [{lanes["s"] - 1}:0] s_axis_tdata, input logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [{lanes["m"] - 1}:0] m_axis_tdata, output logic m_axis_tvalid,
    input  logic m_axis_tready
);
    logic [{8 * out - 1}:0] data;
    logic [{out - 1}:0] keep;
    logic last;
    assign m_axis_tdata = {{7'd0, last, {zeros}keep, data}};
    {TOP} dut (
        .aclk(clk), .aresetn(!rst),
        .s_axis_tdata(s_axis_tdata[{8 * into - 1}:0]),
        .s_axis_tkeep(s_axis_tdata[{8 * into} +: {into}]),
        .s_axis_tlast(s_axis_tdata[{ends}]), .s_axis_tvalid, .s_axis_tready,
        .m_axis_tdata(data), .m_axis_tkeep(keep), .m_axis_tlast(last),
        .m_axis_tvalid, .m_axis_tready
    );
endmodule
"""
