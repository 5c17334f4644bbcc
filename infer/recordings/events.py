"""Patterns estimated from a recording: average states during events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["event_patterns"]


def event_patterns(
    spins: ArrayLike, labels: Sequence[Any], counts: ArrayLike | None = None
) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    r"""Average states during events as patterns of +-1.

    The pattern of an event is

    .. math:: \xi_i = \mathrm{sign}(\langle s_i\rangle_\text{event} - \langle s_i\rangle):

    +1 for spins that are +1 more often during the event than in all rows. The mean is subtracted so that spins that are
    mostly -1, like those of spike trains, do not make all patterns similar. Ties count as +1.

    Parameters
    ----------
    spins : array_like, shape (n_rows, n_spins)
        Values -1 and +1.
    labels : sequence, length n_rows
        Event of each row; "" or None for no event.
    counts : array_like, shape (n_rows,), optional
        Counts of the rows.

    Returns
    -------
    patterns : ndarray of int8, shape (n_events, n_spins)
        Patterns in the order in which the events first occur.
    names : tuple of str
        The labels.

    Raises
    ------
    ValueError
        If there is not one label for each row, or no event at all.

    Examples
    --------
    >>> from infer.recordings.events import event_patterns
    >>> event_patterns([[1, -1], [1, 1], [-1, 1]], ["a", "a", "b"])
    (array([[ 1, -1],
           [-1,  1]], dtype=int8), ('a', 'b'))
    """
    rows = np.asarray(spins)
    if rows.ndim != 2:
        raise ValueError(f"spins: expected shape (n_rows, n_spins), got {rows.shape}")
    texts = ["" if label is None else str(label).strip() for label in labels]
    if len(texts) != len(rows):
        raise ValueError(f"events: {len(texts)} labels were given for {len(rows)} rows; give one for each row")
    names = tuple(dict.fromkeys(text for text in texts if text))
    if not names:
        raise ValueError("events: no row has a label, so that there is no event to average over")
    weight = np.ones(len(rows)) if counts is None else np.asarray(counts, dtype=np.float64)
    if weight.shape != (len(rows),):
        raise ValueError(f"counts: expected shape ({len(rows)},), one for each row of spins, got {weight.shape}")
    overall = np.average(rows, axis=0, weights=weight)
    place = {name: k for k, name in enumerate(names)}
    event = np.array([place.get(text, -1) for text in texts])
    patterns = np.empty((len(names), rows.shape[1]), dtype=np.int8)
    for k in range(len(names)):
        during = event == k
        if not weight[during].sum() > 0:
            raise ValueError(f"events: all rows of {names[k]!r} have count 0")
        patterns[k] = np.where(np.average(rows[during], axis=0, weights=weight[during]) - overall >= 0, 1, -1)
    return patterns, names
