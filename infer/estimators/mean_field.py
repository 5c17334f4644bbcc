"""Closed-form couplings from means and covariances: naive, TAP, Bethe, Sessak-Monasson, independent pairs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.batch_errors import RowBatches
from infer.estimators.columns import VaryingSpins
from infer.estimators.covariances import invert_covariance, ledoit_wolf_strength
from infer.estimators.rows import SpinRows
from simulate.threads import one_blas_thread
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]

# of differences, in units of the deviation of a batch, which changes probabilities by less than themselves
STEP = 1e-3

METHODS = ("naive", "tap", "bethe", "sessak-monasson", "independent-pair")


def mean_field_couplings(
    means: ArrayLike, covariance: ArrayLike, method: str = "naive"
) -> tuple[FloatArray, FloatArray, int]:
    r"""
    Couplings and fields from means and covariances of +-1 spins, in closed form.

    With means m, covariances C, :math:`L_i = 1 - m_i^2`, for i != j:

    - "naive" (Kappen and Rodriguez 1998): :math:`J_{ij} = -(C^{-1})_{ij}`,
      :math:`h_i = \mathrm{artanh}\, m_i - \sum_j J_{ij} m_j`.
    - "tap" (Tanaka 1998): the root of :math:`(C^{-1})_{ij} = -J_{ij} - 2 J_{ij}^2 m_i m_j` that is the naive one for
      small means; :math:`h_i = \mathrm{artanh}\, m_i - \sum_j J_{ij} m_j + m_i \sum_j J_{ij}^2 L_j`.
    - "bethe" (Ricci-Tersenghi 2012): susceptibility propagation in closed form, exact on trees; fields from
      the cavity messages.
    - "sessak-monasson" (Sessak and Monasson 2009): naive plus independent pair less the terms that both contain,
      :math:`J_{ij} = -(C^{-1})_{ij} + J^{pair}_{ij} - C_{ij} / (L_i L_j - C_{ij}^2)`; fields from the same entropy.
    - "independent-pair" (Roudi, Tyrcha and Hertz 2009): each pair treated as isolated, exact for two spins,
      :math:`J_{ij} = \frac14 \log \frac{p_{++} p_{--}}{p_{+-} p_{-+}}`;
      :math:`h_i = \mathrm{artanh}\, m_i + \sum_j (h_i^{pair\,j} - \mathrm{artanh}\, m_i)`.

    Parameters
    ----------
    means : array (n_spins,)
        Means between -1 and 1, both excluded.
    covariance : array (n_spins, n_spins)
        Covariance with the diagonal 1 - means^2.
    method : str

    Returns
    -------
    couplings : ndarray (n_spins, n_spins)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields : ndarray (n_spins,)
    n_clipped : int
        Number of pairs for which there is no real solution: "tap" then takes the double root (where the square root
        vanishes), "bethe" the naive coupling, since its own solution diverges there.

    Raises
    ------
    ValueError
        If the method is unknown, the covariance has no inverse, or a pair of spins never takes one of its four states
        (independent-pair and Sessak-Monasson).

    References
    ----------
    H. J. Kappen, F. B. Rodriguez 1998, Neural Computation 10, 1137; T. Tanaka 1998, Phys. Rev. E 58, 2302;
    F. Ricci-Tersenghi 2012, J. Stat. Mech. P08015, arXiv:1112.4814; V. Sessak, R. Monasson 2009, J. Phys. A 42, 055001,
    arXiv:0811.3574; Y. Roudi, J. Tyrcha, J. Hertz 2009, Phys. Rev. E 79, 051915, arXiv:0902.2885; H. C. Nguyen,
    J. Berg 2012, J. Stat. Mech. P03004, arXiv:1112.3501 (pairs for which mean-field equations have no solution).
    """
    _check_method(method)
    m, C = np.asarray(means, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    return _closed_form(m, C, None if method == "independent-pair" else _inverse(m, C), method)


def _closed_form(
    m: FloatArray, C: FloatArray, inverse: FloatArray | None, method: str
) -> tuple[FloatArray, FloatArray, int]:
    """`mean_field_couplings` with the inverse of the covariance, which "independent-pair" does not need."""
    n_clipped = 0
    if inverse is None:
        couplings, pair_fields = _pairs(m, C)
        return couplings, np.arctanh(m) + _off_diagonal(pair_fields - np.arctanh(m)[:, None]).sum(axis=1), 0
    if method == "naive":
        couplings = -_off_diagonal(inverse)
        fields = np.arctanh(m) - couplings @ m
    elif method == "tap":
        couplings, n_clipped = _tap(m, inverse)
        fields = np.arctanh(m) - couplings @ m + m * (couplings**2 @ (1.0 - m**2))
    elif method == "bethe":
        couplings, n_clipped = _bethe(m, inverse)
        fields = _bethe_fields(m, couplings)
    else:
        couplings, fields = _sessak_monasson(m, C, inverse)
    return couplings, fields, n_clipped


def mean_field_errors(
    rows: SpinRows,
    batches: RowBatches,
    means: FloatArray,
    second: FloatArray,
    method: str,
    strength: float = 0.0,
    fit_fields: bool = True,
) -> tuple[FloatArray, FloatArray]:
    """Standard errors of `mean_field_couplings` by the delta method.

    The closed form is differentiated along the deviation of the moments of each batch of rows, by symmetric
    differences; the derivative of the inverse of the covariance C is ``-C^-1 dC C^-1``. The sum of the squares over
    batches is the squared error, for any correlations of rows inside a batch.

    Parameters
    ----------
    rows : SpinRows
        Rows in the order of the batches.
    batches : RowBatches
    means : ndarray (n_spins,)
        Means of the rows; zero without fields.
    second : ndarray (n_spins, n_spins)
        Second moments.
    method : str
    strength : float
        Shrinkage of the covariances, taken as given.
    fit_fields : bool
        Whether covariances are about the means, or about zero.

    Returns
    -------
    couplings_std : ndarray (n_spins, n_spins)
    fields_std : ndarray (n_spins,)
    """
    n = rows.n_spins

    def moments(part: slice, weights: FloatArray) -> FloatArray:
        chunk = rows.chunk(part, np.float64)
        weighted = chunk * weights[:, None]
        return np.column_stack([weighted.T @ chunk, weighted.sum(axis=0) if fit_fields else np.zeros(n)])

    def covariance(m: FloatArray, products: FloatArray) -> FloatArray:
        C = (1.0 - strength) * (products - np.outer(m, m))
        np.fill_diagonal(C, 1.0 - m**2)
        return C

    inverse = None if method == "independent-pair" else _inverse(means, covariance(means, second))
    squares, field_squares = np.zeros((n, n)), np.zeros(n)
    for root in batches.roots(moments, np.column_stack([second, means])):
        change, mean_change = STEP * root[:, :n], STEP * root[:, n]
        up, down = (covariance(means + sign * mean_change, second + sign * change) for sign in (1.0, -1.0))
        inverse_change = None if inverse is None else -inverse @ ((up - down) / 2.0) @ inverse
        ends = []
        for sign, C in ((1.0, up), (-1.0, down)):
            there = None if inverse is None or inverse_change is None else inverse + sign * inverse_change
            ends.append(_closed_form(means + sign * mean_change, C, there, method))
        squares += ((ends[0][0] - ends[1][0]) / (2.0 * STEP)) ** 2
        field_squares += ((ends[0][1] - ends[1][1]) / (2.0 * STEP)) ** 2
    return np.sqrt((squares + squares.T) / 2.0), np.sqrt(field_squares) if fit_fields else np.zeros(n)


def _check_method(method: str) -> None:
    """Raise a ValueError with the known methods for an unknown one."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")


def _off_diagonal(matrix: FloatArray) -> FloatArray:
    """The matrix, zero on the diagonal."""
    result = matrix.copy()
    np.fill_diagonal(result, 0.0)
    return result


def _inverse(m: FloatArray, C: FloatArray) -> FloatArray:
    """Inverse of the covariance; the error where there is none gives the remedy."""
    return invert_covariance(C, np.sqrt(1.0 - m**2), "spin", "pass shrinkage=0.1 or shrinkage='ledoit-wolf'")


def _tap(m: FloatArray, inverse: FloatArray) -> tuple[FloatArray, int]:
    """Root of the TAP equation that is -inverse for small means; pairs without a real root get the double one."""
    products = np.outer(m, m)
    discriminant = _off_diagonal(1.0 - 8.0 * products * inverse)
    couplings = -2.0 * inverse / (1.0 + np.sqrt(np.maximum(discriminant, 0.0)))
    clipped = discriminant < 0.0
    # the double root -1 / (4 m_i m_j), where the discriminant vanishes
    couplings[clipped] = -0.25 / products[clipped]
    return _off_diagonal(couplings), int(clipped.sum()) // 2


def _bethe(m: FloatArray, inverse: FloatArray) -> tuple[FloatArray, int]:
    """Couplings of susceptibility propagation; pairs without a solution get the naive coupling."""
    products = np.outer(m, m)
    widths = np.outer(1.0 - m**2, 1.0 - m**2)
    # c t^2 - x t + c = 0 for t = -tanh J, c the inverse; its smaller root, written without the small divisor c
    x = np.sqrt(1.0 + 4.0 * widths * inverse**2) - 2.0 * products * inverse
    square = x**2 - 4.0 * inverse**2
    clipped = (square <= 0.0) | (x <= 0.0)
    np.fill_diagonal(clipped, False)
    solvable = ~clipped & ~np.eye(len(m), dtype=bool)
    couplings = -_off_diagonal(inverse)
    c, x, square = inverse[solvable], x[solvable], square[solvable]
    couplings[solvable] = -np.arctanh(2.0 * c / (x + np.sqrt(square)))
    return couplings, int(clipped.sum()) // 2


def _bethe_fields(m: FloatArray, couplings: FloatArray) -> FloatArray:
    """Fields that give the means on the Bethe lattice: artanh m less the sum of the cavity messages."""
    t = np.tanh(couplings)
    # cavity[i, j]: magnetisation of j without i; quadratic equation solved without its small divisor
    target, source = m[:, None], m[None, :]
    a = 1.0 - t**2
    x, y = source - target * t, target - source * t
    discriminant = np.maximum(a**2 - 4.0 * t * x * y, 0.0)
    cavity = 2.0 * x / (a + np.sqrt(discriminant))
    return np.asarray(np.arctanh(m) - _off_diagonal(np.arctanh(np.clip(t * cavity, -1 + 1e-15, 1 - 1e-15))).sum(axis=1))


def _pairs(m: FloatArray, C: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Couplings (N, N) of each pair in isolation, and the field [i, j] on i in the pair with j."""
    second = C + np.outer(m, m)
    up, partner_up = m[:, None], m[None, :]
    logs = {}
    for a in (1, -1):
        for b in (1, -1):
            probability = (1.0 + (a * up + b * partner_up) + a * b * second) / 4.0
            np.fill_diagonal(probability, 1.0)
            if np.any(probability <= 1e-14):
                i, j = (int(k) for k in np.argwhere(probability <= 1e-14)[0])
                raise ValueError(
                    f"spins {i} and {j} never take the values {a:+d} and {b:+d} together, so that their coupling would "
                    "be infinite: give more rows, or pass shrinkage=0.1 or shrinkage='ledoit-wolf'"
                )
            logs[a, b] = np.log(probability)
    couplings = (logs[1, 1] + logs[-1, -1] - (logs[1, -1] + logs[-1, 1])) / 4.0
    fields = (logs[1, 1] + logs[1, -1] - logs[-1, 1] - logs[-1, -1]) / 4.0
    return _off_diagonal(couplings), fields


def _sessak_monasson(m: FloatArray, C: FloatArray, inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """
    Couplings and fields of the entropy S = sum of one-spin and two-spin entropies + loops, less pairs counted twice.

    Loops are `log det(C / sqrt(L L)) / 2`; couplings are -dS/dC_ij, and h_i = -dS/dm_i (at fixed C) - sum_j J_ij m_j.
    """
    width = 1.0 - m**2
    pair_couplings, pair_fields = _pairs(m, C)
    determinant = np.outer(width, width) - _off_diagonal(C) ** 2
    couplings = _off_diagonal(-inverse + pair_couplings - C / determinant)
    single = np.arctanh(m)
    from_pairs = _off_diagonal(pair_fields + pair_couplings * m[None, :] - single[:, None]).sum(axis=1)
    from_loops = m * (np.diag(inverse) - 1.0 / width)
    counted_twice = m / width * _off_diagonal(C**2 / determinant).sum(axis=1)
    return couplings, single + from_pairs + from_loops - counted_twice - couplings @ m


class MeanField(SpinEstimator):
    r"""
    Couplings and fields from means and covariances, in closed form.

    Fast (one covariance matrix and its inverse), accurate at high temperature, and a reference for slower estimators.
    Formulas and sources of the methods: see `mean_field_couplings`. For couplings of the order of
    a small number J, with exact moments, errors are of the order of J^2 ("naive", "independent-pair"), J^3 ("tap",
    "bethe") and J^4 ("sessak-monasson"); at zero means one order smaller for all but "tap" and "independent-pair".

    Parameters
    ----------
    method : {"naive", "tap", "bethe", "sessak-monasson", "independent-pair"}, default "naive"
    shrinkage : float in [0, 1], "ledoit-wolf" or None, default None
        Covariances off the diagonal are multiplied by `1 - shrinkage` (means and variances are kept). "ledoit-wolf"
        takes the value that is best for independent rows (too small for correlated ones). None: no shrinkage.
    fit_fields : bool or "auto", default "auto"
        False: fields and means are zero, and covariances are the second moments. "auto": True except for samples of
        simulations without fields.
    errors : bool, default True
        Compute standard errors in `fit`.
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        Treatment of spins that never change: keep them without couplings (and warn), with the field of their mean after
        half a sample of either sign is added, or refuse.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_spins,)
        They contain 1/T.
    couplings_std_, fields_std_ : ndarray (n_spins, n_spins) and (n_spins,)
        Standard errors by the delta method, with the covariance of the moments from batches of successive rows inside
        runs. They do not include the error of the approximation, or of the choice of the shrinkage.
    means_ : ndarray (n_spins,)
    covariance_ : ndarray (n_spins, n_spins)
        Covariance after shrinkage.
    shrinkage_ : float
        The shrinkage that was used.
    n_clipped_ : int
        Pairs for which the equations ("tap", "bethe") have no real solution.
    n_iter_ : int
        1: the solution is in closed form.
    converged_ : bool
        Whether all pairs have a solution.
    n_features_in_ : int

    References
    ----------
    See `mean_field_couplings`.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import MeanField
    >>> X = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> MeanField("tap").fit(X).couplings_.shape
    (5, 5)
    """

    def __init__(
        self,
        method: Literal["naive", "tap", "bethe", "sessak-monasson", "independent-pair"] = "naive",
        *,
        shrinkage: float | Literal["ledoit-wolf"] | None = None,
        fit_fields: bool | str = "auto",
        errors: bool = True,
        threshold: float | None = None,
        constant: Literal["field", "error"] = "field",
    ) -> None:
        self.method = method
        self.shrinkage = shrinkage
        self.fit_fields = fit_fields
        self.errors = errors
        self.threshold = threshold
        self.constant = constant

    def solve(self, samples: VaryingSpins) -> Fit:
        """
        Couplings and fields of the spins that vary, in closed form.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If a parameter is out of range, or the moments determine no couplings.
        """
        _check_method(self.method)
        text = isinstance(self.shrinkage, str)
        if self.shrinkage is not None and (
            self.shrinkage != "ledoit-wolf" if text else not 0.0 <= float(self.shrinkage) <= 1.0
        ):
            raise ValueError(f"shrinkage must be a number from 0 to 1, 'ledoit-wolf' or None, got {self.shrinkage!r}")
        means, second = samples.moments()
        if not samples.fit_fields:  # spins without fields have zero means, so covariances are second moments
            means = np.zeros_like(means)
        covariance = second - np.outer(means, means)
        np.fill_diagonal(covariance, 1.0 - means**2)
        strength = 0.0
        if text and samples.n_varying:
            given = samples.samples
            strength = ledoit_wolf_strength(given.spins[:, samples.varying], means, given.weight)
        elif self.shrinkage is not None and samples.n_varying:
            strength = float(self.shrinkage)
        shrunk = (1.0 - strength) * covariance
        np.fill_diagonal(shrunk, np.diag(covariance))
        n = samples.n_varying
        couplings, fields, n_clipped = np.zeros((n, n)), np.zeros(n), 0
        if n:
            couplings, fields, n_clipped = mean_field_couplings(means, shrunk, self.method)
        if n_clipped:
            instead = "the double root" if self.method == "tap" else "the naive coupling"
            warn(
                f"{n_clipped} of {n * (n - 1) // 2} pairs have no real solution of the {self.method} equations and got "
                f"{instead}: correlations are too strong (or too noisy) for this method; pass shrinkage, or use "
                "PseudoLikelihood",
                ConvergenceWarning,
                stacklevel=5,
            )
        all_means = np.zeros(samples.n_spins)
        if samples.fit_fields:
            all_means[samples.constant] = samples.constant_values
        all_means[samples.varying] = means
        all_covariances = np.zeros((samples.n_spins, samples.n_spins))
        all_covariances[np.ix_(samples.varying, samples.varying)] = shrunk
        if not samples.fit_fields:
            all_covariances[samples.constant, samples.constant] = 1.0
        return Fit(
            couplings,
            fields if samples.fit_fields else np.zeros(n),
            n_clipped == 0,
            attributes={
                "means_": all_means,
                "covariance_": all_covariances,
                "shrinkage_": strength,
                "n_clipped_": n_clipped,
            },
            **self._errors(samples, means, second, strength),
        )

    def _errors(self, samples: VaryingSpins, means: FloatArray, second: FloatArray, strength: float) -> dict[str, Any]:
        """Standard errors; NaN where the samples form a single batch."""
        if not self.errors:
            return {}
        n, batches = samples.n_varying, RowBatches.of(samples.samples)
        if batches is None or not n:
            unknown = np.full((n, n), np.nan)
            return {"couplings_std": unknown, "fields_std": np.full(n, np.nan)}
        with one_blas_thread():
            couplings, fields = mean_field_errors(
                samples.ordered_rows(), batches, means, second, self.method, strength, samples.fit_fields
            )
        freedom, time = batches.degrees_of_freedom, batches.time
        return {"couplings_std": couplings, "fields_std": fields, "freedom": freedom, "time": time}
