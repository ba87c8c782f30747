"""Classification by deep networks against what their limit says, and against plain algebra."""

import numpy as np
import pytest
import sympy

import kerneltheory as kt


def orthant(count, dim, seed):
    rows = np.abs(np.random.default_rng(seed).normal(size=(count, dim)))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


X, POINTS = orthant(9, 3, 1), orthant(10, 3, 2)
Y = np.array([1, 1, 1, -1, -1, -1, -1, -1, 1])


def test_shallow_votes_are_kernel_regression():
    """psi = t^2 of hermite(2): one layer is y (t^2)^-1 t^2, solved by numpy."""
    few = X[:6]  # t^2 in three dimensions has rank 6
    votes = kt.deep_votes(kt.hermite(2), few, Y[:6], POINTS, 1)
    matrix = (few @ few.T) ** 2
    predictor = np.linalg.solve(matrix, Y[:6]) @ (few @ POINTS.T) ** 2
    # Of rounding, by the condition of the matrix.
    slack = 1e-14 * np.linalg.cond(matrix)
    np.testing.assert_allclose(votes.labels * np.exp(votes.log_sizes), predictor, rtol=slack)
    with pytest.raises(kt.PrecisionError, match="not solved"):
        kt.deep_votes(kt.hermite(2), X, Y, POINTS, 1)


def test_nearest_neighbour():
    nearest = Y[np.argmax(POINTS @ X.T, axis=1)]
    limit = kt.classifier_limit(kt.hermite(2))
    np.testing.assert_array_equal(limit.classify(X, Y, POINTS).labels, nearest)
    np.testing.assert_array_equal(kt.deep_votes(kt.hermite(2), X, Y, POINTS, 40).labels, nearest)


def test_majority_vote_far_above_criticality():
    """c* attracts: at 150 layers chi_c^150 is left of what differs between points."""
    limit = kt.classifier_limit(kt.gelu)
    labels = limit.classify(X, Y, POINTS).labels
    assert (labels == np.sign(Y.sum())).all()
    np.testing.assert_array_equal(kt.deep_votes(kt.gelu, X, Y, POINTS[:4], 150).labels, labels[:4])
    # A tie has no majority, and a training point keeps its label.
    tie = limit.classify(X[:2], [1, -1], [*POINTS[:1], X[0]])
    np.testing.assert_array_equal(tie.labels, [0, 1])


@pytest.mark.parametrize(
    "phi",
    [kt.optimal_activation(2), pytest.param(kt.optimal_activation(1), marks=pytest.mark.kin)],
)
def test_singular_kernel(phi):
    """Sign(sum y_i Q(t_i)) with Q by plain iteration in mpmath; p_1^-L K^L tends to it."""
    import mpmath

    dual = sympy.lambdify(sympy.Symbol("rho", real=True), kt.dual(phi).rhs, "mpmath")
    limit = kt.classifier_limit(phi)
    found = limit.classify(X, Y, POINTS)
    with mpmath.workdps(60):
        for point, label, size in zip(POINTS, found.labels, found.log_sizes, strict=True):
            total = mpmath.mpf(0)
            for row, y in zip(X, Y, strict=True):
                row, other = (list(map(mpmath.mpf, v)) for v in (row, point))
                t = mpmath.fdot(row, other) / mpmath.norm(row) / mpmath.norm(other)
                for _ in range(100):
                    t = dual(t)
                total += int(y) * t * 2**100
            assert mpmath.sign(total) == label
            # 100 layers leave 2^-100, rounding 60 digits.
            assert float(mpmath.log(abs(total))) == pytest.approx(size, abs=1e-11)
    deep = kt.deep_votes(phi, X, Y, POINTS, 100)
    np.testing.assert_array_equal(deep.labels, found.labels)
    # K(X, X) tends to the identity as p_1^L, so log sizes differ by 100 ln 2.
    np.testing.assert_allclose(deep.log_sizes + 100 * np.log(2), found.log_sizes, atol=1e-11)


def test_ordered_phase_depends_on_the_data():
    """Cos has B' = tanh 1 < 1: the deep predictor tends to interpolation by H, not to a majority.

    Its distance to the limit falls as B'^L.
    """
    limit = kt.classifier_limit(kt.cos).classify(X, Y, POINTS)
    assert len(set(limit.labels)) == 2
    values = limit.labels * np.exp(limit.log_sizes)
    distances = []
    for depth in (30, 40):
        deep = kt.deep_votes(kt.cos, X, Y, POINTS, depth)
        distances.append(np.abs(deep.labels * np.exp(deep.log_sizes) - values).max())
    assert distances[1] / distances[0] == pytest.approx(np.tanh(1) ** 10, rel=0.01)
    with pytest.raises(kt.KernelTheoryError, match="linear"):
        kt.classifier_limit(kt.monomial(1)).classify(X, Y, POINTS)


def test_bad_rows_are_named():
    shifted, scaled = POINTS.copy(), X.copy()
    shifted[[2, 5], 0] *= -1
    scaled[3] *= 2
    vote = kt.classifier_limit(kt.relu).classify
    with pytest.raises(ValueError, match=r"X_test must have rows in the non-negative.* rows 2, 5"):
        vote(X, Y, shifted)
    with pytest.raises(ValueError, match="X must have rows of norm 1, got others in rows 3"):
        vote(scaled, Y, POINTS)
    with pytest.raises(ValueError, match="different rows, got equal ones: 0 and 1"):
        vote(X[[0, 0]], [1, -1], POINTS)
    with pytest.raises(ValueError, match=r"labels -1 and 1, got others at \[8\]"):
        vote(X, np.arange(9) * 0 + np.where(np.arange(9) == 8, 0, 1), POINTS)
    with pytest.raises(ValueError, match="one label a row"):
        vote(X, Y[:3], POINTS)
    with pytest.raises(ValueError, match="as many columns"):
        vote(X, Y, orthant(2, 4, 0))
    with pytest.raises(ValueError, match="depth"):
        kt.deep_votes(kt.relu, X, Y, POINTS, 0)
    assert "point" in repr(vote(X, Y, POINTS))
