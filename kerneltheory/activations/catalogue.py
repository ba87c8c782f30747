"""The catalogue: what each activation is. Its dual is derived, never stated here.

Constants stand for themselves; factories take parameters, which stay exact: a float means the
rational number that it is.
"""

from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, X
from kerneltheory.core import check, lower

_ARC_COSINE = "Cho and Saul, Kernel Methods for Deep Learning (2009)"
_HALF = sympy.Rational(1, 2)
_ROOT_TWO = sympy.sqrt(2)

relu = Activation("relu", sympy.Max(0, X), _ARC_COSINE)
absolute = Activation("absolute", sympy.Abs(X), _ARC_COSINE)
step = Activation("step", sympy.Heaviside(X), _ARC_COSINE)
sign = Activation("sign", sympy.sign(X), _ARC_COSINE)
erf = Activation("erf", sympy.erf(X), "Williams, Computing with Infinite Networks (1996)")
sigmoid_erf = Activation(
    "sigmoid_erf", _HALF * (1 + sympy.erf(X / _ROOT_TWO)), "the normal distribution function"
)
gelu = Activation(
    "gelu", X * _HALF * (1 + sympy.erf(X / _ROOT_TWO)), "Hendrycks and Gimpel, arXiv:1606.08415"
)
sin = Activation("sin", sympy.sin(X), "Rahimi and Recht, Random Features (2007)")
cos = Activation("cos", sympy.cos(X), "Rahimi and Recht, Random Features (2007)")
exp = Activation("exp", sympy.exp(X), "Daniely, Frostig and Singer, arXiv:1602.05897")
hard_tanh = Activation(
    "hard_tanh", sympy.Max(-1, sympy.Min(1, X)), "Collobert, thesis, Universite Paris 6 (2004)"
)
elu = Activation(
    "elu", sympy.Piecewise((X, X > 0), (sympy.exp(X) - 1, True)), "Clevert et al., arXiv:1511.07289"
)
# The constants to the digits at which they are published.
_SELU_SCALE = sympy.Rational("1.0507009873554804934193349852946")
_SELU_ALPHA = sympy.Rational("1.6732632423543772848170429916717")
selu = Activation(
    "selu",
    sympy.Piecewise(
        (_SELU_SCALE * X, X > 0), (_SELU_SCALE * _SELU_ALPHA * (sympy.exp(X) - 1), True)
    ),
    "Klambauer et al., arXiv:1706.02515",
)
tanh = Activation("tanh", sympy.tanh(X), "LeCun et al., Efficient BackProp (1998)")
sigmoid = Activation("sigmoid", 1 / (1 + sympy.exp(-X)), "the logistic function")
swish = Activation("swish", X / (1 + sympy.exp(-X)), "Ramachandran et al., arXiv:1710.05941")
softplus = Activation("softplus", sympy.log(1 + sympy.exp(X)), "Dugas et al. (2001)")
mish = Activation("mish", X * sympy.tanh(softplus.expression), "Misra, arXiv:1908.08681")
softsign = Activation("softsign", X / (1 + sympy.Abs(X)), "Bergstra et al. (2009)")
arctan = Activation("arctan", sympy.atan(X), "the inverse tangent")


def two_slope(negative: Any, positive: Any) -> Activation:
    """Two lines that meet at 0: a x for x < 0 and b x for x > 0.

    Args:
        negative: a, the slope on the left.
        positive: b, the slope on the right.

    Examples:
        >>> print(two_slope(-1, 1))
        two_slope(-1, 1): x -> -x*Heaviside(-x) + x*Heaviside(x)
    """
    a, b = lower.exact("negative", negative), lower.exact("positive", positive)
    expression = a * X * sympy.Heaviside(-X) + b * X * sympy.Heaviside(X)
    return Activation(f"two_slope({a}, {b})", expression, "He et al., arXiv:1502.01852")


def leaky_relu(slope: Any) -> Activation:
    """The identity for x > 0 and a x for x < 0.

    Args:
        slope: a, the slope on the left.
    """
    a = lower.exact("slope", slope)
    expression = two_slope(a, 1).expression
    return Activation(f"leaky_relu({a})", expression, "Maas, Hannun and Ng (2013)")


def rectified_monomial(power: int) -> Activation:
    """x^n for x > 0 and zero else; n = 0 is the step, n = 1 relu.

    Args:
        power: n >= 0.
    """
    n = check.integer("power", power, minimum=0)
    return Activation(f"rectified_monomial({n})", X**n * sympy.Heaviside(X), _ARC_COSINE)


def monomial(power: int) -> Activation:
    """x^n.

    Args:
        power: n >= 1.
    """
    n = check.integer("power", power, minimum=1)
    return Activation(f"monomial({n})", X**n, "Isserlis (1918)")


def polynomial(*coefficients: Any) -> Activation:
    """c_0 + c_1 x + c_2 x^2 + ...

    Args:
        coefficients: c_0, c_1, ..., of which one after the first is not zero.
    """
    values = [lower.exact("coefficients", c) for c in coefficients]
    if not any(values[1:]):
        raise ValueError(f"coefficients must have one beyond the first, got {coefficients!r}")
    expression: Any = sympy.Add(*(c * X**n for n, c in enumerate(values)))
    return Activation(f"polynomial({', '.join(map(str, values))})", expression, "Isserlis (1918)")


def hermite(degree: int) -> Activation:
    """The Hermite polynomial he_n of unit norm under the standard Gaussian; its dual is rho^n.

    Args:
        degree: n >= 1.

    Examples:
        >>> print(hermite(2))
        hermite(2): x -> sqrt(2)*(x - 1)*(x + 1)/2
    """
    n = check.integer("degree", degree, minimum=1)
    probabilists = sympy.expand(2 ** sympy.Rational(-n, 2) * sympy.hermite(n, X / _ROOT_TWO))
    expression: Any = sympy.factor(probabilists / sympy.sqrt(sympy.factorial(n)))
    return Activation(f"hermite({n})", expression, "Daniely et al., arXiv:1602.05897")


def scaled_erf(scale: Any, shift: Any = 0) -> Activation:
    """erf(g x + h).

    Args:
        scale: g, not zero.
        shift: h.
    """
    g, h = _nonzero("scale", scale), lower.exact("shift", shift)
    name = f"scaled_erf({g}, {h})" if h else f"scaled_erf({g})"
    return Activation(name, sympy.erf(g * X + h), erf.reference)


def sine(frequency: Any, phase: Any = 0) -> Activation:
    """sin(w x + p).

    Args:
        frequency: w, not zero.
        phase: p.
    """
    return _wave("sine", sympy.sin, frequency, phase)


def cosine(frequency: Any, phase: Any = 0) -> Activation:
    """cos(w x + p).

    Args:
        frequency: w, not zero.
        phase: p.
    """
    return _wave("cosine", sympy.cos, frequency, phase)


def exponential(rate: Any) -> Activation:
    """exp(b x).

    Args:
        rate: b, not zero.
    """
    b = _nonzero("rate", rate)
    return Activation(f"exponential({b})", sympy.exp(b * X), exp.reference)


def gaussian(decay: Any = 1) -> Activation:
    """exp(-a x^2).

    Args:
        decay: a > 0.
    """
    a = _positive("decay", decay)
    return Activation(f"gaussian({a})", sympy.exp(-a * X**2), "Williams (1996)")


def gabor(decay: Any, frequency: Any) -> Activation:
    """exp(-a x^2) cos(w x).

    Args:
        decay: a > 0.
        frequency: w, not zero.
    """
    a, w = _positive("decay", decay), _nonzero("frequency", frequency)
    expression = sympy.exp(-a * X**2) * sympy.cos(w * X)
    return Activation(f"gabor({a}, {w})", expression, "arXiv:1912.02803")


def rbf_feature(gamma: Any) -> Activation:
    """sqrt(2) sin(sqrt(2 gamma) x + pi/4): its NNGP of one layer is exp(-gamma |x - z|^2).

    Args:
        gamma: > 0.
    """
    g = _positive("gamma", gamma)
    expression = _ROOT_TWO * sympy.sin(sympy.sqrt(2 * g) * X + sympy.pi / 4)
    return Activation(f"rbf_feature({g})", expression, sin.reference)


def _wave(name: str, function: Any, frequency: Any, phase: Any) -> Activation:
    w, p = _nonzero("frequency", frequency), lower.exact("phase", phase)
    return Activation(f"{name}({w}, {p})", function(w * X + p), sin.reference)


def _nonzero(name: str, value: Any) -> sympy.Rational:
    number = lower.exact(name, value)
    if number == 0:
        raise ValueError(f"{name} must not be zero")
    return number


def _positive(name: str, value: Any) -> sympy.Rational:
    number = lower.exact(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {number}")
    return number


# One of each kind: the registry derives and verifies them all. First what has an elementary dual,
# then what has one of distribution functions, then what has none but its series.
CATALOGUE = (
    relu,
    leaky_relu(_HALF / 5),
    two_slope(_HALF, -2),
    absolute,
    step,
    sign,
    rectified_monomial(2),
    rectified_monomial(3),
    monomial(3),
    polynomial(1, -1, _HALF, 2),
    hermite(4),
    erf,
    scaled_erf(_HALF),
    sigmoid_erf,
    gelu,
    sin,
    cos,
    sine(2, _HALF),
    cosine(2, -_HALF),
    exp,
    exponential(-_HALF),
    gaussian(),
    gabor(_HALF, 2),
    rbf_feature(_HALF / 2),
    Activation("relu + erf", relu.expression + erf.expression, "a sum of two classes"),
    Activation("x^2 erf", X**2 * sympy.erf(X), "a product of two classes"),
    hard_tanh,
    elu,
    selu,
    scaled_erf(1, _HALF),
    tanh,
    sigmoid,
    swish,
    softplus,
    mish,
    softsign,
    arctan,
)
# Those whose dual is elementary.
ELEMENTARY = CATALOGUE[: CATALOGUE.index(hard_tanh)]
