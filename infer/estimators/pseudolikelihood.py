"""Pseudo-likelihood: couplings and fields from the conditional probability of every spin given the others."""

from __future__ import annotations

import warnings
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from infer.estimators._base import SpinEstimator, name_spins
from infer.estimators._influence import Influence, batch_influence
from infer.estimators._joint_solver import fit_joint
from infer.estimators._products import SpinRows, collapse_rows, one_blas_thread
from infer.estimators._solvers import NodeFit, fit_nodes
from infer.estimators._sparse_solver import fit_sparse_nodes


class PseudoLikelihood(SpinEstimator):
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
    penalty : {"l2", "l1", "elasticnet", None}, default="l2"
        Penalty on the couplings of each node: ``alpha/2 sum_j J_ij^2``, ``alpha sum_j |J_ij|``, or
        ``alpha sum_j (l1_ratio |J_ij| + (1 - l1_ratio)/2 J_ij^2)``; None ignores ``alpha``.
    alpha : float, default=0.0
        Strength of the penalty, relative to the mean (per sample) negative log pseudo-likelihood. A small value
        (say 0.01) keeps couplings finite where the data alone do not: separable data, fewer samples than spins.
    l1_ratio : float, default=0.5
        Share of l1 in the elastic net, between 0 and 1; other penalties do not use it.
    symmetrisation : {"mean", "joint"}, default="mean"
        "mean" fits each node by itself and averages the two estimates of each coupling. "joint" minimises the sum of
        all nodes' objectives over symmetric couplings: somewhat more efficient, as fast, without l1 and without
        standard errors.
    fit_fields : bool, default=False
        Fit fields; otherwise they are zero.
    tol : float, default=1e-6
        Largest absolute component of the gradient at which a node's regression has converged.
    max_iter : int, default=500
        Most passes over the samples.
    threshold : float, optional
        Take real data: +1 where they exceed the threshold, else -1. Default: samples must be -1 or +1.
    constant : {"field", "error"}, default="field"
        What to do with spins that never change, to which no coupling can be estimated: keep them without couplings
        and warn, or raise. Kept ones get, if fields are fitted, the finite field ``+-1/2 log(2 n + 1)`` that follows
        from adding half a sample of either sign to the ``n`` rows.
    n_jobs : int, default=1
        Threads for the products over samples; results do not depend on it.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Symmetric, zero diagonal, in units of the temperature (``J / T``).
    couplings_by_node_ : ndarray (n_spins, n_spins)
        The same before they are made symmetric: row ``i`` is the estimate of node ``i``.
    fields_ : ndarray (n_spins,)
        Fields in units of the temperature; zero unless ``fit_fields``.
    couplings_std_, fields_std_ : ndarray (n_spins, n_spins), (n_spins,)
        Standard errors that account for autocorrelation and chains, computed when first asked for.
    converged_ : bool
        Whether no component of any node's gradient exceeds ``tol``, checked in double precision.
    gradient_norm_ : float
        That largest component.
    n_iter_ : int
        Passes over the samples.
    n_features_in_ : int
        Number of spins.

    Notes
    -----
    Standard errors treat rows as time-ordered within each chain (a Dataset from ``simulate.sample``, a recording with
    chains, or a plain array, which is taken as one run). Rows that come with counts or ``sample_weight`` and without
    chains are taken as independent, a weight meaning that many repeats. With an l1 part in the penalty they hold given
    which couplings are zero; those have standard error zero.

    References
    ----------
    J. Besag (1975), The Statistician 24, 179, doi:10.2307/2987782.
    E. Aurell, M. Ekeberg (2012), Phys. Rev. Lett. 108, 090201, arXiv:1107.3536.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import PseudoLikelihood
    >>> spins = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> PseudoLikelihood().fit(spins).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "symmetrisation": [StrOptions({"mean", "joint"})],
        "fit_fields": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        penalty: str | None = "l2",
        alpha: float = 0.0,
        *,
        l1_ratio: float = 0.5,
        symmetrisation: str = "mean",
        fit_fields: bool = False,
        tol: float = 1e-6,
        max_iter: int = 500,
        threshold: float | None = None,
        constant: str = "field",
        n_jobs: int | None = 1,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.symmetrisation = symmetrisation
        self.fit_fields = fit_fields
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit couplings and fields.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset or Recording
            Samples of +-1 (or real values when ``threshold`` is set). int8 arrays, memory maps among them, are read in
            chunks and not copied; the estimator keeps a reference to them for the standard errors.
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Non-negative weights of the rows; only their ratios matter to the fit.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a value is not -1 or +1 (the message gives row, column and value), there are fewer than two rows or two
            spins, or spins are constant and ``constant="error"``.

        Warns
        -----
        ConvergenceWarning
            If spins are constant, data are separable, there are fewer rows than spins and no penalty, or ``max_iter``
            was reached; the message says what to do.
        """
        self._validate_params()
        spins, weight, chains, names = self._validate(X, sample_weight, reset=True)
        ridge, sparsity = self._penalties()
        joint = self.symmetrisation == "joint"
        if joint and sparsity:
            raise ValueError("symmetrisation='joint' takes no l1 penalty: use penalty='l2', or symmetrisation='mean'")
        constant = self._find_constant(spins, weight, names)
        n_spins = spins.shape[1]
        varying = np.setdiff1d(np.arange(n_spins), constant)
        couplings = np.zeros((n_spins, n_spins))
        self.fields_ = np.zeros(n_spins)
        self.converged_, self.gradient_norm_, self.n_iter_ = True, 0.0, 0
        if self.fit_fields:
            self.fields_[constant] = _add_half_fields(spins, weight, constant)
        if len(varying):
            distinct, distinct_weight = collapse_rows(spins, weight)
            rows = SpinRows(distinct, distinct_weight, varying, self.n_jobs)
            if joint:
                result = fit_joint(rows, ridge, self.fit_fields, self.tol, self.max_iter)
            elif sparsity:
                result = fit_sparse_nodes(rows, ridge, sparsity, self.fit_fields, self.tol, self.max_iter)
            else:
                result = fit_nodes(rows, ridge, self.fit_fields, self.tol, self.max_iter)
            couplings[np.ix_(varying, varying)] = result.couplings
            self.fields_[varying] = result.fields
            self.gradient_norm_ = float(result.largest_gradient.max())
            self.converged_ = self.gradient_norm_ <= self.tol
            self.n_iter_ = result.n_iter
            self._warn(
                result, varying, names, ridge + sparsity, len(spins) if weight is None else int((weight > 0).sum())
            )
        self.couplings_by_node_ = couplings
        self.couplings_ = (couplings + couplings.T) / 2
        self._data = (spins, weight, chains, varying)
        self.__dict__.pop("_influence", None)
        return self

    def _penalties(self) -> tuple[float, float]:
        """Strengths of the quadratic and of the absolute part of the penalty."""
        alpha = float(self.alpha)
        share = {"l2": 0.0, "l1": 1.0, "elasticnet": float(self.l1_ratio), None: 0.0}[self.penalty]
        return (0.0, 0.0) if self.penalty is None else (alpha * (1.0 - share), alpha * share)

    def _warn(
        self, result: NodeFit, varying: NDArray, names: tuple[str, ...] | None, alpha: float, n_rows: int
    ) -> None:
        """Say in one warning why a fit is not to be trusted, and what to do."""
        remedy = "pass alpha > 0 (say 0.01) to keep couplings finite, or give more samples"
        left = np.flatnonzero(result.largest_gradient > self.tol)
        if result.separable.any():
            text = (
                f"the samples separate {name_spins(varying[result.separable], names)} perfectly by the other spins, so "
                f"the best couplings are infinite and those returned mean little; {remedy}"
            )
        elif alpha == 0 and n_rows < len(varying):
            text = f"{n_rows} rows do not determine the couplings of {len(varying)} spins; {remedy}"
        elif len(left):
            text = (
                f"{name_spins(varying[left], names)} did not converge in {result.n_iter} passes: largest gradient "
                f"{result.largest_gradient.max():.2g} > tol = {self.tol:.2g}; raise max_iter or tol"
                + (", or pass alpha > 0 (say 0.01)" if alpha == 0 else "")
            )
        else:
            return
        warnings.warn(text, ConvergenceWarning, stacklevel=3)

    def __getstate__(self) -> dict[str, Any]:
        """State without the samples: a pickled estimator keeps standard errors only if they were asked for before."""
        state = dict(super().__getstate__())
        state.pop("_data", None)
        return state

    @cached_property
    def _influence(self) -> Influence:
        """Influences of batches of samples on couplings and fields."""
        check_is_fitted(self, "couplings_")
        if self.symmetrisation == "joint":
            raise AttributeError("standard errors are computed for symmetrisation='mean' only")
        if not hasattr(self, "_data"):
            raise AttributeError(
                "standard errors need the samples, which are not pickled: compute them before pickling"
            )
        spins, weight, chains, varying = self._data
        ridge, sparsity = self._penalties()
        with one_blas_thread():
            return batch_influence(
                spins,
                self.couplings_by_node_,
                self.fields_,
                weight,
                chains,
                varying,
                ridge,
                self.fit_fields,
                sparsity > 0,
                self.n_jobs,
            )

    @property
    def couplings_std_(self) -> NDArray[np.float64]:
        """Standard errors of the couplings (n_spins, n_spins), NaN for constant spins; zero diagonal."""
        return self._influence.std()[0]

    @property
    def fields_std_(self) -> NDArray[np.float64]:
        """Standard errors of the fields (n_spins,); zero when no fields are fitted, NaN for constant spins."""
        return self._influence.std()[1]

    def bootstrap_couplings(
        self, n_replicates: int = 200, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.float64]:
        """Replicates of the couplings by a one-step block bootstrap.

        Batches of consecutive samples are drawn with replacement, and each replicate is the fit plus the first-order
        change that this reweighting makes. Where rows are independent with counts, batches are weighted by Gaussian
        numbers instead (wild bootstrap).

        Parameters
        ----------
        n_replicates : int, default=200
            Number of replicates.
        random_state : int, RandomState or None
            Seed.

        Returns
        -------
        ndarray (n_replicates, n_spins, n_spins)
            Symmetric with zero diagonal.
        """
        check_is_fitted(self, "couplings_")
        influence = self._influence
        multipliers = influence.draw_multipliers(n_replicates, check_random_state(random_state))
        n_batches = len(influence.couplings)
        change = multipliers @ influence.couplings.reshape(n_batches, -1).astype(np.float64)
        return self.couplings_ + change.reshape(n_replicates, *self.couplings_.shape)


def _add_half_fields(spins: NDArray[np.int8], weight: NDArray | None, constant: NDArray) -> NDArray[np.float64]:
    """Fields of constant spins after half a sample of either sign has been added."""
    n_rows = len(spins) if weight is None else int((weight > 0).sum())
    first = 0 if weight is None else int(np.argmax(weight > 0))
    return spins[first, constant] * 0.5 * np.log(2.0 * n_rows + 1.0)
