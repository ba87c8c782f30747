"""The catalogue: what each activation is. Its dual is derived, never stated here.

Constants stand for themselves; factories take parameters, which stay exact: a float means the
rational number that it is.
"""

from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, X
from kerneltheory.core import check, lower
from kerneltheory.core.display import short_number

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
        negative: a, the slope on the left: an int, a float, a Fraction or a rational of sympy.
        positive: b, the slope on the right, likewise; one of the two is not zero.

    Raises:
        TypeError: a slope is not such a number.
        ValueError: both are zero.

    Reference: He et al., arXiv:1502.01852.

    Examples:
        >>> print(two_slope(-1, 1))
        two_slope(-1, 1): x -> -x*Heaviside(-x) + x*Heaviside(x)
    """
    a, b = lower.exact("negative", negative), lower.exact("positive", positive)
    if a == b == 0:
        raise ValueError("negative and positive must not both be zero, got the function 0")
    expression = a * X * sympy.Heaviside(-X) + b * X * sympy.Heaviside(X)
    return Activation(_named("two_slope", a, b), expression, "He et al., arXiv:1502.01852")


def leaky_relu(slope: Any) -> Activation:
    """The identity for x > 0 and a x for x < 0.

    Args:
        slope: a, the slope on the left: an int, a float, a Fraction or a rational of sympy.

    Raises:
        TypeError: the slope is not such a number.

    Reference: Maas, Hannun and Ng (2013).

    Examples:
        >>> print(leaky_relu(0.1))
        leaky_relu(0.1): x -> 0.1*x*Heaviside(-x) + x*Heaviside(x)
    """
    a = lower.exact("slope", slope)
    expression = two_slope(a, 1).expression
    return Activation(_named("leaky_relu", a), expression, "Maas, Hannun and Ng (2013)")


def rectified_monomial(power: int) -> Activation:
    """x^n for x > 0 and zero else; n = 0 is the step, n = 1 relu.

    Args:
        power: n >= 0, an integer.

    Raises:
        TypeError, ValueError: the power is no such integer.

    Reference: Cho and Saul, Kernel Methods for Deep Learning (2009).

    Examples:
        >>> print(rectified_monomial(2))
        rectified_monomial(2): x -> x**2*Heaviside(x)
    """
    n = check.integer("power", power, minimum=0)
    return Activation(f"rectified_monomial({n})", X**n * sympy.Heaviside(X), _ARC_COSINE)


def monomial(power: int) -> Activation:
    """x^n.

    Args:
        power: n >= 1, an integer.

    Raises:
        TypeError, ValueError: the power is no such integer.

    Reference: Isserlis (1918), for its moments.

    Examples:
        >>> from kerneltheory.activations.duals import dual
        >>> print(dual(monomial(3)).rhs)  # 3^2 rho + 3! rho^3
        6*rho**3 + 9*rho
    """
    n = check.integer("power", power, minimum=1)
    return Activation(f"monomial({n})", X**n, "Isserlis (1918)")


def polynomial(*coefficients: Any) -> Activation:
    """c_0 + c_1 x + c_2 x^2 + ...

    Args:
        coefficients: c_0, c_1, ..., as arguments of their own: ints, floats, Fractions or
            rationals of sympy, of which one after the first is not zero.

    Raises:
        TypeError: a coefficient is not such a number.
        ValueError: none after the first differs from zero.

    Reference: Isserlis (1918), for its moments.

    Examples:
        >>> print(polynomial(1, 0, 2))
        polynomial(1, 0, 2): x -> 2*x**2 + 1
    """
    values = [lower.exact("coefficients", c) for c in coefficients]
    if not any(values[1:]):
        raise ValueError(f"coefficients must have one beyond the first, got {coefficients!r}")
    expression: Any = sympy.Add(*(c * X**n for n, c in enumerate(values)))
    return Activation(_named("polynomial", *values), expression, "Isserlis (1918)")


def hermite(degree: int) -> Activation:
    """The Hermite polynomial he_n of unit norm under the standard Gaussian; its dual is rho^n.

    Args:
        degree: n >= 1, an integer.

    Raises:
        TypeError, ValueError: the degree is no such integer.

    Reference: Daniely et al., arXiv:1602.05897; DLMF 18.3.

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
        scale: g, not zero: an int, a float, a Fraction or a rational of sympy.
        shift: h, likewise.

    Raises:
        TypeError: an argument is not such a number.
        ValueError: the scale is zero.

    Reference: Williams, Computing with Infinite Networks (1996).

    Examples:
        >>> print(scaled_erf(2, shift=1))
        scaled_erf(2, 1): x -> erf(2*x + 1)
    """
    g, h = _nonzero("scale", scale), lower.exact("shift", shift)
    name = _named("scaled_erf", g, h) if h else _named("scaled_erf", g)
    return Activation(name, sympy.erf(g * X + h), erf.reference)


def sine(frequency: Any, phase: Any = 0) -> Activation:
    """sin(w x + p).

    Args:
        frequency: w, not zero: an int, a float, a Fraction or a rational of sympy.
        phase: p, likewise, in radians.

    Raises:
        TypeError: an argument is not such a number.
        ValueError: the frequency is zero.

    Reference: Rahimi and Recht, Random Features (2007).

    Examples:
        >>> print(sine(2, 0.5))
        sine(2, 1/2): x -> sin(2*x + 1/2)
    """
    return _wave("sine", sympy.sin, frequency, phase)


def cosine(frequency: Any, phase: Any = 0) -> Activation:
    """cos(w x + p).

    Args:
        frequency: w, not zero: an int, a float, a Fraction or a rational of sympy.
        phase: p, likewise, in radians.

    Raises:
        TypeError: an argument is not such a number.
        ValueError: the frequency is zero.

    Reference: Rahimi and Recht, Random Features (2007).

    Examples:
        >>> from kerneltheory.activations.duals import dual
        >>> print(dual(cosine(1)).rhs)
        exp(-1)*cosh(rho)
    """
    return _wave("cosine", sympy.cos, frequency, phase)


def exponential(rate: Any) -> Activation:
    """exp(b x).

    Args:
        rate: b, not zero: an int, a float, a Fraction or a rational of sympy.

    Raises:
        TypeError: the rate is not such a number.
        ValueError: it is zero.

    Reference: Daniely, Frostig and Singer, arXiv:1602.05897.

    Examples:
        >>> print(exponential(-2))
        exponential(-2): x -> exp(-2*x)
    """
    b = _nonzero("rate", rate)
    return Activation(_named("exponential", b), sympy.exp(b * X), exp.reference)


def gaussian(decay: Any = 1) -> Activation:
    """exp(-a x^2).

    Args:
        decay: a > 0: an int, a float, a Fraction or a rational of sympy.

    Raises:
        TypeError: the decay is not such a number.
        ValueError: it is not positive.

    Reference: Williams, Computing with Infinite Networks (1996).

    Examples:
        >>> print(gaussian(2))
        gaussian(2): x -> exp(-2*x**2)
    """
    a = _positive("decay", decay)
    return Activation(_named("gaussian", a), sympy.exp(-a * X**2), "Williams (1996)")


def gabor(decay: Any, frequency: Any) -> Activation:
    """exp(-a x^2) cos(w x).

    Args:
        decay: a > 0: an int, a float, a Fraction or a rational of sympy.
        frequency: w, not zero, likewise.

    Raises:
        TypeError: an argument is not such a number.
        ValueError: the decay is not positive, or the frequency is zero.

    Reference: arXiv:1912.02803.

    Examples:
        >>> print(gabor(1, 2))
        gabor(1, 2): x -> exp(-x**2)*cos(2*x)
    """
    a, w = _positive("decay", decay), _nonzero("frequency", frequency)
    expression = sympy.exp(-a * X**2) * sympy.cos(w * X)
    return Activation(_named("gabor", a, w), expression, "arXiv:1912.02803")


def rbf_feature(gamma: Any) -> Activation:
    """sqrt(2) sin(sqrt(2 gamma) x + pi/4): its NNGP of one layer is exp(-gamma |x - z|^2).

    Args:
        gamma: > 0: an int, a float, a Fraction or a rational of sympy.

    Raises:
        TypeError: gamma is not such a number.
        ValueError: it is not positive.

    Reference: Rahimi and Recht, Random Features (2007).

    Examples:
        >>> from kerneltheory.activations.duals import dual
        >>> print(dual(rbf_feature(1)).rhs)  # exp(-|u - v|^2), |u - v|^2 = 2 - 2 rho
        exp(-2)*exp(2*rho)
    """
    g = _positive("gamma", gamma)
    expression = _ROOT_TWO * sympy.sin(sympy.sqrt(2 * g) * X + sympy.pi / 4)
    return Activation(_named("rbf_feature", g), expression, sin.reference)


def _wave(name: str, function: Any, frequency: Any, phase: Any) -> Activation:
    w, p = _nonzero("frequency", frequency), lower.exact("phase", phase)
    return Activation(_named(name, w, p), function(w * X + p), sin.reference)


def _named(factory: str, *parameters: Any) -> str:
    """The call that makes it; a parameter that came from a float is that float."""
    return f"{factory}({', '.join(map(short_number, parameters))})"


def _nonzero(name: str, value: Any) -> sympy.Rational:
    number = lower.exact(name, value)
    if number == 0:
        raise ValueError(f"{name} must not be zero, got {value!r}")
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
