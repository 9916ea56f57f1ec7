"""Clipping of gradients, parameters as one vector, sequences of different lengths (`rnn`), computed parameters."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.nn.clip import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from pappus.frontend.nn.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from pappus.frontend.nn.spectral_norm import remove_spectral_norm, spectral_norm
from pappus.frontend.nn.vector import parameters_to_vector, vector_to_parameters
from pappus.frontend.nn.weight_norm import remove_weight_norm, weight_norm
from pappus.nn.utils import fusion as fusion
from pappus.nn.utils import parametrizations as parametrizations
from pappus.nn.utils import parametrize as parametrize
from pappus.nn.utils import rnn as rnn

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "fuse_conv_bn_eval", "fuse_conv_bn_weights",
    "fuse_linear_bn_eval", "fuse_linear_bn_weights", "get_total_norm", "parameters_to_vector", "remove_spectral_norm",
    "remove_weight_norm", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip

__getattr__ = _unknown(__name__)
