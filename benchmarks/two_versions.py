"""Processor time of the same calls in two checkouts, side by side: `python benchmarks/two_versions.py OTHER`.

OTHER is a second checkout, as `git worktree add ../other COMMIT` makes. Each version runs in one process that stays,
both on the same processor with one thread; calls alternate, and the one that goes first changes from repeat to repeat,
so that other work on the machine slows both. The first call of each is not counted: it compiles. Public names only, so
that the same calls run before and after a change of the structure; keywords that one version does not have are left
out.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from duration import announce

ROOT = Path(__file__).parents[1]
SAMPLES = "REVERIE_SAMPLES"  # names the folder of the samples that both versions use
Call = Callable[[], Any]


def accepted(function: Any, **options: Any) -> dict[str, Any]:
    """The options that this version of a function has."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


@cache
def patterns_of(n_spins: int, n_patterns: int) -> Any:
    from simulate import random_patterns

    return random_patterns(n_patterns, n_spins, seed=0)


@cache
def samples_of(n_spins: int, n_patterns: int, draws: int, chains: int = 4) -> Any:
    """Samples of Hebbian couplings above the critical temperature: drawn by one version, and read by the other."""
    import xarray as xr

    from simulate import PatternCouplings, PersistentGlauber, sample

    path = Path(os.environ[SAMPLES]) / f"{n_spins}-{n_patterns}-{draws}-{chains}.npy"
    if not path.exists():
        dynamics = PersistentGlauber(PatternCouplings(patterns_of(n_spins, n_patterns)), temperature=2.0)
        drawn = sample(dynamics, draws=draws, chains=chains, burn_in=50, seed=0, check=False)
        np.save(path, drawn["spins"].values)
    return xr.Dataset({"spins": (("chain", "draw", "spin"), np.load(path))})


@cache
def simulation() -> Any:
    """Samples with the attributes that each version writes."""
    from simulate import PersistentGlauber, hebbian, sample

    dynamics = PersistentGlauber(hebbian(patterns_of(20, 2)), temperature=2.0)
    return sample(dynamics, draws=2000, chains=4, burn_in=50, seed=0, check=False)


@cache
def rows_of(n_spins: int, n_rows: int) -> Any:
    """The same without labels, (n_rows, n_spins)."""
    ds = samples_of(n_spins, n_spins // 10, n_rows // 4)
    return ds["spins"].values.reshape(-1, n_spins)


@cache
def fit_of(n_spins: int, n_rows: int) -> Any:
    from infer import PseudoLikelihood

    return PseudoLikelihood("l2", 1 / n_rows, fit_fields=True).fit(samples_of(n_spins, n_spins // 10, n_rows // 4))


def simulations() -> Iterator[tuple[str, Call]]:
    import simulate as s

    for n_spins, n_patterns in ((200, 10), (1000, 50)):
        xi = patterns_of(n_spins, n_patterns)
        kinds = {
            "patterns": s.PatternCouplings(xi),
            "dreamed patterns": s.PatternCouplings(xi, rate=0.5),
            "matrix": s.hebbian(xi),
        }
        for kind, couplings in kinds.items():
            for persistence in (0.0, 0.9):
                dynamics = s.PersistentGlauber(couplings, temperature=1.0, persistence=persistence)
                for chains in (8, 64):
                    draws = 40_000_000 // (n_spins * chains) // (1 if kind == "patterns" else 2)
                    yield (
                        f"sample, N = {n_spins}, {kind}, persistence {persistence}, {chains} chains",
                        lambda d=dynamics, n=draws, c=chains: s.sample(
                            d, draws=n, chains=c, burn_in=20, seed=1, n_jobs=1, check=False
                        ),
                    )
    J = s.hebbian(patterns_of(200, 10))
    others = {
        "Metropolis": s.Metropolis(J, temperature=1.0),
        "ColoredFieldGlauber": s.ColoredFieldGlauber(J, temperature=1.0, persistence_time=2.0, active_temperature=0.5),
        "KineticIsing": s.KineticIsing(
            np.random.default_rng(0).normal(size=(200, 200)) * (1 - np.eye(200)) / 20, temperature=1.0
        ),
        "ActiveOrnsteinUhlenbeck, soft": s.ActiveOrnsteinUhlenbeck(
            couplings=J, persistence_time=1.0, active_temperature=0.3, potential=s.SoftSpin(1.0)
        ),
        "ActiveOrnsteinUhlenbeck, spherical": s.ActiveOrnsteinUhlenbeck(
            couplings=J, persistence_time=1.0, active_temperature=3.0, potential=s.Spherical()
        ),
    }
    for kind, each in others.items():
        draws = 200 if kind.startswith("Active") else 5000
        yield (
            f"sample, N = 200, {kind}, 8 chains",
            lambda d=each, n=draws: s.sample(d, draws=n, chains=8, burn_in=20, seed=1, n_jobs=1, check=False),
        )
    persistent = s.PersistentGlauber(J, temperature=1.0, persistence=0.5)
    yield "sample with its check of convergence", lambda: s.sample(persistent, draws=1000, chains=8, seed=1, n_jobs=1)
    xi = patterns_of(200, 10)
    yield "unlearn, N = 200, 200 dreams", lambda: s.unlearn(J, n_dreams=200, epsilon=0.01, seed=0)
    yield "daydream, N = 200, 200 steps", lambda: s.daydream(xi, n_steps=200, seed=0)
    yield "basins, N = 200", lambda: s.retrieval.basins(J, xi, n_repeats=5, seed=0)


def estimators() -> Iterator[tuple[str, Call]]:
    import infer as i

    plain = accepted(i.PseudoLikelihood, errors=False)
    for n_spins, n_rows in ((100, 50_000), (200, 50_000), (400, 20_000)):
        X = partial(rows_of, n_spins, n_rows)
        for fields in (False, True):
            yield (
                f"PseudoLikelihood, N = {n_spins}, M = {n_rows}, fields {fields}, no errors",
                lambda x=X, m=n_rows, f=fields: i.PseudoLikelihood("l2", 1 / m, fit_fields=f, **plain).fit(x()),
            )
        yield (
            f"PseudoLikelihood and errors, N = {n_spins}, M = {n_rows}",
            lambda x=X, m=n_rows: i.PseudoLikelihood("l2", 1 / m, fit_fields=True).fit(x()).couplings_std_,
        )
    X = partial(rows_of, 100, 20_000)
    small, fewer, tiny = (lambda: X()[:, :12]), (lambda: X()[:4000, :30]), (lambda: X()[:2000, :20])
    estimators = {
        "PseudoLikelihood l1": (i.PseudoLikelihood, ("l1", 0.01), X),
        "PseudoLikelihood joint": (i.PseudoLikelihood, ("l2", 1e-4), X),
        "InteractionScreening": (i.InteractionScreening, (), X),
        "MeanField naive": (i.MeanField, ("naive",), X),
        "MeanField tap": (i.MeanField, ("tap",), X),
        "MeanField bethe": (i.MeanField, ("bethe",), X),
        "MeanField sessak-monasson": (i.MeanField, ("sessak-monasson",), X),
        "MinimumProbabilityFlow": (i.MinimumProbabilityFlow, (1e-4,), X),
        "MaximumLikelihood exact, N = 12": (i.MaximumLikelihood, ("exact", 1e-4), small),
        "MaximumLikelihood by Monte Carlo, N = 30": (i.MaximumLikelihood, ("pcd", 1e-3), fewer),
    }
    for name, (kind, positional, data) in estimators.items():
        more = {"symmetrisation": "joint"} if name.endswith("joint") else {}
        options = accepted(kind, errors=False) | more
        yield (
            f"{name}{'' if 'N =' in name else ', N = 100'}",
            lambda k=kind, p=positional, o=options, d=data: k(*p, fit_fields=True, **o).fit(d()),
        )
    yield (
        "PseudoLikelihood, N = 20, M = 2000, no errors",
        lambda: i.PseudoLikelihood("l2", 1e-3, fit_fields=False, **plain).fit(tiny()),
    )
    yield (
        "PseudoLikelihood and errors, N = 20, M = 2000",
        lambda: i.PseudoLikelihood("l2", 1e-3, fit_fields=False).fit(tiny()).couplings_std_,
    )
    yield "DreamingModel", lambda: i.DreamingModel(patterns_of(100, 10)).fit(samples_of(100, 10, 1000))
    yield (
        "DreamingModel hybrid-rbm",
        lambda: i.DreamingModel(patterns_of(40, 4), method="hybrid-rbm").fit(samples_of(40, 4, 500)),
    )
    normal = np.random.default_rng(0).normal(size=(20_000, 60)) + np.random.default_rng(1).normal(size=(20_000, 1))
    yield "GaussianCouplings, N = 60", lambda: i.GaussianCouplings().fit(normal)
    yield "ScoreMatching, N = 60", lambda: i.ScoreMatching().fit(normal)
    yield "log_partition, exact, N = 20", lambda: i.log_partition(fit_of(20, 8000).couplings_, method="exact")
    yield (
        "log_partition, ais, N = 100, 200 chains, 1000 steps",
        lambda: i.log_partition(fit_of(100, 20_000).couplings_, method="ais", n_temperatures=1000),
    )
    yield (
        "log_partition, ais, N = 100, to its default precision",
        lambda: i.log_partition(fit_of(100, 20_000).couplings_, method="ais"),
    )


def tasks() -> Iterator[tuple[str, Call]]:
    import infer as i
    from simulate import contrastive

    for n_spins in (100, 400):
        yield (
            f"compare, N = {n_spins}",
            lambda n=n_spins: i.compare(fit_of(n, 20_000).couplings_, patterns_of(n, n // 10)),
        )
    fit, ds = partial(fit_of, 100, 8000), partial(samples_of, 100, 10, 2000)
    yield "compare, N = 100, with the fit's errors", lambda: i.compare(fit(), patterns_of(100, 10))
    yield "compare_unlearning, N = 100", lambda: i.compare_unlearning(fit().couplings_, patterns_of(100, 10))
    yield "goodness_of_fit, N = 100, M = 8000", lambda: i.goodness_of_fit(fit(), ds())
    yield "diagnose, N = 100, M = 8000", lambda: i.diagnose(fit(), ds())
    yield "goodness_of_fit, N = 20, M = 8000", lambda: i.goodness_of_fit(fit_of(20, 8000), samples_of(20, 2, 2000))
    yield "diagnose, N = 20, M = 8000", lambda: i.diagnose(fit_of(20, 8000), samples_of(20, 2, 2000))
    yield "data_correlations, N = 100", lambda: i.data_correlations(ds()["spins"].values.reshape(-1, 100))
    X = partial(rows_of, 100, 20_000)
    yield "temperature_bias, N = 50", lambda: i.temperature_bias(i.PseudoLikelihood("l2", 1e-4), X()[:, :50])
    yield "decimate, N = 20", lambda: i.decimate(X()[:, :20])
    yield (
        "penalty_path, N = 20",
        lambda: i.penalty_path(i.PseudoLikelihood("l1", 0.01), X()[:4000, :20], [0.1, 0.03, 0.01]),
    )

    @cache
    def recording() -> Any:
        return np.repeat(X()[:500, :10], 3, axis=0)

    @cache
    def analysis() -> Any:
        return i.analyse(recording())

    def report() -> None:
        with tempfile.TemporaryDirectory() as folder:
            i.write_report(analysis(), Path(folder) / "report.html")

    yield "analyse, recording of 10 units, 1500 rows", lambda: i.analyse(recording())
    yield "analyse, simulation, N = 20, M = 8000", lambda: i.analyse(simulation(), patterns_of(20, 2))
    yield "write_report", report
    config = {
        "seed": 1,
        "n_spins": 50,
        "load": [0.1],
        "repeats": 2,
        "draws": 500,
        "chains": 4,
        "burn_in": 50,
        "dynamics": [{"name": "persistent-threshold", "temperature": [1.5, 2.0], "persistence": [0.0, 0.5]}],
    }

    def sweep() -> None:
        with tempfile.TemporaryDirectory() as folder:
            i.sweep(config, Path(folder) / "store.sqlite", n_jobs=1)

    yield "sweep of 8 cells, N = 50", sweep
    xi = patterns_of(100, 10)
    yield "learn_patterns, N = 100", lambda: contrastive.learn_patterns(xi, 20, seed=0)
    rng = np.random.default_rng(0)
    images, labels = rng.random((600, 64)), rng.integers(0, 3, 600)
    yield (
        "ContrastiveClassifier, 600 images, 3 epochs",
        lambda: contrastive.ContrastiveClassifier(n_hidden=50, n_epochs=3, random_state=0).fit(images, labels),
    )


def serve(pattern: str) -> None:
    """Run calls that a line of the standard input names by number, and answer with their processor time."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a call prints is not an answer
    warnings.simplefilter("ignore")
    calls: list[tuple[str, Call]] = []
    for part in (simulations, estimators, tasks):
        calls += part()
    calls = [(name, call) for name, call in calls if re.search(pattern, name)]
    print(json.dumps([name for name, _ in calls]), file=answers)
    for line in sys.stdin:
        start = time.process_time()
        try:
            calls[int(line)][1]()
            answer: dict[str, Any] = {"seconds": time.process_time() - start}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


class Version:
    """A process that runs the calls with the packages of one checkout."""

    def __init__(self, checkout: Path, pattern: str, samples: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(checkout), "--serve", "--only", pattern],
            cwd=checkout,
            env=os.environ | threads | {"PYTHONPATH": str(checkout), SAMPLES: samples},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.calls: list[str] = self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a version ended: see what it wrote above")
        return json.loads(line)

    def run(self, call: int) -> Any:
        assert self.process.stdin is not None
        print(call, file=self.process.stdin, flush=True)
        return self.answer()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare with this one")
    parser.add_argument("--only", default="", help="regular expression: the calls to run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="stop repeats of one call after this long")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.only)
        return
    if hasattr(os, "sched_setaffinity"):  # both on one processor, which no other pair of runs needs to share
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as samples:
        before, now = (Version(each, arguments.only, samples) for each in (arguments.other.resolve(), ROOT))
        compare(before, now, arguments.repeats, arguments.seconds)
        for version in (before, now):
            assert version.process.stdin is not None
            version.process.stdin.close()
            version.process.wait()


def compare(before: Version, now: Version, repeats: int, seconds: float) -> None:
    """Print a row of the table for each call."""
    assert before.calls == now.calls
    announce(len(now.calls) * min(seconds, 0.6 * (repeats + 1)))
    print("| call | before (s) | now (s) | ratio of least | median of ratios |\n|---|---|---|---|---|", flush=True)
    for k, name in enumerate(now.calls):
        failed = [f"{which}: {answer['error']}" for which, v in (("before", before), ("now", now))
                  if "error" in (answer := v.run(k))]  # fmt: skip
        if failed:
            print(f"| {name} | {'; '.join(failed)} |", flush=True)
            continue
        times: tuple[list[float], list[float]] = ([], [])
        start = time.monotonic()
        while len(times[0]) < repeats and (not times[0] or time.monotonic() - start < seconds):
            order = (0, 1) if len(times[0]) % 2 else (1, 0)
            for which in order:
                times[which].append((before, now)[which].run(k)["seconds"])
        ratios = [b / a for a, b in zip(*times, strict=True)]
        low, high = min(times[0]), min(times[1])
        print(f"| {name} | {low:.4g} | {high:.4g} | {high / low:.2f} | {median(ratios):.2f} |", flush=True)


if __name__ == "__main__":
    main()
