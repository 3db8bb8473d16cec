"""Framing, packing and sample encoding on the host side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw_targets.rtl.kernel import pack
from hw_targets.shells.protocol import (
    IDENTIFY_REPLY,
    VERSION,
    Format,
    Identity,
    ProtocolError,
    crc16,
    request,
)
from hw_targets.shells.samples import Encoding, channels_last, read_npy, read_samples


def test_crc_check_value() -> None:
    assert crc16(b"123456789") == 0x29B1


def test_request_layout() -> None:
    frame = request(1, b"\x10\x20")
    assert frame[:6] == b"\xa5\x01\x02\x00\x10\x20"
    assert int.from_bytes(frame[6:], "little") == crc16(frame[1:6])
    with pytest.raises(ProtocolError, match="65535"):
        request(1, bytes(65536))


def test_identity_round_trip() -> None:
    taken, given = Format(100_000, 5, 2, signed=False), Format(64, 11, 1, signed=True)
    identity = Identity(VERSION, "0123456789abcdef", taken, given, 0, 50_000)
    assert len(identity.pack()) == IDENTIFY_REPLY.size == 30
    assert Identity.unpack(identity.pack()) == identity
    assert (taken.frame_bytes, given.frame_bytes) == (100_000, 128)
    with pytest.raises(ProtocolError, match="29 bytes"):
        Identity.unpack(identity.pack()[:-1])
    with pytest.raises(ProtocolError, match="speaks version 1, not 2"):
        Identity.unpack(bytes([1, *identity.pack()[1:]]))


@pytest.mark.parametrize(("bits", "lanes"), [(1, 1), (4, 1), (8, 1), (5, 3), (3, 16), (8, 64)])
def test_packing_is_the_stream_packing_of_the_kernels(bits: int, lanes: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, 3 * lanes)
    size = -(-bits * lanes // 8)
    beats = [values[at : at + lanes] for at in range(0, len(values), lanes)]
    expected = b"".join(int(pack(beat, bits), 16).to_bytes(size, "little") for beat in beats)
    form = Format(3 * lanes, bits, lanes, signed=False)
    assert form.pack(values.tolist()) == expected
    assert form.unpack(expected) == tuple(values.tolist())


def test_packing_keeps_signs_and_refuses_what_does_not_fit() -> None:
    form = Format(2, 4, 1, signed=True)
    assert form.pack([-8, -1]) == b"\x08\x0f"
    assert form.unpack(b"\x08\xff") == (-8, -1)  # bits above the elements count for nothing
    for values in ([8, 0], [-9, 0]):
        with pytest.raises(ProtocolError, match="4 bits"):
            form.pack(values)
    with pytest.raises(ProtocolError, match="4 bits"):
        Format(2, 4, 1, signed=False).pack([0, -1])
    with pytest.raises(ProtocolError, match="2 elements, not 3"):
        form.pack([1, 2, 3])
    with pytest.raises(ProtocolError, match="frame of 3 bytes, not 2"):
        form.unpack(bytes(3))


def test_encoding_rounds_half_to_even_clips_and_reorders() -> None:
    encoding = Encoding(bits=3, signed=True, scale=0.5, order=(1, 0, 2, 3))
    assert encoding.encode([0.25, 0.75, 99.0, -99.0]) == [2, 0, 3, -4]
    with pytest.raises(ValueError, match="4 elements, not 1"):
        encoding.encode([1.0])


def test_channels_last_order() -> None:
    sample = np.arange(24).reshape(2, 3, 4)
    order = channels_last(sample.shape)
    assert list(order) == sample.transpose(1, 2, 0).ravel().tolist()
    assert channels_last((5,)) == (0, 1, 2, 3, 4)
    assert channels_last((2, 3)) == (0, 3, 1, 4, 2, 5)  # of a Conv1d: channels, length


@pytest.mark.parametrize("kind", ["<f4", "<f8", "|u1", "<i8"])
def test_npy_files(tmp_path: Path, kind: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(kind)
    np.save(tmp_path / "x.npy", values)
    shape, flat = read_npy(tmp_path / "x.npy")
    assert shape == (2, 3)
    assert list(flat) == [0, 1, 2, 3, 4, 5]


def test_npy_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(2, dtype=complex))
    with pytest.raises(ValueError, match="<c16"):
        read_npy(tmp_path / "x.npy")
    (tmp_path / "y.npy").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"no \.npy"):
        read_npy(tmp_path / "y.npy")


def test_samples_come_one_by_one_or_in_batches(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)
    np.save(tmp_path / "batch.npy", values)
    np.save(tmp_path / "one.npy", values[1])
    np.save(tmp_path / "other.npy", values.reshape(4, 3))
    read = [list(sample) for sample in read_samples(tmp_path / "batch.npy", (1, 2, 3))]
    assert read == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert [list(x) for x in read_samples(tmp_path / "one.npy", (1, 2, 3))] == read[1:]
    with pytest.raises(ValueError, match=r"\(4, 3\), not samples of 1 x 2 x 3"):
        read_samples(tmp_path / "other.npy", (1, 2, 3))
