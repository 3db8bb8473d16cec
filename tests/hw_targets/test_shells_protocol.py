"""Framing, packing and sample encoding on the host side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw_targets.rtl.kernel import pack
from hw_targets.shells.protocol import (
    IDENTIFY_REPLY,
    Identity,
    ProtocolError,
    crc16,
    pack_elements,
    request,
)
from hw_targets.shells.samples import Encoding, channels_last, read_npy


def test_crc_check_value() -> None:
    assert crc16(b"123456789") == 0x29B1


def test_request_layout() -> None:
    frame = request(1, b"\x10\x20")
    assert frame[:6] == b"\xa5\x01\x02\x00\x10\x20"
    assert int.from_bytes(frame[6:], "little") == crc16(frame[1:6])
    with pytest.raises(ProtocolError, match="65535"):
        request(1, bytes(65536))


def test_identity_round_trip() -> None:
    identity = Identity(1, "0123456789abcdef", 64, 5, 2, 10, 50_000)
    assert len(identity.pack()) == IDENTIFY_REPLY.size == 20
    assert Identity.unpack(identity.pack()) == identity
    assert identity.frame_bytes == 64
    with pytest.raises(ProtocolError, match="19 bytes"):
        Identity.unpack(identity.pack()[1:])


@pytest.mark.parametrize(("bits", "lanes"), [(1, 1), (4, 1), (8, 1), (5, 3), (3, 16), (8, 64)])
def test_packing_is_the_stream_packing_of_the_kernels(bits: int, lanes: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, 3 * lanes)
    size = -(-bits * lanes // 8)
    beats = [values[at : at + lanes] for at in range(0, len(values), lanes)]
    expected = b"".join(int(pack(beat, bits), 16).to_bytes(size, "little") for beat in beats)
    assert pack_elements(values.tolist(), bits, lanes) == expected


def test_packing_refuses_what_does_not_fit() -> None:
    assert pack_elements([-8, -1], 4, 1) == b"\x08\x0f"
    for values in ([16], [-9]):
        with pytest.raises(ProtocolError, match="4 bits"):
            pack_elements(values, 4, 1)
    with pytest.raises(ProtocolError, match="1 elements left over"):
        pack_elements([1, 2, 3], 4, 2)


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
