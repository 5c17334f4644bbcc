"""Do the couplings of two recordings differ: rates of false alarms and of detections, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from infer import PseudoLikelihood, Samples, compare_recordings
from infer.similarity import two_recordings
from infer.statistics.batches import batch_roots
from simulate import PersistentGlauber, sample
from tests import exact

VALIDATION = Path(__file__).resolve().parents[2] / "VALIDATION.md"


def two_recordings_of(couplings, n_rows=(2000, 2000), shift=0.6, seed=0, correlated=False):
    """Recordings of the same couplings and of fields, hence rates, that differ."""
    rng = np.random.default_rng(seed)
    found = []
    for n, extra in zip(n_rows, (0.0, -shift), strict=True):
        fields = rng.normal(0, 0.3, len(couplings)) + extra
        if correlated:
            dynamics = PersistentGlauber(couplings=couplings, temperature=1.0, persistence=0.0, fields=fields)
            found.append(sample(dynamics, draws=n // 2, chains=2, burn_in=50, seed=rng))
        else:
            found.append(exact.draw(couplings, n, fields, seed=rng))
    return found


def test_weighted_means_and_variances_are_those_of_batch_means():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(12, 3)) + 5, rng.integers(1, 5, 12).astype(float)
    member = np.zeros((2, 12))
    member[0, :7] = member[1, [0, 3, 4, 11]] = 1
    mean, variance = two_recordings._weighted(member, weight, values)
    for row, group in enumerate(member > 0):
        share = weight[group] / weight[group].sum()
        roots = batch_roots(share[:, None] * values[group], share)[0]
        np.testing.assert_allclose(mean[row], np.average(values[group], axis=0, weights=weight[group]))
        np.testing.assert_allclose(variance[row], (roots**2).sum(axis=0), rtol=1e-10)


def test_couplings_and_errors_are_those_of_pseudo_likelihood():
    couplings = exact.random_couplings(6, 0.6, 1)
    a, b = two_recordings_of(couplings, (10_000, 10_000))
    found = compare_recordings(a, b, n_permutations=100)
    one, other = (PseudoLikelihood(alpha=1e-4, fit_fields=True).fit(rows) for rows in (a, b))
    np.testing.assert_allclose(found.couplings_a, one.couplings_, atol=1e-5)
    np.testing.assert_allclose(found.couplings_b, other.couplings_, atol=1e-5)
    expected = np.hypot(one.couplings_std_, other.couplings_std_)
    # curvatures of all rows here and of 4000 there
    np.testing.assert_allclose(found.difference_std, expected, rtol=0.06, atol=1e-12)
    np.testing.assert_allclose(found.difference, one.couplings_ - other.couplings_, atol=2e-5)


def test_a_planted_difference_is_found_and_named():
    couplings = exact.random_couplings(6, 0.6, 2)
    changed = couplings.copy()
    changed[1, 4] += 0.5
    changed[4, 1] += 0.5
    a = exact.draw(couplings, 3000, np.full(6, 0.2), seed=1)
    b = exact.draw(changed, 3000, np.full(6, -0.3), seed=2)
    found = compare_recordings(a, b)
    assert found.couplings_differ
    np.testing.assert_array_equal(found.differing_pairs, [[1, 4]])
    assert "1-4 (-0." in found.verdict
    assert "1 pair differs by itself" in found.verdict
    assert 0.08 < found.rms_difference < 0.2  # 0.5 in one of 15 pairs is 0.129
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["differing_pairs"] == [[1, 4]]
    data = found.to_dataset()
    assert data["difference"].shape == (6, 6)
    assert data.attrs["p_value"] == found.p_value


def alarms(n_runs, n_rows, n_spins=6, n_permutations=300, correlated=False, shift=0.6):
    """Rates at which "couplings differ" and at which any pair is named, of recordings of the same couplings."""
    overall = named = 0
    for seed in range(n_runs):
        couplings = exact.random_couplings(n_spins, 0.6, seed)
        a, b = two_recordings_of(couplings, n_rows, shift, seed, correlated)
        found = compare_recordings(a, b, n_permutations=n_permutations, seed=seed)
        overall += bool(found.couplings_differ)
        named += len(found.differing_pairs) > 0
    return overall / n_runs, named / n_runs


def test_false_alarms_in_short():
    """20 runs at 5 %: five or more alarms are a false alarm of 0.3 %."""
    overall, named = alarms(20, (1200, 800), n_permutations=100)
    assert overall < 0.25
    assert named < 0.25


CELLS = [
    ((2000, 2000), 6, False, 0.6),
    ((10_000, 1500), 6, False, 0.6),
    ((3000, 3000), 10, False, 0.8),
    ((4000, 4000), 8, True, 0.6),
    ((20_000, 4000), 10, True, 0.6),
]


@pytest.mark.validation
@pytest.mark.parametrize(("n_rows", "n_spins", "correlated", "shift"), CELLS)
def test_false_alarms_over_two_hundred_runs(n_rows, n_spins, correlated, shift):
    """200 runs at 5 % scatter by 1.5 %: three of those above."""
    overall, named = alarms(200, n_rows, n_spins, 400, correlated, shift)
    with VALIDATION.open("a") as file:
        kind = "sweeps of chains" if correlated else "independent rows"
        file.write(
            f"- `compare_recordings`, {n_spins} spins, {n_rows[0]} and {n_rows[1]} {kind}, fields {shift} apart, same "
            f"couplings, 200 runs at 5 %: couplings differ {100 * overall:.1f} %, any pair named {100 * named:.1f} %.\n"
        )
    assert overall < 0.096
    assert named < 0.096


def test_pairs_whose_combinations_are_rare_are_not_judged():
    rng = np.random.default_rng(0)
    a, b = rng.choice([-1, 1], size=(2, 1000, 4))
    a[:, 0] = np.where(rng.random(1000) < 0.01, 1, -1)
    found = compare_recordings(a, b, n_permutations=50)
    assert found.n_judged == 3
    assert np.isnan(found.difference[0, 1:]).all()
    assert np.isfinite(found.difference[1:, 1:]).all()
    assert "3 of 6 pairs are not judged" in found.verdict
    a[:, :3] = a[:, :1]
    a[:, 3] = 1
    nothing = compare_recordings(a, b, n_permutations=50)
    assert nothing.couplings_differ is None
    assert "cannot be compared" in nothing.verdict
    json.dumps(nothing.to_dict(), allow_nan=False)


def test_counted_states_runs_and_seeds():
    couplings = exact.random_couplings(5, 0.6, 3)
    a, b = two_recordings_of(couplings, (1500, 1500))
    states, counts = np.unique(a, axis=0, return_counts=True)
    found = compare_recordings(Samples.of(states, counts), b, n_permutations=50)
    plain = compare_recordings(a, b, n_permutations=50)
    np.testing.assert_allclose(found.couplings_a, plain.couplings_a, atol=1e-5)
    again = compare_recordings(a, b, n_permutations=50)
    np.testing.assert_array_equal(again.pair_p_values, plain.pair_p_values)
    runs = Samples.of(a, chains=np.repeat(np.arange(30), 50))
    assert compare_recordings(runs, b, n_permutations=50).n_blocks[0] >= 30  # no block crosses runs


def test_what_cannot_be_compared_is_refused():
    rows = np.random.default_rng(0).choice([-1, 1], size=(200, 4))
    named = Samples.of(rows, names=("a", "b", "c", "d"))
    for args, message in (
        ((rows, rows[:, :3]), "a has 4 spins and b has 3"),
        ((named, Samples.of(rows, names=("a", "c", "b", "d"))), "spin 1 is 'b' in a and 'c' in b"),
        ((rows[:30], rows), "a: 30 rows are too few"),
        ((rows, Samples.of(rows, np.full(200, 0.5))), "b: weights that are not counts"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_recordings(*args)
    with pytest.raises(ValueError, match="false_alarms"):
        compare_recordings(rows, rows, false_alarms=5)
