"""The base that every other layer stands on: formulas, derivations, arithmetic, errors."""
