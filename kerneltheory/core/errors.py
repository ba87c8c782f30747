"""The exceptions and warnings of the package: each says what was wrong and what to do instead.

An argument of the wrong type or value raises the built-in `TypeError` or `ValueError`.
The exceptions here are for results that would be meaningless, the warnings for results that hold
less than was asked.
"""


class KernelTheoryError(Exception):
    """Base class of every result that the package refuses to return."""


class NotPositiveDefiniteError(KernelTheoryError):
    """A Gram matrix has a negative eigenvalue beyond rounding on the given inputs."""


class DivergentError(KernelTheoryError):
    """The requested quantity is infinite, or has no finite limit."""


class PrecisionError(KernelTheoryError):
    """The requested accuracy was not reached within the allowed work."""


class DerivationError(KernelTheoryError):
    """A derivation cannot be made, or one of its steps is false."""


class LoweringError(KernelTheoryError):
    """A symbolic expression has no counterpart in the requested arithmetic."""


class NotFittedError(KernelTheoryError, ValueError, AttributeError):
    """A model is asked before it was fitted; its bases are those of scikit-learn's own."""


class PrecisionWarning(UserWarning):
    """A result holds fewer digits than float64 could."""


class SingularSystemWarning(UserWarning):
    """A system of equations is singular to rounding, and has its solution of minimum norm."""
