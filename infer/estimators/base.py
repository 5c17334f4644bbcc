"""Base class of estimators of spin systems: reading and checking of samples, standard errors, score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from infer.checks import check_confidence, check_memory, name_spins
from infer.estimators.blocks import block_score, check_blocks, varying_blocks
from infer.estimators.columns import VaryingSpins, check_worth, report_few, varying_spins
from infer.estimators.rare_pairs import RarePairs, rare_pairs
from infer.model import PairModel, SpinModel
from infer.samples import Samples
from infer.statistics.batches import student_quantile
from infer.types import FloatArray
from simulate.user_warnings import warn

__all__ = ["Fit", "SpinEstimator", "without_errors"]


@dataclass(frozen=True)
class Fit:
    """The result of `SpinEstimator.solve`, for the spins that vary.

    Parameters
    ----------
    couplings : ndarray of float64, shape (n_varying, n_varying)
        Couplings in units of the temperature; estimates made node by node are averaged with their transpose.
    fields : ndarray of float64, shape (n_varying,)
        In units of the temperature.
    converged : bool
    n_iter : int
    couplings_std, fields_std : ndarray of float64, optional
        Standard errors, shaped as couplings and fields.
    freedom : float
        Degrees of freedom of the standard errors.
    attributes : dict
        Further attributes of the fitted estimator, by name.
    time : float
        Rows that count as one independent row, as far as standard errors needed to know.
    """

    couplings: FloatArray
    fields: FloatArray
    converged: bool = True
    n_iter: int = 1
    couplings_std: FloatArray | None = None
    fields_std: FloatArray | None = None
    freedom: float = np.inf
    attributes: dict[str, Any] = field(default_factory=dict)
    time: float = 1.0


class SpinEstimator(BaseEstimator):
    """Base class of the estimators of couplings and fields from spins of -1 and +1.

    A subclass writes `solve`; this class reads and checks samples, treats constant spins, keeps names and computes
    scores. It uses these parameters where a subclass has them in its constructor:

    ``threshold`` (real values above it become +1, others -1), ``constant`` ("field" keeps spins that never change
    without couplings, "error" refuses them), ``missing`` (with "mask", 0 and NaN are missing values), ``fit_fields``
    (True, False, or "auto": False for simulations without fields, True otherwise), ``alpha`` (None: one prior sample,
    see `prior`), ``errors`` (whether standard errors are computed in `fit`).

    Attributes
    ----------
    couplings_ : ndarray of float64, shape (n_spins, n_spins)
        Symmetric, zero diagonal, in units of the temperature.
    fields_ : ndarray of float64, shape (n_spins,)
        In units of the temperature.
    couplings_std_, fields_std_ : ndarray of float64, shapes (n_spins, n_spins) and (n_spins,)
        Standard errors, where the estimator has them and ``errors=True``; NaN for spins that never change and for pairs
        that the samples do not determine.
    undetermined_ : ndarray of bool, shape (n_spins, n_spins)
        Pairs of spins that never take one of their four joint values, or obey a combination that never changes: the
        likelihood has no finite maximum, a penalty sets the coupling, and its interval is open to one side. With
        ``errors=True``.
    converged_ : bool
    n_iter_ : int

    References
    ----------
    Interface of estimators: L. Buitinck et al. 2013, API design for machine learning software, arXiv:1309.0238.
    """

    threshold: float | None = None
    constant: str = "field"
    missing: str = "error"
    fit_fields: bool | str = "auto"
    errors: bool = True
    fits_blocks: bool = False  # whether a fit works on the blocks of a Dask array; otherwise it reads them into memory
    judges_pairs: bool = True  # whether couplings of pairs are judged by the tables of their joint values
    _rare: RarePairs | None = None

    couplings_: FloatArray
    fields_: FloatArray
    converged_: bool
    n_iter_: int

    _parameter_constraints: dict = {}  # noqa: RUF012

    def solve(self, samples: VaryingSpins) -> Fit:
        """Couplings and fields of the spins that vary.

        Parameters
        ----------
        samples : VaryingSpins
            Checked samples; ``samples.moments()`` gives means and second moments, ``samples.rows()`` all rows.

        Returns
        -------
        Fit
        """
        raise NotImplementedError(f"{type(self).__name__} has no method that computes couplings: write solve()")

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit couplings and fields to samples.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
            Spins of -1 and +1 (or real values where ``threshold`` is set). The rows of an array are one run in time
            order.
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows, such as counts.

        Returns
        -------
        SpinEstimator
            The estimator itself.

        Raises
        ------
        ValueError
            If a value is not -1 or +1 (the message gives row, column and value), there are fewer than two rows or two
            spins, or spins never change and ``constant="error"``.

        Warns
        -----
        ConvergenceWarning
            If spins never change, or the fit is unreliable; the message gives the remedy.
        """
        self._validate_params()
        return self._fit_samples(self._read(X, sample_weight, reset=True))

    def prepare(self, X: Any, sample_weight: ArrayLike | None = None) -> VaryingSpins:
        """Check samples and select the spins that vary, as `solve` needs them.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        VaryingSpins

        Raises
        ------
        ValueError
            As `fit`.
        """
        return self._prepare(self._read(X, sample_weight, reset=True))

    def _prepare(self, samples: Samples) -> VaryingSpins:
        """Find the spins that vary in checked samples, and whether fields are fitted to them."""
        auto = self.fit_fields == "auto"
        fit_fields = not samples.without_fields if auto else bool(self.fit_fields)
        if self._needs_number(self.get_params()):
            check_worth(samples)
        find = varying_blocks if samples.blocks else varying_spins
        return find(samples, fit_fields, self.report_constant)

    def _needs_number(self, parameters: dict[str, Any]) -> bool:
        """Whether a fit needs the number of samples, for standard errors or a default penalty."""
        return bool(parameters.get("errors", False)) or parameters.get("alpha", 0.0) is None

    def _fit_samples(self, samples: Samples) -> Self:
        """Fit to checked samples."""
        prepared = self._prepare(samples)
        self._keep(self.solve(prepared), prepared)
        return self

    def _keep(self, found: Fit, samples: VaryingSpins) -> None:
        """Set the attributes of a fit."""
        for name in ("couplings_std_", "fields_std_", "undetermined_", "_rare"):
            self.__dict__.pop(name, None)
        couplings, self.fields_ = samples.expand(found.couplings, found.fields)
        self.couplings_ = (couplings + couplings.T) / 2.0
        self.converged_, self.n_iter_ = bool(found.converged), int(found.n_iter)
        self.fit_fields_ = samples.fit_fields
        self.spin_names_ = samples.names
        for name, value in found.attributes.items():
            setattr(self, name, value)
        if self.errors and self.judges_pairs:
            self._rare = rare_pairs(samples, self.couplings_, self.quadratic_penalty, self.rows_of_penalty)
            none = np.zeros(self.couplings_.shape, dtype=bool)
            self.undetermined_ = none if self._rare is None else self._rare.undetermined
        if found.couplings_std is not None and found.fields_std is not None:
            self._set_errors(*samples.expand_errors(found.couplings_std, found.fields_std), found.freedom)
            report_few(samples.n_samples, found.time, stacklevel=4)

    @property
    def quadratic_penalty(self) -> float:
        """Strength of the quadratic penalty on couplings that a fit used, relative to the mean log-likelihood."""
        return float(getattr(self, "alpha_", None) or 0.0)

    @property
    def rows_of_penalty(self) -> float:
        """Rows that the penalty of a fit adds to each cell of the table of a pair."""
        return 0.0

    def _set_errors(self, couplings_std: FloatArray, fields_std: FloatArray, freedom: float) -> None:
        """Keep standard errors, made to hold for pairs that rarely coincide."""
        if self._rare is not None:
            couplings_std, fields_std = self._rare.errors(self.couplings_, couplings_std, fields_std)
        self.couplings_std_, self.fields_std_, self.errors_freedom_ = couplings_std, fields_std, float(freedom)

    def __getattr__(self, name: str) -> Any:
        """Raise an error that gives the reason where there are no standard errors; the usual one for other names."""
        if name in ("couplings_std_", "fields_std_") and "couplings_" in self.__dict__:
            raise AttributeError(self._why_no_errors())
        if name == "undetermined_" and "couplings_" in self.__dict__ and not self.errors:
            raise AttributeError("pairs that samples do not determine were not looked for: fit with errors=True")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _why_no_errors(self) -> str:
        """Reason why a fit has no standard errors."""
        if not self.errors:
            return "standard errors were not computed: fit with errors=True"
        return f"{type(self).__name__} has no standard errors for these parameters"

    def _read(self, X: Any, sample_weight: ArrayLike | None = None, *, reset: bool) -> Samples:
        """Checked samples from any accepted input."""
        samples = Samples.of(X, sample_weight, gaps=True if self.missing == "mask" else None)
        if samples.blocks and reset and not self.fits_blocks:
            samples = samples.with_values(np.asarray(samples.values))
        if samples.blocks:
            threshold = None if self.threshold is None else float(self.threshold)
            checked = check_blocks(samples, threshold, fitting=reset)
            validate_data(self, checked.values, reset=reset, skip_check_array=True)
            return checked
        array = validate_data(
            self,
            samples.values if samples.table is None else samples.table,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
            ensure_min_features=2 if reset else 1,
        )
        names = samples.names
        if names is None and hasattr(self, "feature_names_in_"):
            names = tuple(map(str, self.feature_names_in_))
        if reset:
            check_memory(array.shape[1])
        else:
            self._check_names(names)
        samples = samples.with_values(array, names=names, gaps=self.missing == "mask")
        if self.threshold is not None:
            return samples.binarised(self.threshold)
        # spins that were int8 already are not checked again
        return samples if samples.spins is samples.values else samples.with_values(samples.spins)

    def read(self, X: Any, sample_weight: ArrayLike | None = None) -> Samples:
        """Read samples and check their number of spins, names and values against a fit.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            If X contains values other than +-1, or has another number of spins than the fit.
        """
        check_is_fitted(self, "couplings_")
        return self._read(X, sample_weight, reset=False)

    def _check_names(self, names: tuple[str, ...] | None) -> None:
        """Refuse samples whose spins have other names, or another order, than those of the fit."""
        known = getattr(self, "spin_names_", None)
        if names is None or known is None or names == known:
            return
        place = next((k for k, (a, b) in enumerate(zip(names, known, strict=False)) if a != b), 0)
        raise ValueError(
            f"spin {place} is called {names[place]!r} here and {known[place]!r} in the fit: "
            "bring the spins into the order of the fit"
        )

    def prior(self, alpha: float | None, n_samples: float) -> float:
        """Strength of a penalty: as given, or that of one prior sample, ``1 / n_samples``, for None.

        Parameters
        ----------
        alpha : float or None
        n_samples : float

        Returns
        -------
        float
        """
        return 1.0 / n_samples if alpha is None else float(alpha)

    def report_constant(self, indices: Any, names: tuple[str, ...] | None) -> None:
        """Refuse spins that never change, or warn of them, depending on ``constant``.

        Parameters
        ----------
        indices : array of int (n_constant,)
        names : tuple of str or None
            Names of all spins, for the message.

        Raises
        ------
        ValueError
            If ``constant`` is "error" and a spin never changes.

        Warns
        -----
        ConvergenceWarning
            If ``constant`` is "field" and a spin never changes.
        """
        if self.constant not in ("field", "error"):
            raise ValueError(f"constant must be 'field' or 'error', got {self.constant!r}")
        if len(indices):
            text = f"{name_spins(indices, names)} never change: no coupling to them can be estimated"
            if self.constant == "error":
                raise ValueError(f"{text}; drop these columns, or pass constant='field' to keep them without couplings")
            warn(
                f"{text}; they are kept without couplings (drop these columns, or pass constant='error' to refuse)",
                ConvergenceWarning,
                stacklevel=6,
            )

    def confidence_interval(
        self, confidence: float = 0.95, parameter: Literal["couplings", "fields"] = "couplings"
    ) -> tuple[FloatArray, FloatArray]:
        """Intervals of all couplings or fields: estimate -+ Student's t quantile times standard error.

        Couplings of pairs with fewer than ten independent rows in a cell of their table (counted, or expected of
        independent spins) have intervals by profile likelihood of this table, moved by what the other spins explain.
        Those of `undetermined_` pairs are open to the side of the empty cell: infinite.

        Parameters
        ----------
        confidence : float, default=0.95
        parameter : {"couplings", "fields"}

        Returns
        -------
        lower, upper : ndarray (n_spins, n_spins) or (n_spins,)

        Raises
        ------
        ValueError
            If the confidence is not between 0 and 1, or there is no such parameter.
        """
        check_is_fitted(self, "couplings_")
        if parameter not in ("couplings", "fields"):
            raise ValueError(f"parameter must be 'couplings' or 'fields', got {parameter!r}")
        centre, std = getattr(self, f"{parameter}_"), getattr(self, f"{parameter}_std_")
        half = student_quantile(check_confidence(confidence), self.errors_freedom_) * std
        if self._rare is None:
            return centre - half, centre + half
        if parameter == "couplings":
            return self._rare.interval(centre, std, confidence, centre - half, centre + half)
        half[self.undetermined_.any(axis=1)] = np.inf
        return centre - half, centre + half

    @property
    def _model(self) -> SpinModel:
        """The fitted model, whose pseudo-likelihood is the score."""
        return PairModel.of(self)

    def score_samples(self, X: Any) -> FloatArray:
        """Log pseudo-likelihood of every sample, ``sum_i log p(s_ki | rest of s_k)``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            In nats.

        Raises
        ------
        ValueError
            If X contains values other than +-1, or has another number of spins than the fit.
        """
        check_is_fitted(self, "couplings_")
        return self._model.log_pseudolikelihood(self._read(X, reset=False).spins)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log pseudo-likelihood per sample, ``mean_k sum_i log p(s_ki | rest of s_k)``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
            Samples of +-1 (or real values when ``threshold`` is set).
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
        check_is_fitted(self, "couplings_")
        samples = self._read(X, sample_weight, reset=False)
        if samples.blocks:
            return block_score(self._model, samples)
        return float(np.average(self._model.log_pseudolikelihood(samples.spins), weights=samples.weight))


def without_errors(estimator: Any) -> Any:
    """An unfitted copy of an estimator that computes no standard errors.

    Parameters
    ----------
    estimator : SpinEstimator

    Returns
    -------
    SpinEstimator
    """
    copy = clone(estimator)
    return copy.set_params(errors=False) if "errors" in copy.get_params() else copy
