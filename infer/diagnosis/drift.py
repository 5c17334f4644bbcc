"""Test for drift of means, energy and correlations, inside the runs of a record and from run to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.blocks import FEWEST_BLOCKS, TimeBlocks, block_kernel, smallest_p_value
from infer.diagnosis.check import percent, spin_name
from infer.files.json import to_plain_dict
from infer.types import FloatArray, IntArray
from infer.wording import join, p_text

N_SEGMENTS = 4
_N_PERMUTATIONS = 1999
_MOST_DRIFTING = 5
#: Fewest blocks of a run whose quarters are compared.
_FEWEST_IN_RUN = 4


@dataclass(frozen=True, eq=False, repr=False)
class Drift:
    """Result of :func:`drift_test`.

    Attributes
    ----------
    p_value : float
        Probability that a stationary record differs as much between its parts: the smallest of ``tests`` times their
        number. nan where nothing could be compared.
    tests : dict of float
        p-values of the comparisons that could be made: "within runs" (quarters of each run), "run to run" (quarters of
        the series of runs) and "between runs" (runs against each other, in any order).
    p_values : dict of float
        p-values for each of "means" of all spins, "energy", and "correlations": products of the leading principal
        components; keys such as "means within runs".
    rms_z : dict of float
        With the same keys: root mean square distance of the parts from the mean over its median under permutations; 1
        without drift.
    false_alarms : float
        Rate of false alarms at which `stationary` is decided.
    time : ndarray (n_blocks,)
        Middle of each block, in rows from the start of its run.
    energy, energy_std : ndarray (n_blocks,)
        Mean energy of each block (in units of the temperature, relative to the mean of the record) and the standard
        deviation of blocks of this length about the mean of their run.
    mean_spin : ndarray (n_blocks,)
        Mean over spins and rows of each block.
    largest : list of dict
        The spins whose means change most: ``spin``, ``first`` and ``last`` (means of the first and the last quarter of
        the record), ``z``.
    n_blocks, n_runs, block_length : int
    correlation_time : float
        Longest autocorrelation time in rows, slow trends left out.
    long_enough : bool
        Whether blocks hold at least eight autocorrelation times.
    names : tuple of str, or None
        Names of the spins.
    """

    p_value: float
    tests: dict[str, float]
    p_values: dict[str, float]
    rms_z: dict[str, float]
    false_alarms: float
    time: FloatArray
    energy: FloatArray
    energy_std: FloatArray
    mean_spin: FloatArray
    largest: list[dict[str, float]]
    n_blocks: int
    n_runs: int
    block_length: int
    correlation_time: float
    long_enough: bool
    names: tuple[str, ...] | None = None

    @property
    def stationary(self) -> bool | None:
        """False where the record drifts; None where it is too short to decide, or has too few blocks."""
        if not self.tests:
            return None
        # runs are independent of each other, however long the autocorrelation time inside them
        if self.tests.get("run to run", 1.0) * len(self.tests) <= self.false_alarms:
            return False
        if not self.long_enough:
            return None
        return bool(self.p_value > self.false_alarms)

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return {**to_plain_dict(self), "stationary": self.stationary}

    def __repr__(self) -> str:
        """The verdict."""
        return f"Drift({self.verdict!r})"

    @property
    def effect(self) -> str:
        """Sentence part on the spin whose mean changes most."""
        if not self.largest:
            return ""
        most = self.largest[0]
        first, last = (percent((1 + most[key]) / 2) for key in ("first", "last"))
        name = spin_name(self, int(most["spin"]))
        return f"{name} is +1 in {first} of the rows of the first quarter and {last} of the last"

    @property
    def verdict(self) -> str:
        """One sentence on whether the record is stationary."""
        return _verdict(self)


def drift_test(
    rows: NDArray[np.int8],
    observables: FloatArray,
    blocks: TimeBlocks,
    *,
    false_alarms: float = 0.05,
    n_permutations: int = _N_PERMUTATIONS,
    seed: np.random.SeedSequence,
    names: tuple[str, ...] | None = None,
) -> Drift:
    """Test whether parts of a record differ by more than they do with their blocks in random order.

    There are up to three comparisons. Within runs: every run is divided into four parts of successive blocks, and the
    null distribution has the blocks of each run in random order. Run to run: the series of runs is divided into four
    parts, and the null distribution has the runs in random order. Between runs: the parts are the runs, and the null
    distribution assigns blocks to runs at random. The statistic is the sum, over observables and parts, of the squared
    distance of a part from the mean, in units of the scatter of what is permuted. Means, energy and correlations are
    combined by the smallest of their p-values, whose own distribution comes from the same permutations (Westfall, Young
    1993, Resampling-Based Multiple Testing); the comparisons by Bonferroni.

    Parameters
    ----------
    rows : ndarray of int8 (n_rows, n_spins)
        Spins of +-1 in time order.
    observables : ndarray (n_rows, k)
        Energy first, then principal components, from :func:`infer.diagnosis.blocks.collective_observables`.
    blocks : TimeBlocks
    false_alarms : float
        Rate of false alarms at which ``stationary`` is decided.
    n_permutations : int
    seed : SeedSequence
    names : tuple of str, optional
        Names of the spins, for sentences.

    Returns
    -------
    Drift

    Notes
    -----
    A record of few autocorrelation times cannot be told from a drifting one: where blocks hold fewer than eight of
    them, ``stationary`` is None unless the comparison of whole runs rejects it.
    """
    spins = np.array([rows[part].mean(axis=0, dtype=np.float64) for part in blocks.slices])
    energy = np.array([observables[part, 0].mean() for part in blocks.slices])
    modes = observables[:, 1:]
    upper = np.triu_indices(modes.shape[1])
    products = np.array([(modes[part].T @ modes[part] / max(len(modes[part]), 1))[upper] for part in blocks.slices])
    groups = {"means": spins, "energy": energy[:, None], "correlations": products}
    weight = blocks.lengths / blocks.lengths.mean()
    runs, run_of_block = np.unique(blocks.runs, return_inverse=True)
    in_run = np.bincount(run_of_block)
    deviations = {name: _within_runs(values, blocks.runs, weight) for name, values in groups.items()}
    rng = np.random.default_rng(seed)

    tests, p_values, rms_z = {}, {}, {}

    def note(name: str, values: dict[str, FloatArray], parts: IntArray, orders: IntArray) -> None:
        null = [_between_parts(block_kernel(each), parts, orders) for each in values.values()]
        each, tests[name] = smallest_p_value(null)
        for group, p, drawn in zip(values, each, null, strict=True):
            middle = float(np.median(drawn[1:]))
            p_values[f"{group} {name}"] = p
            rms_z[f"{group} {name}"] = float(np.sqrt(drawn[0] / middle)) if middle > 0 else float("nan")

    long = in_run[run_of_block] >= _FEWEST_IN_RUN
    if np.count_nonzero(long) >= FEWEST_BLOCKS:
        inside = {name: values[long] for name, values in deviations.items()}
        note("within runs", inside, _quarters(blocks.runs[long]), _orders(blocks.runs[long], n_permutations, rng))
    if len(runs) >= FEWEST_BLOCKS:
        by_run = {name: _run_means(values, run_of_block, weight) for name, values in groups.items()}
        one = np.zeros(len(runs), dtype=np.int64)
        note("run to run", by_run, _quarters(one), _orders(one, n_permutations, rng))
    if len(runs) > 1 and np.median(in_run) >= _FEWEST_IN_RUN and len(blocks.slices) >= FEWEST_BLOCKS:
        one = np.zeros(len(run_of_block), dtype=np.int64)
        whole = {name: _within_runs(values, one, weight) for name, values in groups.items()}
        note("between runs", whole, run_of_block, _orders(one, n_permutations, rng))
    order = _quarters(np.zeros(len(blocks.slices), dtype=np.int64))
    within = _quarters(blocks.runs) if np.all(in_run >= _FEWEST_IN_RUN) else order
    early_late = within if tests.get("within runs", 1.0) <= tests.get("run to run", 1.0) else order
    return Drift(
        p_value=min(1.0, len(tests) * min(tests.values())) if tests else float("nan"),
        tests=tests,
        p_values=p_values,
        rms_z=rms_z,
        false_alarms=false_alarms,
        time=_time_in_run(blocks),
        energy=energy,
        energy_std=np.full(len(energy), float(np.std(deviations["energy"], ddof=1))) / np.sqrt(weight),
        mean_spin=spins.mean(axis=1),
        largest=_largest(spins, early_late == 0, early_late == N_SEGMENTS - 1),
        n_blocks=len(blocks.slices),
        n_runs=len(runs),
        block_length=int(np.median(blocks.lengths)),
        correlation_time=blocks.correlation_time,
        long_enough=blocks.independent,
        names=names,
    )


def _within_runs(values: FloatArray, runs: IntArray, weight: FloatArray) -> FloatArray:
    """Deviations of blocks from the mean of their run, times the square root of their length."""
    deviation = np.empty_like(values)
    for run in np.unique(runs):
        rows = runs == run
        deviation[rows] = values[rows] - np.average(values[rows], axis=0, weights=weight[rows])
    return deviation * np.sqrt(weight)[:, None]


def _run_means(values: FloatArray, run_of_block: IntArray, weight: FloatArray) -> FloatArray:
    """Deviations of runs from the mean of all rows, times the square root of their length."""
    length = np.bincount(run_of_block, weights=weight)
    sums = np.stack([np.bincount(run_of_block, weights=weight * column) for column in values.T], axis=1)
    means = sums / length[:, None]
    deviation = means - np.average(means, axis=0, weights=length)
    return np.asarray(deviation * np.sqrt(length / length.mean())[:, None])


def _quarters(runs: IntArray) -> IntArray:
    """Part of its run, 0 to 3, that each block lies in."""
    parts = np.empty(len(runs), dtype=np.int64)
    for run in np.unique(runs):
        rows = np.flatnonzero(runs == run)
        parts[rows] = (np.arange(len(rows)) * N_SEGMENTS) // len(rows)
    return parts


def _orders(runs: IntArray, n_permutations: int, rng: np.random.Generator) -> IntArray:
    """The order in time, and then random orders within runs; (1 + n_permutations, n_blocks)."""
    orders = np.tile(np.arange(len(runs)), (1 + n_permutations, 1))
    for run in np.unique(runs):
        columns = np.flatnonzero(runs == run)
        orders[1:, columns] = rng.permuted(orders[1:, columns], axis=1)
    return orders


def _between_parts(kernel: FloatArray, parts: IntArray, orders: IntArray) -> FloatArray:
    """Sum over parts of the squared sum of their blocks' scores, over the number of blocks, for every order."""
    total = np.zeros(len(orders))
    for part in np.unique(parts):
        members = np.flatnonzero(parts == part)
        chosen = orders[:, members]
        # sums over part x part of the kernel, a block of orders at a time
        for start in range(0, len(orders), 256):
            some = chosen[start : start + 256]
            total[start : start + 256] += kernel[some[:, :, None], some[:, None, :]].sum(axis=(1, 2)) / len(members)
    return total


def _time_in_run(blocks: TimeBlocks) -> FloatArray:
    """Middle of each block in rows from the start of the first block of its run."""
    middle = np.array([(rows.start + rows.stop) / 2.0 for rows in blocks.slices])
    starts = {int(run): blocks.slices[int(np.argmax(blocks.runs == run))].start for run in np.unique(blocks.runs)}
    return middle - np.array([starts[int(run)] for run in blocks.runs])


def _largest(spins: FloatArray, early: NDArray[np.bool_], late: NDArray[np.bool_]) -> list[dict[str, float]]:
    """The spins whose means differ most between the first and the last quarter, in standard errors of blocks."""
    if early.sum() < 2 or late.sum() < 2:
        return []
    first, last = spins[early].mean(axis=0), spins[late].mean(axis=0)
    spread = np.sqrt(spins[early].var(axis=0, ddof=1) / early.sum() + spins[late].var(axis=0, ddof=1) / late.sum())
    z = np.where(spread > 0, (last - first) / np.where(spread > 0, spread, 1.0), 0.0)
    order = np.argsort(-np.abs(z), kind="stable")[:_MOST_DRIFTING]
    return [
        {"spin": int(k), "first": float(first[k]), "last": float(last[k]), "z": float(z[k])}
        for k in order
        if spread[k] > 0
    ]


def _verdict(found: Drift) -> str:
    """One sentence on whether the record is stationary."""
    if not found.tests:
        return (
            f"Drift was not judged: {found.n_blocks} blocks in {found.n_runs} {'runs' if found.n_runs > 1 else 'run'} "
            "are too few to compare."
        )
    if found.stationary is None:
        time = found.correlation_time
        text = f"{time:.3g} rows" if np.isfinite(time) else "more rows than can be measured"
        return (
            f"Drift was not judged: blocks of {found.block_length:,} rows are too short for an autocorrelation time of "
            f"{text}."
        )
    # of a single run there is nothing else to compare
    compared = f" {join(list(found.tests))}" if found.n_runs > 1 else ""
    if found.stationary:
        return f"No drift is seen{compared} ({p_text(found.p_value)}; {found.n_blocks} blocks)."
    which = [name for name, p in found.p_values.items() if p * len(found.tests) <= found.false_alarms]
    named = which or list(found.p_values)
    if found.n_runs == 1:
        named = [name.removesuffix(" within runs") for name in named]
    text = f"The record drifts ({p_text(found.p_value)}; {join(named)})"
    return f"{text}: {found.effect}." if found.largest else f"{text}."
