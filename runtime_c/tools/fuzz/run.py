"""Fuzz the runtime: structure-aware mutants of small programs, opened, bound and run under sanitizers.

    python runtime_c/tools/fuzz/run.py [--count 20000] [--seconds 0] [--jobs 2] [--seed 1] [FILE.pap ...]

Without files the seeds are the programs of tests/runtime/programs.py. Prints how many mutants were opened, bound, run
and refused by which rule; exits 1 on a finding (its file is kept in the build folder) or if too few mutants ran.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RULE = re.compile(r"^PP_RULE\((\d+), (\w+),", re.M)
LEAST_RUN = 0.2


def build(folder: Path) -> Path:
    """The fuzzer, compiled with sanitizers; only what changed is compiled again."""
    cmake = [
        "cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DPAPPUS_BUILD_PYTHON=OFF",
        "-DPAPPUS_SANITIZE=address,undefined",
    ]  # fmt: skip
    subprocess.run(cmake, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", str(folder), "--target", "pappus-fuzz", "-j", "2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "runtime_c" / "pappus-fuzz"


def write_seeds(folder: Path) -> list[Path]:
    """The test programs as files."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "runtime")]
    import programs

    paths = []
    for name, make in programs.ALL.items():
        paths.append(folder / f"seed_{name}.pap")
        program = make()
        program.debug = len(paths) % 2 == 0  # half of them without: the other bytes are then hit more often
        paths[-1].write_bytes(program.build())
    return paths


def report(total: Counter[str], rules: Counter[str], seconds: float) -> None:
    """Print the counts."""
    names = dict(RULE.findall((ROOT / "runtime_c" / "src" / "rules.def").read_text()))
    mutants = max(total["mutants"], 1)
    print(f"{total['mutants']} mutants in {seconds:.1f} s: {total['mutants'] / max(seconds, 1e-9):.0f} per second")
    for key in ("opened", "bound", "ran", "limited"):
        print(f"  {key:8} {total[key]:7}  {100 * total[key] / mutants:5.1f} %")
    print(f"  runs stopped by a run-time check: {total['failed']}")
    print(f"  refused by {len(rules)} rules:")
    for rule, n in rules.most_common():
        print(f"    {rule} {names.get(rule, '?'):20} {n}")


def main() -> int:
    """Build, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=0, help="stop after this time (0: no limit)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    fuzzer = build(options.build)
    seeds = [str(path) for path in (options.files or write_seeds(options.build))]
    start = time.monotonic()
    share = -(-options.count // options.jobs)
    jobs = []
    for i in range(options.jobs):
        progress = options.build / f"progress{i}"
        command = [str(fuzzer), "RUN", str(progress), str(options.seed), str(i * share), str(share), str(options.seconds)]
        log = open(options.build / f"log{i}", "w")
        jobs.append((progress, log, subprocess.Popen([*command, *seeds], stdout=subprocess.PIPE, stderr=log, text=True)))
    total: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    findings = 0
    for progress, log, job in jobs:
        out, _ = job.communicate()
        log.close()
        if job.returncode == 0:
            found = json.loads(out)
            rules.update(found.pop("rules"))
            total.update(found)
            continue
        findings += 1
        number = struct.unpack("<Q", progress.read_bytes())[0]
        kept = options.build / f"finding_{options.seed}_{number}.pap"
        subprocess.run([str(fuzzer), "DUMP", str(kept), str(options.seed), str(number), *seeds], check=False)
        print(f"FINDING: mutant {number} (exit {job.returncode}), kept as {kept}\n{Path(log.name).read_text()[:4000]}")
    report(total, rules, time.monotonic() - start)
    if not findings and total["ran"] < LEAST_RUN * total["mutants"]:
        print(f"too few mutants ran (at least {100 * LEAST_RUN:.0f} % wanted): the mutator lost its aim")
        return 1
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
