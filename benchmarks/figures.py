"""Write docs/figures.md: every figure the documents speak of, as the command that measures it printed it.

    make figures
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    ("The demo", "pappus demo"),
    ("Size of the C core", "sh runtime_c/tools/size.sh"),
    ("Fuzzing, short form", "python runtime_c/tools/fuzz/run.py --count 100000 --jobs 2"),
    ("Importing", 'python -c "import time; t = time.perf_counter(); import pappus; print(f\'import pappus: '
                  '{1e3 * (time.perf_counter() - t):.0f} ms\')"'),
)  # fmt: skip
_COLOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def cpu() -> str:
    """The processor's name and how many of them there are."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = re.findall(r"model name\s*:\s*(.+)", text)
    flags = re.search(r"flags\s*:\s*(.+)", text)
    isa = [f for f in ("avx2", "avx512f", "avx512_vnni") if flags and f in flags[1].split()]
    return f"{names[0] if names else platform.machine()}, {len(names) or '?'} cores, {' '.join(isa) or 'no AVX2'}"


def main() -> int:
    """Run every command; fails with the first that fails."""
    lines = [
        "# Figures",
        "",
        "Written by `make figures`; not typed. Times depend on the machine:",
        f"{cpu()}, {platform.system()}, Python {platform.python_version()}.",
    ]
    for title, command in COMMANDS:
        print(f"{title}: {command}", flush=True)
        done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            print(f"failed with exit status {done.returncode}: {command}", file=sys.stderr)
            return 1
        output = _COLOR.sub("", done.stdout).rstrip()
        lines += ["", f"## {title}", "", f"`{command}`", "", "```text"]
        lines += [*[t.rstrip() for t in output.splitlines()], "```"]
    (ROOT / "docs" / "figures.md").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
