"""`FILE.py:callable` or `MODEL.onnx`: load a model and its example inputs.

An ONNX file is imported, and its examples are made from the types it declares. The callable takes no arguments and
returns one of

    model, args                        a Module or function, and its example inputs (a tuple, or one tensor)
    model, args, dynamic_shapes        with {input: {axis: Dim}}, as for pappus.export.export
    {method: one of the above}         several methods of one program, sharing weights and state
    an object with `example_inputs`    an attribute or a method; `dynamic_shapes` likewise, where there are any
    an ExportedProgram                 or {method: ExportedProgram}
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from pappus.cli import errors
from pappus.cli.errors import DataError, NotBuilt

if TYPE_CHECKING:
    from pappus.export import ExportedProgram

_IMPORTERS = {".tflite": "TFLite", ".pt2": "torch.export", ".gguf": "GGUF"}
_PROTOCOL = (
    "return (model, args), (model, args, dynamic_shapes), a dict of those by method name, "
    "or an object with .example_inputs"
)


@dataclass
class Method:
    """What one method is made of. `captured` is set when the callable did the export itself."""

    model: Callable[..., Any]
    args: tuple[Any, ...] = ()
    dynamic_shapes: Any = None
    captured: ExportedProgram | None = None
    notes: list[str] = field(default_factory=list)

    def inputs(self) -> dict[str, Any]:
        """The example inputs by the names that capture gives them, in their order."""
        if self.captured is not None:
            names = self.captured.graph_signature.user_inputs
            return dict(zip(names, self.captured.example_inputs, strict=True))
        from pappus.export.exporting import _Call

        return dict(_Call(self.model, self.args, {}).tensors)


def load(source: str) -> dict[str, Method]:
    """The methods that `FILE.py:callable` describes.

    Raises click.UsageError for text that is no source, NotBuilt for files of importers to come, DataError for a file or
    a callable that does not keep the protocol, and whatever the user's own code raises.
    """
    suffix = os.path.splitext(source)[1].lower()
    if suffix == ".onnx":
        return _onnx(source)
    if suffix in _IMPORTERS:
        kind = _IMPORTERS[suffix]
        raise NotBuilt(f"{source}: importing {kind} models", "Today SRC is FILE.py:callable or MODEL.onnx")
    path, separator, name = source.rpartition(":")
    if not separator or not path.endswith(".py") or not name:
        raise click.UsageError(f"SRC {source!r}: expected FILE.py:callable, for example model.py:make")
    found = _resolve(_import(path), path, name)
    try:
        made = found()
    except SystemExit as error:
        raise DataError(f"{path}:{name}() ended the program (SystemExit: {error})") from None
    return _methods(made, f"{path}:{name}()")


def _onnx(path: str) -> dict[str, Method]:
    """An ONNX model, with inputs made from its declared types."""
    from pappus.export.onnx import from_onnx

    if not os.path.isfile(path):
        raise DataError(f"{path}: no such file")
    try:
        model = from_onnx(path)
    except ImportError as error:
        raise DataError(f"{path}: {error}") from None
    return {"forward": _method(model.eval(), path)}


def _import(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise DataError(f"{path}: no such file")
    folder = os.path.dirname(os.path.abspath(path))
    errors.user_roots.add(folder)
    name = os.path.splitext(os.path.basename(path))[0]
    name = name if name.isidentifier() and name not in sys.modules else f"pappus_source_{abs(hash(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if folder not in sys.path:  # the file may import its neighbours, as it could when run as a script
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _resolve(module: ModuleType, path: str, name: str) -> Callable[[], Any]:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            own = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
            raise DataError(f"{path} has no {name!r}; its functions are: {', '.join(own) or 'none'}")
        found = getattr(found, part)
    if not callable(found):
        raise DataError(f"{path}:{name} is {_a(found)}, not a callable; it must {_PROTOCOL}")
    try:
        needed = [p.name for p in inspect.signature(found).parameters.values()
                  if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]  # fmt: skip
    except ValueError:
        needed = []
    if needed:
        raise DataError(
            f"{path}:{name} needs arguments ({', '.join(needed)}); name a function without any, such as "
            f"`def make(): return model, args`. It must {_PROTOCOL}"
        )
    call: Callable[[], Any] = found
    return call


def _methods(made: Any, what: str) -> dict[str, Method]:
    if isinstance(made, Mapping):
        if not made:
            raise DataError(f"{what} returned an empty dict; it must {_PROTOCOL}")
        if "" in made:
            raise DataError(f"{what} returned a method without a name; it must {_PROTOCOL}")
        return {str(name): _method(value, f"{what}[{name!r}]") for name, value in made.items()}
    return {"forward": _method(made, what)}


def _method(made: Any, what: str) -> Method:
    from pappus.export import ExportedProgram

    if isinstance(made, ExportedProgram):
        return Method(made.module(), captured=made)
    if isinstance(made, tuple) and len(made) in (2, 3) and callable(made[0]):
        return _checked(made[0], made[1], made[2] if len(made) == 3 else None, what)
    if callable(made) and hasattr(made, "example_inputs"):
        args, dynamic = made.example_inputs, getattr(made, "dynamic_shapes", None)
        return _checked(made, _value(args), _value(dynamic), what)
    kind = f"a tuple of {len(made)}" if isinstance(made, tuple) else _a(made)
    if isinstance(made, tuple) and made and not callable(made[0]):
        kind += f" that starts with {_a(made[0])}"
    extra = " without .example_inputs" if callable(made) else ""
    raise DataError(f"{what} returned {kind}{extra}; it must {_PROTOCOL}")


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _value(attribute: Any) -> Any:
    return attribute() if callable(attribute) else attribute


def _checked(model: Any, args: Any, dynamic: Any, what: str) -> Method:
    from pappus.frontend.tensor import Tensor

    if type(model).__module__.startswith("torch.") or any(
        c.__module__.startswith("torch.nn.") for c in type(model).__mro__
    ):
        raise DataError(
            f"{what} returned a PyTorch module ({type(model).__name__}); Pappus exports models written with its own "
            "classes: `import pappus as torch` and `from pappus import nn` in that file"
        )
    args = (args,) if isinstance(args, Tensor) or hasattr(args, "__array__") else args
    if not isinstance(args, (tuple, list)):
        raise DataError(f"{what}: example inputs must be a tuple of tensors, got {type(args).__name__}")
    method = Method(model, tuple(args), dynamic)
    owner: Any = model if hasattr(model, "eval") else getattr(model, "__self__", None)
    if getattr(owner, "training", False) and hasattr(owner, "eval"):
        owner.eval()
        method.notes.append(f"{type(owner).__name__} was in training mode; it is exported in evaluation mode")
    return method
