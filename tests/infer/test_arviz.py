"""Every container that is promised to go into arviz does: 0.2x (groups in InferenceData) and 1.x (in a DataTree)."""

import warnings

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot

from infer import DreamingModel, PairModel, PseudoLikelihood
from simulate import PersistentGlauber, hebbian, random_patterns, sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # 0.x announces its own refactoring when it is imported
    import arviz

PATTERNS = random_patterns(2, 5, seed=0)
NEW = int(arviz.__version__.split(".")[0]) >= 1
NAMES = ["samples", "posterior", "posterior without fields", "bootstrap", "posterior of a rate"]


@pytest.fixture(scope="module")
def samples():
    return sample(PersistentGlauber(hebbian(PATTERNS), 1.5, 0.3), 200, chains=2, seed=1, check=False)


@pytest.fixture(scope="module")
def few(samples):
    """Of three spins, since figures have a row for each parameter."""
    return samples.isel(spin=slice(3))


@pytest.fixture(scope="module")
def model(few):
    return PseudoLikelihood(fit_fields=True).fit(few)


@pytest.fixture(scope="module")
def containers(samples, few, model):
    found = (
        few,
        model.posterior(50, random_state=0),
        PseudoLikelihood(fit_fields=False).fit(few).posterior(50, random_state=0),
        model.bootstrap(50, random_state=0),
        DreamingModel(PATTERNS).fit(samples).posterior(50, random_state=0),
    )
    return dict(zip(NAMES, found, strict=True))


def grouped(**groups):
    return xr.DataTree.from_dict(groups) if NEW else arviz.InferenceData(**groups)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of arviz and matplotlib
@pytest.mark.parametrize("name", NAMES)
def test_summaries_and_figures(containers, name):
    data = containers[name]
    size = sum(int(np.prod([data.sizes[d] for d in v.dims if d not in ("chain", "draw")])) for v in data.values())
    with matplotlib.rc_context({"backend": "Agg"}):
        for container in (data, grouped(posterior=data)):
            assert len(arviz.summary(container)) == size
            for function in (arviz.ess, arviz.rhat):
                values = function(container)
                assert set(data.data_vars) <= set(values.get("posterior", values).data_vars)
            for draw in (arviz.plot_trace, arviz.plot_forest):
                draw(container)
                axes = [axes for number in pyplot.get_fignums() for axes in pyplot.figure(number).axes]
                assert any(shown.lines or shown.collections for shown in axes)
                pyplot.close("all")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_to_netcdf_and_back(containers, name, tmp_path):
    data = containers[name]
    data.to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "one.nc", engine="h5netcdf"), data)
    grouped(posterior=data).to_netcdf(tmp_path / "groups.nc", engine="h5netcdf")
    again = arviz.from_netcdf(tmp_path / "groups.nc", engine="h5netcdf")
    xr.testing.assert_equal(again["posterior"].to_dataset() if NEW else again.posterior, data)
    again.close()


@pytest.mark.filterwarnings("ignore")
def test_leave_one_out(few, model, containers):
    posterior = containers["posterior"]
    pointwise = model.log_likelihood(posterior, few)
    draw = posterior.isel(chain=1, draw=3)
    couplings = np.zeros((3, 3))
    couplings[np.triu_indices(3, 1)] = draw["couplings"]
    expected = PairModel.of(couplings + couplings.T, draw["fields"].values).log_pseudolikelihood(
        few["spins"].values.reshape(-1, 3)
    )
    np.testing.assert_allclose(pointwise["spins"].isel(chain=1, draw=3), expected, rtol=1e-12)
    result = arviz.loo(grouped(posterior=posterior, log_likelihood=pointwise))
    total = float(result.elpd if NEW else result.elpd_loo)
    at_fit = model.score_samples(few).sum()
    # six parameters; the draws are wider than of independent samples, and a pair counts twice in the likelihood
    assert at_fit - 40 < total < at_fit
    with pytest.raises(ValueError, match=r"draws must come from posterior\(\)"):
        model.log_likelihood(posterior.isel(pair=slice(2)), few)
