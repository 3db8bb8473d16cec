"""The byte protocol between host and board, as docs/protocol.md specifies it. Stdlib only.

This file is also copied to the machine that the board is plugged into.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = 2

SYNC_HOST = 0xA5
SYNC_BOARD = 0x5A

INFER = 0x01
IDENTIFY = 0x02

OK = 0
STATUS_TEXT = {
    0: "ok",
    1: "bad checksum",
    2: "bad length",
    3: "overrun: bytes came while the board was busy",
    4: "unknown command",
    5: "timeout: the frame stopped in the middle",
    6: "no result: the accelerator did not answer in time",
}
LINE_FAULTS = (1, 3, 5)
"""Statuses that come from the line: the same frame, sent again, may be answered."""

MOST_BYTES = 0xFFFF
"""Payload of the longest frame."""

HEADER = struct.Struct("<BBBH")  # sync, command, status, payload length
LATENCY = struct.Struct("<I")
IDENTIFY_REPLY = struct.Struct("<B8sIBHIBHBHI")


@dataclass(frozen=True)
class Format:
    """One frame on the line: `elements` of `bits` each, `lanes` of them to a beat."""

    elements: int
    bits: int
    lanes: int
    signed: bool

    @property
    def beat_bytes(self) -> int:
        """Bytes that one beat takes on the line."""
        return (self.lanes * self.bits + 7) // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes that one frame takes on the line."""
        return self.elements // self.lanes * self.beat_bytes

    def pack(self, values: Sequence[int]) -> bytes:
        """Elements of one frame as payload: beat by beat, element 0 lowest, little-endian.

        Raises:
            ProtocolError: another number of elements, or a value does not fit in `bits`.
        """
        if len(values) != self.elements:
            raise ProtocolError(f"a frame has {self.elements} elements, not {len(values)}")
        low = -(1 << (self.bits - 1)) if self.signed else 0
        payload = bytearray()
        for at in range(0, self.elements, self.lanes):
            word = 0
            for lane, value in enumerate(values[at : at + self.lanes]):
                if not low <= value < low + (1 << self.bits):
                    raise ProtocolError(f"element {value} does not fit in {self.bits} bits")
                word |= (value & ((1 << self.bits) - 1)) << (lane * self.bits)
            payload += word.to_bytes(self.beat_bytes, "little")
        return bytes(payload)

    def unpack(self, payload: bytes) -> tuple[int, ...]:
        """Inverse of `pack`. Raises ProtocolError if the payload is no such frame."""
        if len(payload) != self.frame_bytes:
            raise ProtocolError(f"a frame of {len(payload)} bytes, not {self.frame_bytes}")
        values = []
        for at in range(0, len(payload), self.beat_bytes):
            word = int.from_bytes(payload[at : at + self.beat_bytes], "little")
            for lane in range(self.lanes):
                value = word >> (lane * self.bits) & ((1 << self.bits) - 1)
                sign = value >> (self.bits - 1) if self.signed else 0
                values.append(value - (sign << self.bits))
        return tuple(values)


@dataclass(frozen=True)
class Identity:
    """What a board says it is: the design, what it takes and what it gives.

    classes: 0 where the outputs themselves are the answer.
    """

    version: int
    digest: str
    input: Format
    output: Format
    classes: int
    clock_khz: int

    def pack(self) -> bytes:
        """Payload of the answer to IDENTIFY."""
        return IDENTIFY_REPLY.pack(
            self.version,
            bytes.fromhex(self.digest),
            *(self.input.elements, self.input.bits, self.input.lanes),
            *(self.output.elements, self.output.bits, self.output.lanes),
            self.input.signed | self.output.signed << 1,
            self.classes,
            self.clock_khz,
        )

    @classmethod
    def unpack(cls, payload: bytes) -> Identity:
        """Raises ProtocolError if the payload is no identity, or one of another version."""
        if payload and payload[0] != VERSION:
            raise ProtocolError(f"the board speaks version {payload[0]}, not {VERSION}")
        if len(payload) != IDENTIFY_REPLY.size:
            raise ProtocolError(f"identity of {len(payload)} bytes, not {IDENTIFY_REPLY.size}")
        version, digest, *forms, signs, classes, clock = IDENTIFY_REPLY.unpack(payload)
        taken = Format(forms[0], forms[1], forms[2], signed=bool(signs & 1))
        given = Format(forms[3], forms[4], forms[5], signed=bool(signs & 2))
        return cls(version, digest.hex(), taken, given, classes, clock)


@dataclass(frozen=True)
class Reply:
    """One frame from the board, its checksum already checked."""

    command: int
    status: int
    payload: bytes


class ProtocolError(Exception):
    """The board answered with an error, with nonsense, or not at all."""


class LineError(ProtocolError):
    """A frame got lost or damaged on the line: the same again may do."""


def crc16(data: bytes, crc: int = 0xFFFF) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, not reflected."""
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
            crc &= 0xFFFF
    return crc


def request(command: int, payload: bytes = b"") -> bytes:
    """A whole host frame: sync, command, length, payload, checksum."""
    if len(payload) > MOST_BYTES:
        raise ProtocolError(
            f"a frame holds at most {MOST_BYTES} bytes of payload, not {len(payload)}"
        )
    body = struct.pack("<BH", command, len(payload)) + payload
    return bytes([SYNC_HOST]) + body + struct.pack("<H", crc16(body))
