"""What every test runs under: figures without a screen, and a repeatable search by hypothesis."""

import os
from pathlib import Path

# Before anything imports numpy, matplotlib or jax; processes that a test starts inherit it.
os.environ["MPLBACKEND"] = "Agg"
# Two processes run tests on as many cores: threads of BLAS beside them only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Half of the time of the tests is compilation: what one process compiled, the others load.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ.get(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "jax")
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# No deadline: the first call of a function compiles it. Derandomised: the same commit gives the
# same result; HYPOTHESIS_PROFILE=search looks at new examples instead, and more of them.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Give each test its own generator, the same in every run and in every order of tests."""
    return np.random.default_rng(20220528)


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures that a test leaves open."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
