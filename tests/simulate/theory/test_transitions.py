import numpy as np
import pytest

from simulate import PatternCouplings, PersistentGlauber, random_patterns, sample, theory


def test_without_activity_it_is_that_of_equilibrium():
    for load in (0.01, 0.3, 2.0):
        assert theory.transition_temperature(load) == pytest.approx(1 + np.sqrt(load))
        assert theory.transition_temperature(load, 0.0, 3.0, 0.0) == pytest.approx(1 + np.sqrt(load))
    # and joins on to it: persistence and coloured fields lower the temperature
    assert theory.transition_temperature(0.2, 1e-3) == pytest.approx(1 + np.sqrt(0.2), rel=1e-3)
    lowered = [theory.transition_temperature(0.2, a) for a in (0.0, 0.2, 0.5, 0.9, 0.99)]
    assert (np.diff(lowered) < 0).all()


@pytest.mark.slow
def test_transition_in_coloured_fields():
    assert theory.transition_temperature(0.2, 0.0, 5.0, 5e-4) == pytest.approx(1 + np.sqrt(0.2), rel=5e-3)
    # fresh at every visit, a weak field adds to the temperature as its variance does, and T_c falls by half of it
    # over T
    assert 0.9 < theory.transition_temperature(0.2, 0.0, 5.0, 2.5) < 1.1
    assert theory.transition_temperature(0.2, 0.0, 5.0, 15.0) == 0


def spin_glass_susceptibility(dynamics, burn_in, seed):
    """N <q^2> of the overlap q of independent runs, the mean square variance along the modes."""
    spins = sample(dynamics, draws=30, chains=16, burn_in=burn_in, thin=20, seed=seed, check=False)["spins"].values
    spins = spins.astype(np.float32)
    overlaps = np.einsum("cdi,edi->dce", spins, spins)[:, *np.triu_indices(16, 1)] / dynamics.n_spins
    return dynamics.n_spins * float((overlaps**2).mean())


@pytest.mark.parametrize("persistence", [0.0, 0.9])
def test_the_spin_glass_susceptibility_grows_with_size_below_the_transition_only(persistence):
    critical = theory.transition_temperature(0.2, persistence)
    for ratio, low, high in ((0.75, 2.0, 5.0), (1.4, 0.6, 1.5)):
        grown = []
        for n_spins in (50, 200):
            found = [
                spin_glass_susceptibility(
                    PersistentGlauber(
                        PatternCouplings(random_patterns(n_spins // 5, n_spins, seed=seed)),
                        ratio * critical,
                        persistence,
                    ),
                    300,
                    seed,
                )
                for seed in range(3)
            ]
            grown.append(np.mean(found))
        # four times as many spins: it follows the number below the transition and is a constant far above
        assert low < grown[1] / grown[0] < high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0,), "load must be > 0"),
        ((0.1, 1.0), "persistence must be"),
        ((0.1, 0.0, None, 1.0), "give its persistence_time too"),
        ((0.1, 0.5, 2.0, 1.0), "give one"),
        ((0.1, 0.0, 0.0, 1.0), "persistence_time must be > 0"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        theory.transition_temperature(*arguments)
