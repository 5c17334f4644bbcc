"""The public function: reference numbers on recordings, what it says, what it refuses."""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from infer import EnergyLandscape, MaximumLikelihood, PairModel, energy_landscape, read_recording
from infer.landscape import thermodynamics
from infer.landscape.figures import landscape_panels
from infer.samples import Samples
from tests import exact
from tests.data import recording
from tests.infer.landscape import brute


@pytest.fixture(scope="module")
def house():
    rows = read_recording(recording("house84.csv"), missing="drop")
    return energy_landscape(MaximumLikelihood(alpha=0.02, fit_fields=True).fit(rows), rows, seed=0)


def test_votes_of_the_house(house):
    # numbers computed independently, from the same 232 complete rows
    assert house.exact
    assert house.minima.shape == (9, 16)
    energies = [-12.4059, -12.3995, -12.2798, -11.8299, -9.5807, -9.1579, -8.1149, -7.4665, -4.0638]
    np.testing.assert_allclose(house.energies, energies, atol=5.1e-5)
    assert house.basin_sizes.tolist() == [10618, 15429, 24127, 7760, 1590, 4754, 932, 281, 45]
    depths = [0.2274, 0.2210, 0.7613, 0.3114, 0.3278, 0.6701, 0.2389, 0.0888, 0.0500]
    np.testing.assert_allclose(house.depths, depths, atol=5.1e-5)
    shares = [0.2284, 0.2371, 0.3707, 0.0991, 0.0216, 0.0302, 0.0043, 0.0086, 0.0]
    np.testing.assert_allclose(house.shares, shares, atol=5.1e-5)
    accuracy = house.accuracy
    assert accuracy.entropy_independent == pytest.approx(15.395, abs=5.1e-4)
    assert accuracy.entropy_model == pytest.approx(9.779, abs=5.1e-4)
    assert accuracy.entropy_samples == pytest.approx(6.992, abs=5.1e-4)
    assert accuracy.r == pytest.approx(0.6683, abs=5.1e-5)
    assert accuracy.r_divergence == pytest.approx(0.6912, abs=5.1e-5)


def test_saddles_of_the_house_are_heights_of_the_tree(house):
    saddles = house.saddles
    np.testing.assert_array_equal(np.diag(saddles), house.energies)
    np.testing.assert_array_equal(saddles, saddles.T)
    # no way over a third minimum is lower
    assert (saddles <= np.maximum(saddles[:, :, None], saddles[None]).min(axis=1) + 1e-12).all()
    off = saddles + np.diag(np.full(9, np.inf))
    np.testing.assert_allclose(off.min(axis=1) - house.energies, house.depths)


def test_votes_of_the_house_in_words(house):
    assert repr(house) == "EnergyLandscape(9 minima of 16 spins, exact)"
    assert "The model has 9 local minima" in house.verdict
    assert "The rows lie in 8 of the basins, 37.1% of them in that of minimum 2" in house.verdict
    assert "explains 0.6683 of the multi-information of the rows (r; r_D 0.6912)" in house.verdict
    assert "58% of the rows are states seen only once" in house.verdict
    assert house.verdict in house.summary().replace("\n", " ")
    assert "<pre>" in house._repr_html_()


def test_votes_of_the_house_as_numbers(house):
    found = json.loads(json.dumps(house.to_dict(), allow_nan=False))
    assert found["basin_sizes"][2] == 24127
    assert found["accuracy"]["r"] == pytest.approx(0.6683, abs=1e-4)
    assert np.shape(found["saddles"]) == (9, 9)
    table = house.to_dataset()
    assert table["minima"].dims == ("minimum", "spin")
    assert table["saddles"].dims == ("minimum", "other_minimum")
    np.testing.assert_array_equal(table["transitions"].sum(), house.visits.n_steps)
    assert table.attrs["r"] == pytest.approx(0.6683, abs=1e-4)


def cortex(tol):
    """Landscape without penalty: of pairs that never fire together, whose couplings have no finite optimum."""
    spins = np.load(recording("cortex_example15.npz"), allow_pickle=False)["spins"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MaximumLikelihood(alpha=0.0, fit_fields=True, tol=tol).fit(spins)
    return energy_landscape(model, spins, seed=0)


def test_cortex_has_one_minimum():
    found = cortex(1e-4)
    assert found.minima.tolist() == [[-1] * 15]
    assert found.basin_sizes.tolist() == [2**15]
    assert found.saddles.tolist() == [[found.energies[0]]]
    assert np.isnan(found.depths).all()
    assert found.accuracy.r == pytest.approx(0.5993, abs=5e-4)  # on the way to the limit, as far as the fit goes
    assert "one local minimum, all spins at -1" in found.verdict
    assert "nan" not in found.summary()


@pytest.mark.validation
def test_cortex_to_the_digits():
    assert cortex(1e-8).accuracy.r == pytest.approx(0.5993, abs=5.1e-5)


def test_shares_of_basins_in_the_model_are_probabilities():
    rng = np.random.default_rng(0)
    couplings, fields = exact.random_couplings(7, 2.0, rng), rng.normal(0, 0.2, 7)
    found = energy_landscape(couplings, fields=fields, seed=1)
    labels = brute.basins(exact.energies(couplings, fields))
    np.testing.assert_allclose(found.model_shares, np.bincount(labels, exact.boltzmann(couplings, fields)))
    assert (found.model_shares_std == 0).all()
    assert found.shares is None
    assert found.visits is None
    assert found.accuracy is None
    # chains start in equilibrium, so that their shares are the same within noise
    assert np.abs(found.model_visits.shares - found.model_shares).max() < 0.1


def test_weights_are_repeats():
    rng = np.random.default_rng(2)
    couplings = exact.random_couplings(5, 2.0, rng)
    rows = exact.draw(couplings, 40, seed=rng)
    counts = rng.integers(1, 5, 40)
    by_count = energy_landscape(couplings, Samples.of(rows, counts), seed=0)
    repeated = energy_landscape(couplings, np.repeat(rows, counts, axis=0), seed=0)
    np.testing.assert_allclose(by_count.shares, repeated.shares)
    assert by_count.accuracy.r == pytest.approx(repeated.accuracy.r)
    assert by_count.accuracy.seen_once == pytest.approx(repeated.accuracy.seen_once)
    assert by_count.visits.transitions is None


def test_transitions_respect_runs_and_missing_values():
    couplings = np.full((4, 4), 0.8)
    up, down = np.ones(4), -np.ones(4)
    gap = np.array([1, 0, 1, 1])
    rows = np.array([up, down, down, up, gap, down], dtype=np.int8)
    runs = Samples.of(rows, chains=[0, 0, 1, 1, 1, 1], names="abcd", gaps=True)
    found = energy_landscape(couplings, runs, seed=0)
    # down to down lies between two runs, up to down across a missing row: neither counts
    assert found.visits.transitions.tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(found.shares, [0.6, 0.4])
    assert found.names == tuple("abcd")
    assert found.assign(rows).tolist() == [1, 0, 0, 1, -1, 0]


def test_patterns_are_found_as_memories():
    patterns = np.where(np.random.default_rng(0).random((2, 16)) < 0.5, 1, -1)
    couplings = 3.0 * (patterns.T @ patterns) / 16
    found = energy_landscape(couplings, patterns=patterns, seed=0)
    assert found.memories.mirrored
    assert found.memories.are_minima.all()
    assert "2 of 2 patterns are minima themselves or as mirror images" in found.verdict
    assert np.abs(found.memories.overlaps).max() == 1.0
    with_field = energy_landscape(couplings, fields=np.full(16, 0.1), patterns=patterns, seed=0)
    assert not with_field.memories.mirrored


def test_a_model_with_more_than_pairs():
    class Counts:
        n_spins = 6

        def energies(self, spins):
            return model.energies(spins) - potential[(np.asarray(spins) > 0).sum(axis=1)]

    rng = np.random.default_rng(1)
    model = PairModel(exact.random_couplings(6, 1.0, rng), rng.normal(0, 0.3, 6))
    potential = rng.normal(0, 2.0, 7)
    energies = brute.count_energies(model.couplings, model.fields, potential)
    states, _ = brute.minima(energies)
    found = energy_landscape(Counts(), exact.all_states(6), seed=0)
    np.testing.assert_allclose(found.energies, energies[states])
    np.testing.assert_allclose(found.saddles, brute.saddles(energies, states))
    p = np.exp(-energies) / np.exp(-energies).sum()
    assert found.accuracy.entropy_model == pytest.approx(-p @ np.log2(p))
    # a fitted estimator tells its potential by this attribute
    estimator = SimpleNamespace(fit=None, couplings_=model.couplings, fields_=model.fields, count_potential_=potential)
    np.testing.assert_allclose(energy_landscape(estimator, seed=0).energies, energies[states])
    estimator.count_potential_ = potential[:-1]
    with pytest.raises(ValueError, match=r"potential: expected shape \(7,\), one for each number of \+1"):
        energy_landscape(estimator)
    Counts.n_spins = 21
    with pytest.raises(ValueError, match="a Counts of 21 spins: above 20 spins"):
        energy_landscape(Counts())


@pytest.mark.slow
def test_beyond_twenty_spins():
    # two copies of a model of 11 spins: minima, energies, entropy and heat capacity are known
    rng = np.random.default_rng(4)
    half, field = exact.random_couplings(11, 1.8, rng), rng.normal(0, 0.1, 11)
    couplings = np.kron(np.eye(2), half)
    one = energy_landscape(half, fields=field, seed=0)
    rows = exact.draw(half, 300, field, seed=rng)
    rows = np.hstack([rows, rows[::-1]])
    two = energy_landscape(couplings, rows, fields=np.tile(field, 2), seed=0)
    assert not two.exact
    assert two.basin_sizes is None
    # minima of the whole are pairs of minima of the halves
    a, b = one.assign(two.minima[:, :11]), one.assign(two.minima[:, 11:])
    np.testing.assert_array_equal(two.minima, np.hstack([one.minima[a], one.minima[b]]))
    np.testing.assert_allclose(two.energies, one.energies[a] + one.energies[b])
    # the lowest way out is that of one of the halves, where the minimum that it leads to was found
    truth = np.minimum(one.depths[a], one.depths[b])
    assert (two.depths >= truth - 1e-9).all()
    assert np.mean(two.depths < truth + 1e-9) > 0.5
    np.testing.assert_allclose(two.shares.sum(), 1.0)
    shares = one.model_shares[a] * one.model_shares[b]
    often = shares > 0.02
    # false alarms at 1e-4: chains, each counted once, that mix
    assert (np.abs(two.model_shares - shares) < 5.0 * two.model_shares_std)[often].all()
    for name in ("entropy", "heat_capacity"):
        error = getattr(two.thermodynamics, f"{name}_std")
        distance = getattr(two.thermodynamics, name) - 2 * getattr(one.thermodynamics, name)
        assert (np.abs(distance) < 5.0 * error).all(), name
    assert two.accuracy.r_std > 0
    assert "upper bounds" in two.verdict


def test_shares_of_valleys_that_chains_do_not_leave():
    # two ferromagnets: chains fall into a valley at a temperature at which the field hardly tells up from down
    half, field = np.full((11, 11), 0.35), np.full(11, 0.06)
    one = energy_landscape(half, fields=field, seed=0)
    two = energy_landscape(np.kron(np.eye(2), half), fields=np.tile(field, 2), temperatures=[1.0], seed=1)
    a, b = one.assign(two.minima[:, :11]), one.assign(two.minima[:, 11:])
    truth = one.model_shares[a] * one.model_shares[b]
    assert two.n_minima == 4
    assert (np.abs(two.model_shares - truth) < 5.0 * two.model_shares_std).all()
    assert two.model_shares_std.max() < 0.06
    # chains that counted alike would be far off
    alike = two.model_visits.transitions.sum(axis=1) / two.model_visits.n_steps
    assert abs(alike[0] - truth[0]) > 0.1


@pytest.mark.slow
def test_walls_too_high_for_annealing_leave_shares_open():
    couplings = np.full((22, 22), 50.0)
    found = energy_landscape(couplings, np.ones((4, 22)), temperatures=[1.0], seed=0)
    assert found.n_minima == 2
    assert np.isnan(found.model_shares).all()
    assert np.isnan(found.thermodynamics.entropy).all()
    assert "nan" not in found.summary()
    assert "the model: not known" in found.verdict
    landscape_panels(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_plateaus_are_said():
    assert "a plateau of 8 states of equal energy" in energy_landscape(np.zeros((3, 3)), seed=0).verdict
    couplings = np.zeros((4, 4))
    couplings[:3, :3] = 0.7
    assert "2 minima are plateaus of up to 2 states" in energy_landscape(couplings, seed=0).verdict


def test_same_seed_same_numbers(monkeypatch):
    monkeypatch.setattr(thermodynamics, "N_STEPS", 50)
    couplings = exact.random_couplings(21, 1.0, 0)
    first, second = (energy_landscape(couplings, temperatures=[1.0], n_model_rows=400, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.minima, second.minima)
    np.testing.assert_array_equal(first.model_visits.transitions, second.model_visits.transitions)
    np.testing.assert_array_equal(first.thermodynamics.entropy, second.thermodynamics.entropy)


def test_inputs_stay_as_they_were():
    couplings = exact.random_couplings(5, 1.0, 0)
    rows = exact.draw(couplings, 20)
    before = couplings.copy(), rows.copy()
    energy_landscape(couplings, rows, patterns=rows[:2], seed=0)
    np.testing.assert_array_equal(couplings, before[0])
    np.testing.assert_array_equal(rows, before[1])


def test_too_many_minima_have_a_tree_but_no_table():
    # antiferromagnet of 14 spins: every state of 7 up is a minimum
    found = energy_landscape(-np.ones((14, 14)), seed=0)
    assert found.n_minima == 3432
    assert len(found.merges.energies) == 3431
    np.testing.assert_allclose(found.depths, 2.0)
    with pytest.raises(ValueError, match="3432 minima are too many for a table of all pairs"):
        _ = found.saddles
    assert "saddles" not in found.to_dict()
    assert "saddles" not in found.to_dataset()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": MaximumLikelihood()}, "not fitted"),
        ({"model": np.ones((3, 2))}, "square matrix"),
        ({"samples": np.ones((4, 5))}, r"expected shape \(n_rows, 3\) to fit the model, got \(4, 5\)"),
        ({"samples": np.full((4, 3), 2)}, "row 0, column 0"),
        ({"samples": Samples.of(np.zeros((4, 3)), gaps=True)}, "every row has missing values"),
        ({"patterns": np.ones((2, 4))}, r"expected shape \(n_patterns, 3\)"),
        ({"temperatures": [0.0]}, "temperatures"),
        ({"n_model_rows": 10}, "n_model_rows"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        energy_landscape(**{"model": np.ones((3, 3)), **arguments})


def test_the_result_is_public():
    found = energy_landscape(np.ones((3, 3)), seed=0)
    assert isinstance(found, EnergyLandscape)
    np.testing.assert_array_equal(np.abs(found.minima.sum(axis=1)), [3, 3])  # all alike, up or down
