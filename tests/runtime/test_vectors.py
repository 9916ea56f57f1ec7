"""The committed program is what its generator writes, and the runtime computes what it should."""

from __future__ import annotations

import numpy as np
import pytest
import vectors

from pappus import runtime


def test_committed_files_are_current() -> None:
    for name, content in vectors.files().items():
        found = (vectors.VECTORS / name).read_bytes()
        if name == "small.p.raw":  # exp and tanh differ in the last bit between C libraries
            np.testing.assert_allclose(np.frombuffer(found, np.float32), np.frombuffer(content, np.float32), rtol=1e-6)
        else:
            assert found == content, f"{name} is stale: python tests/runtime/vectors.py"


@pytest.mark.parametrize("threads", [1, 2])
def test_results(threads: int) -> None:
    session = runtime.load(vectors.VECTORS / "small.pap", threads=threads, verify=True)
    x = np.load(vectors.VECTORS / "small.x.npy")
    p, digit, name = session.method("forward")(x)
    want_p, want_digit = vectors.expected()
    np.testing.assert_allclose(p, want_p, atol=1e-6)
    np.testing.assert_array_equal(digit, want_digit)
    np.testing.assert_array_equal(name, vectors.weights()["names"][want_digit])
    for i in range(1, 4):
        y = session.method("count")(np.ones(3, np.float32))
        assert np.asarray(y).tolist() == [1 + i, 2 + i, 3 + i]
