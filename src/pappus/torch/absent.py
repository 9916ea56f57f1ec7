"""Modules of PyTorch that have nothing to do here, as tables of what their names answer.

Kept to the names that public code uses. Switches take any value; what would have to do something real refuses.
"""

from __future__ import annotations

from typing import Any

from pappus.frontend.nn.module import Module
from pappus.frontend.tensor_memory import TypedStorage, UntypedStorage
from pappus.torch.answers import Answers, absent, answer, as_is, decorator, does_nothing, never, refuse

_EXPORT = "capture and export with pappus.export.export(model, args)"
_SCRIPT = f"the eager function runs as it is; to save a program, {_EXPORT}"
_GRAPH = f"graphs are those of pappus.export: {_EXPORT}"
no, yes, zero = answer(False), answer(True), answer(0)


def _graph_class(name: str, base: type = object) -> type:
    return never(name, _GRAPH, base)


def _accelerator(kind: str) -> dict[str, Any]:
    """A kind of device that is not there."""
    guard = f"there is no such device: ask torch.{kind}.is_available() first"
    return {
        "is_available": no, "is_initialized": no, "is_bf16_supported": no, "device_count": zero,
        "synchronize": does_nothing, "empty_cache": does_nothing, "manual_seed": does_nothing,
        "manual_seed_all": does_nothing, "reset_peak_memory_stats": does_nothing, "max_memory_allocated": zero,
        "memory_allocated": zero, "current_allocated_memory": zero, "driver_allocated_memory": zero,
        "set_rng_state": does_nothing, "set_rng_state_all": does_nothing, "get_rng_state_all": answer([]),
        "get_rng_state": refuse(f"torch.{kind}.get_rng_state", guard), "stream": absent,
        "current_device": refuse(f"torch.{kind}.current_device", guard),
        "set_device": refuse(f"torch.{kind}.set_device", guard),
        "get_device_name": refuse(f"torch.{kind}.get_device_name", guard),
        "get_device_properties": refuse(f"torch.{kind}.get_device_properties", guard),
    }  # fmt: skip


def _script(obj: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The object itself; as a decorator with arguments, one that changes nothing."""
    return decorator if obj is None else obj


_KERNELS = {
    "enable_flash_sdp": does_nothing, "enable_mem_efficient_sdp": does_nothing, "enable_math_sdp": does_nothing,
    "enable_cudnn_sdp": does_nothing, "flash_sdp_enabled": no, "mem_efficient_sdp_enabled": no,
    "math_sdp_enabled": yes, "cudnn_sdp_enabled": no, "is_flash_attention_available": no, "sdp_kernel": absent,
}  # fmt: skip
_CONFIG = "Switches of a compiler that is not there; they take any value."

TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "backends": ("Switches of libraries that are not there; they take any value.", {
        "cudnn": {"benchmark": False, "deterministic": False, "enabled": False, "allow_tf32": False,
                  "is_available": no, "version": does_nothing, "flags": absent, "benchmark_limit": 10,
                  "conv": {"fp32_precision": "ieee"}, "rnn": {"fp32_precision": "ieee"}, "fp32_precision": "ieee"},
        "cuda": {"matmul": {"allow_tf32": False, "allow_fp16_reduced_precision_reduction": False,
                            "allow_bf16_reduced_precision_reduction": False, "allow_fp16_accumulation": False,
                            "fp32_precision": "ieee"},
                 "is_built": no, "preferred_linalg_library": does_nothing, "cufft_plan_cache": {}, **_KERNELS},
        "mps": {"is_available": no, "is_built": no, "is_macos_or_newer": no},
        "mkl": {"is_available": no}, "openmp": {"is_available": no}, "xnnpack": {"enabled": False},
        "mkldnn": {"is_available": no, "enabled": False, "flags": absent}, "opt_einsum": {"enabled": False},
        "quantized": {"engine": "none", "supported_engines": []}, "cpu": {"get_cpu_capability": answer("DEFAULT")},
        "fp32_precision": "ieee",
    }),
    "jit": ("Decorators that leave the eager function as it is.", {
        "script": _script, "ignore": _script, "unused": _script, "export": _script, "script_if_tracing": _script,
        "interface": _script, "freeze": as_is, "optimize_for_inference": as_is, "trace": as_is, "is_scripting": no,
        "is_tracing": no, "annotate": lambda kind, value: value, "isinstance": isinstance, "Final": Any,
        "Attribute": lambda value, kind: value, "fork": lambda f, *a, **k: f(*a, **k), "wait": as_is,
        "load": refuse("torch.jit.load", "programs are run with pappus.runtime.load"),
        "save": refuse("torch.jit.save", _EXPORT), "ScriptModule": never("jit.ScriptModule", _SCRIPT, Module),
        "ScriptFunction": never("jit.ScriptFunction", _SCRIPT), "optimized_execution": absent, "Error": RuntimeError,
        "set_fusion_strategy": does_nothing, "enable_onednn_fusion": does_nothing, "TracerWarning": UserWarning,
    }),
    "onnx": ("ONNX is not written.", {
        "export": refuse("torch.onnx.export", _EXPORT), "is_in_onnx_export": no,
        "dynamo_export": refuse("torch.onnx.dynamo_export", _EXPORT),
        "select_model_mode_for_export": absent, "register_custom_op_symbolic": does_nothing,
    }),
    "fx": ("Graph classes for isinstance; nothing is ever one of them.", {
        "GraphModule": _graph_class("fx.GraphModule", Module), "Graph": _graph_class("fx.Graph"),
        "Node": _graph_class("fx.Node"), "Proxy": _graph_class("fx.Proxy"), "Tracer": _graph_class("fx.Tracer"),
        "Interpreter": _graph_class("fx.Interpreter"), "Transformer": _graph_class("fx.Transformer"),
        "wrap": as_is, "symbolic_trace": refuse("torch.fx.symbolic_trace", _GRAPH),
        "node": {"Target": Any, "Argument": Any, "map_arg": refuse("torch.fx.node.map_arg", _GRAPH),
                 "Node": _graph_class("fx.node.Node")},
        "experimental": {"symbolic_shapes": {
            "GuardOnDataDependentSymNode": type("GuardOnDataDependentSymNode", (RuntimeError,), {})}},
    }),
    "_dynamo": (_CONFIG, {
        "config": {name: None for name in (
            "cache_size_limit", "recompile_limit", "optimize_ddp", "automatic_dynamic_shapes", "compiled_autograd",
            "capture_scalar_outputs", "suppress_errors", "verbose", "cudagraph_trees", "accumulated_cache_size_limit",
            "assume_static_by_default", "capture_dynamic_output_shape_ops", "allow_unspec_int_on_nn_module")},
        "reset": does_nothing, "disable": decorator, "allow_in_graph": decorator, "graph_break": does_nothing,
        "is_compiling": no, "mark_dynamic": does_nothing, "mark_static": does_nothing, "optimize": decorator,
        "list_backends": answer([]), "explain": refuse("torch._dynamo.explain", _GRAPH),
        "maybe_mark_dynamic": does_nothing, "mark_static_address": does_nothing,
        "eval_frame": {"OptimizedModule": never("_dynamo.eval_frame.OptimizedModule", _SCRIPT, Module)},
    }),
    "_inductor": (_CONFIG, {"config": {
        **{name: None for name in (
            "coordinate_descent_tuning", "fx_graph_cache", "epilogue_fusion", "shape_padding", "max_autotune",
            "coordinate_descent_check_all_directions", "force_fuse_int_mm_with_mul", "use_mixed_mm", "freezing",
            "conv_1x1_as_mm", "unique_kernel_names", "max_autotune_gemm_backends", "combo_kernels")},
        "triton": {"cudagraphs": None, "unique_kernel_names": None, "cudagraph_trees": None},
    }}),
    "_functorch": (_CONFIG, {"config": {
        "enable_autograd_cache": None, "donated_buffer": None, "activation_memory_budget": None}}),
    "_C": ("Switches of the C++ part that is not there.", {
        **{name: does_nothing for name in (
            "_jit_set_texpr_fuser_enabled", "_jit_override_can_fuse_on_gpu", "_jit_override_can_fuse_on_cpu",
            "_jit_set_nvfuser_enabled", "_jit_set_profiling_mode", "_jit_set_profiling_executor",
            "_jit_set_nvfuser_guard_mode", "_log_api_usage_once", "_jit_set_nvfuser_single_node_mode")},
        "_jit_can_fuse_on_gpu": no, "_jit_can_fuse_on_cpu": no, "_get_accelerator": refuse(
            "torch._C._get_accelerator", "there is no accelerator: use torch.device('cpu')"),
        "DisableTorchFunctionSubclass": absent, "DisableTorchFunction": absent,
    }),
    "accelerator": ("Questions about an accelerator: there is none.", {
        **_accelerator("accelerator"), "current_accelerator": does_nothing, "is_available": no,
        "set_device_index": refuse("torch.accelerator.set_device_index", "there is no accelerator"),
        "current_device_index": refuse("torch.accelerator.current_device_index", "there is no accelerator"),
    }),
    "compiler": ("Questions and marks for a compiler that is not there: functions stay as they are.", {
        "disable": decorator, "is_compiling": no, "is_dynamo_compiling": no, "is_exporting": no, "reset": does_nothing,
        "cudagraph_mark_step_begin": does_nothing, "allow_in_graph": decorator, "set_stance": absent,
        "assume_constant_result": decorator, "list_backends": answer([]), "nested_compile_region": decorator,
    }),
    "overrides": ("Functions are intercepted with pappus.Mode.", {
        "TorchFunctionMode": never("overrides.TorchFunctionMode", "operators are intercepted with pappus.Mode"),
        "has_torch_function": no, "is_tensor_like": lambda value: hasattr(value, "requires_grad"),
    }),
    "version": ("Versions of what PyTorch is built with: none of it is here.", {
        "cuda": None, "hip": None, "xpu": None, "cann": None, "git_version": "", "debug": False,
    }),
    "storage": ("The memory of tensors.", {"UntypedStorage": UntypedStorage, "TypedStorage": TypedStorage}),
    "sparse": ("Sparse tensors are not part of Pappus.", {
        "mm": refuse("torch.sparse.mm", "use a dense tensor"), "sum": refuse("torch.sparse.sum", "use a dense tensor"),
    }),
    **{kind: (f"Answers for scripts that ask for {kind}: there is none.", _accelerator(kind))
       for kind in ("mps", "xpu", "hpu", "mlu", "musa", "neuron", "npu", "mtia")},
    "cpu": ("Answers about the one device.", {
        **_accelerator("cpu"), "is_available": yes, "device_count": answer(1), "current_device": answer("cpu"),
        "set_device": does_nothing, "amp": {},
    }),
}  # fmt: skip


def module(name: str) -> Answers:
    """The module torch.<name> of the tables."""
    doc, answers = TABLES[name]
    return Answers(f"torch.{name}", doc, answers)
