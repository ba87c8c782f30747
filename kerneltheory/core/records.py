"""Frozen records of arrays: jax pytrees with equality by value and tables as displays."""

import dataclasses
import html
from typing import Any, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from kerneltheory.core import check
from kerneltheory.core.display import html_table

Array = np.ndarray | jax.Array
Record = TypeVar("Record", bound=type)


def is_concrete(*values: Any) -> bool:
    """Whether no array inside `values` is being traced by jax, so that values can be checked."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def working_dtype(*values: Any) -> Any:
    """The dtype to compute in: that of the real jax arrays inside `values`, else jax's default."""
    given = [
        leaf.dtype
        for leaf in jax.tree.leaves(values)
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    return jnp.result_type(*given) if given else jnp.result_type(float)


def real_array(name: str, value: Any) -> Any:
    """Numbers and numpy arrays become finite float64 arrays; jax arrays stay what they are."""
    return value if isinstance(value, jax.Array) else check.finite(name, value)


def positive(name: str, value: Any) -> None:
    """Refuse an array of known values that are not all positive."""
    if is_concrete(value):
        check.positive(name, value)


@dataclass_transform(frozen_default=True, eq_default=False)
def array_record(cls: Record) -> Record:
    """Make a frozen dataclass and a jax pytree of `cls`; fields with metadata `static` are meta.

    Rebuilding from leaves does not run `__post_init__`: a gradient with respect to a spectrum
    is a Spectrum with negative entries, a batched one has one more axis, and neither is an error.
    """
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = dataclasses.fields(cls)
    data = tuple(f.name for f in fields if not f.metadata.get("static"))
    meta = tuple(f.name for f in fields if f.metadata.get("static"))

    def flatten_with_keys(record: Any) -> tuple[Any, Any]:
        children = [(jax.tree_util.GetAttrKey(name), getattr(record, name)) for name in data]
        return children, tuple(getattr(record, name) for name in meta)

    def flatten(record: Any) -> tuple[Any, Any]:
        return [getattr(record, name) for name in data], tuple(getattr(record, m) for m in meta)

    def unflatten(values: Any, leaves: Any) -> Any:
        record = object.__new__(cls)
        for name, value in zip(data + meta, (*leaves, *values), strict=True):
            object.__setattr__(record, name, value)
        return record

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def static(default: Any) -> Any:
    """A field of an array record that jax treats as part of the structure, not as data."""
    return dataclasses.field(default=default, metadata={"static": True})


class ArrayRecord:
    """What records of arrays share: equality by value, a hash that agrees, and table displays."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        leaves, structure = jax.tree.flatten(self)
        other_leaves, other_structure = jax.tree.flatten(other)
        return structure == other_structure and all(map(np.array_equal, leaves, other_leaves))

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        return hash((structure, *(tuple(np.ravel(leaf).tolist()) for leaf in leaves)))

    def _title(self) -> str:
        return type(self).__name__

    def _table(self) -> tuple[list[str], list[list[str]]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        if not is_concrete(self):
            return f"{type(self).__name__}(traced)"
        header, rows = self._table()
        columns = list(zip(header, *rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (header, *rows)
        ]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        if not is_concrete(self):
            return f"<p>{html.escape(repr(self))}</p>"
        return html_table(self._title(), *self._table())


def shown_rows(count: int, limit: int = 8) -> list[int | None]:
    """Indices of the rows that a short table shows; None stands for the rows left out."""
    if count <= limit:
        return list(range(count))
    return [*range(limit - 2), None, count - 1]
