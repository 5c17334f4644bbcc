"""Growth of times with the size of the problem: `python benchmarks/growth.py`, about ten minutes.

Fits and their standard errors against the number of spins and of samples, updates of spins against the numbers of
patterns and of spins, and reports against both. One thread; processor time, so that other work on the machine counts
little. Fits and updates run twice and the faster run counts, since the first one may compile. Writes a figure,
growth.svg, into the folder given by --output and prints the table.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from duration import announce
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from infer import PseudoLikelihood, analyse, read_recording
from simulate import Glauber, PatternCouplings, PersistentGlauber, random_patterns, sample

SPINS = (50, 100, 200, 400, 800)
MOST_SPINS = 2000
SAMPLES = (1_000, 10_000, 100_000)
MOST_SAMPLES = 1_000_000
PATTERNS = (10, 50, 64, 200)

Curves = dict[str, list[tuple[float, float]]]


def faster(run: Callable[[], object]) -> float:
    """Seconds of the processor of the faster of two runs."""
    seconds = []
    for _ in range(2):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def glass(n_spins: int, n_samples: int) -> np.ndarray:
    """Equilibrium samples (n_samples, n_spins) of couplings of standard deviation 0.5 / sqrt(N) at T = 1."""
    upper = np.triu(np.random.default_rng(0).normal(0.0, 0.5 / np.sqrt(n_spins), (n_spins, n_spins)), 1)
    dynamics = Glauber(upper + upper.T, 1.0)
    data = sample(dynamics, draws=n_samples // 20, chains=20, burn_in=50, thin=3, seed=1, check=False)
    return data["spins"].values.reshape(-1, n_spins)


def fits(sizes: Iterable[tuple[int, int]]) -> Curves:
    """Seconds of a fit without and of its standard errors, by (spins, samples)."""
    found: Curves = {}
    for n_spins, n_samples in sizes:
        spins = glass(n_spins, n_samples)
        plain = faster(lambda spins=spins: PseudoLikelihood(errors=False).fit(spins))
        whole = faster(lambda spins=spins: PseudoLikelihood().fit(spins))
        found.setdefault(f"fit, {n_spins} spins", []).append((n_samples, plain))
        found.setdefault(f"errors, {n_spins} spins", []).append((n_samples, max(whole - plain, 0.0)))
        print(f"fit  N = {n_spins:5d}  M = {n_samples:8d}  {plain:9.3f} s, errors {whole - plain:9.3f} s", flush=True)
    return found


def updates(sizes: Iterable[tuple[int, int]]) -> Curves:
    """Million updates a second of 8 chains, in equilibrium and with persistent thresholds, by (patterns, spins)."""
    found: Curves = {}
    for n_patterns, n_spins in sizes:
        couplings = PatternCouplings(random_patterns(n_patterns, n_spins, seed=0))
        n_sweeps = max(10, int(4e6 / (8 * n_spins)))
        for name, dynamics in (
            ("equilibrium", Glauber(couplings, 1.0)),
            ("persistence 0.9", PersistentGlauber(couplings, 1.0, 0.9)),
        ):
            seconds = faster(
                lambda dynamics=dynamics, n_sweeps=n_sweeps: sample(
                    dynamics, draws=1, chains=8, burn_in=0, thin=n_sweeps, seed=0, n_jobs=1, check=False
                )
            )
            rate = 8 * n_sweeps * n_spins / seconds / 1e6
            found.setdefault(f"{name}, {n_patterns} patterns", []).append((n_spins, rate))
            print(
                f"updates  P = {n_patterns:4d}  N = {n_spins:5d}  {name:16s} {rate:7.1f} million a second", flush=True
            )
    return found


def reports(sizes: Iterable[tuple[int, int]]) -> Curves:
    """Seconds of the analysis of a recording of sparse units, by (units, rows)."""
    found: Curves = {}
    for n_units, n_rows in sizes:
        rng = np.random.default_rng(0)
        active = rng.random((n_rows, n_units)) < 0.05 * (1.0 + 0.5 * rng.standard_normal((n_rows, 1)).clip(-1, 1))
        spins = np.where(active, 1, -1).astype(np.int8)
        start = time.process_time()
        analyse(read_recording(spins), seed=0, n_jobs=1)
        seconds = time.process_time() - start
        found.setdefault(f"{n_units} units", []).append((n_rows, seconds))
        print(f"report  N = {n_units:5d}  M = {n_rows:8d}  {seconds:9.1f} s", flush=True)
    return found


def draw(panels: dict[str, tuple[str, str, Curves]], path: Path) -> None:
    """One panel for each quantity, both axes logarithmic: a colour for each size, a style for each kind of run."""
    figure = Figure(figsize=(12.0, 5.0), layout="constrained")
    columns = np.ravel(figure.subplots(1, len(panels)))
    for axes, (title, (across, up, curves)) in zip(columns, panels.items(), strict=True):
        sizes, kinds = [list(dict.fromkeys(name.rpartition(", ")[k] for name in curves)) for k in (2, 0)]
        for name, points in curves.items():
            kind, _, size = name.rpartition(", ")
            style = {"color": f"C{sizes.index(size)}", "linestyle": "-" if kind == kinds[0] else "--"}
            axes.loglog(*np.transpose(sorted(points)), marker="o", markersize=3, linewidth=1, label=name, **style)
        axes.set(title=title, xlabel=across, ylabel=up)
        axes.legend(fontsize=6, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of growth.svg")
    parser.add_argument("--quick", action="store_true", help="the small sizes only, about a minute")
    options = parser.parse_args()
    announce(60 if options.quick else 600)
    warnings.simplefilter("ignore")
    spins, samples = (SPINS[:3], SAMPLES[:2]) if options.quick else (SPINS, SAMPLES)
    of_fits = list(itertools.product(spins, samples))
    of_fits = [(n_spins, n_samples) for n_spins, n_samples in of_fits if n_samples >= 2 * n_spins]
    of_reports = [(20, 2_000), (20, 20_000), (60, 2_000), (60, 20_000)]
    if not options.quick:
        of_fits += [(50, MOST_SAMPLES), (MOST_SPINS, 10_000)]
        of_reports += [(240, 20_000), (20, 200_000)]
    of_updates = itertools.product(PATTERNS, (100, 300, 1000, 3000))
    with threadpool_limits(1):
        panels = {
            "Pseudo-likelihood": ("samples", "seconds", fits(of_fits)),
            "Spins": (
                "spins",
                "million updates a second",
                updates(of_updates),
            ),
            "Reports": ("rows", "seconds", reports(of_reports)),
        }
    draw(panels, options.output / "growth.svg")


if __name__ == "__main__":
    main()
