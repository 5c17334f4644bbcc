"""Result of an energy landscape, its table and its summary in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from infer.errors import InputError
from infer.files.json import fields_of, plain
from infer.landscape.accuracy import Accuracy
from infer.landscape.exact import AllStates, Merges, state_numbers
from infer.landscape.overlaps import Memories
from infer.landscape.search import FoundMinima, descend
from infer.landscape.thermodynamics import Thermodynamics
from infer.landscape.visits import MOST_IN_TABLE, Visits
from infer.types import FloatArray, IntArray, SpinArray
from infer.wording import number, with_error

__all__ = ["EnergyLandscape"]

SHOWN = 20  # minima in a table


@dataclass(frozen=True, eq=False, repr=False)
class EnergyLandscape:
    """Local minima of a model under flips of one spin, their basins and the saddles between them.

    Attributes
    ----------
    minima : ndarray of int8 (n_minima, n_spins)
        Minima by increasing energy. Connected states of equal energy are one minimum, represented by the smallest of
        them as binary numbers (spin i being digit i).
    energies : ndarray (n_minima,)
        Energies in units of the temperature of the model.
    exact : bool
        Whether all states were enumerated. Otherwise minima are those found by descent from the rows and from samples
        of the model, and saddles are upper bounds.
    basin_sizes : ndarray of int64 (n_minima,), or None
        Number of states from which steepest descent leads to each minimum, 2^n_spins together; None if not exact.
    plateau_sizes : ndarray of int64 (n_minima,), or None
        Number of states of equal energy that form each minimum, 1 except for ties; None if not exact.
    merges : Merges
        Saddles at which basins meet as the energy increases: the disconnectivity tree.
    shares : ndarray (n_minima,), or None
        Weighted share of the complete rows of the samples in each basin; None without samples.
    model_shares, model_shares_std : ndarray (n_minima,)
        Probability of each basin in the model, and its sampling error, 0 if exact; NaN for too few chains.
    visits : Visits or None
        Shares, dwell times and transitions of the samples.
    model_visits : Visits or None
        The same for heat-bath chains of the model, one sweep of n_spins updates at random spins from row to row.
    memories : Memories or None
        Overlaps of the minima with the patterns.
    accuracy : Accuracy or None
        Entropies of samples and models and the indices ``r`` and ``r_D``.
    thermodynamics : Thermodynamics
        Entropy and heat capacity along a factor of the temperature.
    names : tuple of str
        Names of the spins.
    n_left_out : int
        Number of minima that were found but not kept, because of the limit on their number; 0 if exact.
    n_dropped : int
        Rows that were dropped on reading; steps between rows across these gaps are counted as steps.
    """

    minima: SpinArray
    energies: FloatArray
    exact: bool
    basin_sizes: IntArray | None
    plateau_sizes: IntArray | None
    merges: Merges
    shares: FloatArray | None
    model_shares: FloatArray
    model_shares_std: FloatArray
    visits: Visits | None
    model_visits: Visits | None
    memories: Memories | None
    accuracy: Accuracy | None
    thermodynamics: Thermodynamics
    names: tuple[str, ...]
    n_left_out: int = 0
    n_dropped: int = 0
    _model: Any = field(default=None)
    _states: AllStates | FoundMinima | None = field(default=None)

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return self.minima.shape[1]

    @property
    def n_minima(self) -> int:
        """Number of minima."""
        return len(self.minima)

    @cached_property
    def saddles(self) -> FloatArray:
        """Lowest energy at which every two minima are connected by single flips, (n_minima, n_minima).

        Absolute energies, with the energies of the minima on the diagonal; upper bounds if not exact.
        """
        if self.n_minima > MOST_IN_TABLE:
            raise InputError(
                f"{self.n_minima} minima are too many for a table of all pairs (at most {MOST_IN_TABLE}); use merges, "
                "which holds the same numbers as a tree"
            )
        return self.merges.saddles(self.energies)

    @cached_property
    def depths(self) -> FloatArray:
        """Lowest saddle to any other minimum less the energy of the minimum (n_minima,); NaN for a single minimum."""
        return self.merges.depths(self.energies)

    def assign(self, spins: ArrayLike) -> NDArray[np.int64]:
        """Basins of rows of spins.

        Parameters
        ----------
        spins : array_like (n_rows, n_spins)
            Values -1 and +1; rows with missing values (0) have no basin.

        Returns
        -------
        ndarray of int64 (n_rows,)
            Number of the minimum that steepest descent leads to; -1 where that minimum was not kept.
        """
        rows = np.asarray(spins)
        if rows.ndim != 2 or rows.shape[1] != self.n_spins:
            raise InputError(f"spins: expected shape (n_rows, {self.n_spins}), got {rows.shape}")
        return assign_rows(self._model, self._states, rows)

    @property
    def verdict(self) -> str:
        """The landscape in a few plain sentences."""
        return " ".join(_sentences(self))

    def summary(self) -> str:
        """The minima as a table for a terminal, and the sentences.

        Returns
        -------
        str
        """
        return "\n".join([*_table(self), *_sentences(self)])

    def __repr__(self) -> str:
        """Short description in one line."""
        kind = "exact" if self.exact else "found by descent"
        return f"EnergyLandscape({self.n_minima} minima of {self.n_spins} spins, {kind})"

    def _repr_html_(self) -> str:
        """The table of minima for a notebook."""
        return f"<pre>{_escaped(self.summary())}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """All numbers as floats, lists and strings, ready for JSON; NaN becomes None.

        Returns
        -------
        dict
        """
        found = fields_of(self, without=("_model", "_states"))
        if self.n_minima <= MOST_IN_TABLE:
            found["saddles"] = self.saddles
        return {name: plain(value) for name, value in {**found, "depths": self.depths}.items()}

    def to_dataset(self) -> xr.Dataset:
        """Arrays over minima, spins, patterns and temperatures as an xarray Dataset; single numbers are attributes.

        Returns
        -------
        xarray.Dataset
        """
        variables: dict[str, Any] = {
            "minima": (("minimum", "spin"), self.minima),
            "energies": ("minimum", self.energies),
            "depths": ("minimum", self.depths),
            "model_shares": ("minimum", self.model_shares),
            "model_shares_std": ("minimum", self.model_shares_std),
            "merge_first": ("merge", self.merges.first),
            "merge_second": ("merge", self.merges.second),
            "merge_energies": ("merge", self.merges.energies),
        }
        for name in ("basin_sizes", "plateau_sizes", "shares"):
            if getattr(self, name) is not None:
                variables[name] = ("minimum", getattr(self, name))
        if self.n_minima <= MOST_IN_TABLE:
            variables["saddles"] = (("minimum", "other_minimum"), self.saddles)
        for prefix, seen in (("", self.visits), ("model_", self.model_visits)):
            if seen is not None and seen.transitions is not None:
                variables[f"{prefix}transitions"] = (("minimum", "other_minimum"), seen.transitions)
                variables[f"{prefix}dwell_times"] = ("minimum", seen.dwell_times)
        if self.memories is not None:
            variables["overlaps"] = (("minimum", "pattern"), self.memories.overlaps)
            variables["pattern_p_values"] = ("pattern", self.memories.p_values)
        along = self.thermodynamics
        for name in ("energy", "entropy", "heat_capacity"):
            variables[name] = ("temperature", getattr(along, name))
            variables[f"{name}_std"] = ("temperature", getattr(along, f"{name}_std"))
        attributes: dict[str, Any] = {
            "exact": int(self.exact),
            "n_left_out": self.n_left_out,
            "n_dropped": self.n_dropped,
            "verdict": self.verdict,
        }
        if self.accuracy is not None:
            attributes |= {name: float(value) for name, value in fields_of(self.accuracy).items()}
        return xr.Dataset(
            variables, coords={"spin": list(self.names), "temperature": along.temperatures}, attrs=attributes
        )


def assign_rows(model: Any, states: Any, rows: NDArray[Any]) -> NDArray[np.int64]:
    """Basin of each row, -1 where a value is missing or the minimum is not among those kept."""
    complete = (rows != 0).all(axis=1)
    labels = np.full(len(rows), -1, dtype=np.int64)
    if isinstance(states, AllStates):
        labels[complete] = states.labels[state_numbers(rows[complete])]
    elif complete.any():
        labels[complete] = states.labels(descend(model, rows[complete].astype(np.int8)))
    return labels


def _escaped(text: str) -> str:
    """Text with HTML's special characters escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(found: EnergyLandscape) -> list[str]:
    """Lines of a table of the lowest minima."""
    head = f"{'minimum':>8} {'energy':>10} {'depth':>9} {'+1':>5}"
    head += f" {'basin':>9}" * found.exact + f" {'model':>7}" + f" {'rows':>7}" * (found.shares is not None)
    dwell = found.visits.dwell_times if found.visits is not None else None
    head += f" {'dwell':>7}" * (dwell is not None) + "  pattern (overlap)" * (found.memories is not None)
    lines = [f"Energy landscape of {found.n_spins} spins", head]
    for k in range(min(found.n_minima, SHOWN)):
        line = (
            f"{k:>8} {found.energies[k]:>10.4f} {_or_dash(found.depths[k], '.4f'):>9} {(found.minima[k] > 0).sum():>5}"
        )
        if found.basin_sizes is not None:
            line += f" {found.basin_sizes[k]:>9}"
        line += f" {_or_dash(found.model_shares[k], '.4f'):>7}"
        if found.shares is not None:
            line += f" {_or_dash(found.shares[k], '.4f'):>7}"
        if dwell is not None:
            line += f" {_or_dash(dwell[k], '.2f'):>7}"
        if found.memories is not None:
            best = int(np.argmax(np.abs(found.memories.overlaps[k])))
            line += f"  {best} ({found.memories.overlaps[k, best]:+.2f})"
        lines.append(line)
    if found.n_minima > SHOWN:
        lines.append(f"{'...':>8} and {found.n_minima - SHOWN} more")
    return lines


def _or_dash(value: float, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if np.isnan(value) else format(value, form)


def _sentences(found: EnergyLandscape) -> list[str]:
    """Sentences, one for each part of the landscape that was computed."""
    sentences = [_of_minima(found)]
    if found.shares is not None and not np.isnan(found.shares).any():
        sentences.append(_of_shares(found))
    if found.visits is not None and found.visits.n_steps and found.n_minima > 1:
        seen = found.visits
        text = (
            f"{seen.staying:.1%} of the steps from row to row stay in their basin "
            f"({seen.staying_if_independent:.1%} if rows were in random order)"
        )
        gaps = f"; reading has dropped {found.n_dropped} rows, and steps lead across their gaps"
        sentences.append(text + (gaps if found.n_dropped else "") + ".")
    if found.accuracy is not None:
        sentences.append(_of_accuracy(found.accuracy))
    if found.memories is not None:
        sentences.append(_of_memories(found.memories))
    if not np.isnan(found.thermodynamics.heat_capacity).any():
        sentences.append(_of_heat_capacity(found.thermodynamics))
    return sentences


def _of_minima(found: EnergyLandscape) -> str:
    """Number of minima, and the method by which they were found."""
    lowest = number(float(found.energies[0]))
    if found.exact:
        how = f"All {2**found.n_spins:,} states were enumerated."
    else:
        how = (
            "There are too many states to enumerate: minima are those that descent from rows and from samples of the "
            "model found, and saddles and depths are upper bounds."
        )
        if found.n_left_out:
            how += f" {found.n_left_out} minima with few visits were left out."
    if found.n_minima == 1:
        up = int((found.minima[0] > 0).sum())
        state = "all spins at -1" if up == 0 else "all spins at +1" if up == found.n_spins else f"{up} spins at +1"
        if found.plateau_sizes is not None and found.plateau_sizes[0] > 1:
            state = f"a plateau of {found.plateau_sizes[0]} states of equal energy"
        return f"The model has one local minimum, {state} (energy {lowest}): one basin, and no transitions. {how}"
    if found.plateau_sizes is not None and (found.plateau_sizes > 1).any():
        how += (
            f" {int((found.plateau_sizes > 1).sum())} minima are plateaus of up to {int(found.plateau_sizes.max())} "
            "states of equal energy, of which the first is shown."
        )
    deepest = int(np.argmax(found.depths))
    return (
        f"The model has {found.n_minima} local minima; the lowest has energy {lowest}, and the deepest (number "
        f"{deepest}) lies {number(float(found.depths[deepest]))} below its lowest way out. {how}"
    )


def _of_shares(found: EnergyLandscape) -> str:
    """Shares of the rows in basins."""
    shares = found.shares
    assert shares is not None
    most = int(np.argmax(shares))
    outside = max(0.0, 1.0 - float(shares.sum()))
    known = not np.isnan(found.model_shares[most])
    beside = f"the model: {found.model_shares[most]:.1%}" if known else "the model: not known, its chains do not mix"
    text = (
        f"The rows lie in {int((shares > 0).sum())} of the basins, {shares[most]:.1%} of them in that of minimum "
        f"{most} ({beside})"
    )
    return text + (f", {outside:.1%} in basins that were left out." if outside > 1e-9 else ".")


def _of_accuracy(scores: Accuracy) -> str:
    """Share of the multi-information that the model explains."""
    if np.isnan(scores.r):
        return "The rows show no multi-information that a model could explain."
    share = with_error(scores.r, scores.r_std) if scores.r_std > 0 else f"{scores.r:.4f}"
    text = f"The model explains {share} of the multi-information of the rows (r; r_D {scores.r_divergence:.4f})."
    if scores.seen_once > 0.1:
        text += (
            f" {scores.seen_once:.0%} of the rows are states seen only once, so that their entropy is too low and "
            "these two indices are not reliable."
        )
    return text


def _of_heat_capacity(along: Thermodynamics) -> str:
    """Temperature of the largest heat capacity."""
    temperature, largest = along.peak
    values = (largest, along.heat_capacity[along.at(1.0)])
    peak, now = (f"{value:#.3g}" if value < 99.5 else f"{value:.0f}" for value in values)
    low, high = along.temperatures[[0, -1]]
    if temperature in (low, high):
        return (
            f"The heat capacity is {now} and has no peak between {low:.3g} and {high:.3g} times the fitted temperature."
        )
    return (
        f"The heat capacity is largest at {temperature:.3g} times the fitted temperature ({peak}; {now} at the "
        "fitted one)."
    )


def _of_memories(beside: Memories) -> str:
    """Relation of minima to patterns."""
    itself = "themselves or as mirror images" if beside.mirrored else "themselves"
    return (
        f"{int(beside.are_minima.sum())} of {len(beside.p_values)} patterns are minima {itself}; "
        f"{int(beside.remembered().sum())} lie nearer to a minimum than with their spins in random order (5 % false "
        "alarms for all together)."
    )
