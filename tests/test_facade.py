"""The facade: its lists agree, its names resolve, and importing it costs and changes nothing."""

import ast
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

import kerneltheory as kt

SOURCE = Path(kt.__file__)


def run_python(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names_for_type_checkers() -> dict[str, str]:
    """Return name -> module as the block under TYPE_CHECKING imports them."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    blocks = [
        node
        for node in tree.body
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ]
    (block,) = blocks
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname is None
            found[alias.name] = node.module
    return found


def test_all_is_sorted_without_repeats_and_equals_the_table():
    assert kt.__all__ == sorted(set(kt.__all__))
    assert set(kt.__all__) == set(kt._MODULE_OF)
    assert sum(len(names) for names in kt._NAMES_OF.values()) == len(kt.__all__)


def test_type_checkers_see_the_table():
    table = {name: f"kerneltheory.{module}" for name, module in kt._MODULE_OF.items()}
    assert names_for_type_checkers() == table


@pytest.mark.parametrize("name", kt.__all__)
def test_name_resolves_to_its_module_and_is_kept(name):
    module = import_module(f"kerneltheory.{kt._MODULE_OF[name]}")
    assert getattr(kt, name) is getattr(module, name)
    assert vars(kt)[name] is getattr(module, name)


@pytest.mark.parametrize("name", kt.__all__)
def test_name_is_documented(name):
    assert (getattr(kt, name).__doc__ or "").strip()


def test_every_error_of_the_package_is_public():
    errors = import_module("kerneltheory.core.errors")
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert classes <= set(kt.__all__)
    assert all(issubclass(getattr(kt, n), kt.KernelTheoryError | UserWarning) for n in classes)


def test_no_name_is_shadowed_by_a_module():
    modules = {entry.stem for entry in SOURCE.parent.iterdir()}
    assert modules.isdisjoint(kt.__all__)


def test_dir_lists_the_public_names():
    assert dir(kt) == kt.__all__


def test_unknown_name_raises_as_any_module_does():
    with pytest.raises(
        AttributeError, match=r"^module 'kerneltheory' has no attribute 'eigenvalues'$"
    ):
        kt.eigenvalues  # noqa: B018


def test_version_is_that_of_the_installed_package():
    assert metadata.version("kerneltheory") == kt.__version__


def modules_loaded_by_import() -> set[str]:
    """Return the modules that `import kerneltheory` adds to those of a bare interpreter."""
    code = (
        "import sys; old = set(sys.modules); import kerneltheory; print(*(set(sys.modules) - old))"
    )
    return set(run_python(code).split())


def test_importing_loads_no_library_and_no_folder_of_the_package():
    packages = {name.partition(".")[0] for name in modules_loaded_by_import()}
    assert packages - sys.stdlib_module_names == {"kerneltheory"}
    assert {name for name in modules_loaded_by_import() if "kerneltheory." in name} == set()


def test_importing_loads_few_modules_at_all():
    # `typing` and `importlib` with what they need: about 20.
    assert len(modules_loaded_by_import()) < 40


def test_using_every_name_changes_no_global_state():
    state = """
import decimal, warnings
import jax, matplotlib, mpmath, numpy, flint, random
def state():
    return {
        "x64": jax.config.jax_enable_x64,
        "matmul": jax.config.jax_default_matmul_precision,
        "platforms": jax.config.jax_platforms,
        "numpy": numpy.geterr(),
        "matplotlib": dict(matplotlib.rcParams),
        "mpmath": mpmath.mp.prec,
        "flint": flint.ctx.prec,
        "flint series": flint.ctx.cap,
        "decimal": decimal.getcontext().prec,
        "warnings": list(warnings.filters),
        "random": random.getstate(),
    }
"""
    # sympy and scipy themselves add filters when imported: load them before the first look.
    code = f"""
import sympy, scipy.optimize, scipy.special, xarray
{state}
before = state()
import kerneltheory as kt
for name in kt.__all__:
    getattr(kt, name)
after = state()
print([key for key in before if before[key] != after[key]])
"""
    assert run_python(code) == "[]"
