"""Conversion of couplings, fields and constant between spins -1, +1 and binary units 0, 1."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.count_model import pairs_only

__all__ = ["to_binary_parameters", "to_spin_parameters"]

FloatArray = NDArray[np.float64]


def to_binary_parameters(couplings: ArrayLike, fields: ArrayLike | None = None) -> tuple[FloatArray, FloatArray, float]:
    """Parameters for units ``x = (1 + s) / 2`` of 0 and 1 from those for spins ``s`` of -1 and +1.

    Couplings, fields and constant are those of the logarithm of the Boltzmann weight,

    ``1/2 sum_{i != j} J_ij s_i s_j + sum_i h_i s_i = 1/2 sum_{i != j} K_ij x_i x_j + sum_i b_i x_i + c``,

    which holds for every state with ``K_ij = 4 J_ij``, ``b_i = 2 h_i - 2 sum_j J_ij`` and
    ``c = 1/2 sum_{i != j} J_ij - sum_i h_i``. Probabilities do not depend on ``c``; it is the logarithm of the weight
    of the state of all zeros, and the partition functions of the two forms differ by ``exp(c)``.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric couplings ``J`` between spins -1 and +1, in units of the temperature (``beta J``), as estimators give
        them. The diagonal is ignored.
    fields : array_like, shape (n_spins,), optional
        Fields ``h`` in units of the temperature; zero by default.

    Returns
    -------
    couplings : ndarray of float64, shape (n_spins, n_spins)
        ``K``, symmetric, zero diagonal.
    fields : ndarray of float64, shape (n_spins,)
        ``b``, in general not zero even where ``h`` is, since 0 and 1 are not equivalent.
    constant : float
        ``c``.

    Raises
    ------
    ValueError
        If couplings are not square, symmetric and finite, fields do not fit them, or a model was given that has a
        potential of the number of +1.

    References
    ----------
    Identity of Ising model and lattice gas: T. D. Lee, C. N. Yang (1952), Phys. Rev. 87, 410,
    doi:10.1103/PhysRev.87.410.

    Examples
    --------
    >>> from infer import to_binary_parameters
    >>> to_binary_parameters([[0.0, 0.5], [0.5, 0.0]])
    (array([[0., 2.],
           [2., 0.]]), array([-1., -1.]), 0.5)
    """
    model = pairs_only(couplings, fields, "to_binary_parameters")
    J, h = model.couplings, model.fields
    return 4.0 * J, 2.0 * h - 2.0 * J.sum(axis=1), float(0.5 * J.sum() - h.sum())


def to_spin_parameters(couplings: ArrayLike, fields: ArrayLike | None = None) -> tuple[FloatArray, FloatArray, float]:
    """Parameters for spins ``s = 2 x - 1`` of -1 and +1 from those for units ``x`` of 0 and 1.

    Couplings, fields and constant are those of the logarithm of the Boltzmann weight,

    ``1/2 sum_{i != j} K_ij x_i x_j + sum_i b_i x_i = 1/2 sum_{i != j} J_ij s_i s_j + sum_i h_i s_i + c``,

    which holds for every state with ``J_ij = K_ij / 4``, ``h_i = b_i / 2 + 1/4 sum_j K_ij`` and
    ``c = 1/8 sum_{i != j} K_ij + 1/2 sum_i b_i``.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric couplings ``K`` between units 0 and 1, in units of the temperature. The diagonal is ignored; where a
        model has one, ``x_i^2 = x_i`` makes it a field: add half of it to the fields.
    fields : array_like, shape (n_spins,), optional
        Fields ``b`` (biases) in units of the temperature; zero by default.

    Returns
    -------
    couplings : ndarray of float64, shape (n_spins, n_spins)
        ``J``, symmetric, zero diagonal.
    fields : ndarray of float64, shape (n_spins,)
        ``h``.
    constant : float
        ``c``.

    Raises
    ------
    ValueError
        If couplings are not square, symmetric and finite, fields do not fit them, or a model was given that has a
        potential of the number of +1.

    References
    ----------
    T. D. Lee, C. N. Yang (1952), Phys. Rev. 87, 410, doi:10.1103/PhysRev.87.410.

    Examples
    --------
    >>> from infer import to_spin_parameters
    >>> to_spin_parameters([[0.0, 2.0], [2.0, 0.0]], [-1.0, -1.0])
    (array([[0. , 0.5],
           [0.5, 0. ]]), array([0., 0.]), -0.5)
    """
    model = pairs_only(couplings, fields, "to_spin_parameters")
    K, b = model.couplings, model.fields
    return K / 4.0, b / 2.0 + K.sum(axis=1) / 4.0, float(K.sum() / 8.0 + b.sum() / 2.0)
