"""Scripts of figures: what is kept of them and when it is computed again; the command for them."""

import re

import numpy as np
import pytest

from kerneltheory.cli import main
from kerneltheory.experiments import paper_figures
from kerneltheory.experiments.paper_figures import Claim, PaperFigure, curve_arrays, curve_of, names
from kerneltheory.learning.curve import LearningCurve, StandardErrors

SCRIPT = '''"""Powers of two.

A figure for tests.
"""

import numpy as np

from kerneltheory.experiments.paper_figures import Claim

QUICK = {"largest": 2}


def compute(largest=4, base=2.0):
    CALLS.append(largest)
    return {"powers": base ** np.arange(largest + 1)}


def claims(arrays):
    return [Claim("ratio of neighbours, less two", np.ptp(arrays["powers"][1:] / 2), BOUND)]


def table(arrays):
    return f"{len(arrays['powers'])} powers"


def draw(arrays):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(1, 1), layout="none")
    axes.plot(arrays["powers"])
    return figure
'''


class Folder:
    """A folder of scripts, and how often each has computed."""

    def __init__(self, path):
        self.path, self.bound = path, 100
        self.write("powers")

    def write(self, name, script=SCRIPT):
        text = script.replace("CALLS", "compute.calls").replace("BOUND", str(self.bound))
        text = text.replace("\n\n\ndef claims(", "\n\n\ncompute.calls = []\n\n\ndef claims(", 1)
        (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def calls(self, name="powers"):
        return PaperFigure(name).module.compute.calls


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own = tmp_path / "paper_figures"
    own.mkdir()
    monkeypatch.setattr(paper_figures, "scripts", lambda: own)
    monkeypatch.chdir(tmp_path)
    return Folder(own)


# --- what is kept ------------------------------------------------------------------------------


def test_kept_numbers_are_not_computed_again(folder):
    figure = PaperFigure("powers")
    assert figure.kept(folder.path) is None
    first = figure.reproduce(folder.path)
    assert first.seconds > 0
    np.testing.assert_array_equal(first.arrays["powers"], [1, 2, 4, 8, 16])
    again = PaperFigure("powers").reproduce(folder.path)
    assert again.seconds == 0
    np.testing.assert_array_equal(again.arrays["powers"], first.arrays["powers"])
    assert folder.calls() == [4]
    np.testing.assert_array_equal(figure.kept(folder.path)["powers"], first.arrays["powers"])
    figure.reproduce(folder.path, fresh=True)
    assert folder.calls() == [4, 4]


def test_nothing_is_kept_without_a_folder(folder):
    before = sorted(folder.path.iterdir())
    assert len(PaperFigure("powers").reproduce().arrays["powers"]) == 5
    assert sorted(folder.path.iterdir()) == before


def test_other_parameters_are_computed(folder):
    figure = PaperFigure("powers")
    figure.reproduce(folder.path)
    assert len(figure.reproduce(folder.path, quick=True).arrays["powers"]) == 3
    assert figure.kept(folder.path) is None  # what is there now is the quick version
    assert folder.calls() == [4, 2]


@pytest.mark.parametrize(
    ("old", "new", "computed"),
    [
        ("base=2.0", "base=3.0", True),  # a parameter
        ("base ** np", "(base + 0) ** np", True),  # the code
        ("A figure for tests", "A figure", False),  # the text
        ('"powers"][1:]', '"powers"][2:]', False),  # the claims
        ("axes.plot(", "axes.step(range(5), ", False),  # the drawing
    ],
)
def test_what_has_changed_decides_whether_numbers_are_computed_again(folder, old, new, computed):
    PaperFigure("powers").reproduce(folder.path)
    assert SCRIPT.count(old) == 1
    folder.write("powers", SCRIPT.replace(old, new))
    assert (PaperFigure("powers").kept(folder.path) is None) == computed
    assert (PaperFigure("powers").reproduce(folder.path).seconds > 0) == computed
    # The same arrays, but with base 3.
    found = PaperFigure("powers").kept(folder.path)["powers"][1]
    assert found == (3 if new == "base=3.0" else 2)


def test_a_figure_that_is_not_there_is_named(folder):
    folder.write("others")
    assert names() == ["others", "powers"]
    with pytest.raises(ValueError, match="name must be one of others, powers, got 'power'"):
        PaperFigure("power")


def test_curves_come_back_from_arrays(tmp_path):
    n = np.array([[10, 20]])
    errors = StandardErrors(test_error=n / 1000, bias=n / 2000)
    curve = LearningCurve(
        n=n, ridge=np.array([[0.1], [1.0]]), test_error=1 / n, bias=2 / n, standard_errors=errors,
        trials=np.array(7), dim=5, method="test", error="small",
    )  # fmt: skip
    np.savez(tmp_path / "curve.npz", **curve_arrays("a", curve), **curve_arrays("a b", curve))
    with np.load(tmp_path / "curve.npz") as archive:
        assert curve_of("a", dict(archive)) == curve
    few = curve_of("a", curve_arrays("a", curve, ("bias",)))
    assert few == LearningCurve(
        n=n, bias=2 / n, standard_errors=StandardErrors(bias=n / 2000), method="test"
    )


@pytest.mark.parametrize("measured", [1.0, np.nan, np.inf])
def test_a_claim_holds_up_to_its_bound(measured):
    assert Claim("one", 1.0, 1.0).holds
    assert Claim("one", measured, 0.5).holds is False
    assert "NOT at most 0.5" in str(Claim("one", measured, 0.5))


# --- the command -------------------------------------------------------------------------------


def test_the_command_prints_and_writes(folder, capsys):
    assert main(["reproduce", "powers"]) == 0
    png, pdf, npz = (folder.path / f"powers.{ending}" for ending in ("png", "pdf", "npz"))
    # Both formats end with a mark of their end.
    assert png.read_bytes()[-8:-4] == b"IEND"
    assert pdf.read_bytes().rstrip().endswith(b"%%EOF")
    assert sorted(folder.path.iterdir()) == sorted([npz, pdf, png, folder.path / "powers.py"])
    printed = capsys.readouterr().out
    assert printed.startswith("powers: Powers of two\n5 powers\n")
    assert "ratio of neighbours, less two: 7, at most 100" in printed
    assert "computed in 0 s; wrote paper_figures/powers.png" in printed
    assert main(["reproduce", "powers"]) == 0
    assert "numbers kept; --fresh computes them" in capsys.readouterr().out
    assert main(["reproduce", "powers", "--fresh"]) == 0
    assert folder.calls() == [4, 4]


def test_a_quick_version_leaves_the_figure_alone(folder):
    assert main(["reproduce", "powers", "--quick"]) == 0
    assert {path.name for path in folder.path.iterdir()} == {"powers.py", "quick"}
    assert (folder.path / "quick" / "powers.png").exists()
    assert folder.calls() == [2]


def test_another_folder_is_made(folder, tmp_path):
    assert main(["reproduce", "powers", "--output", str(tmp_path / "new" / "deep")]) == 0
    found = {path.name for path in (tmp_path / "new" / "deep").iterdir()}
    assert found == {"powers.npz", "powers.pdf", "powers.png"}


def test_names_are_listed_with_titles(folder, capsys):
    folder.write("others", SCRIPT.replace("Powers of two.", "Others."))
    assert main(["reproduce", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["others", "Others"],
        ["powers", "Powers of two"],
    ]
    assert folder.calls() == []


def test_all_of_them_have_a_readme(folder):
    folder.write("others")
    assert main(["reproduce", "all", "--processes", "1"]) == 0
    text = (folder.path / "README.md").read_text(encoding="utf-8")
    assert text == paper_figures.readme(folder.path)
    for part in ("## Powers of two\n", "![Powers of two](others.png)", "\nA figure for tests.\n"):
        assert part in text
    assert text.count("| ratio of neighbours, less two | 7 | 100 |\n") == 2
    # What is out of date is no part of it.
    folder.write("others", SCRIPT.replace("base=2.0", "base=3.0"))
    with pytest.raises(
        ValueError, match=r"others.npz is not there or is out of date; run .* others`"
    ):
        paper_figures.readme(folder.path)


def test_a_claim_that_fails_is_an_exit_status(folder, capsys):
    folder.bound = 6
    folder.write("wrong")
    assert main(["reproduce", "--processes", "1", "wrong", "powers"]) == 1
    printed = capsys.readouterr().out
    assert "7, NOT at most 6" in printed
    assert "7, at most 100" in printed  # the others are made all the same


def test_an_unknown_name_is_an_exit_status(folder, capsys):
    assert main(["reproduce", "powers", "tables"]) == 2
    assert "got 'tables'" in capsys.readouterr().err
    assert folder.calls() == []


def test_an_interrupted_command_leaves_the_folder_as_it_was(folder, capsys):
    assert main(["reproduce", "powers"]) == 0
    before = {path: path.read_bytes() for path in folder.path.iterdir()}

    def interrupted(**_):
        raise KeyboardInterrupt

    PaperFigure("powers").module.compute = interrupted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperFigure, "parameters", lambda *_: {"largest": 9})
        assert main(["reproduce", "powers"]) == 130
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before
    assert "interrupted" in capsys.readouterr().err
