import numpy as np
import pytest

from simulate import hebbian, random_patterns, theory


@pytest.mark.parametrize("load", [0.2, 1.0, 1.5])
def test_limiting_stiffness_is_that_of_large_systems(load):
    n_spins = 1200
    eigenvalues = np.linalg.eigvalsh(hebbian(random_patterns(round(load * n_spins), n_spins, seed=0)))
    limit, condensed = theory.limiting_stiffness(load, 2.5, 2.5, 1.5)
    assert condensed == 0
    # corrections are of order 1 / N for the mean over a spectrum
    assert theory.spherical_stiffness(eigenvalues, 2.5, 2.5, 1.5) == pytest.approx(limit, rel=5 / n_spins)


def test_equilibrium_limit_in_closed_form():
    # the resolvent of Marchenko and Pastur is known: T times it at k is 1, which can be solved for T instead of k
    load, k = 0.3, 2.2
    z = k + load  # eigenvalue z of xi^T xi / N
    resolvent = (z + 1 - load - np.sqrt((z - 1 - load) ** 2 - 4 * load)) / (2 * z)
    stiffness, condensed = theory.limiting_stiffness(load, 1 / resolvent, 0.0, 0.0)
    assert condensed == 0
    assert stiffness == pytest.approx(k, rel=1e-8)


def test_leading_mode_condenses_below_the_transition():
    edge = (1 + np.sqrt(0.3)) ** 2 - 0.3
    # at the edge the resolvent is 1 / (1 + sqrt(load)): in equilibrium condensation starts at T = 1 + sqrt(load)
    critical = 1 + np.sqrt(0.3)
    assert theory.limiting_stiffness(0.3, 1.001 * critical, 0.0, 0.0)[0] > edge
    stiffness, condensed = theory.limiting_stiffness(0.3, 0.75 * critical, 0.0, 0.0)
    assert stiffness == pytest.approx(edge)
    assert condensed == pytest.approx(0.25, abs=1e-6)
    # in a finite system the leading mode takes the share
    eigenvalues = np.linalg.eigvalsh(hebbian(random_patterns(360, 1200, seed=0)))
    k = theory.spherical_stiffness(eigenvalues, 0.75 * critical, 0.0, 0.0)
    shares = 0.75 * critical / (k - eigenvalues) / 1200
    assert shares[-3:].sum() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1, 1, 1), "load must be > 0"),
        ((0.1, 0, 0, 1), "both 0"),
        ((0.1, 1, 1, -1), "persistence_time must be >= 0"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        theory.limiting_stiffness(*arguments)
