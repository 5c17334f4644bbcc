"""What can be added is added in one file and one line: a dynamics, an estimator, a check of the diagnosis.

A file format is added in tests/infer/recordings/test_formats.py, a figure of the report in tests/infer/report.
"""

import importlib

import numpy as np
import pytest

from tests import exact

# each in a file of its own, with public imports
DYNAMICS = """
from dataclasses import dataclass
from typing import Any

from simulate import SpinDynamics
from simulate.checks import check_fields, check_number
from simulate.couplings import check_couplings


@dataclass(frozen=True, eq=False)
class Gumbel(SpinDynamics):
    '''Spins set to sign(h_i + T (g - g') / 2), g and g' from a Gumbel law, which is heat-bath at temperature T.'''

    couplings: Any
    temperature: float
    fields: Any = None

    def __post_init__(self):
        object.__setattr__(self, "couplings", check_couplings(self.couplings))
        object.__setattr__(self, "fields", check_fields(self.fields, self.n_spins))
        check_number(self.temperature, "temperature", low=0.0, open_low=True)

    def threshold_source(self, rng):
        return lambda sites, out: out.__setitem__(
            slice(None), self.temperature / 2.0 * (rng.gumbel(size=len(sites)) - rng.gumbel(size=len(sites)))
        )
"""
ESTIMATOR = """
import numpy as np

from infer import Fit, SpinEstimator


class PairByPair(SpinEstimator):
    '''J_ij = artanh <s_i s_j>: exact for pairs that are coupled to nothing else.'''

    def __init__(self, *, threshold=None, constant="field", fit_fields=False):
        self.threshold, self.constant, self.fit_fields = threshold, constant, fit_fields

    def solve(self, samples):
        _, second = samples.moments()
        couplings = np.arctanh(second - np.diag(np.diag(second)))
        return Fit(couplings, np.zeros(samples.n_varying))
"""
CHECK = """
import numpy as np


class FirstSpin:
    '''Whether the first spin has no mean, by its standard error in independent rows.'''

    name = "first spin"

    def __init__(self, p_value, effect):
        self.p_value, self.effect = p_value, effect

    @property
    def verdict(self):
        return f"The first spin: {self.effect}."

    @classmethod
    def run(cls, model, samples, seed):
        from math import erfc

        observed = float(samples.spins[:, 0].mean())
        z = observed * np.sqrt(samples.n_rows)
        return cls(erfc(abs(z) / np.sqrt(2.0)), f"its mean is {observed:.2f}")
"""


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Write a file and import it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return write


def test_a_dynamics(add):
    from simulate import sample

    dynamics = add("gumbel_for_tests", DYNAMICS).Gumbel
    couplings = exact.random_couplings(4, 0.8, 1)
    spins = sample(dynamics(couplings, 1.0), draws=4000, chains=4, burn_in=50, thin=4, seed=0)["spins"].values
    means, second = exact.moments(couplings)
    # a difference of Gumbel variables is logistic; 16 000 nearly independent rows, six moments within 5 standard errors
    found = np.einsum("cdi,cdj->ij", spins.astype(float), spins.astype(float)) / spins[..., 0].size
    assert np.abs(found - second)[np.triu_indices(4, 1)].max() < 5 * 1.5 / np.sqrt(16_000)
    assert np.abs(means).max() < 1e-12


def test_an_estimator(add, tmp_path, monkeypatch):
    from infer.estimators import registry
    from infer.fits import fit_recording
    from infer.recordings.recording import read_recording

    add("pair_by_pair_for_tests", ESTIMATOR)
    line = registry.Method("pair-by-pair", "pair_by_pair_for_tests", "PairByPair")
    monkeypatch.setattr(registry, "METHODS", (*registry.METHODS, line))
    couplings = np.zeros((4, 4))
    couplings[0, 1] = couplings[1, 0] = 0.6
    np.save(tmp_path / "x.npy", exact.draw(couplings, 20_000, seed=2))
    found = fit_recording(read_recording(tmp_path / "x.npy"), "pair-by-pair", fit_fields=False)
    # a standard error of artanh <s s> is 1 / sqrt(n (1 - tanh^2)); 5 of them
    assert abs(float(found["couplings"][0, 1]) - 0.6) < 5 / np.sqrt(20_000 * (1 - np.tanh(0.6) ** 2))


def test_a_check_of_the_diagnosis(add, monkeypatch):
    from infer import PseudoLikelihood, diagnose
    from infer.diagnosis import model_checks

    check = add("first_spin_for_tests", CHECK).FirstSpin
    monkeypatch.setitem(model_checks.CHECKS, check, "model")
    rng = np.random.default_rng(0)
    rows = np.where(rng.random((2000, 5)) < np.array([0.7, 0.5, 0.5, 0.5, 0.5]), 1, -1)
    found = diagnose(PseudoLikelihood().fit(rows), rows)
    assert "first spin" in found.missed  # its mean is 0.4, 18 standard errors from 0
    assert any(each.name == "first spin" for each in found.checks)
