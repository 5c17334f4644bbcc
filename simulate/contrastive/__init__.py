"""Temporal contrastive learning: couplings learned without storing the free state, and the dissipation this needs.

Modules are imported when one of their names is first used, so that importing the package is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulate.contrastive import experiments, protocols, theory
    from simulate.contrastive.accuracy import AccuracyLaw, accuracy_law
    from simulate.contrastive.classifier import ContrastiveClassifier, classifier_rule
    from simulate.contrastive.memory import free_correlations, learn_patterns, memory_rule
    from simulate.contrastive.nonlinearity import (
        Nonlinearity,
        cubic,
        hard_threshold,
        linear,
        signed_square,
        soft_threshold,
    )
    from simulate.contrastive.receptor import ReceptorLadder, critical_driving
    from simulate.contrastive.response import Kernel, chemotaxis_kernel, feedback_kernel, gamma_kernel
    from simulate.contrastive.synapse import ContrastiveRule, IdealContrast, Sawtooth, weight_update

_HOME = {
    "AccuracyLaw": "simulate.contrastive.accuracy",
    "ContrastiveClassifier": "simulate.contrastive.classifier",
    "ContrastiveRule": "simulate.contrastive.synapse",
    "IdealContrast": "simulate.contrastive.synapse",
    "Kernel": "simulate.contrastive.response",
    "Nonlinearity": "simulate.contrastive.nonlinearity",
    "ReceptorLadder": "simulate.contrastive.receptor",
    "Sawtooth": "simulate.contrastive.synapse",
    "accuracy_law": "simulate.contrastive.accuracy",
    "chemotaxis_kernel": "simulate.contrastive.response",
    "classifier_rule": "simulate.contrastive.classifier",
    "critical_driving": "simulate.contrastive.receptor",
    "cubic": "simulate.contrastive.nonlinearity",
    "feedback_kernel": "simulate.contrastive.response",
    "free_correlations": "simulate.contrastive.memory",
    "gamma_kernel": "simulate.contrastive.response",
    "hard_threshold": "simulate.contrastive.nonlinearity",
    "learn_patterns": "simulate.contrastive.memory",
    "linear": "simulate.contrastive.nonlinearity",
    "memory_rule": "simulate.contrastive.memory",
    "signed_square": "simulate.contrastive.nonlinearity",
    "soft_threshold": "simulate.contrastive.nonlinearity",
    "weight_update": "simulate.contrastive.synapse",
}
_MODULES = ("experiments", "protocols", "theory")

__all__ = [
    "AccuracyLaw",
    "ContrastiveClassifier",
    "ContrastiveRule",
    "IdealContrast",
    "Kernel",
    "Nonlinearity",
    "ReceptorLadder",
    "Sawtooth",
    "accuracy_law",
    "chemotaxis_kernel",
    "classifier_rule",
    "critical_driving",
    "cubic",
    "experiments",
    "feedback_kernel",
    "free_correlations",
    "gamma_kernel",
    "hard_threshold",
    "learn_patterns",
    "linear",
    "memory_rule",
    "protocols",
    "signed_square",
    "soft_threshold",
    "theory",
    "weight_update",
]


if not TYPE_CHECKING:  # to type checkers a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"simulate.contrastive.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'simulate.contrastive' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
