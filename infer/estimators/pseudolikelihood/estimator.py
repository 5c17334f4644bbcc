"""Pseudo-likelihood: couplings and fields from the conditional probability of every spin given the others."""

from __future__ import annotations

from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from infer.checks import name_spins
from infer.estimators.base import Fit
from infer.estimators.columns import VaryingSpins
from infer.estimators.pseudolikelihood.error_bars import ErrorBars
from infer.estimators.pseudolikelihood.firth import fit_firth_nodes
from infer.estimators.pseudolikelihood.joint import fit_joint
from infer.estimators.pseudolikelihood.joint_errors import joint_errors
from infer.estimators.pseudolikelihood.missing import (
    Gaps,
    complete,
    find_gaps,
    fit_by_completion,
    observed_score,
    widened,
)
from infer.estimators.pseudolikelihood.nodes import NodeFit, fit_nodes
from infer.estimators.pseudolikelihood.sparse import fit_sparse_nodes
from infer.model import PairModel
from infer.samples import Samples
from simulate.user_warnings import collected_warnings, warn


class PseudoLikelihood(ErrorBars):
    """Couplings and fields that maximise the pseudo-likelihood of +-1 spins.

    For every spin the conditional probability

    ``p(s_i | rest) = 1 / (1 + exp(-2 s_i (h_i + sum_j J_ij s_j)))``

    is fitted by logistic regression: row ``i`` minimises the mean over samples of ``-log p(s_i | rest)`` plus a
    penalty, ``alpha/2 sum_{j != i} J_ij^2`` by default (fields are not penalised). The two estimates of each coupling
    are then averaged, ``J <- (J + J^T) / 2``. Couplings and fields contain the inverse temperature: they are ``J / T``
    and ``h / T`` of a system with Boltzmann weight ``exp(-E / T)``,
    ``E = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i``. For samples of such a system the estimates are consistent.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet", "firth", None}, default="l2"
        Penalty on the couplings of each node: ``alpha/2 sum_j J_ij^2``, ``alpha sum_j |J_ij|``, or
        ``alpha sum_j (l1_ratio |J_ij| + (1 - l1_ratio)/2 J_ij^2)``. "firth" adds ``1/2 log det`` of the Fisher
        information to each node's log-likelihood of all samples (Firth 1993), which removes the bias of order
        ``1 / n_samples`` and keeps couplings finite where samples are separable; meant for few samples, since its time
        grows as ``n_samples n_spins^3``. "firth" and None ignore ``alpha``.
    alpha : float, optional
        Strength of the penalty, relative to the mean (per sample) negative log pseudo-likelihood. Default: that of one
        prior sample, 1/n_samples; 0.0: no penalty. A larger value (say 0.01) keeps couplings small where the data alone
        do not: separable data, fewer samples than spins.
    l1_ratio : float, default=0.5
        Share of l1 in the elastic net, between 0 and 1; other penalties do not use it.
    symmetrisation : {"mean", "joint"}, default="mean"
        "mean" fits each node by itself and averages the two estimates of each coupling. "joint" minimises the sum of
        all nodes' objectives over symmetric couplings: somewhat smaller errors in the same time, but no l1 penalty, no
        posterior and bootstrap, and standard errors for at most 200 spins in memory without missing values.
    fit_fields : bool or "auto", default="auto"
        Whether to fit fields; otherwise they are zero. "auto": True except for samples of simulations without fields.
    errors : bool, default=True
        Compute standard errors in `fit`.
    tol : float, default=1e-6
        Largest absolute component of the gradient at which a node's regression has converged.
    max_iter : int, default=500
        Most passes over the samples.
    threshold : float, optional
        Converts real values to +1 above the threshold and -1 otherwise. Default: samples must be -1 or +1.
    constant : {"field", "error"}, default="field"
        Treatment of spins that never change, to which no coupling can be estimated: keep them without couplings and
        warn, or raise. Kept ones get, if fields are fitted, the finite field ``+-1/2 log(2 n + 1)`` that follows from
        adding half a sample of either sign to the ``n`` rows.
    missing : {"error", "mask"}, default="error"
        Treatment of missing values, NaN or 0: refuse them, or average over their possible values, given the observed
        spins of the same sample and the model itself (see Notes).
    n_jobs : int, default=1
        Threads for the products over samples; results do not depend on it. Dask arrays are processed by their own
        scheduler.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Symmetric, zero diagonal, in units of the temperature (``J / T``).
    couplings_by_node_ : ndarray (n_spins, n_spins)
        The same before they are made symmetric: row ``i`` is the estimate of node ``i``.
    fields_ : ndarray (n_spins,)
        Fields in units of the temperature; zero unless ``fit_fields``.
    couplings_std_, fields_std_ : ndarray (n_spins, n_spins), (n_spins,)
        Standard errors that account for autocorrelation and chains; NaN for spins that never change.
    alpha_ : float
        Strength of the penalty of the fit.
    fit_fields_ : bool
        Whether fields were fitted.
    converged_ : bool
        Whether no component of any node's gradient exceeds ``tol``, checked in double precision, and the optimum is
        finite: False for separable samples without a penalty.
    gradient_norm_ : float
        Largest component of the gradient.
    n_iter_ : int
        Passes over the samples.
    n_features_in_ : int
        Number of spins.

    Notes
    -----
    Standard errors treat rows as time-ordered within each chain (a Dataset from ``simulate.sample``, a recording with
    chains, or a plain array, which is taken as one run). Rows that come with counts or ``sample_weight`` and without
    chains are taken as independent, with the number of samples defined in `infer.Samples`. With an l1 part in the
    penalty, errors are conditional on the set of zero couplings, which have standard error zero.

    Missing values, with ``missing="mask"``, are drawn from the fitted model given the observed spins of their sample,
    and the fit is repeated to the completed samples, in turns, until both are stationary; the last fits are averaged.
    This is consistent where values are missing at random, that is, where their being missing does not depend on them
    (stochastic EM; Nielsen 2000). To leave missing neighbours out of the local field instead would change couplings by
    about ``sum_k f_k J_ik J_kj``, ``f_k`` being the share that is missing. Standard errors of ``J_ij`` are those for
    completed samples divided by the root of the share of samples in which both spins were observed, which is valid to
    lowest order in the couplings and for values missing completely at random (5 % too small with a tenth of the values
    missing, 10 to 20 % with three tenths, at couplings of ``0.9 / sqrt(n_spins)``). The seed of the draws is fixed.

    References
    ----------
    J. Besag (1975), The Statistician 24, 179, doi:10.2307/2987782.
    E. Aurell, M. Ekeberg (2012), Phys. Rev. Lett. 108, 090201, arXiv:1107.3536.
    D. Firth (1993), Biometrika 80, 27; G. Heinze, M. Schemper (2002), Statistics in Medicine 21, 2409; I. Kosmidis,
    D. Firth (2021), Biometrika 108, 71, arXiv:1812.01938 (the estimates are finite).
    S. F. Nielsen (2000), Bernoulli 6, 457, doi:10.2307/3318671 (stochastic EM).

    Examples
    --------
    >>> import numpy as np
    >>> from infer import PseudoLikelihood
    >>> spins = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> PseudoLikelihood().fit(spins).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "penalty": [StrOptions({"l2", "l1", "elasticnet", "firth"}), None],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "symmetrisation": [StrOptions({"mean", "joint"})],
        "fit_fields": ["boolean", StrOptions({"auto"})],
        "errors": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
        "missing": [StrOptions({"error", "mask"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        penalty: str | None = "l2",
        alpha: float | None = None,
        *,
        l1_ratio: float = 0.5,
        symmetrisation: str = "mean",
        fit_fields: bool | str = "auto",
        errors: bool = True,
        tol: float = 1e-6,
        max_iter: int = 500,
        threshold: float | None = None,
        constant: str = "field",
        missing: str = "error",
        n_jobs: int | None = 1,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.symmetrisation = symmetrisation
        self.fit_fields = fit_fields
        self.errors = errors
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant
        self.missing = missing
        self.n_jobs = n_jobs

    def solve(self, samples: VaryingSpins) -> Fit:
        """Couplings and fields of the spins that vary, node by node or jointly.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If ``symmetrisation="joint"`` is combined with an l1 or Firth penalty.
        """
        ridge, sparsity = self._ridge_and_sparsity(samples.n_samples)
        if self.symmetrisation == "joint" and (sparsity or self.penalty == "firth"):
            raise ValueError(
                "symmetrisation='joint' takes no l1 penalty and no Firth penalty: use penalty='l2', or "
                "symmetrisation='mean'"
            )
        # known values of spins that never change; with fields, these determine them
        self._known = np.zeros(samples.n_spins, dtype=np.int8)
        if not samples.fit_fields:
            self._known[samples.constant] = samples.constant_values
        strength = self.penalty_strength(samples.n_samples)
        if not samples.n_varying:
            return Fit(np.zeros((0, 0)), np.zeros(0), True, 0, attributes={"gradient_norm_": 0.0, "alpha_": strength})
        result = self._fit_rows(samples, ridge, sparsity)
        largest = float(result.largest_gradient.max())
        self._warn(result, samples)
        return Fit(
            result.couplings,
            result.fields,
            # on the way to an optimum at infinity the gradient falls below any tolerance
            largest <= self.tol and not bool(result.separable.any()) and not self._endless(samples),
            result.n_iter,
            attributes={"gradient_norm_": largest, "alpha_": strength},
            **self._joint_errors(result, samples, ridge),
        )

    def _joint_errors(self, found: NodeFit, samples: VaryingSpins, ridge: float) -> dict[str, Any]:
        """Standard errors of a joint fit; those of node-wise fits follow from their influences."""
        if not self.errors or self.symmetrisation != "joint" or self.missing == "mask":
            return {}
        return joint_errors(samples, found.couplings, found.fields, ridge, self.n_jobs)

    def _fit_samples(self, samples: Samples) -> Self:
        """Fit to checked samples; missing values are drawn from the model."""
        if samples.complete:
            return super()._fit_samples(samples)
        return self._fit_masked(find_gaps(samples))

    def _fit_masked(self, gaps: Gaps) -> Self:
        """Alternate fits to completed samples and draws of missing values."""
        inner = clone(self).set_params(missing="error", threshold=None, errors=False)
        self.n_iter_ = 0

        def fit(spins: NDArray[np.int8], last: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            with nullcontext() if last else collected_warnings(ConvergenceWarning):
                inner.set_params(errors=last and self.errors)
                inner.fit(gaps.samples.with_values(spins, gaps=False))
            self.n_iter_ += inner.n_iter_
            return inner.couplings_by_node_, inner.fields_

        self.couplings_by_node_, self.fields_, steady = fit_by_completion(gaps, fit)
        self.couplings_ = (self.couplings_by_node_ + self.couplings_by_node_.T) / 2
        self.converged_, self.gradient_norm_ = inner.converged_ and steady, inner.gradient_norm_
        for name in ("_varying", "_known", "alpha_", "fit_fields_", "spin_names_", "_rare"):
            setattr(self, name, getattr(inner, name))
        for name in ("couplings_std_", "fields_std_", "undetermined_", "_influence"):
            self.__dict__.pop(name, None)
        if self.errors:
            self.undetermined_ = inner.undetermined_
        if inner._influence is not None:
            self._keep_errors(widened(inner._influence, gaps.pair_shares))
        if not steady:
            warn(
                "fits and draws of missing values did not settle: too little was observed; pass alpha > 0 (say 0.01), "
                "or leave out spins of which many values are missing",
                ConvergenceWarning,
                stacklevel=4,
            )
        apart = np.flatnonzero((gaps.pair_shares == 0).any(axis=0))
        if len(apart):
            warn(
                f"{name_spins(apart, gaps.samples.names)} are never observed together with some other spins: the "
                "samples do not determine the couplings between these, which have no standard error",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def complete(self, X: Any, random_state: int = 0) -> NDArray[np.int8]:
        """Samples with their missing values drawn from the fitted model, given the observed spins of the same sample.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset or Recording
            Samples with missing values (NaN or 0), for ``missing="mask"``.
        random_state : int, default=0
            Seed.

        Returns
        -------
        ndarray of int8 (n_samples, n_spins)
            Values -1 and +1. Tests of the model on such samples are biased in its favour, since part of them are its
            own draws. Without fields, spins that never changed in the samples of the fit keep their value there.

        Raises
        ------
        ValueError
            If X contains values other than +-1 and, with ``missing="mask"``, missing values, or has another number of
            spins than the fit.
        """
        check_is_fitted(self, "couplings_")
        spins = self._read(X, reset=False).spins
        return spins if spins.all() else complete(spins, self.couplings_, self.fields_, random_state, self._known)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log pseudo-likelihood per sample, ``sum_i <log p(s_i | rest of s)>``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset or Recording
            Samples of +-1 (or real values when ``threshold`` is set). With ``missing="mask"`` the mean of each spin is
            over the samples in which it was observed (zero for a spin that was never observed), and missing neighbours
            are drawn from the model.
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        float
            Natural logarithm, at most 0; ``-n_spins log 2`` for free spins.

        Raises
        ------
        ValueError
            If X contains values other than +-1, or has another number of spins than the fit.
        """
        if self.missing == "error":
            return super().score(X, y, sample_weight)
        check_is_fitted(self, "couplings_")
        samples = self._read(X, sample_weight, reset=False)
        spins = samples.spins
        completed = spins if samples.complete else complete(spins, self.couplings_, self.fields_, known=self._known)
        return observed_score(spins, completed, PairModel.of(self), samples.weight)

    def _fit_rows(self, samples: VaryingSpins, ridge: float, sparsity: float) -> NodeFit:
        """Solve for couplings and fields of the spins that vary."""
        rows, fit_fields = samples.rows(self.n_jobs), samples.fit_fields
        if self.penalty == "firth":
            return fit_firth_nodes(rows, samples.n_samples, fit_fields, self.tol, self.max_iter)
        if self.symmetrisation == "joint":
            return fit_joint(rows, ridge, fit_fields, self.tol, self.max_iter)
        if sparsity:
            return fit_sparse_nodes(rows, ridge, sparsity, fit_fields, self.tol, self.max_iter)
        return fit_nodes(rows, ridge, fit_fields, self.tol, self.max_iter)

    def penalty_strength(self, n_samples: float) -> float:
        """Strength of the penalty for this many samples: `alpha`, or that of one prior sample; 0.0 without a penalty.

        Parameters
        ----------
        n_samples : float

        Returns
        -------
        float
        """
        return 0.0 if self.penalty in (None, "firth") else self.prior(self.alpha, n_samples)

    def _ridge_and_sparsity(self, n_samples: float) -> tuple[float, float]:
        """Strengths of the quadratic and of the absolute part of the penalty."""
        alpha = self.penalty_strength(n_samples)
        share = {"l2": 0.0, "l1": 1.0, "elasticnet": float(self.l1_ratio)}.get(str(self.penalty), 0.0)
        return alpha * (1.0 - share), alpha * share

    @property
    def quadratic_penalty(self) -> float:
        """Strength of the quadratic penalty on couplings that a fit used, relative to the mean log-likelihood."""
        share = {"l2": 1.0, "elasticnet": 1.0 - float(self.l1_ratio)}.get(str(self.penalty), 0.0)
        return share * float(self.alpha_)

    @property
    def rows_of_penalty(self) -> float:
        """Rows that the penalty adds to each cell of a pair's table: Firth's is Jeffreys' prior, half a row."""
        return 0.5 if self.penalty == "firth" else 0.0

    def _endless(self, samples: VaryingSpins) -> str:
        """Text on spins without one of their joint values, if no penalty keeps their couplings finite; else empty."""
        if self.penalty == "firth" or self.penalty_strength(samples.n_samples) > 0.0:
            return ""
        return samples.why_endless()

    def _warn(self, result: NodeFit, samples: VaryingSpins) -> None:
        """Warn once where a fit is unreliable, with reasons and remedies."""
        remedy = "pass alpha > 0 (say 0.01) to keep couplings finite, or give more samples"
        n_rows, n_varying = samples.n_rows, len(samples.varying)
        left = np.flatnonzero(result.largest_gradient > self.tol)
        unpenalised = self.penalty_strength(samples.n_samples) == 0.0
        undetermined = np.flatnonzero(getattr(result, "undetermined", np.zeros(n_varying, dtype=bool)))
        if len(undetermined):
            text = (
                f"the samples leave combinations of the couplings of {samples.named(undetermined)} open (fewer "
                "different rows than spins, or spins that repeat others), which are held at zero; pass penalty='l2' "
                "with alpha > 0 (say 0.01), or give more samples"
            )
        elif result.separable.any():
            text = (
                f"the samples separate {samples.named(np.flatnonzero(result.separable))} perfectly by the other spins, "
                f"so the best couplings are infinite and those returned unreliable; {remedy}, or pass penalty='firth'"
            )
        elif (why := self._endless(samples)) and n_rows >= n_varying:
            text = f"{why}, so that the best couplings are infinite and those returned are unreliable; {remedy}"
        elif unpenalised and self.penalty != "firth" and n_rows < n_varying:
            text = f"{n_rows} rows do not determine the couplings of {n_varying} spins; {remedy}"
        elif len(left):
            text = (
                f"{samples.named(left)} did not converge in {result.n_iter} passes: largest gradient "
                f"{result.largest_gradient.max():.2g} > tol = {self.tol:.2g}; raise max_iter or tol"
                + (", or pass alpha > 0 (say 0.01)" if unpenalised else "")
            )
        else:
            return
        warn(text, ConvergenceWarning, stacklevel=3)
