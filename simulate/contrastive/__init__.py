"""Temporal contrastive learning: couplings learned without a memory of the free state, and what that costs."""

from simulate.contrastive import theory
from simulate.contrastive.receptor import AccuracyLaw, ReceptorLadder, accuracy_law, critical_driving
from simulate.contrastive.response import Kernel, chemotaxis_kernel, feedback_kernel, gamma_kernel
from simulate.contrastive.synapse import (
    ContrastiveRule,
    IdealContrast,
    Nonlinearity,
    Sawtooth,
    cubic,
    hard_threshold,
    linear,
    signed_square,
    soft_threshold,
    weight_update,
)

__all__ = [
    "AccuracyLaw",
    "ContrastiveRule",
    "IdealContrast",
    "Kernel",
    "Nonlinearity",
    "ReceptorLadder",
    "Sawtooth",
    "accuracy_law",
    "chemotaxis_kernel",
    "critical_driving",
    "cubic",
    "feedback_kernel",
    "gamma_kernel",
    "hard_threshold",
    "linear",
    "signed_square",
    "soft_threshold",
    "theory",
    "weight_update",
]
