"""Temporal contrastive learning on the command line: complete tasks, comparison of couplings, results in one file."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from infer.files.atomic import check_writable
from infer.fits import check_output, write_netcdf
from infer.similarity.compare import compare
from simulate.contrastive import IdealContrast, experiments
from simulate.progress_bars import tqdm

__all__ = [
    "check_results",
    "compare_networks",
    "digits_summary",
    "memory_summary",
    "train_digits",
    "train_memory",
    "write_results",
]

# rates of the profile along the dreaming family: logarithmic steps, and 0 (Hebbian)
RATES = np.concatenate([[0.0], np.geomspace(0.03, 300.0, 41)])


def train_memory(
    n_spins: int = 100,
    n_patterns: int = 20,
    n_cycles: int = 5000,
    *,
    rule: str = "temporal",
    free_state: str = "fixed point",
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Train couplings on random patterns by contrast, and compare these and other couplings with the dreaming family.

    Parameters
    ----------
    n_spins, n_patterns, n_cycles : int
    rule : {"temporal", "ideal"}
        Synapses with a memory in time, `simulate.contrastive.memory_rule`, or the exact contrast clamped - free.
    free_state : {"fixed point", "graded", "thermal"}
        See `simulate.contrastive.learn_patterns`.
    seed : int
        Seed of all random numbers.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        The result of `simulate.contrastive.experiments.memory_task` with the variables of `compare_networks`.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    if rule not in ("temporal", "ideal"):
        raise ValueError(f"rule must be 'temporal' or 'ideal', got {rule!r}")
    table = experiments.memory_task(
        n_spins,
        n_patterns,
        n_cycles,
        rule=IdealContrast() if rule == "ideal" else None,
        free_state=free_state,
        seed=seed,
        progress=progress,
    )
    return compare_networks(table, seed=seed, progress=progress).assign_attrs(rule=rule)


def compare_networks(table: xr.Dataset, *, seed: int = 0, progress: bool = False) -> xr.Dataset:
    """Add to a table of couplings their similarity to dreamed couplings of the same patterns, and to each other.

    Parameters
    ----------
    table : xarray.Dataset
        Table with `couplings` (network, spin, spin_) and `patterns` (pattern, spin).
    seed : int
        Seed of the null models of `infer.compare`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        The table with `best_rate`, `best_rate_interval` (network, end), `cosine_best`, `cosine_hebbian`,
        `spectrum_distance` (to the best dreamed couplings) and `verdict` (network); `cosine_profile` (network, rate)
        along the dreaming family; `cosine` (network, network_) of the couplings off the diagonal.

    Raises
    ------
    ValueError
        If couplings and patterns do not fit each other.
    """
    matrices, patterns = table["couplings"].values, table["patterns"].values
    found = [
        compare(matrix, patterns, rates=RATES, seed=seed)
        for matrix in tqdm(matrices, disable=not progress, desc="compare", unit="network")
    ]
    above = np.triu_indices(matrices.shape[-1], 1)
    pairs = matrices[:, *above]
    pairs = pairs / np.linalg.norm(pairs, axis=1, keepdims=True)
    return table.assign(
        best_rate=("network", [one.best_rate for one in found]),
        best_rate_interval=(("network", "end"), [one.best_rate_interval for one in found]),
        cosine_best=("network", [one.at_best["cosine"] for one in found]),
        cosine_hebbian=("network", [one.at_hebbian["cosine"] for one in found]),
        spectrum_distance=("network", [one.at_best["spectrum_distance"] for one in found]),
        verdict=("network", [one.verdict for one in found]),
        cosine_profile=(("network", "rate"), [one.profile["cosine"] for one in found]),
        cosine=(("network", "network_"), pairs @ pairs.T),
    ).assign_coords(
        end=["low", "high"], rate=found[0].rates, network_=("network_", np.asarray(table["network"].values))
    )


def train_digits(
    n_epochs: int = 30,
    *,
    n_hidden: int = 100,
    checkpoint_folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Train classifiers of handwritten digits by contrast: ideal, in time, and in time without a threshold.

    Parameters
    ----------
    n_epochs, n_hidden : int
    checkpoint_folder : path-like, optional
        Folder of the checkpoints, from which trainings are resumed; created when it does not exist.
    seed : int
        Seed of all random numbers.
    progress : bool
        Show progress bars.

    Returns
    -------
    xarray.Dataset
        The result of `simulate.contrastive.experiments.digits_task`.

    Raises
    ------
    ValueError
        If an argument is out of range, the folder may not be written to, or a checkpoint comes from another training.
    """
    folder = None if checkpoint_folder is None else Path(checkpoint_folder)
    new = folder is not None and not folder.exists()
    if folder is not None:
        if new:
            check_writable(folder)
            folder.mkdir()
        check_writable(folder / "temporal.npz")
    try:
        return experiments.digits_task(
            n_epochs, n_hidden=n_hidden, seed=seed, checkpoint_folder=folder, progress=progress
        )
    except BaseException:
        if folder is not None and new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def check_results(output: str | os.PathLike[str] | None, figure: str | os.PathLike[str] | None) -> None:
    """Check before a long computation that its numbers and its figure can be written.

    Parameters
    ----------
    output : str or path-like, optional
        Must end in .nc.
    figure : str or path-like, optional
        Must end in .svg, .pdf or .png.

    Raises
    ------
    ValueError
        If a name ends otherwise or its folder may not be written to.
    """
    if output:
        check_output(output, ".nc")
    if figure:
        check_output(figure, ".svg", ".pdf", ".png")


def write_results(
    table: xr.Dataset,
    output: str | os.PathLike[str] | None,
    figure: str | os.PathLike[str] | None,
    draw: str,
) -> None:
    """Write a table, its figure (drawn by the function `draw` of `infer.contrastive.figures`), or both.

    Parameters
    ----------
    table : xarray.Dataset
    output, figure : str or path-like, optional
        As in `check_results`.
    draw : {"memory_panels", "digits_errors"}

    Raises
    ------
    ValueError
        If a file cannot be written.
    """
    if output:
        write_netcdf(output, table)
    if figure:
        # matplotlib is slow to import
        from infer.contrastive import figures as contrastive_figures

        contrastive_figures.write_figure(figure, getattr(contrastive_figures, draw)(table))


def memory_summary(table: xr.Dataset, flipped: float = 0.1) -> str:
    """The numbers of `train_memory` as a table for a terminal."""
    lines = [
        f"overlap: from {100 * flipped:g} % flipped spins; rate: of the closest dreamed couplings",
        f"{'network':<16}{'overlap':>9}{'stability':>11}{'rate':>9}{'cosine':>9}{'Hebbian':>9}",
    ]
    for name in table["network"].values:
        one = table.sel(network=name)
        numbers = (one["best_rate"], one["cosine_best"], one["cosine_hebbian"])
        # a rate of -1e-15 is Hebbian
        rate, best, hebbian = (0.0 if abs(float(value)) < 1e-9 else float(value) for value in numbers)
        overlap = float(one["mean_overlap"].sel(flipped=flipped))
        lines.append(
            f"{name:<16}{overlap:>9.4f}{float(one['least_stability']):>11.3f}{rate:>9.3g}{best:>9.4f}{hebbian:>9.4f}"
        )
    return "\n".join([*lines, str(table["verdict"].sel(network="contrastive").item())])


def digits_summary(table: xr.Dataset) -> str:
    """The numbers of `train_digits` as a table for a terminal."""
    n_epochs = table.sizes["epoch"]
    lines = [
        f"test error: after {n_epochs} epochs; least: of all epochs; threshold 0: control that must not learn",
        f"{'rule':<16}{'test error':>12}{'least':>9}",
    ]
    for name in table["rule"].values:
        errors = 100 * table["test_error"].sel(rule=name).values
        lines.append(f"{name:<16}{errors[-1]:>10.2f} %{errors.min():>7.2f} %")
    return "\n".join(lines)
