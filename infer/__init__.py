"""Equilibrium couplings from samples: samples -> estimator -> couplings -> similarity -> report.

Modules are imported when one of their names is first used, so that importing the package is fast.
"""

from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infer.conversion import to_binary_parameters, to_spin_parameters
    from infer.count_model import CountModel
    from infer.diagnosis.adequacy import Adequacy, goodness_of_fit
    from infer.diagnosis.comparison import ModelComparison, compare_models
    from infer.diagnosis.diagnose import Diagnosis, diagnose
    from infer.errors import InputError
    from infer.estimators.base import Fit, SpinEstimator
    from infer.estimators.bias import TemperatureBias, temperature_bias
    from infer.estimators.continuous.estimators import GaussianCouplings, ScoreMatching
    from infer.estimators.dreaming.continuous_model import ContinuousDreamingModel
    from infer.estimators.dreaming.errors import RateTest
    from infer.estimators.dreaming.estimator import DreamingModel
    from infer.estimators.dreaming.family_test import FamilyTest
    from infer.estimators.inverse_temperature import InverseTemperature, inverse_temperature
    from infer.estimators.kinetic.estimator import KineticCouplings
    from infer.estimators.likelihood.estimator import MaximumLikelihood
    from infer.estimators.likelihood.from_moments import MomentModel, fit_from_moments
    from infer.estimators.likelihood.partition import log_likelihood, log_partition
    from infer.estimators.likelihood.population_count import KPairwise
    from infer.estimators.mean_field import MeanField
    from infer.estimators.probability_flow import MinimumProbabilityFlow
    from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
    from infer.estimators.screening.estimator import InteractionScreening
    from infer.estimators.selection import Decimation, PenaltyPath, decimate, penalty_path
    from infer.landscape.landscape import energy_landscape
    from infer.landscape.result import EnergyLandscape
    from infer.model import PairModel
    from infer.recordings.recording import Recording, read_couplings, read_patterns, read_recording, read_spins
    from infer.recordings.spike_times import SpikeTimes
    from infer.report import Analysis, analyse, write_report
    from infer.samples import Samples
    from infer.similarity.compare import Similarity, compare
    from infer.similarity.family import data_correlations
    from infer.similarity.two_recordings import CouplingDifference, compare_recordings
    from infer.similarity.unlearning import UnlearningSimilarity, compare_unlearning
    from infer.sweeps.run import sweep
    from infer.sweeps.sizes import extrapolate_sizes
    from infer.sweeps.table import average_repeats, read_sweep, sweep_map

_HOME = {
    "Adequacy": "infer.diagnosis.adequacy_result",
    "Analysis": "infer.report",
    "ContinuousDreamingModel": "infer.estimators.dreaming.continuous_model",
    "CouplingDifference": "infer.similarity.two_recordings",
    "Decimation": "infer.estimators.selection",
    "Diagnosis": "infer.diagnosis.diagnose",
    "CountModel": "infer.count_model",
    "DreamingModel": "infer.estimators.dreaming.estimator",
    "EnergyLandscape": "infer.landscape.result",
    "InputError": "infer.errors",
    "FamilyTest": "infer.estimators.dreaming.family_test",
    "Fit": "infer.estimators.base",
    "GaussianCouplings": "infer.estimators.continuous.estimators",
    "InteractionScreening": "infer.estimators.screening.estimator",
    "KPairwise": "infer.estimators.likelihood.population_count",
    "InverseTemperature": "infer.estimators.inverse_temperature",
    "KineticCouplings": "infer.estimators.kinetic.estimator",
    "MaximumLikelihood": "infer.estimators.likelihood.estimator",
    "MomentModel": "infer.estimators.likelihood.from_moments",
    "MeanField": "infer.estimators.mean_field",
    "MinimumProbabilityFlow": "infer.estimators.probability_flow",
    "ModelComparison": "infer.diagnosis.comparison",
    "PairModel": "infer.model",
    "PenaltyPath": "infer.estimators.selection",
    "PseudoLikelihood": "infer.estimators.pseudolikelihood.estimator",
    "RateTest": "infer.estimators.dreaming.errors",
    "Recording": "infer.recordings.recording",
    "Samples": "infer.samples",
    "ScoreMatching": "infer.estimators.continuous.estimators",
    "Similarity": "infer.similarity.result",
    "SpikeTimes": "infer.recordings.spike_times",
    "SpinEstimator": "infer.estimators.base",
    "TemperatureBias": "infer.estimators.bias",
    "UnlearningSimilarity": "infer.similarity.unlearning",
    "analyse": "infer.report",
    "average_repeats": "infer.sweeps.table",
    "compare": "infer.similarity.compare",
    "compare_models": "infer.diagnosis.comparison",
    "compare_recordings": "infer.similarity.two_recordings",
    "compare_unlearning": "infer.similarity.unlearning",
    "data_correlations": "infer.similarity.family",
    "decimate": "infer.estimators.selection",
    "diagnose": "infer.diagnosis.diagnose",
    "extrapolate_sizes": "infer.sweeps.sizes",
    "fit_from_moments": "infer.estimators.likelihood.from_moments",
    "energy_landscape": "infer.landscape.landscape",
    "goodness_of_fit": "infer.diagnosis.adequacy",
    "inverse_temperature": "infer.estimators.inverse_temperature",
    "log_likelihood": "infer.estimators.likelihood.partition",
    "log_partition": "infer.estimators.likelihood.partition",
    "penalty_path": "infer.estimators.selection",
    "read_couplings": "infer.recordings.recording",
    "read_patterns": "infer.recordings.recording",
    "read_recording": "infer.recordings.recording",
    "read_spins": "infer.recordings.recording",
    "read_sweep": "infer.sweeps.table",
    "sweep": "infer.sweeps.run",
    "sweep_map": "infer.sweeps.table",
    "to_binary_parameters": "infer.conversion",
    "to_spin_parameters": "infer.conversion",
    "temperature_bias": "infer.estimators.bias",
    "write_report": "infer.report",
}

__all__ = [
    "Adequacy",
    "Analysis",
    "ContinuousDreamingModel",
    "CountModel",
    "CouplingDifference",
    "Decimation",
    "Diagnosis",
    "DreamingModel",
    "EnergyLandscape",
    "FamilyTest",
    "Fit",
    "GaussianCouplings",
    "InputError",
    "InteractionScreening",
    "InverseTemperature",
    "KPairwise",
    "KineticCouplings",
    "MaximumLikelihood",
    "MeanField",
    "MinimumProbabilityFlow",
    "ModelComparison",
    "MomentModel",
    "PairModel",
    "PenaltyPath",
    "PseudoLikelihood",
    "RateTest",
    "Recording",
    "Samples",
    "ScoreMatching",
    "Similarity",
    "SpikeTimes",
    "SpinEstimator",
    "TemperatureBias",
    "UnlearningSimilarity",
    "analyse",
    "average_repeats",
    "compare",
    "compare_models",
    "compare_recordings",
    "compare_unlearning",
    "data_correlations",
    "decimate",
    "diagnose",
    "energy_landscape",
    "extrapolate_sizes",
    "fit_from_moments",
    "goodness_of_fit",
    "inverse_temperature",
    "log_likelihood",
    "log_partition",
    "penalty_path",
    "read_couplings",
    "read_patterns",
    "read_recording",
    "read_spins",
    "read_sweep",
    "sweep",
    "sweep_map",
    "temperature_bias",
    "to_binary_parameters",
    "to_spin_parameters",
    "write_report",
]


def _check_simulate() -> None:
    """Raise an ImportError where a file or package of the user's has the name of the package that this one needs."""
    found = find_spec("simulate")
    if found is None:
        return
    inside = found.submodule_search_locations  # looked through without importing it: it may import this package
    if inside is None or PathFinder.find_spec("simulate.compilation", list(inside)) is None:
        raise ImportError(
            f"{found.origin} is imported in place of the package simulate that comes with infer: rename it (and "
            "remove its __pycache__), or start Python in another folder"
        )


_check_simulate()
import_module("simulate")  # finds a place for compiled code


if not TYPE_CHECKING:  # to type checkers a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'infer' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
