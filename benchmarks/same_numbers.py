"""Numbers of a dozen calls and commands with fixed seeds, to compare two versions of the code.

``python benchmarks/same_numbers.py record numbers.json`` writes them; with ``compare`` in place of ``record`` they are
computed again, and what is not equal to the last bit is listed. Numbers depend on processor and libraries: both runs
belong on one machine. Public names only, so that the same script runs before and after a change of the structure.
"""

import hashlib
import inspect
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from duration import announce


def digest(values):
    """A short hash of the bytes of an array, its sum beside it so that a difference can be read."""
    array = np.ascontiguousarray(values)
    total = float(np.asarray(array, dtype=np.float64).sum())
    return f"{hashlib.sha256(array.tobytes()).hexdigest()[:16]} {array.dtype} {array.shape} sum {total!r}"


def samples():
    """Patterns, samples of spins driven by persistent noise, and the same rows without labels."""
    from simulate import PersistentGlauber, hebbian, random_patterns, sample

    patterns = random_patterns(4, 20, seed=0)
    dynamics = PersistentGlauber(couplings=hebbian(patterns), temperature=1.5, persistence=0.5)
    ds = sample(dynamics, draws=500, chains=3, burn_in=50, thin=2, seed=0)
    return patterns, ds, ds["spins"].values.reshape(-1, 20)


def simulations():
    from simulate import (
        ActiveOrnsteinUhlenbeck,
        ColoredFieldGlauber,
        KineticIsing,
        Metropolis,
        PatternCouplings,
        PersistentGlauber,
        SoftSpin,
        Spherical,
        daydream,
        dreaming,
        hebbian,
        random_patterns,
        retrieval,
        sample,
        theory,
        unlearn,
    )

    xi = random_patterns(4, 30, seed=1)
    J = hebbian(xi)
    dynamics = {
        "persistent": PersistentGlauber(couplings=J, temperature=1.2, persistence=0.5),
        "persistent patterns": PersistentGlauber(
            couplings=PatternCouplings(xi, rate=0.5), temperature=1.2, persistence=0.5
        ),
        "coloured": ColoredFieldGlauber(J, temperature=1.0, persistence_time=2.0, active_temperature=0.5),
        "metropolis": Metropolis(J, temperature=1.2),
        "kinetic": KineticIsing(np.random.default_rng(0).normal(size=(12, 12)) * (1 - np.eye(12)) / 4, temperature=1.0),
        "soft": ActiveOrnsteinUhlenbeck(
            couplings=J, persistence_time=1.0, active_temperature=0.3, potential=SoftSpin(1.0)
        ),
        "spherical": ActiveOrnsteinUhlenbeck(
            couplings=J, persistence_time=1.0, active_temperature=3.0, potential=Spherical()
        ),
    }
    for name, each in dynamics.items():
        ds = sample(each, draws=40, chains=3, burn_in=20, thin=2, seed=5)
        yield f"sample {name}", digest(ds["spins" if "spins" in ds else "x"].values)
    yield "dreaming", digest(dreaming(xi, rate=0.7))
    yield "unlearn", digest(unlearn(J, n_dreams=20, epsilon=0.01, seed=0))
    yield "daydream", digest(daydream(xi, n_steps=20, seed=0))
    yield (
        "theory couplings",
        digest(theory.effective_couplings(PersistentGlauber(couplings=J, temperature=3.0, persistence=0.5))),
    )
    yield "stability", digest(retrieval.stability(J, xi))
    yield "basins", digest(retrieval.basins(J, xi, n_repeats=3, seed=0)["overlap"].values)


def estimators():
    import infer

    patterns, ds, X = samples()
    fits = {
        "pseudo-likelihood": infer.PseudoLikelihood(penalty="l2", alpha=1e-3, fit_fields=True).fit(X),
        "pseudo-likelihood l1": infer.PseudoLikelihood(penalty="l1", alpha=1e-2, fit_fields=True).fit(X),
        "pseudo-likelihood joint": infer.PseudoLikelihood(
            penalty="l2", alpha=1e-3, fit_fields=True, symmetrisation="joint"
        ).fit(X),
        "screening": infer.InteractionScreening(fit_fields=True).fit(X),
        "mean field tap": infer.MeanField(method="tap").fit(X),
        "mean field naive": infer.MeanField(method="naive").fit(X),
        "probability flow": infer.MinimumProbabilityFlow(alpha=1e-3, fit_fields=True).fit(X),
        "likelihood exact": infer.MaximumLikelihood(method="exact", alpha=1e-3, fit_fields=True).fit(X[:, :10]),
    }
    for name, fit in fits.items():
        yield f"{name} couplings", digest(fit.couplings_)
        yield f"{name} fields", digest(fit.fields_)
        yield f"{name} score", repr(float(fit.score(X[:, : len(fit.couplings_)])))
    chains = infer.PseudoLikelihood(penalty="l2", alpha=1e-3, fit_fields=False).fit(ds)
    yield "pseudo-likelihood chains std", digest(chains.couplings_std_)
    for method in ("pseudolikelihood", "hybrid-rbm"):
        model = infer.DreamingModel(patterns, method=method).fit(ds)
        yield f"dreaming model {method}", repr((model.rate_, model.rate_std_, model.inverse_temperature_))
    normal = np.random.default_rng(0).multivariate_normal(np.zeros(3), [[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]], 400)
    yield "gaussian", digest(infer.GaussianCouplings().fit(normal).couplings_)
    yield "score matching", digest(infer.ScoreMatching().fit(normal).couplings_)
    found = infer.compare(chains.couplings_, patterns)
    yield "compare", repr((found.best_rate, tuple(found.best_rate_interval), found.at_best["cosine"]))
    yield "data correlations", digest(infer.data_correlations(X))
    yield "log partition", repr(infer.log_partition(fits["likelihood exact"].couplings_).value)


def verdicts():
    import infer

    patterns, ds, _ = samples()
    model = infer.PseudoLikelihood(penalty="l2", alpha=1e-3, fit_fields=False).fit(ds)
    word = "seed" if "seed" in inspect.signature(infer.diagnose).parameters else "random_state"
    found = infer.diagnose(model, ds, **{word: 0})
    yield "diagnose", repr([(check.name, check.effect, check.p_value) for check in found.checks])
    numbers = infer.analyse(ds, patterns, seed=0).to_dict()
    for volatile in ("seconds", "created", "versions"):
        numbers.pop(volatile, None)
    yield "report", hashlib.sha256(json.dumps(numbers, sort_keys=True, default=str).encode()).hexdigest()[:16]


def commands():
    reverie = Path(sys.executable).with_name("reverie")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        run = lambda *words: subprocess.run([reverie, *words], cwd=here, check=True, capture_output=True)  # noqa: E731
        run("simulate", "--output", "s.nc", "--n-spins", "20", "--n-patterns", "4", "--draws", "300", "--seed", "1")
        run("fit", "s.nc", "--output", "f.nc", "--alpha", "0.001")
        (here / "sweep.toml").write_text(
            "seed = 1\nn_spins = 20\nload = [0.2]\nrepeats = 1\ndraws = 200\nchains = 2\nburn_in = 50\n"
            '[[dynamics]]\nname = "persistent-threshold"\ntemperature = [2.0]\npersistence = [0.0, 0.5]\n'
        )
        import xarray as xr

        import infer

        yield "command simulate", digest(xr.load_dataset(here / "s.nc", engine="h5netcdf")["spins"].values)
        fit = xr.load_dataset(here / "f.nc", engine="h5netcdf")
        yield "command fit", digest(fit["couplings"].values)
        table = infer.sweep(here / "sweep.toml", here / "store.sqlite", n_jobs=1)
        yield "sweep", repr(table[["rate", "rate_std", "inverse_temperature"]].values.tolist())


def learning():
    from simulate import contrastive

    rule = contrastive.memory_rule()
    yield "contrastive update", digest(rule.update(np.array([-1.0, 0.5, 1.0]), np.array([1.0, -0.5, 1.0])))
    yield "receptor", repr(contrastive.critical_driving(200.0))


def numbers():
    """All names with their numbers; a call that does not work any more is named with its error."""
    found = {}
    for part in (simulations, estimators, verdicts, commands, learning):
        try:
            for name, value in part():
                found[name] = value
        except Exception as error:
            found[f"{part.__name__} ended by"] = f"{type(error).__name__}: {error}"
    return found


def main(action, path):
    announce(35)
    warnings.simplefilter("ignore")
    found = numbers()
    if action == "record":
        Path(path).write_text(json.dumps(found, indent=1))
        print(f"{len(found)} numbers written to {path}")
        return 0
    expected = json.loads(Path(path).read_text())
    different = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    for name in different:
        print(f"{name}\n  before {expected.get(name)}\n  now    {found.get(name)}")
    print(f"{len(expected) - len(different)} of {len(expected)} equal to the last bit")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
