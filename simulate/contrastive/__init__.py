"""Temporal contrastive learning: couplings learned without a memory of the free state, and what that costs."""

from simulate.contrastive import experiments, theory
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
    "signed_square",
    "soft_threshold",
    "theory",
    "weight_update",
]
