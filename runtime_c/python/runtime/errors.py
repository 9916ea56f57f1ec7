"""What pappus.runtime raises: one class per kind of failure, all of them PappusRuntimeError."""

from __future__ import annotations


class PappusRuntimeError(RuntimeError):
    """A program could not be opened, bound or run.

    Attributes: `status` (pp_status number, 0 if Python found the problem), `rule` (the number of the check in
    runtime_c/src/rules.def, 0 if Python found it) and `message`.
    """

    def __init__(self, message: str, status: int = 0, rule: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.rule = rule


class ArgumentError(PappusRuntimeError):
    """A call that makes no sense: an unknown method, a closed session."""


class FormatError(PappusRuntimeError):
    """Not a .pap file, or a broken one."""


class VersionError(FormatError):
    """A .pap file of a version, or with a feature, that this runtime does not know."""


class InputError(PappusRuntimeError, ValueError):
    """An input or `out=` array has another name, dtype, rank or size than the program takes."""


class GuardError(InputError):
    """The input sizes break an assumption that was made when the program was exported."""


class ContractError(PappusRuntimeError):
    """An instruction's shape contract does not hold: the program itself is wrong."""


class MemoryLimitError(PappusRuntimeError):
    """The program needs more memory than there is."""


class UnsupportedError(PappusRuntimeError):
    """This build has no kernel for an instruction."""


class IndexValueError(PappusRuntimeError, IndexError):
    """An index tensor holds a value outside the indexed dimension."""


class DivisorError(PappusRuntimeError, ZeroDivisionError):
    """An integer tensor was divided by zero."""


class PositionError(IndexValueError):
    """A write into state starts outside of it, for instance a full key/value cache."""


class StateError(PappusRuntimeError):
    """State is undefined after a failed run: `session.state.reset()`, or `session.state.restore(...)`."""


class CancelledError(PappusRuntimeError):
    """The run was cancelled with `Session.cancel`."""


# By pp_status number, in the order of the header's enum.
_CLASSES: tuple[type[PappusRuntimeError], ...] = (
    PappusRuntimeError,
    ArgumentError,
    FormatError,
    VersionError,
    InputError,
    GuardError,
    ContractError,
    MemoryLimitError,
    UnsupportedError,
    IndexValueError,
    DivisorError,
    PositionError,
    StateError,
    CancelledError,
)


def error_for(status: int, rule: int, message: str) -> PappusRuntimeError:
    """The exception that stands for a pp_status."""
    kind = _CLASSES[status] if 0 <= status < len(_CLASSES) else PappusRuntimeError
    return kind(message, status, rule)
