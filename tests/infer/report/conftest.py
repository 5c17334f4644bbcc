"""Two small analyses with everything that is awkward: chains and patterns, hostile names and counts."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from infer.recordings.recording import Recording
from infer.report import analyse, write_report
from tests.exact import draw

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{1}",
    "{{ 7 * 7 }}",
    "a\x00b\x1b[31m",
    "\ud800 lone surrogate",
    "Ünïcode 神経 🧠",
    "id='figure-profile' href=http://example.org/",
)


def patterns_of(n_patterns, n_spins, seed):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=(n_patterns, n_spins))


def hebbian_of(patterns):
    couplings = patterns.T.astype(float) @ patterns / patterns.shape[1]
    np.fill_diagonal(couplings, 0.0)
    return couplings


@pytest.fixture(scope="session")
def patterns():
    return patterns_of(4, 12, seed=3)


@pytest.fixture(scope="session")
def dataset(patterns):
    """Independent equilibrium samples in 4 chains, as a sampler writes them."""
    spins = draw(hebbian_of(patterns), 4 * 600, temperature=1.5, seed=1).reshape(4, 600, 12)
    coordinates = {"chain": np.arange(4), "draw": np.arange(600), "spin": np.arange(12)}
    return xr.Dataset(
        {"spins": (("chain", "draw", "spin"), spins)},
        coords=coordinates,
        attrs={"dynamics": "PersistentGlauber", "temperature": 1.5, "fields": "none", "seed": "0"},
    )


@pytest.fixture(scope="session")
def simulated(dataset, patterns):
    return analyse(dataset, patterns, source="simulated", seed=5)


@pytest.fixture(scope="session")
def recording():
    """Rows with counts, not in time order, of spins with a bias and with names that attack the page."""
    n_spins = len(HOSTILE)
    fields = np.linspace(-0.5, 0.8, n_spins)
    spins = draw(hebbian_of(patterns_of(3, n_spins, seed=8)), 3000, fields=fields, temperature=1.2, seed=2)
    rows, counts = np.unique(spins, axis=0, return_counts=True)
    return Recording(
        rows,
        weights=counts.astype(np.int64),
        ordered=False,
        names=HOSTILE,
        source="/home/somebody/secret/<b>units</b> & more.npz",
        patterns=None,
        columns=np.arange(n_spins),
        attributes={"missing": "error", "note": "<i>not markup</i>", "list": ["<u>", 1]},
    )


@pytest.fixture(scope="session")
def recorded(recording):
    return analyse(recording, seed=5)


@pytest.fixture(scope="session")
def referred(dataset):
    """Rows in time order with events, compared with their average states and with estimated patterns, too."""
    spins = dataset["spins"].values.reshape(-1, 12)[:800]
    events = np.array(["", "left", "<b>right</b>"])[(spins[:, 0] + 2 * spins[:, 1] + 3) // 2 % 3]
    return analyse(spins, events=events, n_patterns=2, seed=5)


@pytest.fixture(scope="session", params=["simulated", "recorded"])
def analysis(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def unbounded(recorded):
    """The recording, as if the cosine grew without end and nothing had an error bar."""
    similarity = dataclasses.replace(
        recorded.similarity,
        best_rate=np.inf,
        best_rate_std=np.inf,
        best_rate_interval=(1.5, np.inf),
        inverse_temperature_std=None,
        optimum="infinite rate",
    )
    return dataclasses.replace(recorded, similarity=similarity)


@pytest.fixture(scope="session")
def written(request, tmp_path_factory):
    """Folder with report.html and report.json of the analysis of that name."""
    folders = {}

    def write(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            write_report(request.getfixturevalue(name), folders[name] / "report.html")
        return folders[name]

    return write
