import os
import pickle
import signal
import time
import warnings

import numpy as np
import pytest
import xarray as xr
from scipy import sparse
from threadpoolctl import threadpool_info

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Harmonic,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    hebbian,
    pseudo_inverse,
    random_patterns,
    sample,
)
from simulate.dynamics import spin_dynamics as sequential
from simulate.threads import Stop, StoppedError

PATTERNS = random_patterns(4, 20, seed=0)
COUPLINGS = hebbian(PATTERNS)


def active(couplings=COUPLINGS, potential=None):
    return ActiveOrnsteinUhlenbeck(
        couplings, persistence_time=0.5, active_temperature=0.3, temperature=0.1, potential=potential or Harmonic(2.5)
    )


DYNAMICS = {
    "dense": PersistentGlauber(COUPLINGS, 1.5, 0.5),
    "patterns": PersistentGlauber(PatternCouplings(PATTERNS, 0.3), 1.5, 0.5),
    "sparse": PersistentGlauber(sparse.csr_array(COUPLINGS), 1.5, 0.0),
    "active": active(),
    "active, patterns": active(PatternCouplings(PATTERNS), SoftSpin(1.0)),
    "active, sparse": active(sparse.csr_array(COUPLINGS)),
}


@pytest.fixture(params=[None, 80, 1008])
def parts(request, monkeypatch):
    """Runs in one part, as short ones are, or in many parts, with fields computed afresh now and then."""
    if request.param:
        monkeypatch.setattr(sequential, "_UPDATES_AT_ONCE", request.param)
        monkeypatch.setattr(sequential, "_SWEEPS_BETWEEN_REFRESHES", 13)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("chains", [7, 40])
@pytest.mark.parametrize("name", DYNAMICS)
def test_same_seed_same_samples_for_any_number_of_jobs(name, chains):
    arguments = {"draws": 40, "chains": chains, "burn_in": 11, "thin": 2, "seed": 5, "check": False}
    one, two, three = (sample(DYNAMICS[name], **arguments, n_jobs=jobs) for jobs in (1, 2, 3))
    assert one.identical(two)
    assert one.identical(three)
    other = sample(DYNAMICS[name], **(arguments | {"seed": 6}))
    assert not np.array_equal(one[DYNAMICS[name].variable], other[DYNAMICS[name].variable])


@pytest.mark.slow
def test_products_stay_on_one_thread_until_all_are_done_and_limits_are_put_back():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before, during = threads(), []

    class Watched(ActiveOrnsteinUhlenbeck):
        def trajectories(self, chain_seeds, *others):
            time.sleep(0.1 * len(chain_seeds))  # groups end one after the other
            during.extend(threads())
            return super().trajectories(chain_seeds, *others)

    watched = Watched(COUPLINGS, 0.5, 0.3, potential=Harmonic(2.5))
    sample(watched, draws=5, chains=5, seed=0, n_jobs=2, check=False)
    assert set(during) == {1}
    assert threads() == before


def test_same_bytes_in_netcdf_for_one_job_and_two(tmp_path):
    contents = []
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.nc"
        sample(DYNAMICS["dense"], draws=30, chains=3, burn_in=5, seed=1, n_jobs=jobs).to_netcdf(path, engine="h5netcdf")
        with xr.open_dataset(path, engine="h5netcdf") as back:
            contents.append({name: back[name].values.tobytes() for name in back.variables})
    assert contents[0] == contents[1]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(("few", "many"), [(2, 13), (17, 70)])  # below sixteen each has generators in many lanes
def test_a_chain_does_not_depend_on_how_many_others_there_are(few, many):
    first = sample(DYNAMICS["patterns"], draws=20, chains=few, burn_in=5, seed=1)
    second = sample(DYNAMICS["patterns"], draws=20, chains=many, burn_in=5, seed=1)
    np.testing.assert_array_equal(first["spins"], second["spins"][:few])


@pytest.mark.usefixtures("parts")
def test_draws_do_not_depend_on_how_many_more_are_taken():
    for thin, burn_in in ((1, 0), (3, 17), (500, 1)):
        short = sample(DYNAMICS["dense"], draws=3, chains=2, burn_in=burn_in, thin=thin, seed=1)
        long = sample(DYNAMICS["dense"], draws=8, chains=2, burn_in=burn_in, thin=thin, seed=1)
        np.testing.assert_array_equal(short["spins"], long["spins"][:, :3])


@pytest.mark.usefixtures("parts")
def test_thinning_and_burn_in_only_choose_draws():
    every = sample(DYNAMICS["dense"], draws=60, chains=2, burn_in=0, thin=1, seed=1)["spins"]
    some = sample(DYNAMICS["dense"], draws=10, chains=2, burn_in=30, thin=3, seed=1)["spins"]
    np.testing.assert_array_equal(every.values[:, 32::3], some.values)


@pytest.mark.parametrize("name", ["dense", "active"])
def test_labels_and_attributes(name):
    dynamics = DYNAMICS[name]
    samples = sample(dynamics, draws=6, chains=3, burn_in=4, thin=2, seed=7)
    variable = samples[dynamics.variable]
    assert variable.dims == ("chain", "draw", "spin")
    assert variable.shape == (3, 6, 20)
    assert variable.dtype == dynamics.dtype
    for key, value in {"draws": 6, "chains": 3, "burn_in": 4, "thin": 2, "seed": "7", "n_spins": 20}.items():
        assert samples.attrs[key] == value
    for key in ("dynamics", "temperature", "couplings_sha256", "fields", "version"):
        assert key in samples.attrs


def test_a_run_without_seed_can_be_drawn_again_from_its_attributes():
    first = sample(DYNAMICS["dense"], draws=5, chains=2)
    again = sample(DYNAMICS["dense"], draws=5, chains=2, seed=int(first.attrs["seed"]))
    assert first.identical(again)


def test_a_seed_sequence_is_not_used_up():
    root = np.random.SeedSequence(3).spawn(2)[1]
    assert sample(DYNAMICS["dense"], draws=5, seed=root).identical(sample(DYNAMICS["dense"], draws=5, seed=root))


def test_initial_states_are_taken_in_turn():
    cold = PersistentGlauber(pseudo_inverse(PATTERNS), temperature=1e-3)
    samples = sample(cold, draws=2, chains=6, burn_in=0, seed=0, initial=PATTERNS)["spins"].values
    # patterns are fixed points of the projector, so chains stay where they started
    np.testing.assert_array_equal(samples[:, -1], PATTERNS[[0, 1, 2, 3, 0, 1]])
    one = sample(cold, draws=2, chains=3, burn_in=0, seed=0, initial=PATTERNS[1])["spins"].values
    np.testing.assert_array_equal(one[:, -1], PATTERNS[[1, 1, 1]])


def test_goes_into_arviz_as_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz 0.x announces its own refactoring when it is imported
        import arviz
    # not seed 0, with which a spin is up in exactly half of the draws: arviz folds it around 0 into a constant
    samples = sample(DYNAMICS["dense"], draws=200, chains=4, seed=3)
    assert float(arviz.rhat(samples)["spins"].max()) < 1.2
    assert float(arviz.ess(samples)["spins"].min()) > 20
    assert len(arviz.summary(samples)) == 20


def test_progress_bar(capsys):
    quiet = sample(DYNAMICS["dense"], draws=5, chains=2, seed=0, n_jobs=2)
    assert capsys.readouterr().err == ""
    shown = sample(DYNAMICS["dense"], draws=5, chains=2, seed=0, n_jobs=2, progress=True)
    assert "20.2k/20.2k" in capsys.readouterr().err
    assert quiet.identical(shown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 0}, "draws must be at least 1"),
        ({"chains": 0}, "chains must be at least 1"),
        ({"thin": 0}, "thin must be at least 1"),
        ({"burn_in": -1}, "burn_in must be at least 0"),
        ({"seed": -4}, "seed must be at least 0"),
        ({"initial": np.ones(3)}, r"initial must have shape \(20,\)"),
        ({"initial": np.zeros(20)}, r"initial: spin 0 of state 0 is 0, expected \+1 or -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample(DYNAMICS["dense"], **arguments)


def test_what_is_no_dynamics_is_refused():
    with pytest.raises(ValueError, match="dynamics must be a dynamics"):
        sample(COUPLINGS)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_chain_goes_on_after_an_interrupt(n_jobs):
    """Ctrl-C reaches the main thread only; chains in other threads of a run that would take days are told to stop."""
    advancing = []

    class Watched(PersistentGlauber):
        def trajectories(self, chain_seeds, start, schedule, advanced):
            def watched(ticks):
                advancing.append(ticks)
                if len(advancing) == 20:
                    os.kill(os.getpid(), signal.SIGINT)
                advanced(ticks)

            return super().trajectories(chain_seeds, start, schedule, watched)

    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
    try:
        with pytest.raises(KeyboardInterrupt):
            sample(Watched(COUPLINGS, 1.5, 0.5), draws=1, chains=4, burn_in=10**9, seed=0, n_jobs=n_jobs, check=False)
        returned = len(advancing)
        time.sleep(0.2)
        assert len(advancing) == returned  # no chain goes on behind
        assert returned < 1000  # steps of 10^9 sweeps, however busy the machine
    finally:
        signal.signal(signal.SIGINT, heeded)


def test_chains_of_processes_take_no_notice_of_the_flag():
    stop = pickle.loads(pickle.dumps(Stop()))
    with pytest.raises(KeyError), Stop() as told:
        raise KeyError
    with pytest.raises(StoppedError):
        told.check()
    stop.check()
    pickle.loads(pickle.dumps(told)).check()
