"""Clipping of gradients, parameters as one vector, and sequences of different lengths (`rnn`)."""

from pappus.frontend.nn.clip import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from pappus.frontend.nn.vector import parameters_to_vector, vector_to_parameters
from pappus.nn.utils import rnn as rnn

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "vector_to_parameters",
]  # fmt: skip
