"""The DMA shell: packets of frames through the simulated RTL, packed as the host packs them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from standin import expected, expected_outputs, standin

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.flows.simulator import Channel, SimRun, Simulator, build
from hw_targets.flows.tools import YOSYS
from hw_targets.rtl.kernel import IntArray
from hw_targets.shells import dma_simulator
from hw_targets.shells.dma_shell import RTL, SOURCES, TOP, DmaShell
from hw_targets.shells.dma_simulator import (
    BENCH,
    Bytes,
    bench,
    received,
    stimulus,
)
from hw_targets.shells.frames import Layout, Samples, of_model, texts
from hw_targets.shells.protocol import Format
from hw_targets.shells.pynq_driver import LiftFlowOverlay

# Board; lanes, bits and beats in; lanes, bits and beats out, or a class.
SHAPES: dict[str, tuple[str, tuple[int, int, int], tuple[int, int, int] | None]] = {
    "a byte a beat, frames end within words": ("pynq-z2", (1, 8, 5), None),
    "three bytes a beat, outputs of as many": ("pynq-z2", (3, 8, 7), (2, 12, 3)),
    "five bits a beat, outputs wider than a word": ("pynq-z2", (1, 5, 9), (5, 20, 3)),
    "a beat wider than a word": ("pynq-z2", (9, 10, 3), (1, 9, 4)),
    "the same with words twice as wide": ("zcu104", (9, 10, 3), (7, 20, 4)),
    "one beat a frame": ("pynq-z2", (4, 8, 1), None),
}
AT = {"an answer with the first beat in": 0, "an answer with the last beat in": 4}
"""Names of shapes whose accelerator passes one beat on, in the cycle that it comes -> which."""
SHAPES |= dict.fromkeys(AT, ("pynq-z2", (1, 8, 5), (1, 9, 1)))
PASSING = """\
module liftflow_accel (
    input  logic clk, rst,
    input  logic [7:0] s_axis_tdata, input logic s_axis_tvalid, output logic s_axis_tready,
    output logic [8:0] m_axis_tdata, output logic m_axis_tvalid, input logic m_axis_tready
);
    logic [2:0] beat;
    assign m_axis_tdata  = 9'(s_axis_tdata);
    assign m_axis_tvalid = s_axis_tvalid && beat == {at};
    assign s_axis_tready = m_axis_tready || beat != {at};
    always_ff @(posedge clk)
        if (rst) beat <= '0;
        else if (s_axis_tvalid && s_axis_tready) beat <= beat == 4 ? '0 : beat + 1'b1;
endmodule
"""
STALLS = ((1.0, 1.0), (0.4, 1.0), (1.0, 0.4), (0.5, 0.5))


@dataclass(frozen=True)
class Shells:
    """A shell of every shape in one model, since each model takes seconds to compile."""

    simulator: Simulator
    shells: tuple[DmaShell, ...]

    def run(
        self, name: str, packets: Bytes, frames: int, stalls: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[list[Bytes], SimRun]:
        """Send packets through one shape's shell, each to come back as answers of `frames`."""
        index = list(SHAPES).index(name)
        shell = self.shells[index]
        sides = (shell.word_bytes(shell.input), shell.word_bytes(shell.output))
        words = -(-frames * shell.output.frame_bytes // sides[1])
        sent = stimulus(packets, words, sides, *stalls)
        idle = [
            stimulus(np.zeros((0, 4), np.uint8), 1, (each.word_bytes(each.input), 4))
            for each in self.shells
        ]
        runs = self.simulator.run_channels([*idle[:index], sent, *idle[index + 1 :]], seed=frames)
        return received(runs[index], words, sides[1]), runs[index]

    def shell(self, name: str) -> DmaShell:
        return self.shells[list(SHAPES).index(name)]


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory) -> Shells:
    folder = tmp_path_factory.mktemp("shells")
    made, sources, ports, units = [], list(SOURCES), ["input logic clk, rst"], ""
    for index, (name, (board, into, outputs)) in enumerate(SHAPES.items()):
        shell = DmaShell(load_board(board), standin(folder / str(index), *into, outputs))
        if name in AT:
            passing = PASSING.replace("{at}", str(AT[name]))
            (folder / str(index) / "top.sv").write_text(passing)
        sides = (shell.word_bytes(shell.input), shell.word_bytes(shell.output))
        made.append(shell)
        text = (folder / str(index) / "top.sv").read_text() + shell.top_source() + bench(*sides)
        for module in (BENCH, TOP, "liftflow_accel"):
            text = re.sub(rf"\b{module}\b", f"{module}_{index}", text)
        (folder / f"all{index}.sv").write_text(text)
        sources.append(f"all{index}.sv")
        links = ""
        for side, there, back in (("s", "input", "output"), ("m", "output", "input")):
            (width,) = re.findall(rf"\[(\d+):0\] {side}_axis_tdata, \w+ logic", bench(*sides))
            ports += [f"{there} logic [{width}:0] {side}{index}_tdata"]
            ports += [f"{there} logic {side}{index}_tvalid", f"{back} logic {side}{index}_tready"]
            for part in ("tdata", "tvalid", "tready"):
                links += f", .{side}_axis_{part}({side}{index}_{part})"
        units += f"{BENCH}_{index} b{index} (.clk, .rst{links});\n"
    for name in SOURCES:
        (folder / name).write_bytes((RTL / name).read_bytes())
    (folder / "all.sv").write_text(f"module all ({', '.join(ports)});\n{units}endmodule\n")
    channels = [Channel(f"s{index}", f"m{index}") for index in range(len(SHAPES))]
    simulator = build(
        folder, "all", [*sources, "all.sv"], folder / "obj", channels=channels, strict=True,
        optimize="-O0",
    )  # fmt: skip
    return Shells(simulator, tuple(made))


def answers_of(shell: DmaShell, elements: IntArray, name: str = "") -> list[list[int]]:
    if name in AT:
        return [[row[AT[name]]] for row in elements.tolist()]
    out = shell.accelerator.output
    if shell.accelerator.classes:
        return [[expected(row)] for row in elements.tolist()]
    return [list(expected_outputs(row, out.bits, out.elements)) for row in elements.tolist()]


@pytest.mark.parametrize("name", SHAPES)
def test_packets_of_frames_are_answered_bit_for_bit(name: str, shells: Shells) -> None:
    shell, packets = shells.shell(name), 5
    rng = np.random.default_rng(3)
    most = (1 << shell.input.bits) - 1  # all ones hang the stand-in
    for count, stalls in zip((1, 3, 4, 2), STALLS, strict=True):
        elements = rng.integers(0, most, (packets * count, shell.input.elements))
        given = shell.input.pack(elements).reshape(packets, -1)
        packed, _ = shells.run(name, given, count, stalls)
        answers = shell.output.unpack(np.concatenate(packed))
        assert answers.tolist() == answers_of(shell, elements, name)
        assert [len(packet) for packet in packed] == [count * shell.output.frame_bytes] * packets


def test_a_packet_that_ends_within_a_frame_is_completed_with_zeros(shells: Shells) -> None:
    """All frames after it are in step; what lies beyond the packet in its last word is not seen."""
    name = "three bytes a beat, outputs of as many"
    shell = shells.shell(name)
    elements = np.random.default_rng(4).integers(0, 200, (6, 21))
    packets = shell.input.pack(elements)[:, : 4 * 4 + 2]  # four beats, two bytes of the fifth
    packed, _ = shells.run(name, packets, 1, (0.7, 0.7))
    cut = elements.copy()
    cut[:, 14:] = 0
    answers = shell.output.unpack(np.concatenate(packed))
    assert answers.tolist() == answers_of(shell, cut)


def test_frames_within_a_packet_overlap(shells: Shells) -> None:
    """Nothing but the accelerator's own interval between them."""
    name = "a byte a beat, frames end within words"
    shell = shells.shell(name)
    elements = np.random.default_rng(5).integers(0, 200, (100, 5))
    _, run = shells.run(name, shell.input.pack(elements).reshape(1, -1), 100)
    assert run.total_cycles < 100 * 6 + 50  # the stand-in takes 5 beats and a cycle to answer


def test_a_shell_that_ends_packets_wrongly_is_found() -> None:
    words = np.zeros((2, 6), np.int64)
    words[:, 4], words[0, 5] = 0xF, 1
    with pytest.raises(VerificationError, match="ended with word 1"):
        dma_simulator._kept(words, 4)
    words[:, 5] = (0, 1)
    words[0, 4] = 0x7
    with pytest.raises(VerificationError, match="gap"):
        dma_simulator._kept(words, 4)


def test_yosys_reads_and_maps_the_shell(tmp_path: Path) -> None:
    unit = standin(tmp_path, 9, 10, 3, (1, 9, 4))
    shell = DmaShell(load_board("zcu104"), unit)
    for name, data in shell.files().items():
        (tmp_path / name).write_bytes(data)
    sources = " ".join((*unit.sources, *shell.sources))
    script = (
        f"read_slang --threads 1 --allow-use-before-declare --top {TOP} {sources}; "
        "hierarchy -check; proc; flatten; opt_clean; check -assert; select -assert-none t:$dlatch"
    )
    done = subprocess.run(
        YOSYS.command(("-q", "-p", script)), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


@pytest.mark.parametrize(
    ("layout", "serial"),
    [
        (Layout(1, 8, False, 6, 1), Format(6, 8, 1, False)),
        (Layout(2, 7, True, 3, 2), Format(6, 7, 2, True)),
        (Layout(3, 8, True, 2, 4), Format(6, 8, 3, True)),
        (Layout(5, 33, True, 2, 32), Format(10, 33, 5, True)),
    ],
)
def test_numpy_packs_a_beat_as_the_serial_protocol_does(layout: Layout, serial: Format) -> None:
    """To the next power of two of bytes: what is above a beat's bytes is zero."""
    low = -(1 << (layout.bits - 1)) if layout.signed else 0
    rng = np.random.default_rng(6)
    frames = rng.integers(low, low + (1 << layout.bits), (4, layout.elements))
    packed = layout.pack(frames)
    beats = packed.reshape(4, layout.beats, layout.beat_bytes)
    theirs = [serial.pack(frame) for frame in frames.tolist()]
    assert [row[:, : serial.beat_bytes].tobytes() for row in beats] == theirs
    assert not beats[:, :, serial.beat_bytes :].any()
    assert np.array_equal(layout.unpack(packed), frames)


def test_samples_are_encoded_channels_last_and_refused_in_another_shape() -> None:
    layout = Layout(2, 4, True, 4, 1)
    samples = Samples((2, 2, 2), 0.5, layout)
    ramp = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2) / 2 - 1.75
    encoded = samples.elements(ramp)
    # round half to even, then 4 bits signed; channels side by side.
    assert encoded.tolist() == [[-4, 0, -2, 2, -2, 2, 0, 4]]
    assert np.array_equal(samples.elements(ramp[0]), encoded)
    with pytest.raises(ValueError, match="not samples of 2 x 2 x 2"):
        samples.elements(np.zeros((1, 8)))
    with pytest.raises(ValueError, match="does not fit in 4 bits"):
        layout.pack(np.full((1, 8), 8))
    with pytest.raises(ValueError, match=r"not \(n, 8\)"):
        layout.pack(np.zeros((1, 7), int))


def test_of_model_and_texts() -> None:
    model = {
        "input": {"shape": [1, 2, 2], "scale": 0.25},
        "dma": {
            "input": {"lanes": 1, "bits": 8, "signed": False, "beats": 4, "beat_bytes": 1},
            "output": {"lanes": 1, "bits": 12, "signed": True, "beats": 2, "beat_bytes": 2},
        },
    }
    samples, given = of_model(model)
    assert samples.shape == (1, 2, 2)
    assert given.frame_bytes == 4
    assert texts(model, np.array([[3], [1]])) == ["3", "1"]
    regression = {**model, "output": {"step": 0.5}}
    assert texts(regression, np.array([[3, -1]])) == ["1.5 -0.5"]


def test_words_are_as_wide_as_a_beat_within_the_ports_to_memory(tmp_path: Path) -> None:
    unit = standin(tmp_path, 9, 10, 3)
    for board, wide in (("pynq-z1", 8), ("kv260", 16)):
        shell = DmaShell(load_board(board), unit)
        assert shell.input.beat_bytes == 16
        assert shell.word_bytes(shell.input) == wide
        assert shell.word_bytes(shell.output) == 4


@pytest.mark.parametrize(
    ("board", "instead"),
    [
        ("u250", "FINN's Vitis flow"),
        ("vck190", "stitched IP"),
        ("arty-a7-35t", "stitched IP"),
        ("ulx3s-85f", "open tools"),
    ],
)
def test_boards_without_a_zynq_are_refused_with_what_to_use(
    board: str, instead: str, tmp_path: Path
) -> None:
    unit = standin(tmp_path)
    with pytest.raises(LiftFlowError, match=f"{board}: vivado-rtl wants .*; .*{instead}"):
        DmaShell(load_board(board), unit)


class SimulatedPynq:
    """A DMA as PYNQ offers it, in front of a simulated shell."""

    def __init__(self, shells: Shells, name: str) -> None:
        self.shells, self.name = shells, name
        self.sendchannel = self.recvchannel = self
        self.buffers: list[Bytes] = []
        self.packets: list[int] = []

    def transfer(self, buffer: Bytes) -> None:
        self.buffers.append(buffer)

    def wait(self) -> None:
        if self.buffers:
            got, sent = self.buffers
            frames = len(got) // self.shells.shell(self.name).output.frame_bytes
            packed, _ = self.shells.run(self.name, sent.reshape(1, -1), frames, (0.6, 0.6))
            got[:] = packed[0]
            self.packets.append(frames)
            self.buffers = []


@pytest.mark.parametrize("name", ["three bytes a beat, outputs of as many", "one beat a frame"])
def test_the_pynq_driver_packs_as_the_rtl_expects(name: str, shells: Shells) -> None:
    shell = shells.shell(name)
    size, limit = shell.input.elements, (1 << shell.input.bits) - 1
    model = {
        "input": {"shape": [size, 1, 1], "scale": 0.25},
        "dma": {"input": asdict(shell.input), "output": asdict(shell.output)},
    }
    dma = SimulatedPynq(shells, name)
    overlay = LiftFlowOverlay(dma, np.zeros, model, batch=3)
    elements = np.random.default_rng(7).integers(0, limit, (7, size))
    samples = elements.reshape(7, size, 1, 1) / 4
    assert overlay.infer(samples).tolist() == answers_of(shell, elements)
    assert dma.packets == [3, 3, 1]
    assert overlay.infer(samples[0]).tolist() == answers_of(shell, elements[:1])
    assert overlay.infer(samples[:0]).shape == (0, shell.output.elements)


def test_no_packet_is_longer_than_the_dma_takes() -> None:
    layout = {"lanes": 1, "bits": 8, "signed": False, "beats": 1 << 20, "beat_bytes": 1}
    model = {
        "input": {"shape": [1 << 20], "scale": 1.0},
        "dma": {"input": layout, "output": layout},
    }
    assert LiftFlowOverlay(None, np.zeros, model).batch == 63
