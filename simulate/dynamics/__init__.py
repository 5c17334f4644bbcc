"""Driven dynamics and the samples they give."""

from simulate.dynamics.active import ActiveOrnsteinUhlenbeck, Harmonic, SoftSpin, Spherical
from simulate.dynamics.base import Dynamics
from simulate.dynamics.sampling import sample
from simulate.dynamics.spins import PersistentGlauber

__all__ = [
    "ActiveOrnsteinUhlenbeck",
    "Dynamics",
    "Harmonic",
    "PersistentGlauber",
    "SoftSpin",
    "Spherical",
    "sample",
]
