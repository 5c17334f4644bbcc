"""Models of driven spins: patterns -> couplings -> dynamics -> samples, and the theory they must agree with."""

from simulate import retrieval, theory
from simulate.dynamics import ActiveOrnsteinUhlenbeck, Harmonic, PersistentGlauber, SoftSpin, Spherical, sample
from simulate.memory import (
    PatternCouplings,
    binarise_images,
    correlated_patterns,
    daydream,
    digit_patterns,
    dreaming,
    hebbian,
    pseudo_inverse,
    random_patterns,
    unlearn,
)

__all__ = [
    "ActiveOrnsteinUhlenbeck",
    "Harmonic",
    "PatternCouplings",
    "PersistentGlauber",
    "SoftSpin",
    "Spherical",
    "binarise_images",
    "correlated_patterns",
    "daydream",
    "digit_patterns",
    "dreaming",
    "hebbian",
    "pseudo_inverse",
    "random_patterns",
    "retrieval",
    "sample",
    "theory",
    "unlearn",
]
