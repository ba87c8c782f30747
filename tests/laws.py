"""Laws that every kernel obeys; each raises an AssertionError that says which one was broken."""

import copy
import pickle

import numpy as np
from flint import ctx

EPS = np.finfo(float).eps


def gram_is_symmetric_with_exact_diagonal(kernel, X, diagonal) -> None:
    gram = kernel.gram(X)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(np.diag(gram), diagonal, rtol=8 * kernel.layers * EPS)


def gram_is_positive_semidefinite(kernel, X) -> None:
    gram = kernel.gram(X)
    eigenvalues = np.linalg.eigvalsh(gram)
    # Entries are good to a few eps of the diagonal; n of them move an eigenvalue.
    assert eigenvalues[0] > -32 * kernel.layers * len(X) * EPS * np.diag(gram).max()


def survives_copies(kernel) -> None:
    for other in (pickle.loads(pickle.dumps(kernel)), copy.deepcopy(kernel)):
        assert other == kernel
        assert hash(other) == hash(kernel)
        assert other(0.25) == kernel(0.25)


def arithmetics_agree(kernel, cosines, digits: int = 20) -> None:
    """The exact formula, the balls of the recursion and the floats are one function."""
    scale = kernel.trace
    with ctx.workdps(digits + 20):
        for cosine in cosines:
            ball = kernel.formula.certified(cosine, digits=digits)
            number = kernel.formula.certified(cosine, digits=digits).mid()
            assert ball.overlaps(kernel.on_balls(ball * 0 + _exact(cosine)))
            # 1e-13 of h(1): what float64 gives where the angle is not resolved by its cosine.
            assert abs(float(kernel(float(cosine))) - float(number)) < 1e-13 * scale


def _exact(cosine):
    from flint import arb, fmpq

    return arb(fmpq(int(cosine.p), int(cosine.q)))
