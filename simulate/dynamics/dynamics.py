"""Base class of all dynamics: parameters, and trajectories of a group of chains for `sample`."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from simulate.couplings import PatternCouplings
from simulate.dynamics.responses import Response

__all__ = ["Dynamics", "Schedule", "Start", "even_groups", "random_spins"]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Schedule of recording of all `chains`: after `burn_in`, then `draws` times every `thin`, in ticks."""

    chains: int
    draws: int
    burn_in: int
    thin: int

    @property
    def duration(self) -> int:
        """Ticks of one chain."""
        return self.burn_in + self.draws * self.thin


@dataclasses.dataclass(frozen=True)
class Start:
    """Initial states and memory of chains, (n_chains, n_spins); None where each chain draws its own."""

    states: NDArray[Any] | None = None
    memory: NDArray[Any] | None = None

    def __getitem__(self, chains: slice) -> Start:
        """Initial states and memory of some of the chains."""
        return Start(*(None if part is None else part[chains] for part in (self.states, self.memory)))


def even_groups(chains: int, fewest: int = 4) -> list[int]:
    """Sizes of at least `fewest` groups of up to 32 chains; they depend only on the number of chains.

    For dynamics that use matrix products, whose rounding depends on their shape: results then do not depend on n_jobs.
    """
    groups = max(min(chains, fewest), -(-chains // 32))
    return [len(part) for part in np.array_split(np.arange(chains), groups)]


def random_spins(generators: list[np.random.Generator], n_spins: int) -> NDArray[np.int8]:
    """A random state (n_spins,) from each generator, int8 (n_chains, n_spins)."""
    return np.array([np.where(rng.random(n_spins) < 0.5, -1, 1) for rng in generators], dtype=np.int8)


class Dynamics(ABC):
    """A driven dynamics; subclasses are dataclasses whose fields are its parameters.

    A subclass names the recorded variable and its type, gives the number of ticks (single-spin updates, time steps) in
    a unit of time, and implements `trajectories`. Each chain draws all its random numbers from its own streams
    (`chain_seeds`): chains are independent, and do not depend on the group in which they are computed.
    """

    variable: ClassVar[str]
    dtype: ClassVar[type]
    couplings: Any

    @property
    def n_spins(self) -> int:
        """Number of spins N."""
        return int(self.couplings.shape[0])

    @property
    @abstractmethod
    def ticks_per_unit(self) -> int:
        """Number of ticks in a unit of time: N for one spin at a time, 1 where all are updated together."""

    @abstractmethod
    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """States of a group of chains, recorded by the schedule, and their memory at the end.

        Parameters
        ----------
        chain_seeds : list of SeedSequence
            Seed of each chain of the group.
        start : Start
            Initial states and memory; None for random ones.
        schedule : Schedule
            Schedule of recording, in ticks.
        advanced : callable
            Called with the number of ticks since the last call, summed over the chains.

        Returns
        -------
        states : ndarray, shape (n_chains, draws, n_spins)
            Of the type `dtype`; the last state is that at the end of the run.
        memory : ndarray, shape (n_chains, n_spins), or None
            Variables of spins or units besides their state (such as thresholds), which a continued run needs.
        """

    def energies(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy E(x) = -1/2 x^T J x - H . x of states.

        Parameters
        ----------
        states : ndarray, shape (n_states, n_spins)

        Returns
        -------
        ndarray, shape (n_states,)
            In the units of the couplings.
        """
        energy: NDArray[np.float64] = -0.5 * np.einsum("ki,ik->k", states, self.couplings @ states.T)
        fields = getattr(self, "fields", None)
        return energy if fields is None else energy - states @ fields

    def response(self) -> Response | None:
        """Closed forms of the disordered state, for `simulate.theory`; None where none are known.

        Returns
        -------
        Response or None
        """
        return None

    def group_sizes(self, chains: int, n_jobs: int) -> list[int]:
        """Number of chains in each group that is computed together; here distributed evenly over the threads.

        Parameters
        ----------
        chains, n_jobs : int
            Number of chains, and of threads that share them.

        Returns
        -------
        list of int
            Their sum is `chains`.
        """
        groups = max(1, min(chains, n_jobs))
        return [len(part) for part in np.array_split(np.arange(chains), groups)]

    def parameters(self) -> dict[str, Any]:
        """Every parameter as text, number or array of numbers, for the attributes of samples.

        Returns
        -------
        dict
            From names to text, numbers and arrays.
        """
        found: dict[str, Any] = {"dynamics": type(self).__name__, "n_spins": self.n_spins}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, field.name)
            if field.name == "couplings":
                found |= _describe_couplings(value)
            elif value is None:
                found[field.name] = "none"
            elif isinstance(value, int | float | str | np.ndarray):
                found[field.name] = value
            else:
                found[field.name] = repr(value)
        return found


def _describe_couplings(couplings: Any) -> dict[str, Any]:
    """Kind of the couplings and a digest that identifies them."""
    digest = hashlib.sha256()
    if isinstance(couplings, PatternCouplings):
        kind = repr(couplings)
        parts = [couplings.patterns, np.array([couplings.rate])]
    elif sparse.issparse(couplings):
        kind = f"sparse matrix with {couplings.nnz} entries"
        parts = [couplings.indptr.astype(np.int64), couplings.indices.astype(np.int64), couplings.data]
    else:
        kind = "matrix"
        parts = [couplings]
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return {"couplings": kind, "couplings_sha256": digest.hexdigest()}
