"""ONNX models in: the graph of a file as a Module whose nodes run with the eager operators (docs/onnx.md)."""

from pappus.export.onnx.model import OnnxModel, from_onnx

__all__ = ["OnnxModel", "from_onnx"]
