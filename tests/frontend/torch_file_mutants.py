"""Fuzzing `pappus.load` of .pt files: mutants of real ones end in a result or a FormatError, soon and in little memory.

    python tests/frontend/torch_file_mutants.py --count 10000 --seed 1

The seeds are written by pappus and, where it is installed, by PyTorch in both of its forms. Mutants flip bits,
overwrite, cut, repeat and move pieces, of the whole file and of the pickle inside a zip, whose directory is then made
anew.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import resource
import signal
import struct
import sys
import zipfile

import numpy as np

import pappus as pp

MEMORY = 2 << 30  # address space of the process: a huge allocation is a MemoryError, which counts as a failure
SECONDS = 5
NUMBERS = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", struct.pack("<q", 2**62), b"\x00" * 8, b"\xff" * 8, b"(" * 40]


def seeds() -> list[bytes]:
    """Real files."""
    weight = pp.arange(12.0).reshape(3, 4)
    obj = {
        "weight": weight, "view": weight[1:, ::2], "half": pp.ones(3, dtype=pp.bfloat16), "flags": pp.ones(2) > 0,
        "parameter": pp.nn.Parameter(pp.ones(2)), "epoch": 3, "big": 2**70, "x": [1.5, None, True, "text", (b"b", 1j)],
        "ordered": collections.OrderedDict(a={1, 2}, b=pp.float32, c=weight.shape), "none": pp.zeros(0, 3),
    }  # fmt: skip
    buffer = io.BytesIO()
    pp.save(obj, buffer, format="pt")
    found = [buffer.getvalue()]
    try:
        import torch
    except ImportError:
        return found
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"model": layer.state_dict(), "optimizer": optimizer.state_dict(), "array": np.arange(3.0)}
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        found.append(buffer.getvalue())
    return found


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few changes at random places."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(out) or 1)
        kind = rng.randrange(7)
        if kind == 0 and out:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at] = rng.randrange(256)
        elif kind == 2:
            piece = rng.choice(NUMBERS)
            out[at : at + len(piece)] = piece
        elif kind == 3:
            del out[at : at + rng.randrange(1, 20)]
        elif kind == 4:
            piece = out[at : at + rng.randrange(1, 60)]
            out[at:at] = piece * rng.choice((1, 2, 50))
        elif kind == 5:
            other = rng.randrange(len(out) or 1)
            out[at : at + 8] = out[other : other + 8]
        elif rng.randrange(4) == 0:
            del out[at:]
    return bytes(out)


def mutant(data: bytes, rng: random.Random) -> bytes:
    """A mutant of a whole file, or of one record of a zip."""
    if data[:2] != b"PK" or rng.randrange(4) == 0:
        return mutate(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            chosen = name.endswith("data.pkl") or rng.randrange(8) == 0
            new.writestr(name, mutate(content, rng) if chosen else content)
    return out.getvalue()


def touch(value: object, depth: int = 0) -> None:
    """Read what was loaded: memory behind it that is not its own would crash here."""
    if isinstance(value, pp.Tensor):
        array = value.detach().numpy()
        if array.size < 10**6:
            array.tobytes()
    elif isinstance(value, dict) and depth < 50:
        for item in value.values():
            touch(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 50:
        for item in value:
            touch(item, depth + 1)


def run(count: int, seed: int) -> collections.Counter[str]:
    """Load `count` mutants; how many loaded and how many were refused. Other outcomes raise."""
    files = seeds()
    for data in files:
        pp.load(io.BytesIO(data))
    tally: collections.Counter[str] = collections.Counter()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)
        data = mutant(files[number % len(files)], rng)
        signal.alarm(SECONDS)
        try:
            touch(pp.load(io.BytesIO(data)))
            tally["loaded"] += 1
        except pp.FormatError:
            tally["refused"] += 1
        except BaseException:
            print(f"seed {seed}, mutant {number}:", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    return tally


def main() -> None:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    files = seeds()  # before the limit: PyTorch itself takes much address space
    assert files
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + _address_space(), resource.RLIM_INFINITY))
    tally = run(args.count, args.seed)
    print(f"{args.count} mutants of .pt files: {tally['loaded']} loaded, {tally['refused']} refused, nothing else")


def _address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
