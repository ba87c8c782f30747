"""What an installed kerneltheory must be able to do; `make wheel` runs it outside the source tree.

python smoke.py SOURCE    where SOURCE is the source tree that must not be what is imported
"""

import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

import kerneltheory as kt

warnings.filterwarnings("error", module="kerneltheory")


def theory_meets_regression() -> None:
    kernel = kt.ntk(kt.relu, depth=1, weight_variance=2)
    assert kt.dual(kt.relu).rhs.subs(kt.dual(kt.relu).args[0], 1) * 2 == 1
    spectrum = kt.spectrum(kernel, dim=20, max_degree=8)
    certified = kt.certified_spectrum(kernel, dim=20, max_degree=4, digits=20)
    for ball, value in zip(certified.eigenvalues, spectrum.eigenvalues, strict=False):
        assert abs(float(ball) - value) <= 1e-14 * value
    target = kt.Target(power={1: 0.6, 2: 0.4}, noise_variance=0.1)
    theory = kt.learning_curve(spectrum, target, [25, 50], ridge=0.1)
    simulated = kt.simulate(
        kernel, target, dim=20, n=[25, 50], ridge=0.1, trials=4, seed=0, progress=False
    )
    # Four trials tell their own error badly; the theory is off by some percent at n = 25.
    np.testing.assert_allclose(simulated.test_error, theory.test_error, rtol=0.1)
    assert kt.phase(kt.tanh, weight_variance=2.25, bias_variance=0.05).name == "chaotic"
    theory.plot().figure.savefig("curve.png")


def regression_predicts() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 5))
    fitted = kt.KernelRidge(kt.nngp(kt.erf, 2, weight_variance=1), ridge=0.0).fit(rows, rows[:, 0])
    np.testing.assert_allclose(fitted.predict(rows), rows[:, 0], rtol=1e-6, atol=1e-6)


def commands_answer() -> None:
    def output(*arguments: str) -> str:
        command = [sys.executable, "-m", "kerneltheory", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "reproduce" in output("--help")
    assert "headline" in output("reproduce", "list")
    assert "at most" in output("reproduce", "eigenvalue_decay", "--quick", "--output", "figures")
    assert Path("figures", "eigenvalue_decay.png").stat().st_size > 10_000


if __name__ == "__main__":
    where = Path(kt.__file__).resolve()
    assert not where.is_relative_to(Path(sys.argv[1]).resolve()), f"imported from {where}"
    theory_meets_regression()
    regression_predicts()
    commands_answer()
    python = ".".join(map(str, sys.version_info[:3]))
    found = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy", "sympy"))
    print(f"kerneltheory {kt.__version__} works with Python {python}, {found}")
