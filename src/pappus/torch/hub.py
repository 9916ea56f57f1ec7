"""torch.hub: downloads of checkpoints. Code from repositories is not run."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from pappus.frontend.serialize import load as _load
from pappus.torch.answers import refuse

__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

_WAY_OUT = "build the model in your own code and load its weights with torch.hub.load_state_dict_from_url"
load, list, help = (refuse(f"torch.hub.{name}", _WAY_OUT) for name in ("load", "list", "help"))
_directory: str | None = None
_HASH = re.compile(r"-([a-f0-9]{8,})\.")


def _get_torch_home() -> str:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The folder of downloads: as in PyTorch, so that both share what is there."""
    return _directory or os.path.join(_get_torch_home(), "hub")


def set_dir(d: str) -> None:
    """Use another folder."""
    global _directory
    _directory = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download `url` to the file `dst`, which appears only when complete.

    Raises RuntimeError where its SHA-256 does not begin with `hash_prefix`, and ConnectionError without a network.
    """
    partial = f"{dst}.{os.getpid()}.part"
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as source, open(partial, "wb") as file:
            while piece := source.read(1 << 20):
                file.write(piece)
                digest.update(piece)
        if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(f"{url}: its SHA-256 is {digest.hexdigest()}, expected it to begin with {hash_prefix}")
        os.replace(partial, dst)
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"cannot download {url} ({reason}); put the file at {dst} by hand") from None
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, check_hash: bool = False,
    file_name: str | None = None, weights_only: bool = True,
) -> Any:  # fmt: skip
    """Load the checkpoint at `url`, downloaded once into `model_dir` (get_dir()/checkpoints)."""
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        print(f"Downloading: {url} to {path}", file=sys.stderr)
        found = _HASH.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return _load(path, map_location)


load_url = load_state_dict_from_url
