"""Loops of the kinetic regressions: the likelihood of one step of time, and steps of the lasso."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def parallel_terms(local, decay, after, share, losses, margins):
    """`step_terms` for steps of equal share in which every spin is updated, from ``decay = exp(-2 |local|)``.

    Logarithms are taken of products of up to 512 factors between 1 and 2.
    """
    n_nodes = local.shape[1]
    product = np.ones(n_nodes)
    excess = np.zeros(n_nodes)
    for start in range(0, local.shape[0], 512):
        for row in range(start, min(start + 512, local.shape[0])):
            for node in range(n_nodes):
                field, e = local[row, node], decay[row, node]
                spin = float(after[row, node])
                margin = spin * field
                margins[node] = min(margins[node], margin)
                likely = 1.0 / (1.0 + e)
                unlikely = e * likely
                wrong = unlikely if margin > 0.0 else likely
                product[node] *= 1.0 + e
                excess[node] += max(-margin, 0.0)
                local[row, node] = -2.0 * share * spin * wrong
        for node in range(n_nodes):
            losses[node] += share * (math.log(product[node]) + 2.0 * excess[node])
            product[node] = 1.0
            excess[node] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def step_terms(local, before, after, share, update, losses, margins):
    """Replace local fields (n_rows, n_nodes) by the derivatives of the loss, and add up losses and margins.

    A spin is updated with probability `update` and then is +1 with probability ``1 / (1 + exp(-2 h))``; its loss is the
    negative logarithm of the probability of its next value. `share` (n_rows,) weights the rows, also in the
    derivatives. `losses` (n_nodes,) takes the weighted sum, `margins` (n_nodes,) the smallest ``s h``, s the next
    value.
    """
    for row in range(local.shape[0]):
        for node in range(local.shape[1]):
            field = local[row, node]
            spin = float(after[row, node])
            margin = spin * field
            if margin < margins[node]:
                margins[node] = margin
            decay = math.exp(-2.0 * abs(margin))
            right = 1.0 / (1.0 + decay) if margin > 0.0 else decay / (1.0 + decay)  # an update gives this value
            wrong = decay / (1.0 + decay) if margin > 0.0 else 1.0 / (1.0 + decay)
            softplus = math.log1p(decay) + (2.0 * max(-margin, 0.0))  # -log(right)
            stayed = before[row, node] == after[row, node]
            if not stayed:
                loss = softplus - math.log(update)
                slope = -2.0 * spin * wrong
            elif update == 1.0:
                loss = softplus
                slope = -2.0 * spin * wrong
            else:
                unchanged = 1.0 - update * wrong
                loss = -math.log(unchanged)
                slope = -2.0 * spin * update * wrong * right / unchanged
            weight = share[row]
            local[row, node] = weight * slope
            losses[node] += weight * loss


@njit(cache=True, nogil=True, error_model="numpy")
def fisher_weights(local, before, update, out):
    """Fisher information of each row by one node's local field (n_rows,), from the node's spin before the step.

    With ``flip`` and ``keep``, the probabilities that an update changes the spin and that it does not, it is
    ``4 u flip keep^2 / (1 - u flip)``; both are computed, since ``1 - flip`` is zero for large fields.
    """
    for row in range(local.shape[0]):
        flip = 1.0 / (1.0 + math.exp(2.0 * before[row] * local[row]))
        keep = 1.0 / (1.0 + math.exp(-2.0 * before[row] * local[row]))
        out[row] = 4.0 * flip * keep
        if update < 1.0:
            out[row] *= update * keep / (1.0 - update + update * keep)


@njit(cache=True, nogil=True, error_model="numpy")
def lasso_step(matrix, gradient, position, sparsity, accuracy, most_sweeps, step):
    """Minimise ``g d + 1/2 d H d + sum_j sparsity_j |w_j + d_j|`` over d by coordinate descent, from the given step."""
    n = len(gradient)
    slope = gradient + matrix @ step
    for _ in range(most_sweeps):
        largest = 0.0
        for j in range(n):
            curvature = matrix[j, j]
            old = position[j] + step[j]
            aim = curvature * old - slope[j]
            new = math.copysign(max(abs(aim) - sparsity[j], 0.0), aim) / curvature
            change = new - old
            if change != 0.0:
                step[j] += change
                slope += change * matrix[:, j]
                largest = max(largest, abs(change) * curvature)
        if largest <= accuracy:
            break
    return np.abs(step).max()
