"""Filling tensors with initial values: `pappus.nn.init.kaiming_normal_(weight)`."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.nn import init as _init
from pappus.frontend.nn.init import *  # noqa: F403
from pappus.frontend.nn.init import __all__ as __all__

# Their names before an underscore meant "in place".
constant, normal, uniform, orthogonal = _init.constant_, _init.normal_, _init.uniform_, _init.orthogonal_
kaiming_normal, kaiming_uniform = _init.kaiming_normal_, _init.kaiming_uniform_
xavier_normal, xavier_uniform = _init.xavier_normal_, _init.xavier_uniform_

__getattr__ = _unknown(__name__)
