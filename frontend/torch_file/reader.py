"""Reading a checkpoint: the zip of torch 1.6 and later, and the stream of pickles before it."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import Any

import numpy as np

from pappus.frontend.errors import FormatError
from pappus.frontend.torch_file import names
from pappus.frontend.torch_file.machine import Damaged, Machine, check_result
from pappus.frontend.torch_file.storages import StorageType, Stored, dtype_of

__all__ = ["read", "read_pickle"]

_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL = struct.Struct("<4s22xHH")


def read(file: Any, name: Any, mmap: bool = False) -> Any:
    """The object that torch.save wrote into a binary file.

    With `mmap`, tensors show the file's pages instead of copies, until they are written to; this needs a file on disk
    in the zip form. Raises FormatError for what is no checkpoint, damaged or more than data.
    """
    start = file.tell()
    first = file.read(4)
    file.seek(start)
    try:
        found = _Zip(file, name, mmap).read() if first == b"PK\x03\x04" else _Stream(file, name).read()
        check_result(found)
        if isinstance(found, Stored):
            raise Damaged("it holds a storage without a tensor")
        return found
    except Damaged as error:
        raise FormatError(f"load: {name} is damaged or no PyTorch checkpoint: {error}") from None


def read_pickle(data: bytes, name: Any) -> Any:
    """The value of one pickle that holds data only (numbers, text, numpy arrays, containers), such as CIFAR's files.

    Raises FormatError for what is damaged or more than data.
    """
    try:
        found = Machine(memoryview(data), 0, lambda m, n: names.find(m, n, name), _nothing_outside, names.fill).run()
        check_result(found)
        return found
    except Damaged as error:
        raise FormatError(f"{name} is damaged: {error}") from None


def _nothing_outside(key: Any) -> Any:
    raise Damaged("its pickle names something outside")


class _Source:
    """What both forms share: the storages by key, and the machine that runs a pickle."""

    def __init__(self, file: Any, name: Any) -> None:
        self.file, self.name = file, name
        self.stored: dict[str, Stored] = {}
        at = file.tell()
        self.left = self.size = file.seek(0, os.SEEK_END)
        file.seek(at)

    def machine(self, data: Any, at: int = 0) -> Machine:
        """A machine over the pickle at `at` of `data`."""
        return Machine(data, at, lambda m, n: names.find(m, n, self.name), self.persistent, names.fill)

    def persistent(self, key: Any) -> Stored:
        """The storage that an id names: ("storage", type, key, device, count[, piece])."""
        if not isinstance(key, tuple) or len(key) < 5 or key[0] not in ("storage", b"storage"):
            raise Damaged("its pickle names something outside that is no storage")
        kind, label, count = key[1], key[2], key[4]
        if not isinstance(kind, StorageType) or type(label) is not str or type(count) is not int or count < 0:
            raise Damaged("its pickle names a storage that makes no sense")
        bytes_needed = count * (1 if kind.dtype is None else dtype_of(kind.dtype).itemsize)
        if label not in self.stored:
            raw = self.bytes_of(label, bytes_needed)
            self.stored[label] = Stored(raw, kind.dtype, self.swapped())
        found = self.stored[label]
        if bytes_needed > found.raw.size:
            raise Damaged(f"storage {label!r} of {bytes_needed} bytes has {found.raw.size}")
        piece = key[5] if len(key) > 5 else None
        if piece is None:
            return found
        _, offset, length = piece
        if type(offset) is not int or type(length) is not int or offset < 0 or length < 0:
            raise Damaged(f"storage {label!r} has a piece that makes no sense")
        return found.piece(offset, length)

    def spend(self, count: int, label: str) -> None:
        """Account for the memory of a storage: together they are no larger than the file."""
        self.left -= count
        if self.left < 0:
            raise Damaged(f"it is cut off: storage {label!r} of {count} bytes is longer than what is left")

    def bytes_of(self, label: str, count: int) -> Any:
        raise NotImplementedError

    def swapped(self) -> bool:
        raise NotImplementedError


class _Zip(_Source):
    """A zip of stored (not compressed) records: <name>/data.pkl, <name>/data/<key>, <name>/byteorder."""

    def __init__(self, file: Any, name: Any, mmap: bool) -> None:
        super().__init__(file, name)
        self.mapped = None
        if mmap:
            try:
                file.fileno()
            except (AttributeError, OSError):
                raise FormatError(f"load: mmap=True needs the path of a file, {name} is in memory") from None
            self.mapped = np.memmap(file, np.uint8, "c")
        try:
            with zipfile.ZipFile(file) as archive:
                self.records = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, OSError, IndexError) as error:
            raise Damaged(f"its zip directory cannot be read ({error})") from None
        found = [key for key in self.records if key.endswith("/data.pkl") and key.count("/") == 1]
        if any(key.endswith("/constants.pkl") for key in self.records):
            raise FormatError(
                f"load: {name} is a TorchScript program (torch.jit.save), which holds code. Save its weights where "
                "PyTorch is installed: torch.save(torch.jit.load(path).state_dict(), new_path)"
            )
        if not found:
            raise FormatError(
                f"load: {name} is a zip archive without a data.pkl, so no PyTorch checkpoint (numpy reads .npz files)"
            )
        self.prefix = found[0][: -len("data.pkl")]
        order = self.prefix + "byteorder"
        self.order = bytes(self._record(order)) if order in self.records else b"little"

    def read(self) -> Any:
        """The object."""
        return self.machine(memoryview(self._record(self.prefix + "data.pkl"))).run()

    def swapped(self) -> bool:
        """Whether the numbers stand in another byte order than this machine's."""
        return self.order == b"big"

    def bytes_of(self, label: str, count: int) -> Any:
        """The bytes of a storage."""
        return self._record(f"{self.prefix}data/{label}")

    def _record(self, key: str) -> Any:
        info = self.records.get(key)
        if info is None:
            raise Damaged(f"its record {key!r} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise Damaged(f"its record {key!r} is compressed or encrypted, as torch.save never does")
        if info.header_offset < 0 or info.header_offset + _LOCAL.size > self.size:
            raise Damaged(f"its record {key!r} lies outside the file")
        self.file.seek(info.header_offset)
        mark, name_length, extra_length = _LOCAL.unpack(self.file.read(_LOCAL.size))
        start = info.header_offset + _LOCAL.size + name_length + extra_length
        if mark != b"PK\x03\x04" or start + info.file_size > self.size:
            raise Damaged(f"it is cut off: its record {key!r} ends behind the file")
        if self.mapped is not None:
            return np.asarray(self.mapped[start : start + info.file_size])
        self.spend(info.file_size, key)
        self.file.seek(start)
        found = np.frombuffer(bytearray(self.file.read(info.file_size)), np.uint8)
        if found.size != info.file_size:
            raise Damaged(f"it ended while its record {key!r} was being read")
        return found


class _Stream(_Source):
    """Pickles one after the other (a magic number, a version, facts on the machine, the object, the keys of the
    storages), then the storages."""

    little = True

    def read(self) -> Any:
        """The object."""
        data = memoryview(self.file.read())
        if bytes(data[257:262]) == b"ustar":
            raise FormatError(
                f"load: {self.name} is a tar file of a PyTorch before 0.2; load it with PyTorch and save it again"
            )
        at = 0
        parts = []
        for _ in range(3):
            machine = self.machine(data, at)
            parts.append(machine.run())
            at = machine.at
            if parts[0] != _MAGIC:
                raise FormatError(
                    f"load: {self.name} is a Python pickle, not a file that torch.save wrote. Load it where it came "
                    "from, and save the tensors: torch.save(state_dict, path)"
                )
        facts = parts[2]
        self.little = not isinstance(facts, dict) or bool(facts.get("little_endian", True))
        self.left = len(data)
        # Twice: what it names is known after the first time, and filled before the second.
        machine = self.machine(data, at)
        machine.run()
        machine = self.machine(data, machine.at)
        keys = machine.run()
        if not isinstance(keys, list) or len(set(keys)) != len(keys) or set(keys) != set(self.stored):
            raise Damaged("the list of its storages does not match those that its tensors name")
        end = machine.at
        for key in keys:
            end = self._fill(data, end, key)
        return self.machine(data, at).run()

    def _fill(self, data: Any, at: int, key: str) -> int:
        stored = self.stored[key]
        width = 1 if stored.type_name is None else dtype_of(stored.type_name).itemsize
        count = int.from_bytes(data[at : at + 8], "little" if self.little else "big")
        end = at + 8 + count * width
        if count * width != stored.raw.size or end > len(data):
            raise Damaged(f"it is cut off, or storage {key!r} is not as long as its tensors say")
        stored.raw[:] = np.frombuffer(data[at + 8 : end], np.uint8)
        stored.shown.clear()
        return end

    def swapped(self) -> bool:
        """Whether the numbers stand in another byte order than this machine's."""
        return not self.little

    def bytes_of(self, label: str, count: int) -> Any:
        """Memory for a storage, whose bytes come behind the pickles."""
        self.spend(count, label)
        return np.zeros(count, np.uint8)
