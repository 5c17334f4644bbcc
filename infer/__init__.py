"""Equilibrium couplings from samples: samples -> estimator -> couplings -> similarity -> report.

Names are loaded when first used, so that a command that needs one room does not wait for all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infer.conversion import to_binary_parameters, to_spin_parameters
    from infer.estimators._dreaming_errors import RateTest
    from infer.estimators.bias import TemperatureBias, temperature_bias
    from infer.estimators.continuous import GaussianCouplings, ScoreMatching
    from infer.estimators.dreaming import DreamingModel
    from infer.estimators.maximum_likelihood import MaximumLikelihood
    from infer.estimators.mean_field import MeanField
    from infer.estimators.partition import log_likelihood, log_partition
    from infer.estimators.probability_flow import MinimumProbabilityFlow
    from infer.estimators.pseudolikelihood import PseudoLikelihood
    from infer.estimators.screening import InteractionScreening
    from infer.estimators.selection import Decimation, PenaltyPath, decimate, penalty_path
    from infer.recordings import InputError, Recording, read_couplings, read_patterns, read_recording, read_spins
    from infer.report import Analysis, analyse, write_report
    from infer.sweeps.run import sweep
    from infer.sweeps.table import average_repeats, read_sweep, sweep_map
    from infer.verdict.adequacy import Adequacy, goodness_of_fit
    from infer.verdict.diagnosis import Diagnosis, diagnose
    from infer.verdict.families import data_correlations
    from infer.verdict.paths import UnlearningSimilarity, compare_unlearning
    from infer.verdict.similarity import Similarity, compare

_HOME = {
    "Adequacy": "infer.verdict.adequacy",
    "Analysis": "infer.report",
    "Decimation": "infer.estimators.selection",
    "Diagnosis": "infer.verdict.diagnosis",
    "DreamingModel": "infer.estimators.dreaming",
    "InputError": "infer.recordings",
    "GaussianCouplings": "infer.estimators.continuous",
    "InteractionScreening": "infer.estimators.screening",
    "MaximumLikelihood": "infer.estimators.maximum_likelihood",
    "MeanField": "infer.estimators.mean_field",
    "MinimumProbabilityFlow": "infer.estimators.probability_flow",
    "PenaltyPath": "infer.estimators.selection",
    "PseudoLikelihood": "infer.estimators.pseudolikelihood",
    "RateTest": "infer.estimators._dreaming_errors",
    "Recording": "infer.recordings",
    "ScoreMatching": "infer.estimators.continuous",
    "Similarity": "infer.verdict.similarity",
    "TemperatureBias": "infer.estimators.bias",
    "UnlearningSimilarity": "infer.verdict.paths",
    "analyse": "infer.report",
    "average_repeats": "infer.sweeps.table",
    "compare": "infer.verdict.similarity",
    "compare_unlearning": "infer.verdict.paths",
    "data_correlations": "infer.verdict.families",
    "decimate": "infer.estimators.selection",
    "diagnose": "infer.verdict.diagnosis",
    "goodness_of_fit": "infer.verdict.adequacy",
    "log_likelihood": "infer.estimators.partition",
    "log_partition": "infer.estimators.partition",
    "penalty_path": "infer.estimators.selection",
    "read_couplings": "infer.recordings",
    "read_patterns": "infer.recordings",
    "read_recording": "infer.recordings",
    "read_spins": "infer.recordings",
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
    "Decimation",
    "Diagnosis",
    "DreamingModel",
    "GaussianCouplings",
    "InputError",
    "InteractionScreening",
    "MaximumLikelihood",
    "MeanField",
    "MinimumProbabilityFlow",
    "PenaltyPath",
    "PseudoLikelihood",
    "RateTest",
    "Recording",
    "ScoreMatching",
    "Similarity",
    "TemperatureBias",
    "UnlearningSimilarity",
    "analyse",
    "average_repeats",
    "compare",
    "compare_unlearning",
    "data_correlations",
    "decimate",
    "diagnose",
    "goodness_of_fit",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'infer' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
