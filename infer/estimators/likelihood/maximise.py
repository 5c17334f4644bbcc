"""Maximum likelihood from means and second moments: by enumeration for few spins, by Monte Carlo for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.acceptance import Acceptance, check
from infer.estimators.likelihood.chain_moments import ChainMoments
from infer.estimators.likelihood.enumeration import Enumeration, enumerate_states, minimise_exactly
from infer.estimators.likelihood.monte_carlo import Problem, climb, last_step, moment_errors
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.estimators.likelihood.terms import Parameters, Penalty, Terms
from infer.model import PairModel
from infer.statistics.dichotomised import dichotomised_gaussian
from infer.statistics.pair_tables import OpenPairs, open_pairs
from infer.types import FloatArray
from simulate.checks import Seed, seed_sequence

N_CHAINS = 128
REFERENCE_STATES = 20_000
ROUNDS = 10  # of checks on fresh chains, each followed by another Newton step if the fit is not accepted
MOST_UPDATES = 200
EXACT_TOLERANCE = 1e-8
EXACT_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class MomentFit:
    """Maximum-likelihood parameters of given moments, with the checks of convergence.

    Attributes
    ----------
    parameters : Parameters
        Couplings, fields and the potential of the count (zero unless it was fitted).
    converged : bool
    message : str
        Reason and remedy where it did not converge; else empty.
    mismatch : float
        "exact": largest difference of moments. "pcd": root mean square difference of moments on fresh chains, in units
        of the data's standard errors, noise of the chains subtracted.
    noise : float
        Noise of the chains, in the same units; 0 for "exact".
    n_iter : int
    acceptance : Acceptance or None
        Checks on fresh chains, for Monte Carlo fits.
    enumeration : Enumeration or None
        Probabilities of all states, for exact fits.
    terms : Terms
    penalty : Penalty
    """

    parameters: Parameters
    converged: bool
    message: str
    mismatch: float
    noise: float
    n_iter: int
    acceptance: Acceptance | None
    enumeration: Enumeration | None
    terms: Terms
    penalty: Penalty

    @property
    def couplings(self) -> FloatArray:
        """Couplings (n_spins, n_spins)."""
        return self.parameters.couplings

    @property
    def fields(self) -> FloatArray:
        """Fields (n_spins,)."""
        return self.parameters.fields

    @property
    def model_moments(self) -> ChainMoments | None:
        """Moments of the model on fresh chains, for Monte Carlo fits."""
        return None if self.acceptance is None else self.acceptance.moments


def maximise(
    means: FloatArray,
    second_moments: FloatArray,
    n_samples: float,
    alpha: float | None = None,
    fit_fields: bool = True,
    seed: Seed = 0,
    *,
    counts: FloatArray | None = None,
    smoothness: float = 0.0,
    method: str = "auto",
    states: NDArray[np.int8] | None = None,
    errors: FloatArray | None = None,
    start: PairModel | None = None,
    n_chains: int = N_CHAINS,
    max_iter: int | None = None,
    tol: float | None = None,
    names: tuple[str, ...] | None = None,
    progress: bool = False,
) -> MomentFit:
    r"""
    Couplings and fields of maximum likelihood from means and second moments; no rows are needed.

    Maximises :math:`\sum_{i<j} J_{ij} \langle s_i s_j \rangle + \sum_i h_i \langle s_i \rangle - \log Z -
    \frac\alpha2 \sum_{i<j} J_{ij}^2`.

    Up to 20 spins are enumerated (Newton's method). Above, persistent chains that start from independent spins give the
    moments, and the result is checked on fresh chains from the data and from independent spins.

    Parameters
    ----------
    means : ndarray (n_spins,)
        Means of spins that vary.
    second_moments : ndarray (n_spins, n_spins)
    n_samples : float
        Approximate number of independent rows that the moments come from.
    alpha : float, optional
        Strength of the penalty; 1 / n_samples by default.
    fit_fields : bool
    seed : int, SeedSequence, Generator or None
    counts : ndarray (n_spins + 1,), optional
        Shares of the rows with 0, 1, ... spins at +1; if given, a potential of the count is fitted too.
    smoothness : float
        Strength of the penalty on its third differences.
    method : {"auto", "exact", "pcd"}
    states : int8 array (n_states, n_spins), optional
        Rows of the data, in random order, to start chains from. By default states with their moments are drawn.
    errors : ndarray (size,), optional
        Standard errors of the moments, in the order of `Terms`; by default those of n_samples independent rows.
    start : PairModel, optional
        Model that Monte Carlo starts from, whose chains stay near the data; independent spins by default.
    n_chains : int
    max_iter : int, optional
    tol : float, optional
        "exact": largest difference of moments. "pcd": root mean square difference of moments; by default a fifth of
        the data's errors.
    names : tuple of str, optional
        Names of the spins, for the message.
    progress : bool

    Returns
    -------
    MomentFit
    """
    strength = 1.0 / n_samples if alpha is None else float(alpha)
    terms = Terms(len(means), fit_fields, counts is not None)
    penalty = Penalty(terms, strength, smoothness)
    infinite = open_pairs(means, second_moments, fit_fields) if strength == 0.0 else None
    if method == "exact" or (method == "auto" and terms.n_spins <= MOST_EXACT_SPINS):
        data = terms.pack(second_moments, means, counts)
        limit = EXACT_TOLERANCE if tol is None else tol
        minimum = minimise_exactly(terms, penalty, data, limit, EXACT_ITERATIONS if max_iter is None else max_iter)
        parameters = terms.unpack(minimum.point)
        message = ""
        if infinite or minimum.unbounded:
            message = endless_message(infinite, names)
        elif minimum.gradient_norm > limit:
            message = (
                f"no convergence in {minimum.n_iter} Newton steps: moments differ by up to {minimum.gradient_norm:.2g} "
                f"> tol = {limit:.2g}; raise max_iter or tol, or pass alpha > 0 (say 0.01)"
            )
        states_of_all = enumerate_states(parameters.couplings, parameters.fields, parameters.potential)
        return MomentFit(
            parameters, not message, message, minimum.gradient_norm, 0.0, minimum.n_iter, None, states_of_all, terms,
            penalty,
        )  # fmt: skip
    root = seed_sequence(seed)
    drawn, climbing, checking = root.spawn(3)
    if states is None:
        states = dichotomised_gaussian(means, second_moments, REFERENCE_STATES, np.random.default_rng(drawn))
    if errors is None:
        errors = moment_errors(terms, means, second_moments, counts, n_samples)
    if tol is not None:
        errors = np.full(terms.size, tol / 0.2)
    problem = Problem(terms, penalty, means, second_moments, counts, errors, n_samples, states[:REFERENCE_STATES])
    most = MOST_UPDATES if max_iter is None else max_iter
    vector, known, n_iter, part = problem.start(start), None, 0, 1.0
    checked: Acceptance | None = None  # of the model at the vector
    for _ in range(ROUNDS):
        found = climb(problem, vector, climbing, known, n_chains=n_chains, max_iter=most - n_iter, progress=progress)
        vector, n_iter = found.vector, n_iter + found.n_iter
        checked = checked if found.n_iter == 1 else None
        step, bias = np.zeros(terms.size), found.bias
        if found.arrived:
            last = last_step(problem, vector, found.moments)
            # only as much of the step as is not noise of the chains, which would take the place of what is mended; a
            # potential of counts needs the whole step, since it hardly shows in the moments
            whole = terms.n_counts > 0 and checked is None
            taken = part if whole else part * problem.signal(vector, found.moments)
            step, bias = taken * last.change, last.bias(bias, taken)
        accepted = check(problem, vector + step, found.moments.variance, checking, bias, n_chains=n_chains)
        if accepted.accepted or accepted.lost_in_noise or not found.arrived or n_iter >= most:
            vector = vector + step
            break
        if accepted.ran_away:
            known, part, checked = None, part / 3.0, None  # the model ran away: go back to the one before
        elif checked is not None and accepted.mismatch > checked.mismatch + accepted.noise:
            # the curvature of few independent states is uncertain, and the step too long: go back, take less of it
            known, part = (found.moments, found.bias), part / 3.0
        else:
            # fresh chains may have found a state that the earlier ones missed: their moments include it
            vector, known, checked = vector + step, (accepted.moments, bias), accepted
    else:
        # a last step that was taken back has moments that are not those of the model returned
        accepted = checked or check(problem, vector, found.moments.variance, checking, found.bias, n_chains=n_chains)
    message = endless_message(infinite, names) if infinite else accepted.reason
    return MomentFit(
        terms.unpack(vector), not message, message, accepted.mismatch, accepted.noise, n_iter, accepted, None, terms,
        penalty,
    )  # fmt: skip


def endless_message(infinite: OpenPairs | None, names: tuple[str, ...] | None) -> str:
    """Message that there is no finite maximum, with reason and remedy."""
    why = (infinite.sentence(names=names) if infinite else "") or "some states of a few spins never occur"
    return (
        f"{why}, so that the best couplings are infinite and those returned unreliable; pass alpha > 0 (say 0.01, or "
        "alpha=None for one prior sample) to keep couplings finite, or give more samples"
    )
