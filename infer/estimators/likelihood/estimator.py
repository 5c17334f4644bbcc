"""Maximum likelihood: couplings and fields whose Boltzmann distribution has the means and correlations of the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.columns import VaryingSpins
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.contrastive_divergence import Divergence, maximise_likelihood
from infer.estimators.likelihood.enumeration import Enumeration, enumerate_states
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.estimators.newton import Local, Minimum, Pairs, minimise
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.rows import one_blas_thread

FloatArray = NDArray[np.float64]

N_CHAINS = 100
EXACT_DEFAULTS = {"tol": 1e-8, "max_iter": 200}
NOISE_FRACTION = 0.2  # default mismatch of moments, relative to 1 / sqrt(n_samples), the noise of the data's own
LEAST_TOLERANCE = 2e-3
MOST_UPDATES = 100


def match_moments(
    means: FloatArray,
    second_moments: FloatArray,
    alpha: float = 0.0,
    fit_fields: bool = True,
    tol: float = 1e-8,
    max_iter: int = 200,
) -> tuple[FloatArray, FloatArray, Minimum]:
    r"""
    Couplings and fields of the Boltzmann distribution with given moments, by enumeration and Newton's method.

    Minimises :math:`\log Z - \sum_{i<j} J_{ij} \langle s_i s_j \rangle - \sum_i h_i \langle s_i \rangle +
    \frac\alpha2 \sum_{i<j} J_{ij}^2`; its gradient is the difference of the moments, its curvature their covariance.

    Parameters
    ----------
    means : ndarray (n_spins,)
    second_moments : ndarray (n_spins, n_spins)
    alpha : float
    fit_fields : bool
        Whether fields match the means; without, they are zero.
    tol : float
        Largest difference of moments.
    max_iter : int

    Returns
    -------
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)
    minimum : Minimum
    """
    pairs = Pairs(len(means), fit_fields)
    data = pairs.pack(second_moments, means)
    penalised = (np.arange(pairs.size) < pairs.n_pairs).astype(np.float64)

    def local(vector: FloatArray) -> Local:
        states = enumerate_states(*pairs.unpack(vector))
        first, second = states.moments()
        penalty = alpha * vector * penalised
        value = states.log_partition - float(vector @ data) + 0.5 * float(vector @ penalty)
        return value, pairs.pack(second, first) - data + penalty, _curvature(states, pairs, alpha * penalised)

    minimum = minimise(local, np.zeros(pairs.size), tol, max_iter)
    return *pairs.unpack(minimum.point), minimum


def _curvature(states: Enumeration, pairs: Pairs, penalty: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """The function that applies the Hessian: the Fisher information plus the penalty."""

    def apply(direction: FloatArray) -> FloatArray:
        first, second = states.covariances(*pairs.unpack(direction))
        return pairs.pack(second, first) + penalty * direction

    return apply


class MaximumLikelihood(SpinEstimator):
    r"""
    Couplings and fields that maximise the likelihood of +-1 spins (Boltzmann machine learning).

    Maximises the mean log-likelihood per sample less ``alpha/2 sum_{i<j} J_ij^2``. At the maximum (for alpha = 0) the
    model has the correlations :math:`\langle s_i s_j \rangle` of the samples and, if fields are fitted, their means.

    "exact" sums over all states in every Newton step (at most 20 spins). "pcd" takes the moments of the model from
    Markov chains that live on while couplings change (persistent contrastive divergence), for any number of spins. It
    starts from pseudo-likelihood and steps along the natural gradient, estimated from the chains; each update runs them
    until the gradient is known well enough, and the last one is a measurement that shows the moments to agree.

    Parameters
    ----------
    method : {"auto", "exact", "pcd"}, default "auto"
        "auto" is "exact" up to 20 spins, "pcd" above.
    alpha : float, default 0.0
        Strength of the l2 penalty. A small value (say 0.01) keeps couplings finite where the data alone do not.
    fit_fields : bool or "auto", default "auto"
        Fit fields; otherwise they are zero. "auto" fits them, but not to samples of simulations that ran without.
    tol : float, optional
        "exact": largest difference of moments, 1e-8 by default. "pcd": root mean square difference of moments, its
        noise included; by default 0.2 / sqrt(n_samples), a fifth of the data's own noise, but no less than 0.002.
    max_iter : int, optional
        Most Newton steps ("exact", 200 by default), or gradients ("pcd", 100).
    n_chains : int, default 100
        Chains of "pcd".
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        What to do with spins that never change: keep them without couplings (and warn), or refuse.
    random_state : int, RandomState or None, default 0
        Seed of "pcd".
    progress : bool, default False
        Show a progress bar ("pcd").

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Symmetric, zero diagonal. They contain 1/T.
    fields_ : ndarray (n_spins,)
        They contain 1/T; zero unless ``fit_fields``.
    mismatch_ : float
        Difference of moments (gradient) at the end: largest ("exact") or root mean square with its noise ("pcd").
    mismatch_noise_ : float
        Root mean square standard error of the measured gradient; 0 for "exact".
    tol_ : float
        The tolerance that was used.
    converged_ : bool
        Whether there is a finite maximum and ``mismatch_ <= tol_`` (for "pcd", ``mismatch_noise_ <= tol_`` too).
    n_iter_ : int
        Newton steps, or gradients measured with chains.
    n_features_in_ : int

    References
    ----------
    D. H. Ackley, G. E. Hinton, T. J. Sejnowski 1985, Cognitive Science 9, 147. T. Tieleman 2008, Proc. ICML, 1064,
    doi:10.1145/1390156.1390290. S. Amari 1998, Neural Computation 10, 251 (natural gradient).

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
        self.random_state = random_state
        self.progress = progress

    def solve(self, samples: VaryingSpins) -> Fit:
        """
        Couplings and fields of the spins that vary, by enumeration or with chains.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit
        """
        n = samples.n_varying
        exactly = self.method == "exact" or (self.method == "auto" and n <= MOST_EXACT_SPINS)
        if exactly and n > MOST_EXACT_SPINS:
            raise ValueError(
                f"method='exact' sums over all states of at most {MOST_EXACT_SPINS} spins, X has {n} that "
                "vary: pass method='pcd'"
            )
        self.mismatch_, self.mismatch_noise_ = 0.0, 0.0
        self.alpha_ = self.prior(self.alpha, samples.n_samples)
        default = (
            EXACT_DEFAULTS["tol"] if exactly else max(NOISE_FRACTION / np.sqrt(samples.n_samples), LEAST_TOLERANCE)
        )
        self.tol_ = float(default if self.tol is None else self.tol)
        if not Pairs(n, samples.fit_fields).size:
            return Fit(np.zeros((n, n)), np.zeros(n), True, 0)
        with one_blas_thread():
            return (self._fit_exactly if exactly else self._fit_chains)(samples)

    def _fit_exactly(self, samples: VaryingSpins) -> Fit:
        """Couplings and fields of the spins that vary, by enumeration."""
        max_iter = int(EXACT_DEFAULTS["max_iter"] if self.max_iter is None else self.max_iter)
        means, second = samples.moments()
        couplings, fields, minimum = match_moments(means, second, self.alpha_, samples.fit_fields, self.tol_, max_iter)
        self.mismatch_ = minimum.gradient_norm
        converged = self.mismatch_ <= self.tol_ and not minimum.unbounded
        if minimum.unbounded:
            self._warn_of_states_never_seen()
        elif not converged:
            warnings.warn(
                f"no convergence in {minimum.n_iter} Newton steps: moments differ by up to {self.mismatch_:.2g} > "
                f"tol = {self.tol_:.2g}; raise max_iter or tol, or pass alpha > 0 (say 0.01)",
                ConvergenceWarning,
                stacklevel=6,
            )
        return Fit(couplings, fields, converged, minimum.n_iter)

    def _fit_chains(self, samples: VaryingSpins) -> Fit:
        """Couplings and fields of the spins that vary, by persistent contrastive divergence."""
        rng = check_random_state(self.random_state)
        rows = samples.spins[:, samples.varying]
        means, second = samples.moments()
        with warnings.catch_warnings():
            # rough values will do to start from, and the end is judged by its own measure
            warnings.simplefilter("ignore", ConvergenceWarning)
            start = PseudoLikelihood(
                alpha=max(self.alpha_, 1.0 / samples.n_samples), fit_fields=samples.fit_fields, tol=1e-3, errors=False
            ).fit(rows, sample_weight=samples.weight)
        # evenly through the samples, so that states that chains cannot leave get their share of chains
        places = (np.arange(self.n_chains) + rng.random_sample()) / self.n_chains
        picked = np.searchsorted(np.cumsum(samples.share()), places).clip(max=len(rows) - 1)
        chains = PersistentChains(rows[picked], int(rng.randint(np.iinfo(np.int32).max)))
        max_iter = MOST_UPDATES if self.max_iter is None else int(self.max_iter)
        found = maximise_likelihood(
            means,
            second,
            start.couplings_,
            start.fields_,
            chains,
            alpha=self.alpha_,
            fit_fields=samples.fit_fields,
            tol=self.tol_,
            max_iter=max_iter,
            progress=self.progress,
        )
        self.mismatch_, self.mismatch_noise_ = found.mismatch, found.noise
        # chains that hardly mix agree with the data that they once came from
        converged = max(found.mismatch, found.noise) <= self.tol_
        if self.alpha_ == 0.0 and _dependent(means, second, samples.fit_fields):
            converged = False
            self._warn_of_states_never_seen()
        elif not converged:
            self._warn_of_chains(found)
        return Fit(found.couplings, found.fields, converged, found.n_iter)

    def _warn_of_states_never_seen(self) -> None:
        """Say that there is no finite maximum, and what to do."""
        warnings.warn(
            "some states of a few spins never occur, so that the best couplings are infinite and those returned "
            "mean little; pass alpha > 0 (say 0.01) to keep couplings finite, or give more samples",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _warn_of_chains(self, found: Divergence) -> None:
        """Say why moments do not agree, and what to do."""
        if found.noise > max(self.tol_ / 2.0, found.mismatch / 3.0):
            reason = (
                f"the chains leave a noise of {found.noise:.2g} in it (they mix slowly, or tol asks for much); raise "
                "tol or n_chains"
            )
        else:
            reason = f"after {found.n_iter} gradients; raise max_iter or tol, or pass alpha > 0 (say 0.01)"
        warnings.warn(
            f"moments of model and samples differ by {found.mismatch:.2g}, tol = {self.tol_:.2g} (root mean square): "
            f"{reason}",
            ConvergenceWarning,
            stacklevel=6,
        )


def _dependent(means: FloatArray, second_moments: FloatArray, fit_fields: bool) -> bool:
    """Whether a combination of spins vanishes in all samples, so that weight on its square has no finite optimum."""
    moments = second_moments
    if fit_fields:
        moments = np.block([[np.ones((1, 1)), means[None, :]], [means[:, None], second_moments]])
    return bool(np.linalg.eigvalsh(moments)[0] < 1e-10)
