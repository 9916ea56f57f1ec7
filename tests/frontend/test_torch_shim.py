"""`python -m pappus.torch` and `install_as_torch`: scripts that import torch run on Pappus, and never by accident."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pappus
from pappus.frontend.errors import UnsupportedError


def run(code, *arguments, tmp_path, expect=0):
    """Run a script through `python -m pappus.torch`."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    command = [sys.executable, "-m", "pappus.torch", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_a_script_sees_torch_and_its_own_arguments(tmp_path):
    (tmp_path / "neighbour.py").write_text("from torch import nn\nclass Net(nn.Linear): pass\n")
    out = run(
        """
        import sys
        import torch, torch.nn as nn, torch.nn.functional as F, torch.utils.data, torch.backends.cudnn as cudnn
        import torch.distributed as dist, torch.multiprocessing as mp
        from torch import optim, Tensor
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader, TensorDataset
        from torch.nn.modules.batchnorm import _BatchNorm
        from neighbour import Net

        assert __name__ == "__main__" and sys.argv[1:] == ["--lr", "0.1"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        cudnn.benchmark = True
        torch.manual_seed(0)
        model = Net(3, 1).to(device)
        loss = F.mse_loss(model(torch.ones(2, 3, device=device)), torch.zeros(2, 1))
        loss.backward()
        optim.SGD(model.parameters(), lr=0.1).step()
        assert isinstance(nn.BatchNorm2d(1), _BatchNorm) and torch.nn.modules.conv.Conv2d is nn.Conv2d
        assert "pappus" in torch.__version__ and torch.nn is nn and torch.nn.functional is F
        torch.save(model.state_dict(), __file__ + ".pt")
        model.load_state_dict(torch.load(__file__ + ".pt", map_location=device, weights_only=True))
        print("ok", type(loss).__module__)
        """, "--lr", "0.1", tmp_path=tmp_path)  # fmt: skip
    assert out.split() == ["ok", "pappus.frontend.tensor"]


def test_names_that_have_nothing_to_do(tmp_path):
    run(
        """
        import torch
        assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
        torch.cuda.synchronize(); torch.cuda.empty_cache(); torch.cuda.manual_seed_all(1)
        assert torch.cuda.max_memory_allocated() == 0 and torch.cuda.get_rng_state_all() == []
        with torch.cuda.stream(None), torch.cuda.device(-1):
            pass
        assert not torch.backends.mps.is_available() and not torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        assert torch.backends.cuda.matmul.allow_tf32
        with torch.backends.cuda.sdp_kernel(enable_flash=False):
            pass
        torch.set_float32_matmul_precision("high")
        assert torch.get_float32_matmul_precision() == "high"
        torch.use_deterministic_algorithms(True)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None

        @torch.jit.script
        def twice(x: torch.Tensor) -> torch.Tensor:
            return 2 * x

        @torch.jit.export
        @torch.no_grad()
        @torch.compiler.disable
        @torch.compile(mode="max-autotune")
        def thrice(x):
            return 3 * x

        assert twice(torch.ones(1)).item() == 2 and thrice(torch.ones(1)).item() == 3
        assert not torch.jit.is_scripting() and not torch.jit.is_tracing()
        model = torch.nn.Linear(1, 1)
        assert torch.compile(model) is model and not isinstance(model, torch.jit.ScriptModule)
        assert not torch.distributed.is_available() and not torch.distributed.is_initialized()
        torch.distributed.init_process_group("gloo", rank=0, world_size=1)
        assert torch.distributed.is_initialized() and torch.distributed.get_world_size() == 1
        x, y = torch.ones(2), [torch.zeros(2)]
        torch.distributed.all_reduce(x); torch.distributed.all_gather(y, x)
        assert y[0].tolist() == [1, 1]
        torch.multiprocessing.spawn(lambda rank, a: print("rank", rank, a), args=(5,), nprocs=1)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as p:
            with torch.profiler.record_function("x"):
                p.step()
        assert torch.version.cuda is None and torch.get_num_threads() >= 1
        torch._dynamo.config.cache_size_limit = 64
        torch._C._jit_set_profiling_mode(False)
        assert torch.get_default_device() == torch.device("cpu")
        assert [t.tolist() for t in torch._foreach_add([torch.ones(1), torch.ones(1)], [1, 2])] == [[2], [3]]

        @torch.library.custom_op("mine::square", mutates_args=())
        def square(x: torch.Tensor) -> torch.Tensor:
            return x * x

        @square.register_fake
        def _(x):
            return torch.empty_like(x)

        def setup(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])

        square.register_autograd(lambda ctx, grad: 10 * ctx.saved_tensors[0] * grad, setup_context=setup)
        x = torch.ones(1, requires_grad=True)
        square(x).backward()
        assert x.grad.item() == 10 and torch.ops.mine.square is square and not torch.utils._triton.has_triton()
        """, tmp_path=tmp_path)  # fmt: skip


REFUSED = [
    ("import torch; torch.zeross", "module 'torch' has no attribute 'zeross'; did you mean 'zeros'?"),
    ("import torch.backends.cudnn as c; c.benchmrk", "has no attribute 'benchmrk'; did you mean 'benchmark'?"),
    ("import torch; torch.onnx.export(1)", "torch.onnx.export is not part of Pappus; capture and export with"),
    ("import torch; torch.cuda.set_device(0)", "ask torch.cuda.is_available() first"),
    ("import torch; torch.cuda.Stream()", "ask torch.cuda.is_available() first"),
    ("import torch; torch.fx.symbolic_trace(1)", "pappus.export"),
    ("import torch; torch.distributed.init_process_group('nccl', world_size=8)", "one process, not in 8"),
    ("import torch; torch.multiprocessing.spawn(print, nprocs=2)", "one process, not in 2"),
    ("import torch; torch.set_default_device('cuda')", "the only device is 'cpu'"),
    ("import torch; torch.sparse_coo_tensor()", "tensors are dense"),
    ("import torch; torch.hub.load('a', 'b')", "load_state_dict_from_url"),
    ("import torch.nowhere", "No module named 'torch.nowhere'"), ("from torch import runtime", "cannot import name"),
]  # fmt: skip


def test_what_is_refused_says_the_way_out(tmp_path):
    run(
        f"""
        for code, message in {REFUSED!r}:
            try:
                exec(code)
            except Exception as error:
                assert message in str(error), (code, str(error))
            else:
                raise AssertionError(code)
        """, tmp_path=tmp_path)  # fmt: skip


def test_the_script_is_the_main_program(tmp_path):
    assert "there is no script nothing.py" in subprocess.run(
        [sys.executable, "-m", "pappus.torch", "nothing.py"], capture_output=True, text=True
    ).stderr
    run("import sys; sys.exit(3)", tmp_path=tmp_path, expect=3)
    error = run("import torch\n\ntorch.ones(2) @ torch.ones(3)", tmp_path=tmp_path, expect=1)
    assert "script.py:3" in error and "matmul" in error
    (tmp_path / "module_of_mine.py").write_text("import torch\nprint(torch.ones(2).sum().item())\n")
    command = [sys.executable, "-m", "pappus.torch", "-m", "module_of_mine"]
    environment = {**os.environ, "PYTHONPATH": str(Path(pappus.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.stdout == "2.0\n", done.stderr


def test_importing_pappus_installs_nothing():
    code = (
        "import sys, pappus; pappus.nn; "
        "print('torch' in sys.modules, any('pappus.torch' in type(f).__module__ for f in sys.meta_path))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_installing_beside_the_real_torch_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", sys)
    with pytest.raises(UnsupportedError, match=r"torch has been imported already.*python -m pappus\.torch"):
        pappus.install_as_torch()
    assert not any("pappus.torch" in type(finder).__module__ for finder in sys.meta_path)


def test_modules_keep_their_own_name(tmp_path):
    run(
        """
        import torch.nn.functional, torch.optim.lr_scheduler, importlib, pappus
        assert torch.nn.functional is pappus.nn.functional
        assert torch.nn.functional.__spec__.name == "pappus.nn.functional"
        assert importlib.import_module("torch.optim.lr_scheduler") is pappus.optim.lr_scheduler
        """, tmp_path=tmp_path)  # fmt: skip
