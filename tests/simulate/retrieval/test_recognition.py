import numpy as np
import pytest

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Glauber,
    Harmonic,
    PersistentGlauber,
    SoftSpin,
    dreaming,
    random_patterns,
    retrieval,
)

PATTERNS = random_patterns(5, 60, seed=0)


def test_uncoupled_spins_recognise_by_chance_and_cold_ones_always():
    # spins without couplings forget at once: each of 5 patterns is the nearest with probability 1/5
    free = retrieval.recognition(Glauber(np.zeros((60, 60)), 1.0), PATTERNS, [0.1], n_repeats=100, draws=1, seed=0)
    assert abs(float(free["accuracy"][0]) - 0.2) < 4 * np.sqrt(0.16 / 500)
    cold = retrieval.recognition(Glauber(dreaming(PATTERNS, 1.0), 0.1), PATTERNS, [0.0, 0.2], seed=0)
    assert (cold["accuracy"] == 1).all()
    assert (cold["mean_overlap"] > 0.98).all()
    assert cold["overlap"].dims == ("flipped", "pattern", "repeat")
    assert (cold["accuracy_std"] == 0).all()


def test_independent_spins_lose_the_pattern_at_the_rate_of_their_updates():
    # fields at pattern 0 alone: m = tanh(h / T), whatever the start, persistent or not
    for persistence in (0.0, 0.9):
        pull = PersistentGlauber(np.zeros((60, 60)), 1.0, persistence, fields=0.5 * PATTERNS[0])
        found = retrieval.recognition(pull, PATTERNS, [0.3], n_repeats=20, burn_in=100, draws=200, thin=2, seed=1)
        own = found["overlap"].isel(pattern=0)
        assert float(own.mean()) == pytest.approx(np.tanh(0.5), abs=0.02)
        assert found["recognised"].isel(pattern=0).all()
        assert not found["recognised"].isel(pattern=slice(1, None)).any()


def test_signs_of_units_and_equal_flips():
    units = ActiveOrnsteinUhlenbeck(dreaming(PATTERNS, 1.0), 1.0, 0.05, potential=SoftSpin(1.0))
    found = retrieval.recognition(units, PATTERNS, [0.1], n_repeats=2, burn_in=5, draws=3, seed=0)
    assert float(found["mean_overlap"][0]) == pytest.approx(1, abs=0.05)
    again = retrieval.recognition(units, PATTERNS, [0.1], n_repeats=2, burn_in=5, draws=3, seed=0)
    assert found.identical(again)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: retrieval.recognition(np.zeros((60, 60)), PATTERNS), "dynamics must be a dynamics"),
        (lambda: retrieval.recognition(Glauber(np.zeros((9, 9)), 1.0), PATTERNS), "couplings are for 9"),
        (lambda: retrieval.recognition(Glauber(np.zeros((60, 60)), 1.0), PATTERNS[:1]), "at least two"),
        (lambda: retrieval.recognition(Glauber(np.zeros((60, 60)), 1.0), PATTERNS, [1.5]), "from 0 to 1"),
        (
            lambda: retrieval.recognition(
                ActiveOrnsteinUhlenbeck(np.zeros((60, 60)), 1.0, 0.1, potential=Harmonic(1.0)), PATTERNS, n_repeats=0
            ),
            "n_repeats must be at least 1",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
