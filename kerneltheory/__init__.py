"""The theory of wide neural networks as kernels: exact, certified and fast.

The package follows one line of thought, and so do its folders::

    activation -> dual activation -> kernel -> spectrum -> learning curve <-> simulated regression

Conventions, obeyed everywhere:

- The sphere is S^{d-1} in R^d; ``dim`` is d. Its measure is the uniform probability measure.
  ``P_k`` is the Legendre polynomial in d dimensions, normalised to P_k(1) = 1.
- t is the cosine of the angle between two inputs. Networks take inputs with |x|^2 = d on the
  sphere, so that the input layer's kernel is w t + b, with w the variance of the weights and b
  that of the biases.
- lambda_k is the eigenvalue of one eigenfunction of degree k, and N(d, k) its multiplicity, so
  that the kernel on the diagonal is h(1) = sum_k N(d, k) lambda_k.
- The tangent kernel is in the NTK parametrisation, with every layer and every bias trained, and
  is not divided by the depth. The variances are the same in every layer. ``depth`` counts the
  hidden layers, that is the nonlinearities; the output layer is included.
- ``ridge`` is absolute: the predictor solves (K + ridge I) a = y. ``noise_variance`` is that of
  the labels. ``test_error`` is measured against the target without noise, and is the sum of
  ``bias`` and ``variance``.
- ``Target.power[k]`` is the squared norm of the part of degree k of the target.
- n is the number of samples.

Importing the package loads none of the libraries it stands on: each public name loads its own
module when it is first used. No global state is changed, neither by importing nor by computing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerneltheory.activations.activation import activation
    from kerneltheory.activations.catalogue import (
        absolute,
        arctan,
        cos,
        cosine,
        elu,
        erf,
        exp,
        exponential,
        gabor,
        gaussian,
        gelu,
        hard_tanh,
        hermite,
        leaky_relu,
        mish,
        monomial,
        polynomial,
        rbf_feature,
        rectified_monomial,
        relu,
        scaled_erf,
        selu,
        sigmoid,
        sigmoid_erf,
        sign,
        sin,
        sine,
        softplus,
        softsign,
        step,
        swish,
        tanh,
        two_slope,
    )
    from kerneltheory.activations.derive import derive_dual
    from kerneltheory.activations.duals import covariance_dual, dual, dual_class
    from kerneltheory.activations.hermite import hermite_coefficients
    from kerneltheory.core.errors import (
        DerivationError,
        DivergentError,
        KernelTheoryError,
        LoweringError,
        NotFittedError,
        NotPositiveDefiniteError,
        PrecisionError,
        PrecisionWarning,
        SingularSystemWarning,
    )
    from kerneltheory.core.explore import explore
    from kerneltheory.depth.classifiers import ClassifierLimit, classifier_limit
    from kerneltheory.depth.critical_line import CriticalLine, critical_line
    from kerneltheory.depth.critical_point import critical_point
    from kerneltheory.depth.critical_record import CriticalPoint
    from kerneltheory.depth.deep_sphere import depth_profile
    from kerneltheory.depth.deep_votes import deep_votes
    from kerneltheory.depth.depth_record import DepthSpectrum
    from kerneltheory.depth.depth_scales import generalization_depth, trainability_depth
    from kerneltheory.depth.depth_spectrum import depth_spectrum
    from kerneltheory.depth.effective_derivations import derive_effective_theory
    from kerneltheory.depth.finite_width import FiniteWidth, finite_width
    from kerneltheory.depth.optimal_activations import optimal_activation, optimal_frequency
    from kerneltheory.depth.pair_inputs import EquicorrelatedPoints
    from kerneltheory.depth.phase_diagram import PhaseDiagram, phase_diagram
    from kerneltheory.depth.phases import Phase, phase
    from kerneltheory.depth.universality import UniversalityTable, universality_table
    from kerneltheory.experiments.compare import compare
    from kerneltheory.experiments.simulate import simulate
    from kerneltheory.experiments.subsets import simulate_on_data, simulate_subsets
    from kerneltheory.experiments.sweep import read_sweep, sweep
    from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
    from kerneltheory.learning.curve import LearningCurve
    from kerneltheory.learning.derive_high_order import derive_high_order_curve
    from kerneltheory.learning.equivalent import effective_ridge, learning_curve, lowest_ridge
    from kerneltheory.learning.gradient_flow import gradient_flow_curve, optimal_stopping
    from kerneltheory.learning.high_order import high_order_curve
    from kerneltheory.learning.marchenko_pastur import marchenko_pastur_density
    from kerneltheory.learning.multiscale import multiscale_curve
    from kerneltheory.learning.optimal import optimal_ridge
    from kerneltheory.learning.peaks import Peaks, peaks
    from kerneltheory.learning.random_features import random_feature_curve
    from kerneltheory.learning.scaling_fits import capacity_exponent, scaling_exponents
    from kerneltheory.learning.scaling_laws import ScalingExponents
    from kerneltheory.learning.subsets import subset_learning_curve
    from kerneltheory.regression.gram_product import gram_product
    from kerneltheory.regression.iterative import IterativeSolution, solve_iteratively, solve_trials
    from kerneltheory.regression.path import RidgePath
    from kerneltheory.regression.ridge import KernelRidge
    from kerneltheory.spectra.decomposition import decompose, decompose_zonal
    from kerneltheory.spectra.derive_exact import derive_eigenvalue
    from kerneltheory.spectra.domains import certified_spectrum, spectrum
    from kerneltheory.spectra.empirical import empirical_spectrum, sampling_bias
    from kerneltheory.spectra.exact import eigenvalue
    from kerneltheory.spectra.expansion import derive_eigenvalue_expansion, eigenvalue_expansion
    from kerneltheory.spectra.plots import plot_spectra
    from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target
    from kerneltheory.spectra.spectrum import Spectrum, Target
    from kerneltheory.spectra.tail_derivation import derive_tail_law
    from kerneltheory.spectra.tail_law import TailLaw, tail_law
    from kerneltheory.sphere.basis import harmonic_basis, zonal_harmonic

__version__ = "0.1.0"

__all__ = [
    "ClassifierLimit",
    "CriticalLine",
    "CriticalPoint",
    "DepthSpectrum",
    "DerivationError",
    "DivergentError",
    "EquicorrelatedPoints",
    "FiniteWidth",
    "IterativeSolution",
    "KernelRidge",
    "KernelTheoryError",
    "LearningCurve",
    "LoweringError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "Peaks",
    "Phase",
    "PhaseDiagram",
    "PrecisionError",
    "PrecisionWarning",
    "RidgePath",
    "ScalingExponents",
    "SingularSystemWarning",
    "Spectrum",
    "TailLaw",
    "Target",
    "UniversalityTable",
    "absolute",
    "activation",
    "arctan",
    "capacity_exponent",
    "certified_spectrum",
    "classifier_limit",
    "compare",
    "cos",
    "cosine",
    "covariance_dual",
    "critical_line",
    "critical_point",
    "decompose",
    "decompose_zonal",
    "deep_votes",
    "depth_profile",
    "depth_spectrum",
    "derive_dual",
    "derive_effective_theory",
    "derive_eigenvalue",
    "derive_eigenvalue_expansion",
    "derive_high_order_curve",
    "derive_tail_law",
    "dot_product_kernel",
    "dual",
    "dual_class",
    "effective_ridge",
    "eigenvalue",
    "eigenvalue_expansion",
    "elu",
    "empirical_spectrum",
    "erf",
    "exp",
    "explore",
    "exponential",
    "finite_width",
    "gabor",
    "gaussian",
    "gelu",
    "generalization_depth",
    "gradient_flow_curve",
    "gram_product",
    "hard_tanh",
    "harmonic_basis",
    "hermite",
    "hermite_coefficients",
    "high_order_curve",
    "leaky_relu",
    "learning_curve",
    "lowest_ridge",
    "marchenko_pastur_density",
    "mish",
    "monomial",
    "multiscale_curve",
    "nngp",
    "ntk",
    "optimal_activation",
    "optimal_frequency",
    "optimal_ridge",
    "optimal_stopping",
    "peaks",
    "phase",
    "phase_diagram",
    "plot_spectra",
    "polynomial",
    "power_law_spectrum",
    "power_law_target",
    "random_feature_curve",
    "rbf_feature",
    "read_sweep",
    "rectified_monomial",
    "relu",
    "sampling_bias",
    "scaled_erf",
    "scaling_exponents",
    "selu",
    "sigmoid",
    "sigmoid_erf",
    "sign",
    "simulate",
    "simulate_on_data",
    "simulate_subsets",
    "sin",
    "sine",
    "softplus",
    "softsign",
    "solve_iteratively",
    "solve_trials",
    "spectrum",
    "step",
    "subset_learning_curve",
    "sweep",
    "swish",
    "tail_law",
    "tanh",
    "trainability_depth",
    "two_slope",
    "universality_table",
    "zonal_harmonic",
]

_NAMES_OF = {
    "activations.activation": ("activation",),
    "activations.catalogue": (
        "absolute",
        "arctan",
        "cos",
        "cosine",
        "elu",
        "erf",
        "exp",
        "exponential",
        "gabor",
        "gaussian",
        "gelu",
        "hard_tanh",
        "hermite",
        "leaky_relu",
        "mish",
        "monomial",
        "polynomial",
        "rbf_feature",
        "rectified_monomial",
        "relu",
        "scaled_erf",
        "selu",
        "sigmoid",
        "sigmoid_erf",
        "sign",
        "sin",
        "sine",
        "softplus",
        "softsign",
        "step",
        "swish",
        "tanh",
        "two_slope",
    ),
    "activations.derive": ("derive_dual",),
    "activations.duals": (
        "covariance_dual",
        "dual",
        "dual_class",
    ),
    "activations.hermite": ("hermite_coefficients",),
    "core.errors": (
        "DerivationError",
        "DivergentError",
        "KernelTheoryError",
        "LoweringError",
        "NotFittedError",
        "NotPositiveDefiniteError",
        "PrecisionError",
        "PrecisionWarning",
        "SingularSystemWarning",
    ),
    "core.explore": ("explore",),
    "depth.classifiers": (
        "ClassifierLimit",
        "classifier_limit",
    ),
    "depth.critical_line": (
        "CriticalLine",
        "critical_line",
    ),
    "depth.critical_point": ("critical_point",),
    "depth.critical_record": ("CriticalPoint",),
    "depth.deep_sphere": ("depth_profile",),
    "depth.deep_votes": ("deep_votes",),
    "depth.depth_record": ("DepthSpectrum",),
    "depth.depth_scales": (
        "generalization_depth",
        "trainability_depth",
    ),
    "depth.depth_spectrum": ("depth_spectrum",),
    "depth.effective_derivations": ("derive_effective_theory",),
    "depth.finite_width": (
        "FiniteWidth",
        "finite_width",
    ),
    "depth.optimal_activations": (
        "optimal_activation",
        "optimal_frequency",
    ),
    "depth.pair_inputs": ("EquicorrelatedPoints",),
    "depth.phase_diagram": (
        "PhaseDiagram",
        "phase_diagram",
    ),
    "depth.phases": (
        "Phase",
        "phase",
    ),
    "depth.universality": (
        "UniversalityTable",
        "universality_table",
    ),
    "experiments.compare": ("compare",),
    "experiments.simulate": ("simulate",),
    "experiments.subsets": (
        "simulate_on_data",
        "simulate_subsets",
    ),
    "experiments.sweep": (
        "read_sweep",
        "sweep",
    ),
    "kernels.kernel": (
        "dot_product_kernel",
        "nngp",
        "ntk",
    ),
    "learning.curve": ("LearningCurve",),
    "learning.derive_high_order": ("derive_high_order_curve",),
    "learning.equivalent": (
        "effective_ridge",
        "learning_curve",
        "lowest_ridge",
    ),
    "learning.gradient_flow": (
        "gradient_flow_curve",
        "optimal_stopping",
    ),
    "learning.high_order": ("high_order_curve",),
    "learning.marchenko_pastur": ("marchenko_pastur_density",),
    "learning.multiscale": ("multiscale_curve",),
    "learning.optimal": ("optimal_ridge",),
    "learning.peaks": (
        "Peaks",
        "peaks",
    ),
    "learning.random_features": ("random_feature_curve",),
    "learning.scaling_fits": (
        "capacity_exponent",
        "scaling_exponents",
    ),
    "learning.scaling_laws": ("ScalingExponents",),
    "learning.subsets": ("subset_learning_curve",),
    "regression.gram_product": ("gram_product",),
    "regression.iterative": (
        "IterativeSolution",
        "solve_iteratively",
        "solve_trials",
    ),
    "regression.path": ("RidgePath",),
    "regression.ridge": ("KernelRidge",),
    "spectra.decomposition": (
        "decompose",
        "decompose_zonal",
    ),
    "spectra.derive_exact": ("derive_eigenvalue",),
    "spectra.domains": (
        "certified_spectrum",
        "spectrum",
    ),
    "spectra.empirical": (
        "empirical_spectrum",
        "sampling_bias",
    ),
    "spectra.exact": ("eigenvalue",),
    "spectra.expansion": (
        "derive_eigenvalue_expansion",
        "eigenvalue_expansion",
    ),
    "spectra.plots": ("plot_spectra",),
    "spectra.power_law": (
        "power_law_spectrum",
        "power_law_target",
    ),
    "spectra.spectrum": (
        "Spectrum",
        "Target",
    ),
    "spectra.tail_derivation": ("derive_tail_law",),
    "spectra.tail_law": (
        "TailLaw",
        "tail_law",
    ),
    "sphere.basis": (
        "harmonic_basis",
        "zonal_harmonic",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module, once."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
