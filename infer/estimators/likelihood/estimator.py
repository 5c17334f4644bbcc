"""Maximum likelihood: couplings and fields whose Boltzmann distribution has the means and correlations of the data."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from infer.checks import seed_of
from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.columns import VaryingSpins
from infer.estimators.likelihood.maximise import N_CHAINS, REFERENCE_STATES, MomentFit, maximise
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.estimators.likelihood.standard_errors import moment_roots, parameter_errors
from infer.estimators.likelihood.terms import Terms
from infer.types import FloatArray, SpinArray
from simulate.threads import one_blas_thread
from simulate.user_warnings import warn

__all__ = ["MaximumLikelihood"]


class LikelihoodEstimator(SpinEstimator):
    """Maximum likelihood of couplings, fields and, in subclasses, a potential of the count."""

    method: str
    alpha: float | None
    tol: float | None
    max_iter: int | None
    n_chains: int
    random_state: int | np.random.RandomState | None
    progress: bool
    with_counts = False

    alpha_: float
    tol_: float
    mismatch_: float
    mismatch_noise_: float
    message_: str

    def solve(self, samples: VaryingSpins) -> Fit:
        """
        Couplings and fields of the spins that vary, by enumeration or with chains.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If there are too many spins to enumerate.
        """
        n = samples.n_varying
        exactly = self.method == "exact" or (self.method == "auto" and n <= MOST_EXACT_SPINS)
        if exactly and n > MOST_EXACT_SPINS:
            raise ValueError(
                f"method='exact' sums over all states of at most {MOST_EXACT_SPINS} spins, X has {n} that "
                "vary: pass method='pcd'"
            )
        self.alpha_ = self.prior(self.alpha, samples.n_samples)
        self.mismatch_, self.mismatch_noise_, self.message_ = 0.0, 0.0, ""
        self.tol_ = float((1e-8 if exactly else 0.2) if self.tol is None else self.tol)
        terms = Terms(n, samples.fit_fields, self.with_counts)
        if not terms.size:
            return Fit(np.zeros((n, n)), np.zeros(n), True, 0, attributes=self._attributes(None, samples))
        with one_blas_thread():
            return self._solve(samples, terms, exactly)

    def _solve(self, samples: VaryingSpins, terms: Terms, exactly: bool) -> Fit:
        """The fit, with standard errors if `errors` is set."""
        means, second = samples.moments()
        counts = self._counts(samples) if terms.with_counts else None
        given = samples.samples
        roots, freedom, time = None, np.inf, 1.0
        if self.errors and samples.n_rows > 1:
            spins = given.spins if terms.n_spins == given.n_spins else given.spins[:, samples.varying]
            roots, freedom, time = moment_roots(
                terms, spins, given.weight, given.chains, given.ordered, samples.n_samples
            )
        rng = check_random_state(self.random_state)
        found = maximise(
            means,
            second,
            samples.n_samples,
            self.alpha_,
            samples.fit_fields,
            seed_of(rng),
            counts=counts,
            smoothness=self._smoothness(samples),
            method="exact" if exactly else "pcd",
            states=None if exactly else self._some_rows(samples, rng),
            n_chains=self.n_chains,
            max_iter=self.max_iter,
            tol=self.tol,
            names=None if samples.names is None else tuple(samples.names[i] for i in samples.varying),
            progress=self.progress,
        )
        unit = 1.0 if exactly or self.tol is None else 5.0 * self.tol
        self.mismatch_, self.mismatch_noise_ = unit * found.mismatch, unit * found.noise
        self.message_ = found.message
        if not found.converged:
            warn(found.message, ConvergenceWarning, stacklevel=7)
        attributes = self._attributes(found, samples)
        if roots is None:
            return Fit(found.couplings, found.fields, found.converged, found.n_iter, attributes=attributes)
        std = parameter_errors(found, means, second, roots, samples.n_samples)
        attributes |= self._error_attributes(std.potential, samples)
        known = std.couplings, std.fields, freedom, attributes, time
        return Fit(found.couplings, found.fields, found.converged, found.n_iter, *known)

    def _counts(self, samples: VaryingSpins) -> FloatArray:
        """Shares of the rows with 0, 1, ... of the spins that vary at +1."""
        up = (samples.spins[:, samples.varying] > 0).sum(axis=1)
        return np.asarray(np.bincount(up, weights=samples.share(), minlength=samples.n_varying + 1))

    def _some_rows(self, samples: VaryingSpins, rng: np.random.RandomState) -> SpinArray:
        """Rows of the spins that vary, drawn by their weights, in random order."""
        picked = np.searchsorted(np.cumsum(samples.share()), rng.random_sample(REFERENCE_STATES))
        return np.asarray(samples.spins[picked.clip(max=len(samples.spins) - 1)][:, samples.varying])

    def _smoothness(self, samples: VaryingSpins) -> float:
        """Strength of the penalty on third differences of a potential of the count."""
        return 0.0

    def _attributes(self, found: MomentFit | None, samples: VaryingSpins) -> dict[str, Any]:
        """Further attributes of the fit; `found` is None for a fit without parameters."""
        return {}

    def _error_attributes(self, potential_std: FloatArray, samples: VaryingSpins) -> dict[str, Any]:
        """Further standard errors of the fit."""
        return {}


class MaximumLikelihood(LikelihoodEstimator):
    r"""
    Couplings and fields that maximise the likelihood of +-1 spins (Boltzmann machine learning).

    Maximises the mean log-likelihood per sample less ``alpha/2 sum_{i<j} J_ij^2``. At the maximum (for alpha = 0) the
    model has the correlations :math:`\langle s_i s_j \rangle` of the samples and, if fields are fitted, their means.

    "exact" sums over all states in every Newton step (at most 20 spins). "pcd" takes the moments of the model from
    Markov chains that continue when couplings change (persistent contrastive divergence), for any number of spins. It
    starts from independent spins; each step maximises the likelihood that the sampled states give when they are
    weighted anew. A bias that the weights correct makes the chains visit all numbers of +1 (or of agreements with the
    pattern along which the data vary most), so that they pass between silence and bursts. The result is checked on
    fresh chains, half of them started from rows of the data and half from independent spins.

    Parameters
    ----------
    method : {"auto", "exact", "pcd"}, default "auto"
        "auto" is "exact" up to 20 spins, "pcd" above.
    alpha : float, optional
        Strength of the l2 penalty on couplings; by default that of one prior sample, 1 / n_samples, which keeps
        couplings finite where the data alone do not. 0.0: no penalty.
    fit_fields : bool or "auto", default "auto"
        Whether to fit fields; otherwise they are zero. "auto": True except for samples of simulations without fields.
    tol : float, optional
        "exact": largest difference of moments, 1e-8 by default. "pcd": root mean square difference of moments; by
        default a fifth of the standard errors of the data's moments, moment by moment.
    max_iter : int, optional
        Most Newton steps ("exact", 200 by default), or measurements with chains ("pcd", 200).
    n_chains : int, default 128
        Chains of "pcd".
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        Treatment of spins that never change: keep them without couplings (and warn), or refuse.
    errors : bool, default True
        Compute standard errors.
    random_state : int, RandomState or None, default 0
        Seed of "pcd".
    progress : bool, default False
        Show a progress bar ("pcd").

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_spins,)
        Fields, which contain 1/T; zero unless ``fit_fields``.
    couplings_std_ : ndarray (n_spins, n_spins)
        Standard errors of the couplings, which account for autocorrelation of the rows:
        ``(chi + alpha)^-1 (V / n) (chi + alpha)^-1``, chi the covariance of the statistics in the model and V the
        long-run covariance of the data's.
    fields_std_ : ndarray (n_spins,)
        Standard errors of the fields, from the same formula.
    mismatch_ : float
        "exact": largest difference of moments (gradient). "pcd": root mean square difference on fresh chains, with
        their noise subtracted, in units of the standard errors of the data's moments; if ``tol`` is given, in units of
        moments.
    mismatch_noise_ : float
        Root mean square noise of these chains, in the same units; 0 for "exact".
    tol_ : float
        The largest ``mismatch_`` that is accepted.
    converged_ : bool
        Whether there is a finite maximum and the fit is it: for "pcd", the mismatch is small and consistent with the
        noise of the chains, and chains from the data and from independent spins agree.
    message_ : str
        Reason why the fit did not converge, and remedy, after a semicolon; empty where it did.
    n_iter_ : int
        Newton steps, or measurements with chains.
    n_features_in_ : int

    References
    ----------
    D. H. Ackley, G. E. Hinton, T. J. Sejnowski 1985, Cognitive Science 9, 147. T. Tieleman 2008, Proc. ICML, 1064,
    doi:10.1145/1390156.1390290. C. J. Geyer, E. A. Thompson 1992, J. R. Stat. Soc. B 54, 657 (states weighted anew).
    G. M. Torrie, J. P. Valleau 1977, J. Comput. Phys. 23, 187, doi:10.1016/0021-9991(77)90121-8 (bias). U. Ferrari
    2016, Phys. Rev. E 94, 023301, doi:10.1103/PhysRevE.94.023301 (steps in the metric of the data).

    Examples
    --------
    >>> import numpy as np
    >>> from infer import MaximumLikelihood
    >>> X = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> MaximumLikelihood("exact").fit(X).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "method": [StrOptions({"auto", "exact", "pcd"})],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "fit_fields": ["boolean", StrOptions({"auto"})],
        "tol": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "n_chains": [Interval(Integral, 2, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
        "errors": ["boolean"],
        "random_state": ["random_state"],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        method: str = "auto",
        alpha: float | None = None,
        *,
        fit_fields: bool | str = "auto",
        tol: float | None = None,
        max_iter: int | None = None,
        n_chains: int = N_CHAINS,
        threshold: float | None = None,
        constant: str = "field",
        errors: bool = True,
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
    ) -> None:
        self.method = method
        self.alpha = alpha
        self.fit_fields = fit_fields
        self.tol = tol
        self.max_iter = max_iter
        self.n_chains = n_chains
        self.threshold = threshold
        self.constant = constant
        self.errors = errors
        self.random_state = random_state
        self.progress = progress
