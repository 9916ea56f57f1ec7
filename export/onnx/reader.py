"""Reading ONNX files: protobuf through the `onnx` package, tensors and attributes as numpy and Python values."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pappus.frontend import dtypes
from pappus.frontend.dtypes import DType
from pappus.frontend.errors import ArgumentError, FormatError, UnsupportedError


def onnx_module() -> Any:
    """The `onnx` package, or an error that says how to get it."""
    try:
        import onnx
        import onnx.defs
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(
            "reading ONNX files needs the onnx package: pip install 'pappus[onnx]' (or pip install onnx)"
        ) from error
    return onnx


def read(source: Any) -> tuple[Any, str]:
    """The ModelProto of a path, of bytes or of a ModelProto, and a short name for messages."""
    onnx = onnx_module()
    if isinstance(source, onnx.ModelProto):
        return source, source.graph.name or "model"
    try:
        if isinstance(source, (bytes, bytearray, memoryview)):
            return onnx.load_model_from_string(bytes(source)), "model"
        if isinstance(source, (str, os.PathLike)):
            return onnx.load(os.fspath(source)), os.path.basename(os.fspath(source))
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # protobuf and onnx raise many kinds; all mean that this is no model
        what = source if isinstance(source, (str, os.PathLike)) else "the bytes given"
        raise FormatError(f"{what}: not a readable ONNX model ({type(error).__name__}: {error})") from error
    raise ArgumentError(f"from_onnx: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}")


def dtype_of(elem_type: int) -> DType:
    """The Pappus type of an ONNX element type."""
    onnx = onnx_module()
    name = onnx.TensorProto.DataType.Name(elem_type)
    found = {
        "FLOAT": dtypes.float32, "DOUBLE": dtypes.float64, "FLOAT16": dtypes.float16, "BFLOAT16": dtypes.bfloat16,
        "INT8": dtypes.int8, "INT16": dtypes.int16, "INT32": dtypes.int32, "INT64": dtypes.int64,
        "UINT8": dtypes.uint8, "UINT16": dtypes.uint16, "UINT32": dtypes.uint32, "UINT64": dtypes.uint64,
        "BOOL": dtypes.bool_, "COMPLEX64": dtypes.complex64, "COMPLEX128": dtypes.complex128,
    }.get(name)  # fmt: skip
    if found is None:
        raise UnsupportedError(f"the ONNX importer does not take tensors of type {name}")
    return found


def elem_type_of(dtype: DType) -> int:
    """The ONNX element type of a Pappus type."""
    onnx = onnx_module()
    names = {"float32": "FLOAT", "float64": "DOUBLE", "bool": "BOOL"}
    return int(onnx.TensorProto.DataType.Value(names.get(dtype.name, dtype.name.upper())))


def array_of(tensor: Any) -> np.ndarray[Any, Any]:
    """The numbers of a TensorProto."""
    dtype_of(tensor.data_type)
    return np.asarray(onnx_module().numpy_helper.to_array(tensor))


def attributes(node: Any, outer: dict[str, Any] | None = None) -> dict[str, Any]:
    """A node's attributes as Python values; those that name an attribute of the enclosing function take its value."""
    onnx = onnx_module()
    found: dict[str, Any] = {}
    for item in node.attribute:
        if item.ref_attr_name:
            if outer is not None and item.ref_attr_name in outer:
                found[item.name] = outer[item.ref_attr_name]
            continue
        value = onnx.helper.get_attribute_value(item)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            value = array_of(value)
        elif not isinstance(value, (int, float, onnx.GraphProto)) and hasattr(value, "__iter__"):
            value = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
        found[item.name] = value
    return found
