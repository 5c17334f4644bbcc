"""Whether a record drifts: means, energy and correlations early and late, against the same blocks in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.blocks import TimeBlocks, block_kernel, smallest_p_value
from infer.files.json import to_plain_dict
from infer.wording import join, p_text

FloatArray = NDArray[np.float64]

N_SEGMENTS = 4
_N_PERMUTATIONS = 1999
_MOST_DRIFTING = 5


@dataclass(frozen=True, eq=False, repr=False)
class Drift:
    """What :func:`drift_test` found.

    Attributes
    ----------
    p_value : float
        Chance that a stationary record differs as much between early and late; of the smallest of those below.
    p_values : dict of float
        "means" of all spins, "energy", and "correlations": products of the leading principal components.
    rms_z : dict of float
        Root mean square distance of the parts of the record from its mean over its standard error; 1 without drift.
    stationary : bool
        Whether ``p_value`` exceeds ``level``.
    level : float
    time : ndarray (n_blocks,)
        Middle of each block, in rows from the start of its run.
    energy, energy_std : ndarray (n_blocks,)
        Mean energy of each block (units of the temperature, from the mean of the record) and the standard deviation
        that blocks of this length have about the mean.
    mean_spin : ndarray (n_blocks,)
        Mean over spins and rows of each block.
    largest : list of dict
        The spins whose means move most: ``spin``, ``first`` and ``last`` (means of first and last quarter), ``z``.
    n_blocks, block_length : int
    correlation_time : float
        Longest autocorrelation time in rows.
    long_enough : bool
        Whether blocks hold at least eight autocorrelation times. In shorter records slow fluctuations may pass for
        drift (false alarms at about 10 % where 5 % are meant, with blocks of two autocorrelation times).
    verdict : str
        One sentence built from these numbers.
    """

    p_value: float
    p_values: dict[str, float]
    rms_z: dict[str, float]
    stationary: bool
    level: float
    time: FloatArray
    energy: FloatArray
    energy_std: FloatArray
    mean_spin: FloatArray
    largest: list[dict[str, float]]
    n_blocks: int
    block_length: int
    correlation_time: float
    long_enough: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf"."""
        return to_plain_dict(self)

    def __repr__(self) -> str:
        """The verdict."""
        return f"Drift({self.verdict!r})"

    @property
    def verdict(self) -> str:
        """One sentence on whether the record is the same early and late."""
        return _verdict(self)


def drift_test(
    rows: NDArray[np.int8],
    observables: FloatArray,
    blocks: TimeBlocks,
    *,
    level: float = 0.05,
    n_permutations: int = _N_PERMUTATIONS,
    seed: np.random.SeedSequence,
) -> Drift:
    """Test whether the quarters of a record differ by more than blocks in random order do.

    Every run is divided into four parts of successive blocks. The statistic is the sum, over observables and parts, of
    the squared distance of the part from the mean of its run, in units of the scatter of the blocks; its null
    distribution is that of the blocks of each run in random order, which leaves what happens inside blocks as it is.
    Means, energy and correlations are combined by the smallest of their p-values, whose own distribution comes from the
    same permutations (Westfall, Young 1993, Resampling-Based Multiple Testing).

    Parameters
    ----------
    rows : ndarray of int8 (n_rows, n_spins)
        Spins of +-1 in time order.
    observables : ndarray (n_rows, k)
        Energy first, then principal components, from :func:`infer.diagnosis.blocks.collective_observables`.
    blocks : TimeBlocks
    level : float
        Rate of false alarms at which ``stationary`` is decided.
    n_permutations : int
    seed : SeedSequence

    Returns
    -------
    Drift

    Notes
    -----
    A record of few autocorrelation times cannot be told from a drifting one; ``long_enough`` says so.
    """
    spins = np.array([rows[part].mean(axis=0, dtype=np.float64) for part in blocks.slices])
    energy = np.array([observables[part, 0].mean() for part in blocks.slices])
    modes = observables[:, 1:]
    upper = np.triu_indices(modes.shape[1])
    products = np.array([(modes[part].T @ modes[part] / max(len(modes[part]), 1))[upper] for part in blocks.slices])
    groups = {"means": spins, "energy": energy[:, None], "correlations": products}
    weight = blocks.lengths / blocks.lengths.mean()
    deviations = {name: _within_runs(values, blocks.runs, weight) for name, values in groups.items()}
    parts = _quarters(blocks)
    orders = _orders(blocks.runs, n_permutations, np.random.default_rng(seed))
    null = [_between_parts(block_kernel(values), parts, orders) for values in deviations.values()]
    p_values, p_value = smallest_p_value(null)
    expected = [float(np.median(values[1:])) for values in null]
    early, late = parts == 0, parts == N_SEGMENTS - 1
    return Drift(
        p_value=p_value,
        p_values=dict(zip(groups, p_values, strict=True)),
        rms_z={
            name: float(np.sqrt(values[0] / middle)) if middle > 0 else float("nan")
            for name, values, middle in zip(groups, null, expected, strict=True)
        },
        stationary=p_value > level,
        level=level,
        time=_time_in_run(blocks),
        energy=energy,
        energy_std=np.full(len(energy), float(np.std(deviations["energy"], ddof=1))) / np.sqrt(weight),
        mean_spin=spins.mean(axis=1),
        largest=_largest(spins, deviations["means"], early, late),
        n_blocks=len(blocks.slices),
        block_length=int(np.median(blocks.lengths)),
        correlation_time=blocks.correlation_time,
        long_enough=blocks.independent,
    )


def _within_runs(values: FloatArray, runs: NDArray[np.int64], weight: FloatArray) -> FloatArray:
    """Deviations of blocks from the mean of their run, times the square root of their length."""
    deviation = np.empty_like(values)
    for run in np.unique(runs):
        rows = runs == run
        deviation[rows] = values[rows] - np.average(values[rows], axis=0, weights=weight[rows])
    return deviation * np.sqrt(weight)[:, None]


def _quarters(blocks: TimeBlocks) -> NDArray[np.int64]:
    """Part of its run, 0 to 3, that each block lies in."""
    parts = np.empty(len(blocks.slices), dtype=np.int64)
    for run in np.unique(blocks.runs):
        rows = np.flatnonzero(blocks.runs == run)
        parts[rows] = (np.arange(len(rows)) * N_SEGMENTS) // len(rows)
    return parts


def _orders(runs: NDArray[np.int64], n_permutations: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The order of time, and random orders within runs; (1 + n_permutations, n_blocks)."""
    orders = np.tile(np.arange(len(runs)), (1 + n_permutations, 1))
    for run in np.unique(runs):
        columns = np.flatnonzero(runs == run)
        orders[1:, columns] = rng.permuted(orders[1:, columns], axis=1)
    return orders


def _between_parts(kernel: FloatArray, parts: NDArray[np.int64], orders: NDArray[np.int64]) -> FloatArray:
    """Sum over parts of the squared sum of their blocks' scores, over the number of blocks, for every order."""
    total = np.zeros(len(orders))
    for part in range(N_SEGMENTS):
        members = np.flatnonzero(parts == part)
        if len(members):
            chosen = orders[:, members]
            total += kernel[chosen[:, :, None], chosen[:, None, :]].sum(axis=(1, 2)) / len(members)
    return total


def _time_in_run(blocks: TimeBlocks) -> FloatArray:
    """Middle of each block in rows from the start of the first block of its run."""
    middle = np.array([(rows.start + rows.stop) / 2.0 for rows in blocks.slices])
    starts = {int(run): blocks.slices[int(np.argmax(blocks.runs == run))].start for run in np.unique(blocks.runs)}
    return middle - np.array([starts[int(run)] for run in blocks.runs])


def _largest(
    spins: FloatArray, deviations: FloatArray, early: NDArray[np.bool_], late: NDArray[np.bool_]
) -> list[dict[str, float]]:
    """The spins whose means differ most between the first and the last quarter."""
    if not early.any() or not late.any():
        return []
    first, last = spins[early].mean(axis=0), spins[late].mean(axis=0)
    spread = deviations.std(axis=0, ddof=1) * np.sqrt(1.0 / early.sum() + 1.0 / late.sum())
    z = np.where(spread > 0, (last - first) / np.where(spread > 0, spread, 1.0), 0.0)
    order = np.argsort(-np.abs(z), kind="stable")[:_MOST_DRIFTING]
    return [
        {"spin": int(k), "first": float(first[k]), "last": float(last[k]), "z": float(z[k])}
        for k in order
        if spread[k] > 0
    ]


def _verdict(found: Drift) -> str:
    """One sentence on whether the record is the same early and late."""
    where = f"({p_text(found.p_value)}; {found.n_blocks} blocks of {found.block_length:,} rows)"
    if found.stationary:
        return f"No drift is seen: the quarters of the record differ no more than blocks in random order do {where}."
    which = [name for name, p in found.p_values.items() if p <= found.level] or list(found.p_values)
    text = f"The record drifts in {join(which)}: its quarters differ by more than blocks in random order do {where}."
    if not found.long_enough:
        text += " It is short against its autocorrelation time, so that slow fluctuations may pass for drift."
    return text
