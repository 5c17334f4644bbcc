"""Sweeps within retrieval states, by several methods and sizes, of soft spins; extrapolation to N -> infinity."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from infer import (
    ContinuousDreamingModel,
    DreamingModel,
    PseudoLikelihood,
    compare,
    extrapolate_sizes,
    sweep,
    sweep_map,
)
from infer.sweeps.cell import within_states
from infer.sweeps.plan import plan_sweep
from simulate import ActiveOrnsteinUhlenbeck, Glauber, SoftSpin, hebbian, random_patterns, sample, theory
from simulate.retrieval.measures import overlaps
from simulate.threads import one_blas_thread

COLD: dict[str, Any] = {
    "n_spins": 60,
    "load": 0.05,
    "temperature": 0.4,
    "chains": 3,
    "draws": 300,
    "burn_in": 20,
    "dynamics": {"name": "glauber", "initial": "patterns"},
}


def by_hand(cell, dynamics, starts):
    """The samples of a cell."""
    return sample(
        dynamics, cell.draws, chains=cell.chains, burn_in=cell.burn_in, thin=cell.thin, seed=cell.chain_seed(),
        initial=starts, check=False,
    )  # fmt: skip


def test_chains_in_different_retrieval_states_settle_each_in_its_own(tmp_path: Path):
    table = sweep(COLD, tmp_path / "own.sqlite")
    apart = sweep(COLD | {"dynamics": COLD["dynamics"] | {"initial": "random"}}, tmp_path / "all.sqlite")
    assert list(table["status"]) == ["settled"]
    assert list(apart["status"]) == ["open"]
    (cell,) = plan_sweep(COLD).cells
    patterns = random_patterns(3, 60, seed=cell.pattern_seed())
    samples = by_hand(cell, Glauber(hebbian(patterns), 0.4), patterns)
    model = DreamingModel(patterns).fit(samples)
    row = table.iloc[0]
    assert (row["rate"], row["rate_std"]) == (model.rate_, model.rate_std_)
    own = np.einsum("cdc->cd", overlaps(samples, patterns))
    assert row["pattern_overlap"] == pytest.approx(own.mean())
    assert own.mean() > 0.9
    # equilibrium, conditional on the state: rate 0; fixed seed, false alarm of four errors
    assert abs(row["rate"]) < 4 * row["rate_std"]


def test_one_pattern_is_where_all_chains_start(tmp_path: Path):
    config = COLD | {"dynamics": COLD["dynamics"] | {"initial": "one-pattern"}}
    row = sweep(config, tmp_path / "one.sqlite").iloc[0]
    (cell,) = plan_sweep(config).cells
    patterns = random_patterns(3, 60, seed=cell.pattern_seed())
    samples = by_hand(cell, Glauber(hebbian(patterns), 0.4), patterns[0])
    assert row["pattern_overlap"] == pytest.approx(overlaps(samples, patterns)[..., 0].mean())
    assert row["initial"] == "one-pattern"


def test_r_hat_within_states_finds_the_chain_that_left():
    rng = np.random.default_rng(0)
    starts = rng.choice(np.array([-1, 1], dtype=np.int8), size=(2, 30))
    spins = np.where(rng.random((2, 200, 30)) < 0.1, -1, 1) * starts[:, None]
    dynamics = Glauber(hebbian(starts), 1.0)

    def judged(values, *, apart):
        return within_states(xr.Dataset({"spins": (("chain", "draw", "spin"), values)}), dynamics, starts, apart=apart)

    calm = judged(spins, apart=True)
    assert max(calm["r_hat_energy"], calm["r_hat_overlap"]) < 1.05
    assert calm["pattern_overlap"] == pytest.approx(0.8, abs=0.02)
    spins[1, 100:] = rng.choice([-1, 1], size=(100, 30))
    left = judged(spins, apart=True)
    assert left["r_hat_overlap"] > 1.5
    frozen = judged(np.broadcast_to(starts[:, None], (2, 200, 30)), apart=True)
    assert np.isnan(frozen["r_hat_overlap"])  # nothing varies: left open
    assert judged(np.broadcast_to(starts[:1, None], (2, 200, 30)), apart=False)["r_hat_overlap"] == np.inf


@pytest.mark.slow
def test_methods_fit_the_same_samples_and_theory_follows_them(tmp_path: Path):
    config = {
        "n_spins": 30,
        "load": 0.2,
        "temperature": 2.5,
        "draws": 400,
        "dynamics": {
            "name": "persistent-threshold",
            "persistence": 0.6,
            "method": ["pseudolikelihood", "hybrid-rbm", "couplings"],
        },
    }
    table = sweep(config, tmp_path / "s.sqlite").set_index("method")
    cell = plan_sweep(config).cells[0]
    patterns = random_patterns(6, 30, seed=cell.pattern_seed())
    dynamics = cell.build(hebbian(patterns))
    samples = by_hand(cell, dynamics, None)
    for method in ("pseudolikelihood", "hybrid-rbm"):
        model = DreamingModel(patterns, method).fit(samples)
        assert table.loc[method, "rate"] == model.rate_
    nearest = compare(PseudoLikelihood(fit_fields=False).fit(samples), patterns, n_bootstrap=100, n_null=100)
    for name in ("best_rate", "best_rate_std", "slope", "slope_std"):
        assert table.loc["couplings", name.removeprefix("best_")] == getattr(nearest, name)
    for method, projection in [("pseudolikelihood",) * 2, ("hybrid-rbm", "likelihood"), ("couplings",) * 2]:
        with one_blas_thread():  # as in a cell: rounding depends on the number of threads
            expected = theory.fitted_rate_and_slope(dynamics, projection)
        assert tuple(table.loc[method, ["formula_rate", "formula_slope"]]) == expected
    assert table["r_hat_energy"].nunique() == 1
    assert dict(sweep_map(table.reset_index()).sizes) == {"method": 3}


@pytest.mark.slow
def test_soft_spins_are_fitted_as_they_are(tmp_path: Path):
    config = {
        "n_spins": 30,
        "load": 0.1,
        "draws": 300,
        "burn_in": 50,
        "dynamics": {"name": "soft-spin", "persistence_time": 1, "active_temperature": 4.0, "barrier": 1.0},
    }
    row = sweep(config, tmp_path / "s.sqlite").iloc[0]
    assert (row["status"], row["method"], row["barrier"]) == ("settled", "score-matching", 1.0)
    (cell,) = plan_sweep(config).cells
    patterns = random_patterns(3, 30, seed=cell.pattern_seed())
    dynamics = ActiveOrnsteinUhlenbeck(hebbian(patterns), 1.0, 4.0, potential=SoftSpin(1.0))
    model = ContinuousDreamingModel(patterns, "score-matching").fit(by_hand(cell, dynamics, None))
    assert row["rate"] == model.rate_
    assert np.isnan(row["formula_rate"])


def test_units_are_fitted_by_all_their_methods(tmp_path: Path):
    config = {
        "n_spins": [20, 30],
        "load": 0.2,
        "draws": 300,
        "burn_in": 50,
        "dynamics": {
            "name": "active-ornstein-uhlenbeck",
            "persistence_time": 1,
            "active_temperature": 6,
            "method": ["gaussian", "score-matching", "couplings"],
        },
    }
    table = sweep(config, tmp_path / "s.sqlite")
    # fixed seed; six errors of 300 x 4 correlated draws
    assert (abs(table["rate"] - table["formula_rate"]) < 6 * table["rate_std"]).all()
    assert dict(sweep_map(table).sizes) == {"method": 3, "n_spins": 2}


# --- extrapolation


def means(values, errors, sizes=(100, 200, 400)):
    """A table of averages over repeats at one point of a grid."""
    plan = plan_sweep({"n_spins": list(sizes), "load": 0.1, "temperature": 2.0, "dynamics": {"name": "glauber"}})
    rows = []
    for cell, value, error in zip(plan.cells, values, errors, strict=True):
        row = {name: getattr(cell, name) for name in ("dynamics", "initial", "method", "load", "n_spins")}
        row |= dict.fromkeys(("persistence", "persistence_time", "active_temperature", "stiffness", "barrier"), np.nan)
        row |= dict.fromkeys(("reduced_temperature", "reduced_active_temperature"), np.nan)
        row |= {"temperature": 2.0, "n_repeats": 2}
        for name in ("rate", "inverse_temperature", "slope"):
            row |= {name: value, f"{name}_std": error}
        rows.append(row)
    return pd.DataFrame(rows)


def test_a_line_in_one_over_n_is_found_exactly():
    sizes = np.array([100, 200, 400])
    (row,) = extrapolate_sizes(means(0.3 + 4.0 / sizes, [0.01, 0.02, 0.03])).to_dict("records")
    assert row["rate"] == pytest.approx(0.3)
    assert row["slope"] == pytest.approx(0.3)
    assert row["rate_change"] == pytest.approx(4.0)
    assert (row["n_sizes"], row["chi_square"]) == (3, pytest.approx(0.0, abs=1e-20))
    assert row["p_value"] == pytest.approx(1.0)


def test_errors_of_the_limit_are_those_of_its_scatter():
    rng = np.random.default_rng(0)
    errors = np.array([0.01, 0.02, 0.03])
    found = [
        extrapolate_sizes(means(0.3 + 2.0 / np.array([100, 200, 400]) + errors * rng.normal(size=3), errors)).iloc[0]
        for _ in range(60)
    ]
    limits = np.array([row["rate"] for row in found])
    # scatter of 60: relative error 0.09, mean within four errors
    assert limits.std(ddof=1) == pytest.approx(found[0]["rate_std"], rel=0.36)
    assert abs(limits.mean() - 0.3) < 4 * found[0]["rate_std"] / np.sqrt(60)


def test_open_sizes_are_left_out_and_one_size_is_not_enough():
    table = means([0.34, np.nan, 0.31], [0.01, np.nan, 0.01])
    row = extrapolate_sizes(table).iloc[0]
    assert row["n_sizes"] == 2
    assert row["rate"] == pytest.approx(0.3)
    assert np.isnan(row["p_value"])
    one = extrapolate_sizes(means([0.34, np.nan, np.nan], [0.01, np.nan, np.nan])).iloc[0]
    assert (one["n_sizes"], np.isnan(one["rate"])) == (1, True)
    with pytest.raises(ValueError, match="the table has one size, 100: give n_spins of the sweep a list"):
        extrapolate_sizes(table.iloc[:1])
