"""Print what a development environment installs: build requirements, dependencies and one extra of pyproject.toml.

    python .ci/requirements.py dev
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main(extra: str) -> None:
    """One requirement a line."""
    data = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    project = data["project"]
    for line in [*data["build-system"]["requires"], *project["dependencies"], *project["optional-dependencies"][extra]]:
        print(line)


if __name__ == "__main__":
    main(sys.argv[1])
