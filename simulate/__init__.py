"""Models of driven spins: patterns -> couplings -> dynamics -> samples, and theory for comparison.

Modules are imported when one of their names is first used, so that importing the package is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from simulate.compilation import ensure_cache

if TYPE_CHECKING:
    from simulate import contrastive, retrieval, theory
    from simulate.couplings import PatternCouplings, dreaming, hebbian, pseudo_inverse
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
    from simulate.memory.boltzmann import boltzmann_learning
    from simulate.memory.neighbours import bounded_learning, centred_daydream, high_temperature_unlearn
    from simulate.memory.patterns import binarise_images, correlated_patterns, digit_patterns, random_patterns
    from simulate.memory.perceptron import perceptron
    from simulate.memory.thermal import thermal_unlearn
    from simulate.memory.unlearning import daydream, eigenvector_dreaming, unlearn

_HOME = {
    "ActiveOrnsteinUhlenbeck": "simulate.dynamics.active",
    "BlockGibbs": "simulate.dynamics.block_gibbs",
    "ColoredFieldGlauber": "simulate.dynamics.spins",
    "Dynamics": "simulate.dynamics.dynamics",
    "Glauber": "simulate.dynamics.spins",
    "Harmonic": "simulate.dynamics.potentials",
    "KineticIsing": "simulate.dynamics.kinetic",
    "Metropolis": "simulate.dynamics.spins",
    "PatternCouplings": "simulate.couplings",
    "PersistentGlauber": "simulate.dynamics.spins",
    "Potential": "simulate.dynamics.potentials",
    "SoftSpin": "simulate.dynamics.potentials",
    "Spherical": "simulate.dynamics.potentials",
    "SphericalHopfield": "simulate.dynamics.spherical",
    "SpinDynamics": "simulate.dynamics.spin_dynamics",
    "TwoTemperatureGlauber": "simulate.dynamics.spins",
    "binarise_images": "simulate.memory.patterns",
    "boltzmann_learning": "simulate.memory.boltzmann",
    "bounded_learning": "simulate.memory.neighbours",
    "centred_daydream": "simulate.memory.neighbours",
    "correlated_patterns": "simulate.memory.patterns",
    "daydream": "simulate.memory.unlearning",
    "digit_patterns": "simulate.memory.patterns",
    "dreaming": "simulate.couplings",
    "eigenvector_dreaming": "simulate.memory.unlearning",
    "hebbian": "simulate.couplings",
    "high_temperature_unlearn": "simulate.memory.neighbours",
    "parallel_tempering": "simulate.dynamics.tempering",
    "perceptron": "simulate.memory.perceptron",
    "pseudo_inverse": "simulate.couplings",
    "random_patterns": "simulate.memory.patterns",
    "sample": "simulate.dynamics.sampling",
    "thermal_unlearn": "simulate.memory.thermal",
    "trajectory": "simulate.dynamics.sampling",
    "unlearn": "simulate.memory.unlearning",
}
_MODULES = ("contrastive", "retrieval", "theory")

__all__ = [
    "ActiveOrnsteinUhlenbeck",
    "BlockGibbs",
    "ColoredFieldGlauber",
    "Dynamics",
    "Glauber",
    "Harmonic",
    "KineticIsing",
    "Metropolis",
    "PatternCouplings",
    "PersistentGlauber",
    "Potential",
    "SoftSpin",
    "Spherical",
    "SphericalHopfield",
    "SpinDynamics",
    "TwoTemperatureGlauber",
    "binarise_images",
    "boltzmann_learning",
    "bounded_learning",
    "centred_daydream",
    "contrastive",
    "correlated_patterns",
    "daydream",
    "digit_patterns",
    "dreaming",
    "eigenvector_dreaming",
    "hebbian",
    "high_temperature_unlearn",
    "parallel_tempering",
    "perceptron",
    "pseudo_inverse",
    "random_patterns",
    "retrieval",
    "sample",
    "theory",
    "thermal_unlearn",
    "trajectory",
    "unlearn",
]


ensure_cache()


if not TYPE_CHECKING:  # to type checkers a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"simulate.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'simulate' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
