"""The host driver against a port that answers from a script."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from hw_targets.shells.driver import LiftFlowDevice
from hw_targets.shells.protocol import (
    IDENTIFY,
    INFER,
    Format,
    Identity,
    ProtocolError,
    crc16,
    request,
)


def reply(command: int, status: int, payload: bytes = b"") -> bytes:
    body = struct.pack("<BBH", command, status, len(payload)) + payload
    return b"\x5a" + body + struct.pack("<H", crc16(body))


IDENTITY = Identity(
    version=2,
    digest="00112233aabbccdd",
    input=Format(4, 8, 1, signed=False),
    output=Format(1, 4, 1, signed=False),
    classes=10,
    clock_khz=50_000,
)
MODEL = {
    "digest": "00112233aabbccdd" + "0" * 48,
    "clock_mhz": 50.0,
    "input": {"shape": [4], "bits": 8, "signed": False, "scale": 0.5},
}
IDENTIFIED = reply(IDENTIFY, 0, IDENTITY.pack())
SEVEN = reply(INFER, 0, struct.pack("<IB", 900, 7))
SAMPLE = [0.5, 1.0, 1.5, 200.0]


class Scripted:
    """A port: `answers` are given in turn, each to one frame, a byte at a time."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.waiting = b""
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(data)
        self.waiting += self.answers.pop(0) if self.answers else b""
        return len(data)

    def read(self, size: int) -> bytes:
        head, self.waiting = self.waiting[:1], self.waiting[1:]
        return head


def test_infer_encodes_frames_and_reads_results() -> None:
    port = Scripted(b"\x00\x01" + IDENTIFIED, SEVEN)  # rest of an older frame first
    batch = LiftFlowDevice.from_model(port, MODEL).infer([SAMPLE])
    (result,) = batch.results
    assert (result.label, result.cycles) == (7, 900)
    assert port.written[1] == request(INFER, b"\x01\x02\x03\xff")
    assert result.text(MODEL) == "7\t18.0 us"
    assert replace(batch, seconds=0.5).summary(MODEL) == (
        "batch of 1 in 0.500 s: 2.0 samples a second, line included; "
        "latency 18.0 us in the accelerator"
    )


def test_outputs_are_told_as_values() -> None:
    identity = replace(IDENTITY, output=Format(4, 6, 2, signed=True), classes=0)
    answer = reply(INFER, 0, struct.pack("<IHH", 100, 0b000001_111111, 0b100000_000000))
    port = Scripted(reply(IDENTIFY, 0, identity.pack()), answer)
    model = {**MODEL, "output": {"step": 0.25}}
    (result,) = LiftFlowDevice.from_model(port, model).infer([SAMPLE]).results
    assert result.outputs == (-1, 1, 0, -32)
    assert result.text(model) == "-0.25 0.25 0 -8\t2.0 us"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "does not answer"),
        (reply(IDENTIFY, 1), "bad checksum"),
        (reply(IDENTIFY, 99), "status 99"),
        (reply(INFER, 0), "an answer to command 1"),
        (IDENTIFIED[:-1] + b"\x00", "damaged"),
        (reply(IDENTIFY, 0, b"\x02bc"), "identity of 3 bytes"),
    ],
)
def test_bad_answers(answer: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        LiftFlowDevice(Scripted(answer, answer, answer)).identify()


@pytest.mark.parametrize(
    "fault",
    [
        reply(INFER, 1),
        reply(0, 3),
        reply(INFER, 5),
        SEVEN[:-1] + b"\x00",
        SEVEN[:4],
        b"",
        IDENTIFIED + SEVEN,
    ],
)
def test_what_the_line_lost_is_sent_again(fault: bytes) -> None:
    port = Scripted(IDENTIFIED, fault, fault, SEVEN)
    batch = LiftFlowDevice.from_model(port, MODEL).infer([SAMPLE])
    assert [result.label for result in batch.results] == [7]
    assert len(set(port.written[1:])) == 1
    assert len(port.written) == 4


@pytest.mark.parametrize("status", [2, 4, 6])
def test_what_another_try_can_not_mend_is_not_tried_again(status: int) -> None:
    port = Scripted(IDENTIFIED, reply(INFER, status), SEVEN)
    with pytest.raises(ProtocolError):
        LiftFlowDevice.from_model(port, MODEL).infer([SAMPLE])
    assert len(port.written) == 2


def test_another_design_on_the_board_is_refused_before_a_frame_is_sent() -> None:
    port = Scripted(reply(IDENTIFY, 0, replace(IDENTITY, digest="f" * 16).pack()))
    with pytest.raises(ProtocolError, match="load its bitstream"):
        LiftFlowDevice.from_model(port, MODEL)
    newer = Scripted(reply(IDENTIFY, 0, b"\x03" + bytes(40)))
    with pytest.raises(ProtocolError, match="version 3"):
        LiftFlowDevice.from_model(newer, MODEL)
    assert port.written == newer.written == [request(IDENTIFY)]
