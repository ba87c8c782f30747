"""The catalogue: what each activation is. Its dual is derived, never stated here."""

import sympy

from kerneltheory.activations.activation import Activation, X

relu = Activation(
    "relu",
    sympy.Max(0, X),
    "Cho and Saul, Kernel Methods for Deep Learning (2009)",
)
erf = Activation(
    "erf",
    sympy.erf(X),
    "Williams, Computing with Infinite Networks (1996)",
)
