"""Files that are no programs, or only part of one, are refused as such."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import programs
import pytest
from builder import fix_header

from pappus import runtime


def small_file() -> bytes:
    """A file of one instruction; it ends with its debug section, after the page-aligned data."""
    return programs.pointwise().build()


def test_every_truncation_is_refused() -> None:
    file = small_file()
    # Between the metadata's end and the data section lies only padding: a few lengths there are enough.
    metadata_end = sum(struct.unpack_from("<QQ", file, 48 + 8))
    lengths = [*range(metadata_end + 2), *range(metadata_end + 2, 4096, 97), *range(4090, len(file))]
    for length in lengths:
        with pytest.raises(runtime.FormatError):
            runtime.load(file[:length])
    runtime.load(file)


def test_every_truncation_of_a_file_that_lies_about_its_size_is_refused() -> None:
    file = small_file()
    for length in [*range(48, 1400, 3), *range(4000, len(file), 7)]:
        cut = bytearray(file[:length])
        struct.pack_into("<Q", cut, 24, length)
        with pytest.raises(runtime.FormatError):
            runtime.load(fix_header(cut))


def test_truncated_metadata_with_right_checksums() -> None:
    """Only the FlatBuffer's own structure can tell now."""
    file = small_file()
    offset, size = struct.unpack_from("<QQ", file, 48 + 8)
    for length in range(size - 3):  # the last string is padded to 4 bytes
        cut = bytearray(file)
        struct.pack_into("<I", cut, 48 + 4, zlib.crc32(file[offset : offset + length]))
        struct.pack_into("<Q", cut, 48 + 16, length)
        with pytest.raises(runtime.FormatError):
            runtime.load(fix_header(cut))


FOREIGN = {
    "empty": b"",
    "text": b"This is not a program.\n" * 20,
    "zeros": bytes(4096),
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200),
    "onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:" + bytes(200),
    "zip": b"PK\x03\x04" + bytes(200),
    "text mode": small_file().replace(b"\r\n", b"\n"),
    "byte order": small_file()[:8] + small_file()[8:48][::-1] + small_file()[48:],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files(name: str, tmp_path: Path) -> None:
    with pytest.raises(runtime.FormatError) as caught:
        runtime.load(FOREIGN[name])
    path = tmp_path / "file.pap"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(runtime.FormatError) as from_path:
        runtime.load(path)
    assert from_path.value.message == caught.value.message and from_path.value.rule == caught.value.rule


def test_damaged_weights_are_found_on_request() -> None:
    file = bytearray(programs.gemm().build())
    file[4096] ^= 1
    runtime.load(file)
    with pytest.raises(runtime.FormatError, match="checksum"):
        runtime.load(file, verify=True)


def test_every_flipped_bit_of_header_and_metadata_is_found() -> None:
    file = bytearray(small_file())
    end = sum(struct.unpack_from("<QQ", file, 48 + 8))
    for at in range(end):
        file[at] ^= 1 << at % 8
        with pytest.raises(runtime.FormatError):
            runtime.load(file)
        file[at] ^= 1 << at % 8
