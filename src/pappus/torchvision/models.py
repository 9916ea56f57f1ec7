"""Models of torchvision are not part of Pappus: each name is refused with the way out when it is called."""

from __future__ import annotations

from typing import Any

from pappus.torch.answers import never, refuse

__path__: list[str] = []
_WAY_OUT = "write the model in your own code; its weights load with torch.hub.load_state_dict_from_url(url)"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'torchvision.models' has no attribute {name!r}", name=name)
    if name[0].isupper():
        return never(f"torchvision.models.{name}", _WAY_OUT)
    return refuse(f"torchvision.models.{name}", _WAY_OUT)
