"""Energies far from 1: only their ratio to the temperature matters; what single precision cannot hold is refused."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from simulate import (
    BlockGibbs,
    ColoredFieldGlauber,
    Glauber,
    KineticIsing,
    Metropolis,
    PatternCouplings,
    PersistentGlauber,
    SpinDynamics,
    TwoTemperatureGlauber,
    hebbian,
    random_patterns,
    sample,
)

PATTERNS = random_patterns(2, 8, seed=0)
COUPLINGS = hebbian(PATTERNS)
FIELDS = np.linspace(-0.3, 0.3, 8)


@dataclass(frozen=True, eq=False)
class Written(SpinDynamics):
    couplings: Any
    temperature: float
    fields: Any = None

    def threshold_source(self, rng):
        def fill(sites, out):
            out[:] = self.temperature * rng.logistic(scale=0.5, size=len(sites))

        return fill


MAKERS = {
    "Glauber": lambda c: Glauber(c * COUPLINGS, c * 1.3, c * FIELDS),
    "sparse": lambda c: Glauber(sparse.csr_array(c * COUPLINGS), c * 1.3, c * FIELDS),
    "a bath for each spin": lambda c: Glauber(c * COUPLINGS, c * np.linspace(1, 2, 8), c * FIELDS),
    "Metropolis": lambda c: Metropolis(c * COUPLINGS, c * 1.3, c * FIELDS),
    "persistent": lambda c: PersistentGlauber(c * COUPLINGS, c * 1.3, 0.5, c * FIELDS),
    "coloured": lambda c: ColoredFieldGlauber(c * COUPLINGS, c * 1.3, 2.0, c * c * 0.5, c * FIELDS),
    "two baths": lambda c: TwoTemperatureGlauber(c * COUPLINGS, c * 1.3, c * 3.0, 0.5, c * FIELDS),
    "sequential": lambda c: KineticIsing(c * COUPLINGS, c * 1.3, fields=c * FIELDS),
    "parallel": lambda c: KineticIsing(c * COUPLINGS, c * 1.3, "parallel", c * FIELDS),
    "block Gibbs": lambda c: BlockGibbs(c * COUPLINGS, c * 1.3, c * FIELDS),
    "written by a user": lambda c: Written(c * COUPLINGS, c * 1.3, c * FIELDS),
}


@pytest.mark.parametrize("scale", [2.0**-160, 2.0**140])  # about 1e-48 and 1e42, beyond single precision
@pytest.mark.parametrize("name", MAKERS)
def test_only_energies_over_the_temperature_matter(name, scale):
    """Powers of two are divided out exactly, so that the very same states follow."""
    one, other = (sample(MAKERS[name](c), draws=100, chains=3, burn_in=5, seed=1, check=False) for c in (1.0, scale))
    np.testing.assert_array_equal(one["spins"], other["spins"])
    assert abs(one["spins"].values.mean(axis=(0, 1))).max() < 0.9


@pytest.mark.parametrize("couplings", [COUPLINGS, sparse.csr_array(COUPLINGS), PatternCouplings(PATTERNS)])
@pytest.mark.parametrize("dynamics", [Glauber, Metropolis, PersistentGlauber, KineticIsing, BlockGibbs])
def test_a_temperature_too_low_for_single_precision_is_refused(dynamics, couplings):
    with pytest.raises(ValueError, match=r"where the temperature is about .*raise it or lower the couplings"):
        sample(dynamics(couplings, 1e-46), draws=2, seed=0)


@pytest.mark.parametrize("scale", [1e39, 1e305])
def test_couplings_too_large_for_single_precision_are_refused(scale):
    with pytest.raises(ValueError, match="couplings and fields reach"):
        sample(Glauber(scale * COUPLINGS, 1.0), draws=2, seed=0)
    with pytest.raises(ValueError, match="couplings and fields reach"):
        sample(Glauber(COUPLINGS, 1.0, fields=scale), draws=2, seed=0)


def test_temperatures_too_far_apart_are_refused():
    for dynamics in (TwoTemperatureGlauber(COUPLINGS, 1e-20, 1e20), Glauber(COUPLINGS, 10.0 ** np.arange(0, 40, 5))):
        with pytest.raises(ValueError, match="too far apart for single precision"):
            sample(dynamics, draws=2, seed=0)


def test_ties_stay_ties_at_low_temperature():
    """Two neighbours of opposite signs leave a spin free: up half of the time, however low the temperature."""
    couplings = np.zeros((3, 3))
    couplings[0, 1:] = couplings[1:, 0] = 1.0
    dynamics = Glauber(couplings, 1e-9, fields=[0.0, 3.0, -3.0])
    spins = sample(dynamics, draws=4000, chains=4, seed=0, check=False)["spins"].values
    assert (spins[..., 1:] == [1, -1]).all()
    # a spin is not visited in a sweep with the chance (2/3)^3 = 0.30: integrated time 1.8; standard error 0.011
    assert abs(spins[..., 0].mean()) < 0.055
