"""Methods of fitting couplings, by their names in the command line and `fit_recording`.

A new estimator adds one line to `METHODS`; everything else follows from the parameters of its constructor.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from infer.errors import InputError

__all__ = ["METHODS", "Method", "find_method"]


@dataclass(frozen=True)
class Method:
    """A named estimator.

    Parameters
    ----------
    name : str
        Name in the command line and `fit_recording`.
    module, estimator : str
        Module and name of the class, which is imported when needed.
    fixed : mapping
        Parameters that the name implies.
    only_pairs : bool
        Whether the model is one of pair couplings and fields, which reports are about.
    """

    name: str
    module: str
    estimator: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    only_pairs: bool = True

    def build(self, settings: Mapping[str, Any], optional: Mapping[str, Any]) -> Any:
        """An estimator of this method.

        Parameters
        ----------
        settings : mapping
            Parameters that the user chose; None for one that was not given.
        optional : mapping
            Parameters for estimators that have them, such as the number of threads.

        Returns
        -------
        SpinEstimator

        Raises
        ------
        InputError
            If the user chose a parameter that the estimator does not have.
        """
        known = inspect.signature(getattr(import_module(self.module), self.estimator)).parameters
        chosen = {name: value for name, value in settings.items() if value is not None}
        for name in chosen:
            if name not in known:
                others = [other for other in settings if other in known]
                instead = f"; it has {' and '.join(others)}" if others else ""
                raise InputError(f"method {self.name!r} has no {name}{instead}: leave {name} out")
        available = {name: value for name, value in optional.items() if name in known}
        return getattr(import_module(self.module), self.estimator)(**{**available, **chosen, **self.fixed})


_FAMILIES = "infer.estimators"
METHODS = (
    Method("pseudolikelihood", f"{_FAMILIES}.pseudolikelihood.estimator", "PseudoLikelihood"),
    Method("maximum-likelihood", f"{_FAMILIES}.likelihood.estimator", "MaximumLikelihood"),
    Method("population-count", f"{_FAMILIES}.likelihood.population_count", "KPairwise", only_pairs=False),
    Method("kinetic", f"{_FAMILIES}.kinetic.estimator", "KineticCouplings", only_pairs=False),
    Method("interaction-screening", f"{_FAMILIES}.screening.estimator", "InteractionScreening"),
    Method("probability-flow", f"{_FAMILIES}.probability_flow", "MinimumProbabilityFlow"),
    *(
        Method(name, f"{_FAMILIES}.mean_field", "MeanField", {"method": name})
        for name in ("naive", "tap", "bethe", "sessak-monasson", "independent-pair")
    ),
)


def find_method(name: str) -> Method:
    """The method of a name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Method

    Raises
    ------
    InputError
        If there is no such method.
    """
    found = next((method for method in METHODS if method.name == name), None)
    if found is None:
        raise InputError(f"unknown method {name!r}; known are {', '.join(method.name for method in METHODS)}")
    return found
