"""The exceptions and warnings of the package: each says what was wrong and what to do instead.

An argument of the wrong type or value raises the built-in `TypeError` or `ValueError`.
The exceptions here are for results that would be meaningless, the warnings for results that hold
less than was asked.
"""


class KernelTheoryError(Exception):
    """Base class of every result that the package refuses to return.

    Examples:
        >>> from kerneltheory.activations.catalogue import step
        >>> from kerneltheory.kernels.kernel import ntk
        >>> try:
        ...     ntk(step, 1, weight_variance=2)
        ... except KernelTheoryError as error:
        ...     print(type(error).__name__)
        DivergentError
    """


class NotPositiveDefiniteError(KernelTheoryError):
    """A Gram matrix has a negative eigenvalue beyond rounding on the given inputs.

    Examples:
        >>> from kerneltheory.learning.equivalent import effective_ridge
        >>> from kerneltheory.spectra.spectrum import Spectrum
        >>> effective_ridge(Spectrum([1.0, -0.1], [1, 2]), n=10, ridge=0.1)
        Traceback (most recent call last):
        ...
        kerneltheory.core.errors.NotPositiveDefiniteError: spectrum must not have negative ...
    """


class DivergentError(KernelTheoryError):
    """The requested quantity is infinite, or has no finite limit.

    Examples:
        >>> from kerneltheory.activations.catalogue import step
        >>> from kerneltheory.kernels.kernel import ntk
        >>> ntk(step, 1, weight_variance=2)
        Traceback (most recent call last):
        ...
        kerneltheory.core.errors.DivergentError: the NTK of step diverges: ...
    """


class PrecisionError(KernelTheoryError):
    """The requested accuracy was not reached within the allowed work.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import ntk
        >>> from kerneltheory.learning.equivalent import learning_curve
        >>> from kerneltheory.spectra.domains import spectrum
        >>> from kerneltheory.spectra.spectrum import Target
        >>> levels = spectrum(ntk(relu, 1, weight_variance=2), dim=5, max_degree=2)
        >>> learning_curve(levels, Target({1: 1.0}), n=1000, ridge=0.0)
        Traceback (most recent call last):
        ...
        kerneltheory.core.errors.PrecisionError: the spectrum stops at degree 2, but n = 1000 ...
    """


class DerivationError(KernelTheoryError):
    """A derivation cannot be made, or one of its steps is false.

    Examples:
        >>> import sympy
        >>> from kerneltheory.activations.derive import derive_dual
        >>> derive_dual(sympy.exp(sympy.Symbol("x") ** 2))
        Traceback (most recent call last):
        ...
        kerneltheory.core.errors.DerivationError: exp(x**2) grows too fast: ...
    """


class LoweringError(KernelTheoryError):
    """A symbolic expression has no counterpart in the requested arithmetic.

    Examples:
        >>> import sympy
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> dot_product_kernel(sympy.zeta(2 - sympy.Symbol("t") / 2))
        Traceback (most recent call last):
        ...
        kerneltheory.core.errors.LoweringError: ...
    """


class NotFittedError(KernelTheoryError, ValueError, AttributeError):
    """A model is asked before it was fitted; its bases are those of scikit-learn's own.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> from kerneltheory.regression.ridge import KernelRidge
        >>> try:
        ...     KernelRidge(nngp(relu, 1, weight_variance=2), ridge=1.0).predict([[1.0, 2.0]])
        ... except NotFittedError as error:
        ...     print(error)
        this KernelRidge is not fitted: call fit(X, y) first
    """


class PrecisionWarning(UserWarning):
    """A result holds fewer digits than float64 could.

    Examples:
        >>> import warnings
        >>> import jax.numpy as jnp
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> from kerneltheory.regression.ridge import KernelRidge
        >>> X = jnp.eye(2, dtype="float32")
        >>> with warnings.catch_warnings(record=True, action="always") as given:
        ...     model = KernelRidge(nngp(relu, 1, weight_variance=2), ridge=1.0).fit(X, X[0])
        >>> given[0].category.__name__
        'PrecisionWarning'
    """


class SingularSystemWarning(UserWarning):
    """A system of equations is singular to rounding, and has its solution of minimum norm.

    Examples:
        >>> import warnings
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> from kerneltheory.regression.ridge import KernelRidge
        >>> twice = [[1.0, 2.0], [1.0, 2.0]]
        >>> with warnings.catch_warnings(record=True, action="always") as given:
        ...     model = KernelRidge(nngp(relu, 1, weight_variance=2), ridge=0.0).fit(twice, [1, 2])
        >>> given[0].category.__name__
        'SingularSystemWarning'
    """
