"""Figures with sliders, in notebooks that are alive; the same figures without them elsewhere."""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def explore(draw: Callable[..., Any], /, **choices: Sequence[Any]) -> Any:
    """Show a figure with one slider for each of its parameters.

    The figure first shown is ``draw(**values)`` with the middle one of each sequence of choices,
    ``choices[len(choices) // 2]``. In Jupyter it is an ordinary output, which the saved notebook
    keeps. Where ipywidgets is installed, a slider for each argument stands above it and redraws it;
    where it is not, or where the notebook is only read, nothing but the sliders is missing. An
    error while a slider is moved takes the figure's place, until the slider is moved on.

    Args:
        draw: a function that returns a matplotlib figure, axes, or anything else that a notebook
            displays. Figures that it opens are closed once they are shown.
        choices: for each argument of `draw`, the values it may take, in the order of the slider: at
            least one. What has a ``name`` is labelled by it, other values by ``str``.

    Returns:
        In Jupyter, where it has been displayed, nothing; elsewhere what `draw` returns, the figure
        of axes in their place. A figure of pyplot is left open there, for ``plt.show()``.

    Raises:
        TypeError: if `draw` is not callable, does not have just these arguments, or returns None;
            or if choices are not a sequence.
        ValueError: if choices are empty.

    Examples:
        >>> def draw(depth, dim):
        ...     kernel = nngp(relu, depth, weight_variance=2)
        ...     return spectrum(kernel, dim, max_degree=8).plot()
        >>> from kerneltheory import nngp, relu, spectrum
        >>> figure = explore(draw, depth=[1, 2, 3], dim=[10, 20])
        >>> figure.axes[0].get_xlabel()
        'degree $k$'
    """
    values_of = _checked(draw, choices)
    first = {name: values[len(values) // 2] for name, values in values_of.items()}
    if not _in_jupyter():
        return _drawn(draw, first)
    with _figures_closed():
        shown = _drawn(draw, first)
    _display(shown, draw, values_of)
    return None


def _checked(draw: Any, choices: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The choices as lists, none of them empty, of just the arguments that `draw` has."""
    if not callable(draw):
        raise TypeError(f"draw must be a function that returns a figure, got {draw!r}")
    if not choices:
        raise TypeError("choices must name at least one argument of draw and its values, got none")
    values_of = {name: _listed(name, values) for name, values in choices.items()}
    try:
        inspect.signature(draw).bind(**values_of)
    except TypeError as error:
        given = ", ".join(choices)
        raise TypeError(f"choices must be of the arguments of draw, got {given}: {error}") from None
    return values_of


def _listed(name: str, values: Any) -> list[Any]:
    # A string is a sequence too, but of letters, which nobody means.
    if isinstance(values, str | bytes) or not hasattr(values, "__getitem__"):
        raise TypeError(f"choices of {name} must be a sequence of values, got {values!r}")
    if isinstance(values, Mapping):
        raise TypeError(f"choices of {name} must be a sequence of values, got a mapping")
    try:
        listed = list(values)
    except TypeError:  # an array of no dimensions
        raise TypeError(f"choices of {name} must be a sequence, got {values!r}") from None
    if not listed:
        raise ValueError(f"choices of {name} must hold at least one value, got none")
    return listed


def _in_jupyter() -> bool:
    # Whoever runs in Jupyter has IPython loaded; elsewhere it need not be installed. Its shell in a
    # terminal has no kernel, and cannot show a figure.
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _drawn(draw: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """What `draw` returns, the whole figure if these are axes."""
    from matplotlib.axes import Axes

    shown = draw(**values)
    if shown is None:
        raise TypeError("draw must return a figure, axes, or what a notebook displays, got None")
    if isinstance(shown, Axes):
        return shown.figure.figure  # of axes in a subfigure too
    return shown


@contextmanager
def _figures_closed() -> Iterator[None]:
    """Close the figures opened inside, which the notebook would show again, or pile up."""
    from matplotlib import pyplot as plt

    before = set(plt.get_fignums())
    try:
        yield
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def _display(shown: Any, draw: Callable[..., Any], values_of: Mapping[str, list[Any]]) -> None:
    """Display the sliders, if there can be any, and below them what they will draw again."""
    from IPython.display import display

    try:
        import ipywidgets
    except ImportError:
        display(shown)
        return
    sliders = {
        name: ipywidgets.SelectionSlider(
            # By its place: values need not be hashable, nor compare to True or False.
            options=[(_label(value), place) for place, value in enumerate(values)],
            value=len(values) // 2,
            description=name,
            continuous_update=False,  # drawing may take longer than moving
            style={"description_width": "initial"},
        )
        for name, values in values_of.items()
    }
    box = ipywidgets.VBox(list(sliders.values()))
    # A page that cannot show sliders shows the text instead of them.
    without = f"(in a running notebook: sliders for {', '.join(sliders)})"
    view: Any = box._repr_mimebundle_()
    display({**view, "text/plain": without}, raw=True)
    handle: Any = display(shown, display_id=True)

    def redraw(_: Any) -> None:
        values = {name: values_of[name][slider.value] for name, slider in sliders.items()}
        try:
            with _figures_closed():
                handle.update(_drawn(draw, values))
        except Exception:  # a kernel writes those of its callbacks to a log that nobody reads
            handle.update({"text/plain": traceback.format_exc()}, raw=True)

    for slider in sliders.values():
        slider.observe(redraw, names="value")


def _label(value: Any) -> str:
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else str(value)
