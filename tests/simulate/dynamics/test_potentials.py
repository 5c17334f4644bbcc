from dataclasses import dataclass

import numpy as np
import pytest

from simulate import ActiveOrnsteinUhlenbeck, PatternCouplings, Potential, SoftSpin, hebbian, random_patterns, sample

PATTERNS = random_patterns(2, 10, seed=0)


@dataclass(frozen=True)
class Written(Potential):
    """b (x^2 - 1)^2 / 4 + c x^6 / 6 + d x, as a user writes it."""

    barrier: float = 1.0
    sextic: float = 0.0
    slope: float = 0.0

    def energy(self, x):
        return self.barrier * (x**2 - 1) ** 2 / 4 + self.sextic * x**6 / 6 + self.slope * x

    def derivative(self, x):
        return self.barrier * x * (x**2 - 1) + self.sextic * x**5 + self.slope

    def curvature(self, x):
        return self.barrier * (3 * x**2 - 1) + 5 * self.sextic * x**4


@pytest.mark.parametrize("couplings", [hebbian(PATTERNS), PatternCouplings(PATTERNS)])
def test_a_potential_that_a_user_writes_moves_units_as_the_compiled_one(couplings):
    runs = [
        sample(
            ActiveOrnsteinUhlenbeck(couplings, 0.7, 0.4, 0.1, potential, fields=0.2, time_step=0.02),
            draws=3,
            chains=2,
            burn_in=0,
            seed=3,
        )["x"].values
        for potential in (SoftSpin(1.5), Written(1.5))
    ]
    np.testing.assert_allclose(runs[0], runs[1], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("potential", [Written(1.0, 0.5), Written(0.5, 2.0, 0.3)])
def test_one_unit_has_its_boltzmann_law(potential):
    dynamics = ActiveOrnsteinUhlenbeck(np.zeros((40, 40)), 0.0, 0.3, 0.2, potential, time_step=0.01)
    x = sample(dynamics, draws=20, chains=16, burn_in=5, seed=0)["x"].values.astype(float)
    grid = np.linspace(-4, 4, 8001)
    weight = np.exp(-potential.energy(grid) / 0.5)
    for power in (1, 2, 4):
        chains = (x**power).mean(axis=(1, 2))
        expected = np.average(grid**power, weights=weight)
        scale = np.sqrt(np.average(grid ** (2 * power), weights=weight))
        # 5 standard errors of 16 chains, false alarm about 1e-4, and the error of the step
        assert abs(chains.mean() - expected) < 5 * chains.std(ddof=1) / 4 + 0.003 * scale
    energies = dynamics.energies(x[0].astype(float))
    np.testing.assert_allclose(energies, potential.energy(x[0]).sum(axis=1))
    assert "Written(barrier=" in str(dynamics.parameters()["potential"])


def test_stiffness_that_units_reach():
    # at a small T near a well: u'' = 2 b at x = 1; SoftSpin has a closed form of its own for the same
    assert Written(1.0).stiffest(0.0, 0.0, 1e-9) == pytest.approx(2.0, rel=1e-2)
    for temperature in (0.1, 1.0, 30.0):
        ratio = Written(1.0).stiffest(1.0, 0.5, temperature) / SoftSpin(1.0).stiffest(1.0, 0.5, temperature)
        assert 0.5 < ratio < 2.5
    with pytest.raises(ValueError, match=r"potential: Written does not hold units together; .* faster than 1 x"):
        _ = ActiveOrnsteinUhlenbeck(np.ones((2, 2)) / 2, 1.0, 0.1, 0.0, Written(0.0)).stiffest
    with pytest.raises(ValueError, match="no single stiffness"):
        _ = ActiveOrnsteinUhlenbeck(hebbian(PATTERNS), 1.0, 0.1, 0.0, Written(1.0)).stiffness
