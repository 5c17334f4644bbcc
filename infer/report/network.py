"""Single couplings: both estimates of each, those that differ from zero, and their number for each spin."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.cluster import hierarchy

from infer.report.results import Network

Array = NDArray[np.float64]

#: Rate of false alarms over all couplings together, when they are tested against zero.
LEVEL = 0.05
#: Ratio of successive strengths that counts as a gap.
CLEAR_GAP = 1.25
#: Spins up to which the order within groups is optimised too.
MOST_ORDERED = 300


def network(by_node: Array | None, couplings: Array, std: Array) -> Network:
    """Correlation of the two estimates of each coupling, couplings that differ from zero, gap in their strengths.

    Parameters
    ----------
    by_node : ndarray (n_spins, n_spins), or None
        Row i fitted by spin i; not symmetric. None where each coupling was estimated once.
    couplings, std : ndarray (n_spins, n_spins)
        Symmetric couplings (beta J) and their standard errors; couplings without a finite error never count as
        different from zero.

    Returns
    -------
    Network
    """
    n_spins = len(couplings)
    above = np.triu_indices(n_spins, 1)
    correlation = float("nan")
    if by_node is not None:
        one, other = by_node[above], by_node.T[above]
        if min(float(np.std(one)), float(np.std(other))) > 1e-15:
            correlation = float(np.corrcoef(one, other)[0, 1])
    strength, error = np.abs(couplings[above]), std[above]
    threshold = float(stats.norm.isf(LEVEL / 2 / len(strength)))
    with np.errstate(invalid="ignore"):
        significant = strength > threshold * error
    return Network(
        transpose_correlation=correlation,
        z_threshold=threshold,
        n_significant=int(significant.sum()),
        degrees=_degrees(significant, above, n_spins),
        gap=_gap(strength, above, n_spins),
    )


def _degrees(chosen: NDArray[np.bool_], above: tuple[Any, ...], n_spins: int) -> NDArray[np.int64]:
    """Number of the chosen pairs that each spin belongs to."""
    ends = np.concatenate([above[0][chosen], above[1][chosen]])
    return np.bincount(ends, minlength=n_spins)


def _gap(strength: Array, above: tuple[Any, ...], n_spins: int) -> dict[str, Any] | None:
    """The largest ratio of successive strengths among the stronger half of the pairs, without the first few."""
    ordered = np.sort(strength)[::-1]
    # the largest few order statistics are far apart, and the smallest are close to zero, in any sample
    first, last = n_spins // 2, len(ordered) // 2
    if last - first < 2 or ordered[last] <= 0:
        return None
    ratios = ordered[first - 1 : last - 1] / ordered[first:last]
    place = int(np.argmax(ratios))
    if ratios[place] < CLEAR_GAP:
        return None
    rank = first + place
    return {
        "rank": rank,
        "above": float(ordered[rank - 1]),
        "below": float(ordered[rank]),
        "ratio": float(ratios[place]),
        "degrees": _degrees(strength >= ordered[rank - 1], above, n_spins),
    }


def cluster_order(couplings: Array) -> NDArray[np.int64]:
    """Order of the spins in which coupled groups are contiguous: leaves of average linkage of |J|.

    Parameters
    ----------
    couplings : ndarray (n_spins, n_spins)

    Returns
    -------
    ndarray of int64, shape (n_spins,)
    """
    n_spins = len(couplings)
    strength = np.abs(np.nan_to_num(couplings))[np.triu_indices(n_spins, 1)]
    if n_spins < 3 or not strength.any():
        return np.arange(n_spins)
    tree = hierarchy.linkage(strength.max() - strength, "average", optimal_ordering=n_spins <= MOST_ORDERED)
    return np.asarray(hierarchy.leaves_list(tree), dtype=np.int64)
