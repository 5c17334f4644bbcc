"""Theory of driven dynamics: effective couplings, dreaming rates, covariances, energies, entropy production.

Functions of a dynamics return its closed form, or raise a ValueError where none is known.
"""

from simulate.dynamics.potentials import mode_variance, spherical_stiffness
from simulate.dynamics.responses import coloured_variance, persistent_variance
from simulate.theory.cavity import DynamicalMeanField, dynamical_mean_field
from simulate.theory.dissipation import estimate_dissipation, estimate_word_entropy_production
from simulate.theory.effective_energy import effective_energy
from simulate.theory.entropy import entropy_production, estimate_entropy_production, linear_entropy_production
from simulate.theory.fitted import fitted_rate_and_slope, mean_field_couplings
from simulate.theory.limits import (
    LargeSystem,
    limit_of_active_units,
    limit_of_coloured_spins,
    limit_of_persistent_spins,
)
from simulate.theory.linear_response import dreaming_rate, effective_couplings, effective_slope
from simulate.theory.quadratic import limiting_stiffness, stationary_covariance
from simulate.theory.spectrum import hebbian_spectrum
from simulate.theory.spherical import SphericalRetrieval, spherical_retrieval
from simulate.theory.transitions import transition_active_temperature, transition_temperature

__all__ = [
    "DynamicalMeanField",
    "LargeSystem",
    "SphericalRetrieval",
    "coloured_variance",
    "dreaming_rate",
    "dynamical_mean_field",
    "effective_couplings",
    "effective_energy",
    "effective_slope",
    "entropy_production",
    "estimate_dissipation",
    "estimate_entropy_production",
    "estimate_word_entropy_production",
    "fitted_rate_and_slope",
    "hebbian_spectrum",
    "limit_of_active_units",
    "limit_of_coloured_spins",
    "limit_of_persistent_spins",
    "limiting_stiffness",
    "linear_entropy_production",
    "mean_field_couplings",
    "mode_variance",
    "persistent_variance",
    "spherical_retrieval",
    "spherical_stiffness",
    "stationary_covariance",
    "transition_active_temperature",
    "transition_temperature",
]
