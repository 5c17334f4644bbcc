"""All steps on an example: simulate, fit, compare, report."""

import os
from pathlib import Path

from infer.files.atomic import atomic_write, check_writable
from infer.fits import write_netcdf
from infer.progress import step
from infer.report.analysis import Analysis, analyse
from infer.report.page import write_report
from simulate import PersistentGlauber, hebbian, random_patterns, sample

__all__ = ["run_demo"]

N_SPINS, N_PATTERNS = 100, 20
TEMPERATURE, PERSISTENCE = 1.2, 0.5
DRAWS, CHAINS, BURN_IN, THIN = 10_000, 4, 500, 4


def run_demo(
    folder: str | os.PathLike[str], *, seed: int = 0, n_jobs: int | None = 1, progress: bool = False
) -> tuple[Analysis, Path]:
    """Simulate a Hopfield network of active spins, fit couplings, compare them with dreamed ones, write the report.

    100 spins store 20 random patterns in Hebbian couplings and are driven by persistent thresholds at temperature 1.2,
    persistence 0.5; 4 chains of 10 000 draws, 4 sweeps apart.

    Parameters
    ----------
    folder : str or path-like
        Folder of samples.nc, report.html and report.json; created when it does not exist.
    seed : int
        Seed of all random numbers.
    n_jobs : int or None
        Number of threads; the result does not depend on it.
    progress : bool
        Show progress bars.

    Returns
    -------
    Analysis
        Every number of the report.
    pathlib.Path
        The report.

    Raises
    ------
    ValueError
        If the folder may not be written to.
    """
    folder = Path(folder)
    new = not folder.exists()
    if new:
        check_writable(folder)
        folder.mkdir()
    try:
        check_writable(folder / "samples.nc")
        patterns = random_patterns(N_PATTERNS, N_SPINS, seed=seed)
        dynamics = PersistentGlauber(couplings=hebbian(patterns), temperature=TEMPERATURE, persistence=PERSISTENCE)
        with step("sampling", live=not progress):
            samples = sample(
                dynamics, DRAWS, chains=CHAINS, burn_in=BURN_IN, thin=THIN, seed=seed, n_jobs=n_jobs, progress=progress
            )
        # the samples are renamed to their final name after the report
        with atomic_write(folder / "samples.nc") as temporary:
            write_netcdf(temporary, samples, patterns)
            analysis = analyse(samples, patterns, source="reverie demo", seed=seed, n_jobs=n_jobs, progress=progress)
            analysis = analysis.of_file("samples.nc")
            with step("page"):
                page, _ = write_report(analysis, folder / "report.html")
    except BaseException:
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return analysis, page
