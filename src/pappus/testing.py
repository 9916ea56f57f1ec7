"""Comparing tensors in tests."""

from pappus.frontend.testing import assert_allclose, assert_close

__all__ = ["assert_allclose", "assert_close"]
