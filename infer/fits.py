"""Fits and samples as NetCDF files, which the commands `simulate`, `fit` and `compare` exchange."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from infer.errors import InputError
from infer.estimators.registry import find_method
from infer.files.atomic import atomic_write, check_writable
from infer.files.netcdf import write_datasets
from infer.progress import shown_steps, step
from infer.recordings.child_process import try_reading
from infer.recordings.formats.netcdf import read_arrays
from infer.recordings.read import one_line_errors
from infer.recordings.recording import Recording, read_couplings
from simulate.threads import one_blas_thread

__all__ = ["check_output", "compare_file", "fit_recording", "write_netcdf", "write_similarity"]


# results that are variables in the dataset of a comparison
ARRAYS = (
    "rates",
    "profile",
    "spectra",
    "principal_angles",
    "couplings",
    "reference_couplings",
    "hebbian_couplings",
)


def fit_recording(
    recording: Recording,
    method: str = "pseudolikelihood",
    *,
    alpha: float | None = None,
    shrinkage: float | str | None = None,
    fit_fields: bool | None = None,
    errors: bool = True,
    n_replicates: int = 200,
    seed: int = 0,
    n_jobs: int | None = 1,
    progress: bool = False,
) -> xr.Dataset:
    """Fit couplings and fields to a recording, and collect the data for a later comparison.

    Parameters
    ----------
    recording : Recording
        As returned by `read_recording`.
    method : str
        "pseudolikelihood" (`PseudoLikelihood`), "interaction-screening" (`InteractionScreening`), "probability-flow"
        (`MinimumProbabilityFlow`), "maximum-likelihood" (`MaximumLikelihood`), "population-count" (`KPairwise`),
        "kinetic" (`KineticCouplings`, parallel updates: row i of the couplings acts on spin i), or "naive", "tap",
        "bethe", "sessak-monasson", "independent-pair" (`MeanField` of that method).
    alpha : float, optional
        Strength of the l2 penalty. Default: 1 / number of samples, for the pseudo-likelihood a standard normal prior on
        every coupling, which keeps couplings finite where some spins determine others completely. For interaction
        screening it is the l1 penalty, with the default of that estimator. Mean-field methods have no penalty.
    shrinkage : float, str or None
        For mean-field methods: shrinkage of covariances, a number from 0 to 1 (or its text), or "ledoit-wolf".
    fit_fields : bool, optional
        Whether every spin has a field. Default: False for simulations without fields, True otherwise, since the means
        of recorded spins are not zero.
    errors : bool
        Whether standard errors are computed; without them there are no replicates either.
    n_replicates : int
        Number of bootstrap replicates of the couplings, from which `compare_file` takes its interval; only the
        pseudo-likelihood has them. 0 for none: they take 2 n_spins^2 bytes each.
    seed : int
        Seed of the replicates, and of the chains of maximum likelihood.
    n_jobs : int or None
        Number of threads.
    progress : bool
        Show the steps and their share of the time on standard error.

    Returns
    -------
    xarray.Dataset
        "couplings" (beta J) and "correlations" of shape (n_spins, n_spins), "fields" (beta h) of shape (n_spins,),
        all dimensionless, the spins labelled with their names (for correlations masked values are drawn from the fit);
        with the pseudo-likelihood also standard errors "couplings_std", and "replicates" (n_replicates, n_pairs) of the
        couplings above the diagonal, row by row. The attributes hold the parameters, "converged" (0 or 1), "score"
        (mean log pseudo-likelihood per sample, for "kinetic" the log-likelihood given the row before, nats), "rows",
        "samples" and the record of the reading.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or values are masked and the method is not the pseudo-likelihood.
    """
    from infer.similarity.family import data_correlations

    if n_replicates < 0:
        raise InputError(f"the number of replicates must be at least 0, got {n_replicates}")
    if fit_fields is None:
        fit_fields = not recording.without_fields
    masked = not recording.complete
    if masked and method != "pseudolikelihood":
        raise InputError(
            f"method {method!r} takes no masked values, only the pseudo-likelihood does; drop or fill missing values "
            "(--missing drop or --missing fill on the command line)"
        )
    model = find_method(method).build(
        {"alpha": alpha, "shrinkage": _number_or_text(shrinkage)},
        {
            "fit_fields": fit_fields,
            "missing": "mask" if masked else "error",
            "errors": errors,
            "n_jobs": n_jobs,
            "random_state": seed,
        },
    )
    with shown_steps(progress):
        with step("couplings"):
            model.fit(recording)
        spins = model.complete(recording, seed) if masked else recording.spins
        square, names = ("spin", "other_spin"), list(recording.names or map(str, range(recording.n_spins)))
        variables: dict[str, Any] = {
            "couplings": (square, model.couplings_),
            "fields": ("spin", model.fields_),
            "correlations": (square, data_correlations(spins, recording.counts)),
            "quadratic_penalty": ((), getattr(model, "quadratic_penalty", 0.0)),
        }
        std = getattr(model, "couplings_std_", None)
        if std is not None:
            variables["couplings_std"] = (square, std)
            variables["fields_std"] = ("spin", model.fields_std_)
            # where the samples do not determine couplings their errors are not finite, and a bootstrap is not possible
            known = np.isfinite(std) | getattr(model, "undetermined_", np.zeros(std.shape, dtype=bool))
            if n_replicates and known.all() and hasattr(model, "bootstrap_couplings"):
                above = np.triu_indices(recording.n_spins, 1)
                with step("bootstrap"):
                    replicates = model.bootstrap_couplings(n_replicates, random_state=seed)
                variables["replicates"] = (("replicate", "pair"), replicates[:, *above].astype(np.float32))
        with step("score"):
            score = float(model.score(recording))
    alpha = getattr(model, "alpha_", getattr(model, "alpha", None))
    attributes = {
        **{name: value for name, value in recording.attributes.items() if name != "fields"},
        "source": recording.source,
        "rows": len(recording.spins),
        "samples": int(recording.n_samples),
        "method": method,
        "alpha": "none" if alpha is None else float(alpha),
        "shrinkage": "none" if shrinkage is None else shrinkage,
        "fit_fields": fit_fields,
        "fit_seed": seed,
        "converged": bool(getattr(model, "converged_", True)),
        "score": score,
    }
    return xr.Dataset(variables, coords={"spin": names, "other_spin": names}, attrs=attributes)


def _number_or_text(value: float | str | None) -> Any:
    """Convert text to a number where it is one."""
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def check_output(
    path: str | os.PathLike[str], *endings: str, inputs: Iterable[str | os.PathLike[str] | None] = ()
) -> None:
    """Check before a long computation that `path` has one of the endings and can be written to.

    Parameters
    ----------
    path : str or path-like
        Path of the output file.
    *endings : str
        Allowed endings, such as ".nc".
    inputs : iterable of str, path-like or None
        Files that are read, none of which the output may replace; None for one that was not given.

    Raises
    ------
    ValueError
        If the name ends otherwise, the folder does not exist, one may not write there, or the file is one of the
        inputs.
    """
    if Path(path).suffix.lower() not in endings:
        raise InputError(f"{path}: the name of the output must end in {' or '.join(endings)}")
    check_writable(path)
    for given in inputs:
        if given is not None and os.path.exists(given) and os.path.exists(path) and os.path.samefile(given, path):
            raise InputError(f"{path} is an input too, which the output would replace; give the output another name")


def write_netcdf(path: str | os.PathLike[str], dataset: xr.Dataset, patterns: NDArray[np.int8] | None = None) -> None:
    """Write a dataset, and patterns in a group of their own, as one NetCDF file (atomic).

    Parameters
    ----------
    path : str or path-like
        The file.
    dataset : xarray.Dataset
        Samples or a fit. Attributes that NetCDF cannot hold are written as numbers or text.
    patterns : ndarray of int8, shape (n_patterns, n_spins), optional
        Stored patterns; in a group, since tools for samples expect the dims chain and draw of all variables.

    Raises
    ------
    ValueError
        If `path` cannot be written to.
    OSError
        If the disk is full.
    """
    storable = dataset.assign_attrs({name: _storable(value) for name, value in dataset.attrs.items()})
    groups: dict[str | None, xr.Dataset] = {None: storable}
    if patterns is not None:
        groups["patterns"] = xr.Dataset({"patterns": (("pattern", "spin"), np.asarray(patterns, dtype=np.int8))})
    with atomic_write(path) as temporary:
        write_datasets(temporary, groups)


def _storable(value: Any) -> Any:
    """Convert a value to a type that NetCDF attributes allow."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, int | float | str | np.ndarray | np.number):
        return value
    return json.dumps(value, default=str)


def compare_file(
    path: str | os.PathLike[str],
    patterns: NDArray[np.int8] | None = None,
    *,
    key: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Any:
    """Compare couplings in a file with Hebbian couplings and their dreamed versions.

    Parameters
    ----------
    path : str or path-like
        A fit by `fit_recording`, whose replicates then give the interval, or a matrix in any format of
        `read_couplings`.
    patterns : ndarray, shape (n_patterns, n_spins), optional
        Stored patterns; by default those in the file, or else the correlations of the recording in the file.
    key : str, optional
        Name of the array (npz) or variable (NetCDF) that holds the couplings.
    seed : int
        Seed of the null models.
    progress : bool
        Show the steps and their share of the time on standard error.

    Returns
    -------
    infer.similarity.compare.Similarity

    Raises
    ------
    ValueError
        If the file holds no couplings, or neither patterns nor correlations are known.
    """
    from infer.similarity.compare import compare

    with (
        shown_steps(progress),
        # one thread: the last bits of a matrix product depend on the number of threads, and results must not
        one_blas_thread(),
    ):
        couplings = read_couplings(path, key=key)
        found: dict[str, NDArray[Any]] = {}
        if Path(path).suffix.lower() == ".nc":
            with one_line_errors(Path(path), "NetCDF"):
                wanted = ("replicates", "correlations", "patterns", "quadratic_penalty")
                try_reading("infer.recordings.formats.netcdf:read_arrays", Path(path), wanted)
                found = read_arrays(Path(path), wanted)
        patterns = found.get("patterns") if patterns is None else patterns
        correlations = None if patterns is not None else found.get("correlations")
        if patterns is None and correlations is None:
            raise InputError(f"{path} holds neither patterns nor correlations to compare with; give --patterns FILE")
        replicates = _square(path, found["replicates"], len(couplings)) if "replicates" in found else None
        strength = float(found["quadratic_penalty"]) if "quadratic_penalty" in found else None
        with step("similarity"):
            similarity = compare(
                couplings, patterns, correlations=correlations, replicates=replicates, alpha=strength, seed=seed
            )
    return similarity


def _square(path: str | os.PathLike[str], pairs: NDArray[Any], n_spins: int) -> NDArray[np.float64]:
    """Symmetric matrices (n, n_spins, n_spins) from the couplings above the diagonal (n, n_pairs)."""
    above = np.triu_indices(n_spins, 1)
    if pairs.ndim != 2 or pairs.shape[1] != len(above[0]):
        raise InputError(f"{path}: replicates of shape {pairs.shape} do not go with {n_spins} spins")
    matrices = np.zeros((len(pairs), n_spins, n_spins))
    matrices[:, *above] = pairs
    matrices += matrices.transpose(0, 2, 1)
    return matrices


def write_similarity(path: str | os.PathLike[str], similarity: Any) -> None:
    """Write every number of a comparison, as JSON or NetCDF by the ending of the name.

    JSON has the format of the file beside a report: NaN is null, infinity a text, arrays have 9 significant digits. In
    NetCDF arrays are variables, the most important numbers attributes, and the attribute "numbers" holds all that are
    not arrays, as JSON.

    Parameters
    ----------
    path : str or path-like
        Ends in .json or .nc.
    similarity : infer.similarity.compare.Similarity
        As returned by `compare_file`.

    Raises
    ------
    ValueError
        If `path` ends otherwise or cannot be written to.
    """
    check_output(path, ".json", ".nc")
    from infer.files.json import fields_of, plain

    if Path(path).suffix.lower() == ".nc":
        # attributes of HDF5 must be small
        numbers = json.dumps(plain(fields_of(similarity, without=ARRAYS)), allow_nan=False)
        write_netcdf(path, similarity.to_dataset().assign_attrs(numbers=numbers))
        return
    with atomic_write(path) as temporary:
        text = json.dumps(plain(fields_of(similarity)), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
