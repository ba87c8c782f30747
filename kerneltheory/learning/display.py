"""How learning curves are shown: one line of text, a table, and a dataset on named axes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.records import shown_rows

if TYPE_CHECKING:
    import xarray

    from kerneltheory.learning.curve import LearningCurve

NOTHING = ["nothing predicted or measured"]
# Noise that does not vary is a matter of the target, and not told.
_TOLD = ("features", "time", "ridge")


def title(curve: "LearningCurve") -> str:
    """What made the curve, the parameters that are the same everywhere, and what is known of it."""
    parameters = curve.parameters()
    varies = any(map(is_varied, parameters.values()))
    told = ("n", "alpha", *_TOLD) if varies else _TOLD
    constants = [
        f", {words(name)} {value.flat[0]:.6g}"
        for name, value in parameters.items()
        if name in told and value.size and not is_varied(value)
    ]
    trials = "" if curve.trials is None else f", {_range(np.asarray(curve.trials))} trials"
    valid = curve.valid
    count = "" if valid is None else f"valid at {int(valid.sum())} of {valid.size} points"
    error = f" ({curve.error or count})" if curve.error or count else ""
    return f"LearningCurve: {curve.method}{''.join(constants)}{trials}{error}"


def table(curve: "LearningCurve") -> tuple[list[str], list[list[str]]]:
    """The header and rows: parameters that vary, else the first there is, and the main errors."""
    parameters = curve.parameters()
    shown = {name: value for name, value in parameters.items() if is_varied(value)}
    columns = [
        (name, value, None) for name, value in (shown or dict([*parameters.items()][:1])).items()
    ]
    columns += [
        (field, value, curve.standard_error(field))
        for field, value in curve.measured()
        if field in ("test_error", "bias", "variance")
    ]
    return rows_of(columns)


def rows_of(
    columns: list[tuple[str, np.ndarray, np.ndarray | None]],
) -> tuple[list[str], list[list[str]]]:
    """A header and rows of columns (name, values, standard errors); a remark if there are none."""
    if not columns:
        return NOTHING, []
    rows = [
        [_cell(np.ravel(value), row, error) for _, value, error in columns]
        for row in shown_rows(columns[0][1].size)
    ]
    return [words(name) for name, _, _ in columns], rows


def dataset(curve: "LearningCurve") -> "xarray.Dataset":
    """The fields of the curve on named axes; `LearningCurve.to_xarray` says how."""
    import xarray

    parameters = curve.parameters()
    axes = axis_names(parameters, len(curve.shape))
    fields: dict[str, Any] = dict(curve.measured())
    for name in list(fields):
        fields[f"{name}_standard_error"] = curve.standard_error(name)
    fields["validity"] = curve.validity
    fields["trials"] = curve.trials
    variables: dict[str, Any] = {
        name: (axes, np.broadcast_to(np.asarray(value), curve.shape))
        for name, value in fields.items()
        if value is not None
    }
    levels = _levels(curve, axes)
    coordinates = {name: _coordinate(name, value, axes) for name, value in parameters.items()}
    if levels:
        count = next(iter(levels.values()))[1].shape[-1]
        coordinates["degree"] = ("degree",), np.arange(count)
    attributes = {"method": curve.method, "error": curve.error or ""}
    return xarray.Dataset(variables | levels, coords=coordinates, attrs=attributes)


def _levels(curve: "LearningCurve", axes: tuple[str, ...]) -> dict[str, Any]:
    """What the curve knows level by level."""
    values = {
        name: (("degree",), getattr(curve, name))
        for name in ("eigenvalues", "level_masses", "power")
    } | {
        name: ((*axes, "degree"), getattr(curve, name))
        for name in ("learnability", "degree_errors")
    }
    return {k: (dims, np.asarray(v)) for k, (dims, v) in values.items() if v is not None}


def _coordinate(name: str, value: np.ndarray, axes: tuple[str, ...]) -> Any:
    """A parameter on the axes along which it varies."""
    along = {axes.index(name)} if name in axes else varying(value)
    first = tuple(slice(None) if axis in along else 0 for axis in range(value.ndim))
    return tuple(axes[axis] for axis in sorted(along)), value[first]


def axis_names(parameters: dict[str, np.ndarray], count: int) -> tuple[str, ...]:
    """Name an axis after the first parameter that varies along it and along no other axis.

    What else varies along it is a function of that parameter: the best ridge is one of n.
    """
    names = [f"axis_{axis}" for axis in range(count)]
    # Backwards, so that the first parameter has the last word.
    for key, value in reversed(parameters.items()):
        own = varying(value)
        if len(own) == 1:
            names[min(own)] = key
    if count == 1 and not any(varying(value) for value in parameters.values()):
        names = [next(iter(parameters), "axis_0")]
    return tuple(names)


def varying(value: np.ndarray) -> set[int]:
    """The axes along which the entries are not all equal."""
    return {
        axis
        for axis in range(value.ndim)
        if value.shape[axis] > 1 and not (value == np.take(value, [0], axis)).all()
    }


def is_varied(value: np.ndarray) -> bool:
    """Whether the entries are not all equal."""
    return bool(varying(value))


def words(name: str) -> str:
    """The name of a field as words."""
    return name.replace("_", " ")


def _range(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low}-{high}"


def _cell(column: np.ndarray, row: int | None, error: np.ndarray | None = None) -> str:
    if row is None:
        return "..."
    if error is None:
        return f"{column[row]:.6g}"
    return f"{column[row]:.4g} ± {np.ravel(error)[row]:.1g}"
