"""A kernel at the correlations of another one: networks, closed forms, and the laws of kernels."""

import jax
import jax.numpy as jnp
import laws
import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import absolute, erf, gelu, relu
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels.combine import ComposedKernel
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.domains import certified_spectrum

t = sympy.Symbol("t")
LAYER = nngp(relu, 1, weight_variance=2)
NTK = ntk(relu, 2, weight_variance=2)
ERF = nngp(erf, 1, weight_variance=2, bias_variance=1)
EXP = dot_product_kernel(sympy.exp(t))
LAPLACE = dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t)))
COMPOSED = [
    LAYER.compose(LAYER),
    NTK.compose(ERF),
    ERF.compose(NTK),
    (LAYER + 3 * ERF).compose(LAYER * NTK),
    EXP.compose(NTK),
    LAYER.compose(EXP.compose(ERF)),
    LAPLACE.compose(LAYER),
]
COSINES = [sympy.Rational(n, 16) for n in (-15, -7, 0, 5, 15)]


def unit_rows(rng, n, d):
    """Rows of squared norm d, which every kernel takes."""
    rows = rng.standard_normal((n, d))
    return rows * np.sqrt(d / np.sum(rows**2, axis=1, keepdims=True))


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_layers_of_relu_without_bias_compose_to_a_deeper_network(scale):
    """Homogeneity: the variance between two layers is only a scale."""
    outer, inner = nngp(relu, 1, weight_variance=scale), nngp(relu, 1, weight_variance=3)
    deep = nngp(relu, 2, weight_variance=2)
    composed = outer.compose(inner)
    cosines = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(
        composed(cosines) / composed.trace, deep(cosines) / deep.trace, rtol=1e-14
    )
    with ctx.workdps(40):
        ratio = composed.on_balls(arb(0.3)) / deep.on_balls(arb(0.3))
        assert ratio.overlaps(arb(scale**2) / 4)


@pytest.mark.slow
def test_gram_matrix_of_rows_of_any_norm_is_that_of_unit_features(rng):
    rows, others = 3 * rng.standard_normal((70, 5)), rng.standard_normal((4, 5))
    inner = NTK.gram(np.vstack([rows, others]))
    root = np.sqrt(np.diag(inner))
    expected = ERF(np.clip(inner / root[:, None] / root, -1, 1))
    found = ERF.compose(NTK)
    np.testing.assert_allclose(found.gram(rows), expected[:70, :70], rtol=1e-13)
    np.testing.assert_allclose(found.gram(rows, others), expected[:70, 70:], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", COMPOSED, ids=repr)
def test_laws(kernel, rng):
    rows = unit_rows(rng, 9, 5)
    rows[3] = rows[2]
    laws.gram_is_symmetric_with_exact_diagonal(kernel, rows, kernel.trace)
    assert kernel.gram(rows)[2, 3] == pytest.approx(kernel.trace, rel=1e-14)
    laws.gram_is_positive_semidefinite(kernel, rows)
    laws.survives_copies(kernel)
    laws.arithmetics_agree(kernel, COSINES)
    np.testing.assert_allclose(
        kernel.gram(rows, rows[:4]), kernel(np.clip(rows @ rows[:4].T / 5, -1, 1)), rtol=1e-7
    )
    assert float(kernel(1.0)) == kernel.trace == kernel.outer.trace


@pytest.mark.parametrize("kernel", COMPOSED[:-1], ids=repr)
def test_taylor_coefficients_compose(kernel):
    """The series sums to the kernel, and by Schoenberg's theorem no coefficient is negative."""
    coefficients = kernel.taylor_coefficients(20)
    found = np.polynomial.polynomial.polyval(1 / 16, coefficients)
    assert found == pytest.approx(float(kernel(1 / 16)), rel=1e-13)
    assert (coefficients >= 0).all()


@pytest.mark.slow
def test_array_types_are_kept(rng):
    rows = jnp.asarray(rng.standard_normal((5, 3)), jnp.float32)
    kernel = ERF.compose(LAYER)
    for gram in (kernel.gram(rows), jax.jit(kernel.gram)(rows)):
        assert isinstance(gram, jax.Array)
        assert gram.dtype == jnp.float32
        np.testing.assert_allclose(gram, kernel.gram(np.asarray(rows, float)), rtol=1e-5)
        np.testing.assert_array_equal(gram, gram.T)
    assert kernel.gram(rows, rows[:2]).shape == (5, 2)
    slopes = jax.grad(lambda x: kernel.gram(x).sum())(rows)
    assert np.isfinite(slopes).all()


# --- spectra ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [2, 3, 24])
def test_spectrum_of_a_composition_with_the_exponential(dim):
    """exp((1 + t)/2) has eigenvalues e^(1/2) Gamma(d/2) (2/a)^(d/2-1) I_{k+d/2-1}(a), a = 1/2."""
    found = certified_spectrum(EXP.compose(dot_product_kernel(1 + t)), dim, 5, digits=25)
    with mp.workdps(45), ctx.workdps(45):
        for degree, ball in enumerate(found.eigenvalues):
            order = mp.mpf(dim) / 2 - 1
            bessel = mp.besseli(degree + order, mp.mpf("0.5"))
            truth = mp.exp(0.5) * mp.gamma(order + 1) * mp.mpf(4) ** order * bessel
            assert abs(ball / arb(mp.nstr(truth, 42)) - 1).abs_upper() < 1e-24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("composed", "network"),
    [
        (LAYER.compose(LAYER), nngp(relu, 2, weight_variance=2)),
        (LAYER.compose(LAYER).compose(LAYER), nngp(relu, 3, weight_variance=2)),
        (LAYER.compose(LAYER.compose(LAYER)), nngp(relu, 3, weight_variance=2)),
    ],
    ids=["two layers", "three, left", "three, right"],
)
def test_spectrum_of_composed_layers_is_that_of_the_network(composed, network):
    balls = (certified_spectrum(kernel, 4, 4, digits=20) for kernel in (composed, network))
    first, second = (found.eigenvalues for found in balls)
    assert all(a.overlaps(b) for a, b in zip(first, second, strict=True))


def test_spectrum_of_an_affine_outer_kernel_is_affine():
    """1 + 2 h(t)/h(1) has twice the eigenvalues of h/h(1), and one more at degree zero."""
    digits = 20
    found = certified_spectrum(dot_product_kernel(1 + 2 * t).compose(ERF), 5, 4, digits)
    alone = certified_spectrum(ERF, 5, 4, digits + 5)
    with ctx.workdps(40):
        for degree, (ball, other) in enumerate(
            zip(found.eigenvalues, alone.eigenvalues, strict=True)
        ):
            assert ball.overlaps((degree == 0) + 2 * other / ERF.ball_at_one())


def test_enclosures_stay_sharp_through_an_inner_tangent_kernel():
    """1 - c is resolved near t = 1 although the NTK gives up its centred form."""
    found = certified_spectrum(nngp(relu, 2, weight_variance=2).compose(NTK), 3, 3, digits=12)
    assert all(ball > 0 for ball in found.eigenvalues)


def test_zeros_of_odd_and_even_compositions_are_proved():
    odd = nngp(erf, 1, weight_variance=1)
    assert [b.is_zero() for b in certified_spectrum(odd.compose(odd), 3, 4, 10).eigenvalues] == [
        True,
        False,
        True,
        False,
        True,
    ]
    even = LAYER.compose(nngp(absolute, 1, weight_variance=1))
    assert [b.is_zero() for b in certified_spectrum(even, 3, 3, 10).eigenvalues] == [
        False,
        True,
        False,
        True,
    ]


@pytest.mark.slow
def test_composition_too_large_for_a_formula_still_has_a_spectrum():
    """Where h cannot be written down, the pole is bounded by h(1)."""
    deep = ntk(relu, 3, weight_variance=2)
    kernel = EXP.compose(deep.compose(NTK))
    assert not kernel.positive_definite
    with pytest.raises(KernelTheoryError, match=r"formula of .* operations, more than 2000"):
        kernel.formula  # noqa: B018
    found = certified_spectrum(kernel, 5, 1, digits=8)
    assert found.tail > 0


# --- the record -------------------------------------------------------------------------------


def test_properties():
    kernel = NTK.compose(ERF)
    assert isinstance(kernel, ComposedKernel)
    assert (kernel.outer, kernel.inner) == (NTK, ERF)
    assert kernel.layers == 3
    assert kernel.positive_definite
    assert not EXP.compose(ERF).positive_definite  # not known of a function that was given
    assert kernel.trace == NTK.trace
    assert kernel == NTK.compose(ERF) != ERF.compose(NTK)
    assert repr(kernel).startswith("ntk(relu, depth=2")
    assert "compose(nngp(erf" in repr(kernel)
    assert (2 * kernel)(0.5) == 2 * kernel(0.5)


def test_formula_is_the_composition():
    rhs = EXP.compose(dot_product_kernel((1 + t) ** 2)).formula.rhs
    free = sympy.Symbol("t", real=True)
    assert sympy.simplify(rhs - sympy.exp((1 + free) ** 2 / 4)) == 0
    gelus = nngp(gelu, 1, weight_variance=1)
    assert gelus.compose(gelus).formula(0.25) == pytest.approx(float(gelus.compose(gelus)(0.25)))


@pytest.mark.parametrize("inner", ["relu", 1, None, t, relu])
def test_what_is_no_kernel_is_refused_by_name(inner):
    with pytest.raises(TypeError, match=r"inner must come from kt\.nngp"):
        LAYER.compose(inner)
