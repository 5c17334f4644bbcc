"""Long validations: the control without activity in every phase, trial values of persistent spins: VALIDATION.md."""

from pathlib import Path

import numpy as np
import pytest

from infer import DreamingModel, read_sweep, sweep
from simulate import PersistentGlauber, hebbian, sample

pytestmark = pytest.mark.validation

CONTROL = {
    "n_spins": 100,
    "repeats": 5,
    "load": [0.1, 0.15, 0.2, 0.25, 0.3],
    "temperature": [2.0, 3.0],
    "dynamics": {"name": "persistent-threshold", "persistence": 0.0},
}


def test_without_activity_there_is_no_dreaming(tmp_path: Path):
    # A true rate of 0 lies within 2 standard errors of 95 % of estimates (Student's t of about 40 degrees of freedom),
    # so that fewer than 45 of 50 cells are a false alarm of 4 % for another seed; bias would show in the mean score,
    # whose scatter is 1 / sqrt(50) = 0.14.
    table = sweep(CONTROL, tmp_path / "control.sqlite", n_jobs=-1)
    assert list(table["status"].unique()) == ["settled"]
    scores = table["rate"] / table["rate_std"]
    assert len(scores) == 50
    assert (abs(scores) < 2).sum() >= 45
    assert abs(scores.mean()) < 0.45


def trial(temperature: float, persistence: float, seed: int) -> tuple[float, float, float, float]:
    """Rate and slope times temperature, each with its standard error, as the trial values were found."""
    patterns = np.random.default_rng(1).choice([-1.0, 1.0], size=(30, 100))
    dynamics = PersistentGlauber(hebbian(patterns), temperature, persistence)
    model = DreamingModel(patterns).fit(sample(dynamics, 30_000, chains=3, burn_in=500, thin=4, seed=seed))
    return model.rate_, model.rate_std_, model.slope_ * temperature, model.slope_std_ * temperature


@pytest.mark.parametrize(
    ("temperature", "persistence", "rate", "rate_std", "slope", "slope_std"),
    [
        (2.0, 0.5, 0.092, 0.003, 1.329, 0.006),
        (2.0, 0.9, 0.230, 0.0024, 1.956, 0.005),
        (3.0, 0.9, 0.158, 0.0022, 1.901, 0.008),
    ],
)
def test_trial_values(temperature, persistence, rate, rate_std, slope, slope_std):
    # twelve seeds; their mean and the trial value (one seed) differ by less than three errors of the difference
    found = np.array([trial(temperature, persistence, seed) for seed in range(12)])
    for k, (value, std) in enumerate([(rate, rate_std), (slope, slope_std)]):
        scatter = found[:, 2 * k].std(ddof=1)
        # errors are of the size of the scatter: that of twelve seeds is below half or above 1.6 times of it in 1 %
        assert 0.5 < scatter / found[:, 2 * k + 1].mean() < 1.6
        error = np.hypot(std, max(scatter, found[:, 2 * k + 1].mean()) / np.sqrt(12))
        assert abs(found[:, 2 * k].mean() - value) < 3 * error


@pytest.mark.parametrize(
    ("phase", "change"),
    [
        ("retrieval, each chain at its own pattern", {"load": [0.04, 0.05], "temperature": 0.4, "initial": "patterns"}),
        ("retrieval, all chains at one pattern", {"load": [0.04, 0.05], "temperature": 0.4, "initial": "one-pattern"}),
        ("glass, each chain in its own state", {"load": [0.2, 0.3], "temperature": 0.5, "initial": "patterns"}),
        ("between glass and no order", {"load": [0.2, 0.3], "temperature": 1.3, "initial": "patterns"}),
        ("no order", {"load": [0.2, 0.3], "temperature": 2.0}),
    ],
)
def test_without_activity_there_is_no_dreaming_in_any_phase(tmp_path: Path, phase, change, record_property):
    # Pseudo-likelihood is conditional on the other spins, so that it holds within a state, whether or not chains have
    # left it: R-hat is not asked for. 50 cells; fewer than 45 within two errors are a false alarm of 4 %.
    config = {"n_spins": 100, "repeats": 25, "draws": 2000, "burn_in": 500, "dynamics": {"name": "glauber"}} | change
    sweep(config, tmp_path / "phase.sqlite")
    loose = {"largest_r_hat": np.inf, "least_effective_size": 0.0, "largest_batch_correlation": 1.0}
    table = read_sweep(tmp_path / "phase.sqlite", **loose)
    scores = (table["rate"] / table["rate_std"]).dropna()
    record_property(phase, f"{(abs(scores) < 2).sum()} of {len(scores)}, mean score {scores.mean():.2f}")
    assert len(scores) == 50
    assert (abs(scores) < 2).sum() >= 45
