"""Every check that scikit-learn has for estimators, with no failure expected and none left out."""

import numpy as np
import pytest
import sympy
from plain_kernels import Gaussian
from sklearn.utils.estimator_checks import check_dataframe_column_names_consistency, check_estimator

from kerneltheory.activations.catalogue import relu, step
from kerneltheory.kernels.kernel import dot_product_kernel, nngp
from kerneltheory.regression.ridge import KernelRidge


class OnSphere:
    """exp of the cosine between rows with a column of ones, which leaves no row without a norm."""

    def __init__(self):
        self.kernel = dot_product_kernel(sympy.exp(sympy.Symbol("t")))

    def gram(self, X, Z=None):
        X, Z = (None if v is None else np.column_stack([v, np.ones(len(v))]) for v in (X, Z))
        return self.kernel.gram(X, Z, normalize=True)


MODELS = {
    "gaussian": KernelRidge(Gaussian(), 0.01),
    "eigen": KernelRidge(Gaussian(), 0.01, solver="eigen"),
    "nngp of relu": KernelRidge(nngp(relu, 1, weight_variance=2, bias_variance=1), 0.01),
    "arc": KernelRidge(nngp(step, 1, weight_variance=1, bias_variance=1), 0.01),
    "dot product": KernelRidge(OnSphere(), 0.01),
}
FAST = "gaussian"


# scikit-learn says so of all that stands without it.
@pytest.mark.filterwarnings("ignore:Estimator KernelRidge does not inherit:UserWarning")
@pytest.mark.parametrize(
    "name", [FAST, *(pytest.param(n, marks=pytest.mark.kin) for n in MODELS if n != FAST)]
)
def test_estimator_checks(name, monkeypatch):
    # One check of the array interface is left out unless scipy's is asked for.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    results = check_estimator(MODELS[name], on_fail=None, on_skip=None)
    outcomes = {result["check_name"]: result["status"] for result in results}
    assert outcomes["check_regressors_train"] == outcomes["check_array_api_input"] == "passed"
    assert [r for r in results if r["status"] != "passed"] == []


def test_names_of_columns():
    check_dataframe_column_names_consistency("KernelRidge", KernelRidge(Gaussian(), 0.1))
