"""Every figure of paper_figures/: its numbers belong to it, say what it claims, and are drawn."""

import io
from functools import cache

import numpy as np
import pytest

from kerneltheory.core.figures import save
from kerneltheory.experiments.paper_figures import PaperFigure, names, readme, scripts

FIGURES = scripts()
NAMES = names()
# Root mean square over pixels, of 255. The same versions draw the same bits; lines whose points are
# not simplified first differ by 0.4; one line less, of the thinnest, by 2.6 and other text by 10.
TOLERANCE = 1
# Those whose quick version is mostly compilation of what other tests hold too.
LONG_COMPILED = {
    "finite_dimension",
    "multiple_descent",
    "optimal_ridge",
    "power_laws",
    "random_features",
    "real_data",
    "singular_classifiers",
}
_MARKS = {False: pytest.mark.slow, True: pytest.mark.kin}


@cache
def kept(name):
    arrays = PaperFigure(name).kept(FIGURES)
    assert arrays is not None, f"run `python -m kerneltheory reproduce {name}`"
    return arrays


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_numbers_belong_to_the_script_and_are_numbers(name):
    arrays = kept(name)
    assert arrays
    assert not any(np.isnan(a).any() for a in arrays.values() if a.dtype.kind == "f")
    assert (FIGURES / f"{name}.npz").stat().st_size < 250_000


@pytest.mark.parametrize("name", NAMES)
def test_the_claims_hold(name):
    claims = PaperFigure(name).module.claims(kept(name))
    assert claims
    assert len({claim.statement for claim in claims}) == len(claims)
    assert [str(claim) for claim in claims if not claim.holds] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_draws(name):
    figure = PaperFigure(name)
    assert figure.title
    assert len(figure.text) > 100
    assert figure.parameters(quick=True).keys() == figure.parameters().keys()
    assert figure.parameters(quick=True) != figure.parameters()


def test_the_readme_is_that_of_the_scripts_and_numbers():
    assert (FIGURES / "README.md").read_text(encoding="utf-8") == readme(FIGURES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_kept_numbers_give_the_kept_image(name, tmp_path):
    from matplotlib.image import imread

    (path,) = save(PaperFigure(name).draw(kept(name)), tmp_path / "again.png")
    again, image = (255.0 * imread(file)[..., :3] for file in (path, FIGURES / f"{name}.png"))
    assert again.shape == image.shape
    assert np.sqrt(np.mean((again - image) ** 2)) < TOLERANCE
    pdf = io.BytesIO((FIGURES / f"{name}.pdf").read_bytes())
    assert pdf.read(5) == b"%PDF-"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=_MARKS[name in LONG_COMPILED]) for name in NAMES]
)
def test_the_quick_version_says_the_same(name):
    figure = PaperFigure(name)
    arrays = figure.module.compute(**figure.parameters(quick=True))
    assert not any(np.isnan(a).any() for a in arrays.values() if a.dtype.kind == "f")
    assert [str(claim) for claim in figure.module.claims(arrays) if not claim.holds] == []
    figure.draw(arrays)
