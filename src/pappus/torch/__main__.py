"""`python -m pappus.torch script.py [arguments]`: run a script that imports torch, unmodified, on Pappus."""

from __future__ import annotations

import os
import runpy
import sys

from pappus.torch.install import install_as_torch

USAGE = "usage: python -m pappus.torch script.py [arguments]   or   python -m pappus.torch -m module [arguments]"


def main() -> int:
    """Run what the command line names as the main program; its exit status is the program's."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help") or (arguments[0] == "-m" and len(arguments) < 2):
        print(USAGE, file=sys.stdout if arguments and arguments[0] != "-m" else sys.stderr)
        return 0 if arguments and arguments[0] != "-m" else 2
    if arguments[0] != "-m" and not os.path.exists(arguments[0]):
        print(f"pappus.torch: there is no script {arguments[0]}", file=sys.stderr)
        return 2
    install_as_torch()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    sys.argv = arguments
    sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
