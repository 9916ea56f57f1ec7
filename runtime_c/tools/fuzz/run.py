"""Fuzz the runtime: mutants of small programs, opened, bound and run under the address and UB sanitizers.

    python runtime_c/tools/fuzz/run.py --count 20000 --jobs 2
    python runtime_c/tools/fuzz/run.py --reproduce 1234        # one mutant, with the sanitizer's report

Seeds are the programs of tests/runtime/programs.py, those of tests/runtime/exported.py as the exporter writes them, and
every .pap under tests/vectors and --corpus. Deterministic for one --seed and one set of seed files. The checksums of
mutants are right; inputs are hostile too (NaN, infinities, indices out of range, sizes at their limits). Exits 1 on any
finding, or when less than 20 % of the mutants ran.
"""

from __future__ import annotations

import argparse
import importlib
import os
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
FIELDS = (
    "current", "mutants", "opened", "bound", "run", "too_large", "refused_open", "refused_create", "refused_bind",
    "refused_run",
)  # fmt: skip
LEAST_RUN = 0.20
MOST_FINDINGS = 10
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=16:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def build(folder: Path) -> Path:
    """The library and the fuzzer with sanitizers; the fuzzer's path."""
    flags = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DPAPPUS_SANITIZE=address,undefined", "-DPAPPUS_BUILD_PYTHON=OFF"]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder / "lib"), "-G", "Ninja", *flags],
        ["cmake", "--build", str(folder / "lib"), "--target", "pappus"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    binary = folder / "fuzz"
    sources = [HERE / "fuzz.c", HERE / "mutate.c", folder / "lib" / "runtime_c" / "libpappus.a"]
    newest = max(path.stat().st_mtime for path in (*sources, HERE / "mutate.h"))
    if not binary.exists() or binary.stat().st_mtime < newest:
        compiler = [os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra"]
        sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{ROOT / 'runtime_c' / 'include'}"]
        subprocess.run([*compiler, *sanitize, *map(str, sources), "-lm", "-pthread", "-o", str(binary)], check=True)
    return binary


def seeds(folder: Path, corpus: Path | None) -> list[Path]:
    """The seed files."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "runtime")]
    written = {name: make().build() for name, make in importlib.import_module("programs").ALL.items()}
    written |= {f"exported_{name}": make() for name, make in importlib.import_module("exported").ALL.items()}
    found = []
    for name, content in written.items():
        path = folder / f"{name}.pap"
        path.write_bytes(content)
        found.append(path)
    for place in (ROOT / "tests" / "vectors", corpus):
        if place is not None:
            found += [p for p in sorted(place.rglob("*.pap")) if p.stat().st_size < 1 << 20]
    return found


@dataclass
class Fuzzer:
    """The state of one campaign."""

    binary: Path
    folder: Path
    files: list[Path]
    seed: int
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    findings: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def share(self, job: int, first: int, last: int) -> None:
        """Mutants first..last-1 in one process, and a new one after each finding."""
        stats = self.folder / f"stats{job}"
        while first < last and len(self.findings) < MOST_FINDINGS:
            stats.write_bytes(bytes(8 * len(FIELDS)))
            done = self.start("run", str(first), str(last), str(self.seed), str(stats))
            counts = dict(zip(FIELDS, struct.unpack(f"<{len(FIELDS)}Q", stats.read_bytes()), strict=True))
            with self.lock:
                for name in FIELDS[1:]:
                    self.totals[name] += counts[name]
                if done.returncode:
                    self.totals["mutants"] += 1
                    self.findings.append(self.report(counts["current"], done))
            if not done.returncode:
                return
            first = counts["current"] + 1

    def start(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the fuzzer."""
        command = [str(self.binary), *args, *map(str, self.files)]
        environment = {**os.environ, **OPTIONS}
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, check=False
        )

    def report(self, number: int, done: subprocess.CompletedProcess[str]) -> str:
        """Keep the mutant and say what happened."""
        path = self.folder / "findings" / f"mutant-{self.seed}-{number}.pap"
        path.parent.mkdir(exist_ok=True)
        self.start("write", str(number), str(self.seed), str(path))
        lines = done.stderr.splitlines()
        marks = ("ERROR:", "runtime error:", "FUZZ:", "SUMMARY:")
        first = next((i for i, line in enumerate(lines) if any(mark in line for mark in marks)), 0)
        return "\n".join([f"mutant {number} (exit {done.returncode}), kept as {path}", *lines[first : first + 14]])


def main() -> int:
    """Parse arguments, fuzz, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="number of mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--corpus", type=Path, help="folder with more .pap files")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz", help="build folder")
    parser.add_argument("--reproduce", type=int, help="run only this mutant and print everything")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    binary = build(options.build)
    fuzzer = Fuzzer(binary, options.build, seeds(options.build / "seeds", options.corpus), options.seed)
    if options.reproduce is not None:
        number = options.reproduce
        done = fuzzer.start("run", str(number), str(number + 1), str(options.seed), str(options.build / "stats"))
        print(done.stderr or "nothing to report")
        return int(done.returncode != 0)
    started = time.perf_counter()
    bounds = [options.first + options.count * i // options.jobs for i in range(options.jobs + 1)]
    jobs = [
        threading.Thread(target=fuzzer.share, args=(i, bounds[i], bounds[i + 1])) for i in range(options.jobs)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    t, n = fuzzer.totals, max(fuzzer.totals["mutants"], 1)
    print(f"mutants  {t['mutants']} of {len(fuzzer.files)} seed files in {time.perf_counter() - started:.0f} s")
    print(f"opened   {t['opened']} ({t['opened'] / n:.1%}), refused {t['refused_open']}")
    print(f"bound    {t['bound']} ({t['bound'] / n:.1%}), refused {t['refused_create']} + {t['refused_bind']}")
    print(f"RUN      {t['run']} ({t['run'] / n:.1%}), refused {t['refused_run']}, too large {t['too_large']}")
    print(f"findings {len(fuzzer.findings)}, {t['mutants'] / (time.perf_counter() - started):.0f} mutants per second")
    for finding in fuzzer.findings:
        print(f"\n{finding}")
    if t["run"] < LEAST_RUN * t["mutants"]:
        print(f"too few mutants ran to mean anything: {LEAST_RUN:.0%} wanted")
    return int(bool(fuzzer.findings) or t["run"] < LEAST_RUN * t["mutants"])


if __name__ == "__main__":
    sys.exit(main())
