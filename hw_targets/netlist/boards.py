"""Many boards of one netlist in step, and the host driver's questions to each of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hw_targets.errors import LiftFlowError
from hw_targets.flows import process, verilator
from hw_targets.flows.process import USUAL, Limit
from hw_targets.netlist.emit import source
from hw_targets.netlist.read import read_netlist
from hw_targets.shells.clocking import uart_divider
from hw_targets.shells.driver import Batch, LiftFlowDevice, Result
from hw_targets.shells.protocol import HEADER, IDENTIFY_REPLY, LATENCY, Identity, ProtocolError
from hw_targets.shells.samples import Encoding
from hw_targets.shells.shell import Shell

RUNTIME = Path(__file__).with_name("lanes.cpp")
MOST = 64
"""Bits of a word."""
MINUTES = 60.0
"""A simulation that takes longer counts as hung."""
LOCK_CYCLES = 16
"""Until the PLL says that it has locked."""
CHECKSUM = 2
ROUNDS = 2
"""Samples that every board is asked about, one after the other."""


@dataclass(frozen=True)
class Boards:
    """A compiled simulation of `count` boards. divider: clock cycles a bit. limit: of a run."""

    program: Path
    count: int
    divider: int
    limit: Limit = field(default_factory=Limit)

    def exchange(
        self, requests: Sequence[tuple[Sequence[bytes], int]], patience: int
    ) -> list[list[bytes]]:
        """What boards answer to requests, one after the other.

        requests: bytes for each board, all of one length, and how many bytes are awaited from each.
        patience: clock cycles to wait for each byte of them.

        Returns: for each request and board the bytes that came, at most as many as awaited.

        Raises:
            LiftFlowError: the simulation crashed or hung.
        """
        folder = self.program.parent
        given, answers, log = (folder / name for name in ("exchanges", "answers", "run.log"))
        given.write_bytes(
            b"".join(
                struct.pack("<III", len(each[0]), awaited, patience) + b"".join(each)
                for each, awaited in requests
            )
        )
        command = [str(self.program.absolute()), str(self.divider), given.name, answers.name]
        status = process.call(
            command,
            tool="the simulated netlist",
            where="netlist simulation",
            cwd=folder,
            limit=self.limit,
            minutes=MINUTES,
            log=log,
        ).status
        data = answers.read_bytes() if answers.is_file() else b""
        size = sum(self.count * (4 + awaited) for _, awaited in requests)
        if status or len(data) != size:
            raise LiftFlowError(
                f"ended with status {status}",
                where="netlist simulation",
                mend=f"run the same command again; its log is {log}",
            )
        found, at = [], 0
        for _, awaited in requests:
            came = struct.unpack_from(f"<{self.count}I", data, at)
            at += 4 * self.count
            found.append(
                [
                    data[at + board * awaited : at + board * awaited + min(awaited, came[board])]
                    for board in range(self.count)
                ]
            )
            at += awaited * self.count
        return found

    def ask(
        self, encoding: Encoding, samples: Sequence[Sequence[float]], shell: Shell, patience: int
    ) -> tuple[list[Identity | None], list[list[Result | None]]]:
        """What every board says it is, and its answers to its sample and to the next board's.

        samples: flattened, one for each board. The bytes that go out, and what is made of those
        that come back, are the host driver's; None where it finds fault with them.

        Returns: identities, and for each round the answers; board b answers sample (b + round).
        """
        identity = shell.identity
        awaited = HEADER.size + LATENCY.size + identity.output.frame_bytes + CHECKSUM
        questions: list[list[Callable[[LiftFlowDevice], object]]] = [
            [lambda device: device.identify()] * self.count
        ]
        for turn in range(ROUNDS):
            questions.append(
                [
                    lambda device, at=(board + turn) % self.count: device.infer([samples[at]])  # type: ignore[misc]
                    for board in range(self.count)
                ]
            )
        requests = []
        for number, asked in enumerate(questions):
            sent = [_sent(question, encoding, identity) for question in asked]
            size = awaited if number else HEADER.size + IDENTIFY_REPLY.size + CHECKSUM
            requests.append((sent, size))
        answers = self.exchange(requests, patience)
        said = [
            [
                _understood(q, encoding, identity, reply)
                for q, reply in zip(asked, came, strict=True)
            ]
            for asked, came in zip(questions, answers, strict=True)
        ]
        identities = [each if isinstance(each, Identity) else None for each in said[0]]
        results = [
            [each.results[0] if isinstance(each, Batch) else None for each in row]
            for row in said[1:]
        ]
        return identities, results


class _AwaitedError(Exception):
    """The driver waits for an answer."""


class _Wire:
    """A port that keeps what is sent, and gives what it was given."""

    def __init__(self, replies: bytes | None = None) -> None:
        self.sent, self.replies = b"", replies

    def write(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def read(self, size: int) -> bytes:
        if self.replies is None:
            raise _AwaitedError
        data, self.replies = self.replies[:size], self.replies[size:]
        return data


def _device(wire: _Wire, encoding: Encoding, identity: Identity) -> LiftFlowDevice:
    device = LiftFlowDevice(wire, encoding)
    device._identity = identity
    return device


def _sent(
    question: Callable[[LiftFlowDevice], object], encoding: Encoding, identity: Identity
) -> bytes:
    wire = _Wire()
    try:
        question(_device(wire, encoding, identity))
    except _AwaitedError:
        return wire.sent
    raise AssertionError("the driver wants no answer")


def _understood(
    question: Callable[[LiftFlowDevice], object],
    encoding: Encoding,
    identity: Identity,
    reply: bytes,
) -> object:
    try:
        return question(_device(_Wire(reply), encoding, identity))
    except ProtocolError:
        return None


def build(shell: Shell, netlist: Path, obj: Path, boards: int, limit: Limit = USUAL) -> Boards:
    """Compile a netlist for `boards` boards in step, at most `MOST`.

    netlist: Yosys' JSON of the whole board. obj: folder for everything generated.

    Raises:
        UnsupportedError: it has cells that are not known here.
        MissingToolError: there is no g++. LiftFlowError: it does not compile.
    """
    text, words = source(read_netlist(netlist, shell.top), shell.board.flow)
    obj.mkdir(parents=True, exist_ok=True)
    (obj / "netlist.inc").write_text(text)
    program = obj / verilator.PROGRAM
    defines = {"NETS": words, "BOARDS": boards, "LOCK_CYCLES": LOCK_CYCLES}
    verilator.compile_alone(RUNTIME, program, defines, [obj], limit)
    return Boards(program, boards, uart_divider(shell.mhz, shell.baud), limit)
