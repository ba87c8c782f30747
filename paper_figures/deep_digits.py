"""Condition number and accuracy of deep networks on digits, with the predicted depth scales.

arXiv:1912.13053 predicts over how many layers the NTK can be trained (ordered phase) and over how
many it generalises (chaotic phase). Draws deep_digits.png and deep_digits.pdf beside this file.
"""

from pathlib import Path

from kerneltheory.core.figures import save
from kerneltheory.experiments.deep_digits import compute, draw

HERE = Path(__file__).parent

if __name__ == "__main__":
    save(draw(compute()), HERE / "deep_digits.png", HERE / "deep_digits.pdf")
