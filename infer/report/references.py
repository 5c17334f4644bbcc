"""Further patterns that couplings are compared with: average states during events, and estimated patterns."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.estimators.dreaming.estimator import DreamingModel
from infer.recordings.events import event_patterns
from simulate.user_warnings import warn


def other_patterns(
    samples: Any,
    spins: NDArray[np.int8],
    weight: NDArray[np.float64] | None,
    events: Sequence[Any] | None,
    n_patterns: int | None,
    fit_fields: bool,
    seed: int,
) -> dict[str, NDArray[np.int8]]:
    """Patterns by the name of their origin; those that cannot be computed are left out with a warning."""
    found: dict[str, NDArray[np.int8]] = {}
    if events is not None:
        stored, names = event_patterns(spins, events, weight)
        found[f"averages of {len(names)} events"] = stored
    if n_patterns is not None:
        if not 1 <= n_patterns <= spins.shape[1]:
            raise ValueError(
                f"n_patterns must be between 1 and the number of spins ({spins.shape[1]}), got {n_patterns}"
            )
        try:
            model = DreamingModel(n_patterns=n_patterns, fit_fields=fit_fields, random_state=seed).fit(samples)
        except ValueError as error:
            warn(f"no patterns were estimated: {error}", RuntimeWarning, stacklevel=2)
        else:
            found[f"{n_patterns} estimated patterns"] = model.patterns_
    return found


def read_events(path: str | os.PathLike[str]) -> list[str]:
    """Read labels of rows from a text file, one per line; empty lines are rows of no event.

    Raises
    ------
    ValueError
        If the file cannot be read as text.
    """
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise ValueError(f"{path} is not a regular file")  # reading a pipe into which nobody writes has no end
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; events are a text file with one label for each row") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text; events are a text file with one label for each row") from None
    lines = text.split("\n")
    return [line.strip() for line in (lines[:-1] if lines[-1].strip() == "" else lines)]
