"""Maximum likelihood of couplings, fields and a potential of the population count."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from infer.count_model import CountModel
from infer.estimators.columns import VaryingSpins
from infer.estimators.likelihood.estimator import LikelihoodEstimator, MaximumLikelihood
from infer.estimators.likelihood.maximise import N_CHAINS, MomentFit
from infer.types import FloatArray

__all__ = ["KPairwise"]


class KPairwise(LikelihoodEstimator):
    r"""
    Couplings, fields and a potential of the number of spins at +1, by maximum likelihood.

    The energy is :math:`E(s) = -\frac12 \sum_{i \ne j} J_{ij} s_i s_j - \sum_i h_i s_i - V(K)` with K the number of
    spins at +1 (active units). At the maximum the model has the correlations, the means and the distribution P(K) of
    the samples. A constant, linear or quadratic V is the same as a constant, fields and uniform couplings; V is 0
    for K = 0, 1, 2 (without fields for 0 and 1).

    Parameters
    ----------
    method : {"auto", "exact", "pcd"}, default "auto"
        "exact" sums over all states of at most 20 spins, "pcd" samples with persistent chains; as `MaximumLikelihood`.
    alpha : float, optional
        Strength of the l2 penalty on couplings; by default that of one prior sample, 1 / n_samples.
    smoothness : float, optional
        Strength of the penalty ``smoothness/2 sum_K (V(K+3) - 3 V(K+2) + 3 V(K+1) - V(K))^2``, which keeps V finite
        where a count was never seen, and does not depend on the choice of V(0), V(1), V(2); by default 1 / n_samples.
    fit_fields : bool or "auto", default "auto"
        Whether to fit fields; otherwise they are zero. "auto": True except for samples of simulations without fields.
    tol, max_iter, n_chains
        As in `MaximumLikelihood`.
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
        They contain 1/T.
    count_potential_ : ndarray (n_spins + 1,)
        V of K = 0, 1, ..., n_spins. K includes spins that never change.
    model_ : CountModel
        Couplings, fields and potential as one model.
    couplings_std_ : ndarray (n_spins, n_spins)
        Standard errors of the couplings.
    fields_std_ : ndarray (n_spins,)
        Standard errors of the fields.
    count_potential_std_ : ndarray (n_spins + 1,)
        Standard errors of V; 0 where V is 0 by choice.
    mismatch_, mismatch_noise_, message_, tol_, converged_, n_iter_
        As in `MaximumLikelihood`.

    References
    ----------
    G. Tkacik, O. Marre, D. Amodei, E. Schneidman, W. Bialek, M. J. Berry 2014, PLoS Comput. Biol. 10, e1003408,
    doi:10.1371/journal.pcbi.1003408.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import KPairwise
    >>> X = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> KPairwise().fit(X).count_potential_.shape
    (6,)
    """

    with_counts = True

    count_potential_: FloatArray
    model_: CountModel

    _parameter_constraints: dict = {  # noqa: RUF012
        **MaximumLikelihood._parameter_constraints,
        "smoothness": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        method: str = "auto",
        alpha: float | None = None,
        *,
        smoothness: float | None = None,
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
        self.smoothness = smoothness
        self.fit_fields = fit_fields
        self.tol = tol
        self.max_iter = max_iter
        self.n_chains = n_chains
        self.threshold = threshold
        self.constant = constant
        self.errors = errors
        self.random_state = random_state
        self.progress = progress

    def _smoothness(self, samples: VaryingSpins) -> float:
        """Strength of the penalty on third differences of the potential."""
        return self.prior(self.smoothness, samples.n_samples)

    def _attributes(self, found: MomentFit | None, samples: VaryingSpins) -> dict[str, Any]:
        """The potential of the count of all spins."""
        own = np.zeros(samples.n_varying + 1) if found is None else found.parameters.potential
        potential = self._shifted(own, samples)
        couplings, fields = samples.expand(*self._parts(found, samples))
        return {"count_potential_": potential, "model_": CountModel(couplings, fields, potential)}

    def _error_attributes(self, potential_std: FloatArray, samples: VaryingSpins) -> dict[str, Any]:
        """Standard errors of the potential; NaN for counts that constant spins exclude."""
        return {"count_potential_std_": self._shifted(potential_std, samples, np.nan)}

    def _parts(self, found: MomentFit | None, samples: VaryingSpins) -> tuple[FloatArray, FloatArray]:
        """Couplings and fields of the spins that vary."""
        n = samples.n_varying
        return (np.zeros((n, n)), np.zeros(n)) if found is None else (found.couplings, found.fields)

    def _shifted(self, values: FloatArray, samples: VaryingSpins, elsewhere: float | None = None) -> FloatArray:
        """Values by the count of the spins that vary, as values by the count of all spins."""
        first = int((samples.constant_values > 0).sum())
        result = np.empty(samples.n_spins + 1)
        result[:first] = values[0] if elsewhere is None else elsewhere
        result[first : first + len(values)] = values
        result[first + len(values) :] = values[-1] if elsewhere is None else elsewhere
        return result

    @property
    def _model(self) -> CountModel:
        """The fitted model, its potential included."""
        return self.model_
