"""Inverse temperature and dreaming rate of spins whose patterns are known."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from infer.checks import constant_spins, name_spins
from infer.estimators.dreaming.base import DreamingEstimator
from infer.estimators.dreaming.errors import Estimate, Grouping, Method
from infer.estimators.dreaming.family_test import FamilyTest, score_test_of_family
from infer.estimators.dreaming.hybrid_machine import HybridMachineMethod
from infer.estimators.dreaming.likelihood import PatternSamples, PseudoLikelihoodMethod
from infer.estimators.dreaming.modes import PatternModes
from infer.estimators.dreaming.problem import Problem, build_problem
from infer.samples import Samples
from infer.types import FloatArray
from simulate.checks import check_count

__all__ = ["DreamingModel"]


class DreamingModel(DreamingEstimator):
    r"""
    Dreaming rate and inverse temperature of samples of spins, given the patterns.

    The model has two parameters, the inverse temperature :math:`\beta` and the dreaming rate :math:`\lambda`:

    .. math:: P(s) \propto \exp\Big(\tfrac12 \sum_{i \ne j} \beta J_{ij}(\lambda) s_i s_j + \sum_i h_i s_i\Big),
              \qquad J(\lambda) = \tfrac1N \xi^T (1+\lambda)(I + \lambda C)^{-1} \xi, \quad C = \xi \xi^T / N.

    `rate = 0` is the Hebbian matrix, positive rates are unlearned (dreamed) matrices. The rate is free down to its open
    lower bound `-1 / max eig(C)`, since a constraint at zero would bias it upwards where it is small. For continuous
    units see `ContinuousDreamingModel`.

    Two objectives, both from the overlaps with the at most min(P, N) eigenvectors of C, in O(M N P) for M samples:

    "pseudolikelihood"
        The mean log pseudo-likelihood :math:`\sum_i \log p(s_i \mid \text{rest})`, by Newton's method.
    "hybrid-rbm"
        The likelihood, in the restricted Boltzmann machine of binary visible and Gaussian hidden units,
        :math:`P(s, y) \propto \exp(-\frac12 y^T K^{-1} y + \sqrt{\beta / N}\, y^T \xi s + h \cdot s)` with
        :math:`K = (1+\lambda)(I + \lambda C)^{-1}`, which gives the model when y is integrated out. K is positive
        definite for all rates above the bound. Averages come from persistent chains that alternate between the layers
        (`simulate.BlockGibbs`), the step from the natural gradient. Chains must mix. Far below the transition they do
        not, and there is a warning.

    Samples of driven spins are not those of any member of the family. The rate is then that of the nearest member,
    which the objectives measure differently: along each mode of the patterns pseudo-likelihood weights the squared
    error of the couplings with the variance, the likelihood less so, `compare` of fitted couplings not at all
    (`simulate.theory.fitted_rate_and_slope`). Rates by different methods differ by up to a third, and comparing them
    means nothing. `family_test` says whether samples are shown to be outside of the family.

    Standard errors are those of the sandwich `H^-1 V H^-1`, with V the long-run covariance of the score from batch
    means inside chains. They are valid for autocorrelated samples, and for samples that the model describes
    imperfectly.

    **Unknown patterns.** Without `patterns`, vectors of +-1 are searched for in the leading eigenvectors of the
    correlations, which span the couplings of the low-rank Hopfield model of largest likelihood (Cocco, Monasson, Sessak
    2011). The rate then measures dreaming from the Hebbian couplings of `patterns_`, whose signs and order are not
    determined and do not matter. It is comparable with that of known patterns where `pattern_quality_` is near one. A
    rate is defined for binary patterns only, since any couplings of low rank are Hebbian couplings of *some* real
    patterns. Error bars take the patterns found as given.

    Parameters
    ----------
    patterns : array-like of +-1, shape (n_patterns, n_spins), optional
        Patterns may be linearly dependent. At least two must not be orthogonal to each other, since orthogonal patterns
        give the same couplings at all rates. None: unknown, and `n_patterns` of them are searched for.
    method : {"pseudolikelihood", "hybrid-rbm"}
    n_patterns : int, optional
        Number of unknown patterns.
    fit_fields : bool, default False
        Whether to fit also an external field to every spin, in units of temperature.
    n_batches : int, optional
        Number of batches for the standard errors. Default: see `infer.statistics.uncertainty.batch_labels`.
        Batches should be several times longer than the autocorrelation time.
    tol : float, default 1e-8
        Converged when a Newton step changes inverse temperature, distance of the rate from its bound (both relative)
        and fields by less. "hybrid-rbm" instead stops when the next step would be well below the standard error.
    max_iter : int, default 100
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    random_state : int, RandomState or None, default 0
        Seed of the chains of "hybrid-rbm" and of the search for patterns.
    progress : bool, default False
        Show the steps of "hybrid-rbm".

    Attributes
    ----------
    rate_, rate_std_ : float
        Dreaming rate and its standard error, infinite where the rate is at an end of its range.
    inverse_temperature_, inverse_temperature_std_ : float
        In units of the couplings of the patterns, `1 / T`.
    slope_, slope_std_ : float
        `inverse_temperature_ * (1 + rate_)`, the coefficient of the Hebbian matrix at small load, and its standard
        error.
    covariance_ : ndarray (2, 2)
        Covariance of the estimates of (rate, inverse temperature).
    rate_interval_ : tuple of float
        95 % interval of the rate; `confidence_interval` gives others.
    degrees_of_freedom_ : float
        Degrees of freedom of Student's t for intervals: effective number of batches minus one.
    batch_correlation_ : float
        Correlation between successive batches; clearly positive means that the standard errors are too small.
    couplings_ : ndarray (n_spins, n_spins)
        `inverse_temperature_ * dreaming(patterns, rate_)`: they contain 1/T.
    fields_ : ndarray (n_spins,)
        Zero unless `fit_fields`; contain 1/T.
    log_pseudolikelihood_ : float
        Mean log pseudo-likelihood per sample at the fitted parameters.
    patterns_ : ndarray of int8 (n_patterns, n_spins)
        The patterns, given or found.
    pattern_quality_ : ndarray (n_patterns,)
        Share of each found pattern's squared length in the leading subspace; one for given patterns.
    lowest_rate_ : float
        The open bound `-1 / max eig(C)`.
    n_iter_ : int
    converged_ : bool
        False, with a warning, if there is no maximum inside the range of rates.
    n_features_in_ : int

    References
    ----------
    Fachechi, Agliari, Barra 2019, arXiv:1810.12217 (dreaming); Behera et al. 2024, arXiv:2410.06269 (the rate as a
    measure of activity); Besag 1975, The Statistician 24, 179 (pseudo-likelihood); Barra, Bernacchia, Santucci,
    Contucci 2012, arXiv:1105.2790 (hybrid machine); Cocco, Monasson, Sessak 2011, Phys. Rev. E 83, 051123 (low-rank
    Hopfield models); Varin, Reid, Firth 2011, Statistica Sinica 21, 5 (sandwich and tests for composite likelihoods);
    Kent 1982, Biometrika 69, 19 (adjusted likelihood ratio).

    Examples
    --------
    >>> import numpy as np
    >>> from infer import DreamingModel
    >>> from simulate import PersistentGlauber, hebbian, random_patterns, sample
    >>> patterns = random_patterns(20, 100, seed=0)
    >>> dynamics = PersistentGlauber(hebbian(patterns), temperature=2.0, persistence=0.5)
    >>> model = DreamingModel(patterns).fit(sample(dynamics, draws=5000, chains=4, seed=0))
    >>> model.rate_, model.rate_std_  # doctest: +SKIP
    """

    methods = ("pseudolikelihood", "hybrid-rbm")

    def __init__(
        self,
        patterns: ArrayLike | None = None,
        method: Literal["pseudolikelihood", "hybrid-rbm"] = "pseudolikelihood",
        *,
        n_patterns: int | None = None,
        fit_fields: bool = False,
        n_batches: int | None = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        threshold: float | None = None,
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
    ) -> None:
        self.patterns = patterns
        self.method = method
        self.n_patterns = n_patterns
        self.fit_fields = fit_fields
        self.n_batches = n_batches
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.random_state = random_state
        self.progress = progress

    def read_values(self, X: Any, sample_weight: ArrayLike | None, *, reset: bool) -> Samples:
        """Checked samples of spins.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
        sample_weight : array-like (n_samples,), optional
        reset : bool
            Whether this is a fit; otherwise samples are compared with those of the last one.

        Returns
        -------
        Samples
        """
        return self._read(X, sample_weight, reset=reset)

    def build_method(
        self, samples: Samples, weight: FloatArray, modes: PatternModes, grouping: Grouping, seed: int
    ) -> Method:
        """The pseudo-likelihood, or the likelihood of the hybrid machine, of some samples.

        Parameters
        ----------
        samples : Samples
        weight : ndarray (n_rows,)
        modes : PatternModes
        grouping : Grouping
        seed : int

        Returns
        -------
        Method

        Raises
        ------
        ValueError
            If fields are fitted to spins that never change.
        """
        constant = constant_spins(samples.values, samples.weight)
        if self.fit_fields and len(constant):
            raise ValueError(
                f"{name_spins(constant, samples.names)} never change, so that their fields would be infinite: drop "
                "these columns of X and of the patterns, or pass fit_fields=False"
            )
        fit_fields = bool(self.fit_fields)
        prepared = PatternSamples.prepare(samples.values, weight, modes)
        if self.method == "hybrid-rbm":
            return HybridMachineMethod(prepared, grouping, fit_fields, self.max_iter, seed, self.progress)
        return PseudoLikelihoodMethod(prepared, fit_fields, self.tol, self.max_iter)

    def family_test(self, X: Any, sample_weight: ArrayLike | None = None, *, n_directions: int = 3) -> FamilyTest:
        """
        Test whether the samples are those of dreamed couplings at all, of whatever rate.

        Score test, at the maximum of the pseudo-likelihood, against couplings that weight the modes of the patterns in
        other ways than the family does. Where it is rejected the rate is that of the nearest member of the family, and
        "nearest" depends on the method (`theory.fitted_rate_and_slope` names three). Samples of driven spins are
        rejected once there are enough of them.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
            The samples that the model was fitted to.
        sample_weight : array-like (n_samples,), optional
        n_directions : int, default 3
            Number of functions of the modes that are tried.

        Returns
        -------
        FamilyTest

        Raises
        ------
        ValueError
            If the model has fields, or there are too few modes or batches for so many directions.
        """
        check_is_fitted(self, "rate_")
        n_directions = check_count(n_directions, "n_directions", low=1)
        if self.fit_fields:
            raise ValueError("the test is for models without fields: fit again with fit_fields=False")
        changes = {"method": "pseudolikelihood", "patterns": self.patterns_, "n_patterns": None, "random_state": 0}
        model = clone(self).set_params(**changes)
        problem = build_problem(model, X, sample_weight, self.patterns_, 0)
        best = problem.method.fit(start=problem.start(self))
        samples = model.read_values(X, sample_weight, reset=False)
        return score_test_of_family(
            samples.values, problem.method.weight, problem.modes, problem.grouping, best.amplitude, best.rate,
            n_directions,
        )  # fmt: skip

    def _unpack(self, problem: Problem, best: Estimate, covariance: NDArray[np.float64]) -> None:
        """Set attributes, and the log pseudo-likelihood."""
        super()._unpack(problem, best, covariance)
        method = problem.method
        assert isinstance(method, PseudoLikelihoodMethod | HybridMachineMethod)
        self.log_pseudolikelihood_ = float(method.samples.evaluate(best.amplitude, best.rate, best.fields).value)
