"""Driven dynamics and sampling from them."""

from simulate.dynamics.active import ActiveOrnsteinUhlenbeck
from simulate.dynamics.block_gibbs import BlockGibbs
from simulate.dynamics.dynamics import Dynamics
from simulate.dynamics.kinetic import KineticIsing
from simulate.dynamics.potentials import Harmonic, Potential, SoftSpin, Spherical
from simulate.dynamics.sampling import sample, trajectory
from simulate.dynamics.spherical import SphericalHopfield
from simulate.dynamics.spin_dynamics import SpinDynamics
from simulate.dynamics.spins import (
    ColoredFieldGlauber,
    Glauber,
    Metropolis,
    PersistentGlauber,
    TwoTemperatureGlauber,
)
from simulate.dynamics.tempering import parallel_tempering

__all__ = [
    "ActiveOrnsteinUhlenbeck",
    "BlockGibbs",
    "ColoredFieldGlauber",
    "Dynamics",
    "Glauber",
    "Harmonic",
    "KineticIsing",
    "Metropolis",
    "PersistentGlauber",
    "Potential",
    "SoftSpin",
    "Spherical",
    "SphericalHopfield",
    "SpinDynamics",
    "TwoTemperatureGlauber",
    "parallel_tempering",
    "sample",
    "trajectory",
]
