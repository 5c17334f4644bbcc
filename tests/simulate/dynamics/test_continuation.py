"""Continued runs keep the memory of spins and use new random numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr

from simulate import (
    ActiveOrnsteinUhlenbeck,
    BlockGibbs,
    ColoredFieldGlauber,
    Glauber,
    Harmonic,
    KineticIsing,
    Metropolis,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    SphericalHopfield,
    SpinDynamics,
    hebbian,
    random_patterns,
    sample,
    trajectory,
)
from simulate.checks import seed_sequence
from simulate.dynamics.spin_dynamics import Thresholds

PATTERNS = random_patterns(2, 20, seed=0)
COUPLINGS = hebbian(PATTERNS)
FREE = np.zeros((50, 50))


@dataclass(frozen=True, eq=False)
class Remembering(SpinDynamics):
    """Written by a user: every spin keeps the threshold of its first update for good."""

    couplings: Any
    fields: Any = None

    def threshold_source(self, rng):
        memory = rng.normal(size=self.n_spins)

        def fill(sites, out):
            out[:] = memory[sites]

        return Thresholds(fill, memory)


DYNAMICS = {
    "Glauber": Glauber(COUPLINGS, 1.5),
    "Metropolis": Metropolis(PatternCouplings(PATTERNS), 1.5),
    "persistent": PersistentGlauber(COUPLINGS, 1.5, 0.9),
    "coloured": ColoredFieldGlauber(COUPLINGS, 1.5, 2.0, 1.0),
    "sequential": KineticIsing(COUPLINGS, 1.5),
    "parallel": KineticIsing(COUPLINGS, 1.5, "parallel"),
    "block Gibbs": BlockGibbs(COUPLINGS, 1.5),
    "soft spins": ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.5, temperature=0.1, potential=SoftSpin(1.0)),
    "spherical": SphericalHopfield(PatternCouplings(PATTERNS), 1.0, 0.1, 0.5, 1.0, time_step=0.05),
    "harmonic": ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.5, temperature=0.1, potential=Harmonic(3.0)),
}


def run(dynamics, **arguments):
    return sample(dynamics, **{"draws": 50, "check": False} | arguments)


def test_the_chains_go_on():
    glauber = DYNAMICS["Glauber"]
    first = sample(glauber, draws=50, chains=2, seed=0)
    second = sample(glauber, draws=50, burn_in=0, continue_from=first)
    assert second["spins"].shape == (2, 50, 20)
    assert second.attrs["seed"] == "0"
    assert second.attrs["continuation"] == 1
    assert second.attrs["burn_in"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", DYNAMICS)
def test_going_on_is_reproducible_does_not_repeat_and_survives_a_file(name, tmp_path):
    dynamics = DYNAMICS[name]
    first = run(dynamics, chains=3, seed=4)
    second = run(dynamics, continue_from=first)
    third = run(dynamics, continue_from=second)
    for others in (first, second, third):
        agree = [
            np.mean(others[dynamics.variable].values == other[dynamics.variable].values)
            for other in (first, second, third)
        ]
        # 3000 spins of several sweeps of memory agree to 0.5 +- 0.03; with the same numbers to 0.98
        assert sum(share > 0.9 for share in agree) == 1
    # from the very end: one more tick changes one spin at most, where spins are updated one at a time
    path = tmp_path / "run.nc"
    first.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as back:
        assert run(dynamics, continue_from=back, n_jobs=2).identical(second)


def test_a_run_that_goes_on_begins_with_the_last_state():
    for name in ("Glauber", "persistent", "coloured"):
        first = run(DYNAMICS[name], chains=8, seed=1)
        step = trajectory(DYNAMICS[name], 0.05, continue_from=first)["spins"].values[:, 0]
        changed = (step != first["spins"].values[:, -1]).sum(axis=1)
        assert changed.max() == 1
        again = trajectory(DYNAMICS[name], 2.0, continue_from=trajectory(DYNAMICS[name], 3.0, chains=8, seed=1))
        assert again.sizes == {"chain": 8, "time": 40, "spin": 20}


def test_thresholds_are_kept():
    """A free spin at persistence 0.99 agrees with itself t sweeps before at the rate (1 - 0.01 / N)^(N t).

    Across the seam between two runs as within one: 5 sweeps apart 0.951. With thresholds lost, spins that are visited
    would be drawn anew, and agree to exp(-5) = 0.007. 400 chains of 50 spins: standard error of a product 0.0022.
    """
    dynamics = PersistentGlauber(FREE, 1.0, 0.99)
    first = run(dynamics, chains=400, burn_in=10, seed=2)
    second = run(dynamics, continue_from=first)
    joined = np.concatenate([first["spins"].values, second["spins"].values], axis=1).astype(float)
    for lag in (1, 5, 40):
        expected = (1 - 0.01 / 50) ** (50 * lag)
        for start in (50 - lag, 49):  # the last pair across the seam, and the first; both states are 0-based draws
            products = joined[:, start] * joined[:, start + lag]
            error = products.mean(axis=1).std(ddof=1) / np.sqrt(400)
            assert abs(products.mean() - expected) < 5 * error


def test_coloured_noise_is_kept():
    """The field of a free spin, read from its spins: at T -> 0 s_i = sign(v_i), whose correlation is Sheppard's law.

    2/pi arcsin(exp(-t / tau)) for fields t sweeps apart; a visit of a spin lies back by an exponential time of mean 1,
    for both ends of the pair, so the pairs lie apart by t plus the difference of two such times.
    """
    tau = 20.0
    dynamics = ColoredFieldGlauber(FREE, 1e-3, tau, 20.0)
    first = run(dynamics, chains=400, burn_in=10, seed=3)
    second = run(dynamics, continue_from=first)
    joined = np.concatenate([first["spins"].values, second["spins"].values], axis=1).astype(float)
    for lag in (2, 10):
        within, across = ((joined[:, start] * joined[:, start + lag]).mean(axis=1) for start in (20, 49))
        difference = (across - within).mean()
        assert abs(difference) < 5 * np.sqrt((across.var(ddof=1) + within.var(ddof=1)) / 400)
        assert within.mean() > 0.4  # with the noise lost it would be 0 but for spins that were not visited
    assert first["memory"].values.var() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 20_000))


@pytest.mark.parametrize("name", ["soft spins", "harmonic"])
def test_noise_of_active_units_is_kept(name):
    dynamics = DYNAMICS[name]
    first = run(dynamics, chains=300, burn_in=30, seed=5)
    second = run(dynamics, continue_from=first)
    joined = np.concatenate([first["x"].values, second["x"].values], axis=1)
    steps = np.diff(joined[:, 45:55], axis=1)
    # speeds just before and after the seam agree as those within a run do (0.2 to 0.3 with the noise kept)
    seam = 4  # from draw 49 to draw 50
    pairs = [(steps[:, k] * steps[:, k + 1]).mean(axis=1) / (steps**2).mean() for k in range(8)]
    errors = [pair.std(ddof=1) / np.sqrt(300) for pair in pairs]
    within = np.mean([pairs[k].mean() for k in (0, 1, 2, 6, 7)])
    assert abs(pairs[seam - 1].mean() - within) < 5 * errors[seam - 1]
    assert abs(pairs[seam].mean() - within) < 5 * errors[seam]
    assert second["memory"].dims == ("chain", "spin")


def test_a_run_in_two_halves_has_the_statistics_of_one():
    dynamics = PersistentGlauber(COUPLINGS, 1.5, 0.99)
    arguments = {"chains": 300, "burn_in": 400}
    whole = run(dynamics, draws=100, seed=6, **arguments)["spins"].values.astype(float)
    half = run(dynamics, draws=50, seed=7, **arguments)
    rest = run(dynamics, draws=50, continue_from=half)
    halves = np.concatenate([half["spins"].values, rest["spins"].values], axis=1).astype(float)
    for lag in (1, 20, 60):
        # per chain the mean product of states that far apart, over pairs that lie across the middle
        first = np.arange(50 - lag, 50) if lag <= 50 else np.arange(0, 100 - lag)
        one, two = ((x[:, first] * x[:, first + lag]).mean(axis=(1, 2)) for x in (whole, halves))
        error = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 300)
        assert abs(one.mean() - two.mean()) < 5 * error


def test_memory_of_dynamics_that_a_user_writes():
    dynamics = Remembering(np.zeros((20, 20)))
    first = run(dynamics, chains=3, burn_in=20, seed=8)
    second = run(dynamics, continue_from=first)
    np.testing.assert_array_equal(second["spins"].values, np.repeat(first["spins"].values[:, -1:], 50, axis=1))
    np.testing.assert_array_equal(second["memory"], first["memory"])


def test_another_seed_makes_another_branch_and_the_same_seed_does_not_repeat():
    first = run(DYNAMICS["Glauber"], chains=2, seed=0)
    same, other = (run(DYNAMICS["Glauber"], continue_from=first, seed=seed)["spins"].values for seed in (0, 1))
    np.testing.assert_array_equal(same, run(DYNAMICS["Glauber"], continue_from=first)["spins"].values)
    assert (same == other).mean() < 0.9
    assert (same == first["spins"].values).mean() < 0.9


def test_parameters_may_change_on_the_way():
    hot = run(Glauber(COUPLINGS, 5.0), chains=4, seed=0)
    cold = run(Glauber(COUPLINGS, 0.2), continue_from=hot, draws=50)
    assert abs(cold["spins"].values[:, -1] @ PATTERNS.T / 20).max(axis=1).min() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"continue_from": np.ones(3)}, r"must be a Dataset of sample\(...\)"),
        (
            {"continue_from": xr.Dataset({"spins": (("chain", "draw", "spin"), np.ones((1, 2, 20)))})},
            "must be a Dataset",
        ),
        ({"chains": 3}, "chains is 3, but continue_from holds 2"),
        ({"initial": np.ones(20)}, "either initial or continue_from"),
        ({"continue_from": "metropolis"}, "a run of Metropolis, which cannot be continued as Glauber"),
        ({"continue_from": "first half"}, "lacks the end of its run"),
        ({"continue_from": "other size"}, r"initial must have shape \(20,\)"),
    ],
)
def test_what_cannot_go_on_is_named(arguments, message):
    first = run(DYNAMICS["Glauber"], chains=2, seed=0)
    others = {
        "metropolis": run(DYNAMICS["Metropolis"], chains=2, seed=0),
        "first half": first.isel(draw=slice(25)),
        "other size": run(Glauber(FREE, 1.0), chains=2, seed=0),
    }
    given = arguments.get("continue_from")
    arguments = (
        {"continue_from": first} | arguments | ({"continue_from": others[given]} if isinstance(given, str) else {})
    )
    with pytest.raises(ValueError, match=message):
        run(DYNAMICS["Glauber"], **arguments)


def test_a_generator_gives_a_seed_and_moves_on():
    rng = np.random.default_rng(0)
    first, second = (run(DYNAMICS["Glauber"], chains=2, seed=rng) for _ in range(2))
    assert (first["spins"].values == second["spins"].values).mean() < 0.9
    again = run(DYNAMICS["Glauber"], chains=2, seed=np.random.default_rng(0))
    assert again.identical(first)
    assert run(DYNAMICS["Glauber"], chains=2, seed=int(first.attrs["seed"])).identical(first)
    one, same, other = (seed_sequence(np.random.default_rng(seed)).entropy for seed in (3, 3, 4))
    assert one == same != other
