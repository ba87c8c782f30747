"""The registry: every derivation that the package states, found by walking its modules."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import kerneltheory
from kerneltheory.core.derivation import Derivation


def stated_derivations() -> Iterator[Callable[[], Derivation]]:
    """Yield the functions that make the derivations, from each module's `DERIVATIONS`.

    Nothing registers itself when it is imported: a module that states formulas lists them.

    Examples:
        >>> len(list(stated_derivations())) > 20
        True
    """
    for module in pkgutil.walk_packages(kerneltheory.__path__, "kerneltheory."):
        if not module.name.endswith("__main__"):
            yield from getattr(importlib.import_module(module.name), "DERIVATIONS", ())
