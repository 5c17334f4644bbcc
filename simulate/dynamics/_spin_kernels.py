"""Compiled kernels of single-spin updates from given sites and thresholds, for each kind of couplings.

The arithmetic of a chain never depends on the other chains; so results do not depend on how chains are grouped.
Arrays are indexed in full, since each view of a row would be counted in and out atomically.
"""

import numpy as np
from numba import float32, int32, njit

# sites updated before their flips are carried to all overlaps or fields: reading and writing those once for several
# flips is what makes the kernels fast; within a block the missing part is added from the few couplings it needs
_BLOCK = 8
_DENSE_BLOCK = 16


@njit(cache=True, nogil=True, error_model="numpy")
def _block_end(first, total, every, block):
    """End of the block that begins at update `first`: at a record at the latest."""
    end = min(total, first + block)
    if every:
        end = min(end, (first // every + 1) * every)
    return end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _couplings_within(sites, first, end, left, right, within):
    """within[k, j] = J_ik,ij for the sites of a block; 0 for two visits of one site, which does not act on itself."""
    for k in range(end - first):
        for j in range(k):
            total = float32(0.0)
            if sites[first + k] != sites[first + j]:
                for mu in range(left.shape[1]):
                    total += left[sites[first + k], mu] * right[sites[first + j], mu]
            within[k, j] = total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_patterns(
    sites, thresholds, metropolis, left, right, self_couplings, external, spins, overlaps, every, record
):
    """Update spins (n_spins, n_lanes) one site after the other: s_i = sign(h_i + external_i + threshold).

    h_i = sum_mu left[i, mu] overlaps[mu] - self_couplings[i] s_i, and overlaps (n_patterns, n_lanes) follow each
    flip by right[i]. With `metropolis` the threshold is -s_i times the given one. After each `every` updates the states
    go into record (n_lanes, n_records, n_spins).
    """
    n_lanes = spins.shape[1]
    n_patterns = left.shape[1]
    fields = np.empty((_BLOCK, n_lanes), np.float32)
    changes = np.empty((_BLOCK, n_lanes), np.float32)
    within = np.empty((_BLOCK, _BLOCK), np.float32)
    plain = float32(0.0) if metropolis else float32(1.0)
    own = float32(-1.0) if metropolis else float32(0.0)
    first = 0
    while first < len(sites):
        end = _block_end(first, len(sites), every, _BLOCK)
        size = end - first
        _couplings_within(sites, first, end, left, right, within)
        for k in range(size):
            site = sites[first + k]
            here, back = external[site], self_couplings[site]
            for lane in range(n_lanes):
                fields[k, lane] = here - back * spins[site, lane]
            mu = 0
            while mu + 4 <= n_patterns:  # four patterns a pass, to load and store the field a fourth as often
                w0, w1, w2, w3 = left[site, mu], left[site, mu + 1], left[site, mu + 2], left[site, mu + 3]
                for lane in range(n_lanes):
                    fields[k, lane] += (
                        w0 * overlaps[mu, lane]
                        + w1 * overlaps[mu + 1, lane]
                        + w2 * overlaps[mu + 2, lane]
                        + w3 * overlaps[mu + 3, lane]
                    )
                mu += 4
            while mu < n_patterns:
                w0 = left[site, mu]
                for lane in range(n_lanes):
                    fields[k, lane] += w0 * overlaps[mu, lane]
                mu += 1
        for k in range(size):
            site = sites[first + k]
            for j in range(k):
                w0 = within[k, j]
                for lane in range(n_lanes):
                    fields[k, lane] += w0 * changes[j, lane]
            for lane in range(n_lanes):
                old = spins[site, lane]
                total = fields[k, lane] + thresholds[first + k, lane] * (plain + own * old)
                new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
                changes[k, lane] = new - old
                spins[site, lane] = new
        k = 0
        while k + 4 <= size:
            i0, i1, i2, i3 = sites[first + k], sites[first + k + 1], sites[first + k + 2], sites[first + k + 3]
            for mu in range(n_patterns):
                w0, w1, w2, w3 = right[i0, mu], right[i1, mu], right[i2, mu], right[i3, mu]
                for lane in range(n_lanes):
                    overlaps[mu, lane] += (
                        w0 * changes[k, lane]
                        + w1 * changes[k + 1, lane]
                        + w2 * changes[k + 2, lane]
                        + w3 * changes[k + 3, lane]
                    )
            k += 4
        while k < size:
            i0 = sites[first + k]
            for mu in range(n_patterns):
                w0 = right[i0, mu]
                for lane in range(n_lanes):
                    overlaps[mu, lane] += w0 * changes[k, lane]
            k += 1
        if every and end % every == 0:
            index = end // every - 1
            for i in range(spins.shape[0]):
                for lane in range(n_lanes):
                    record[lane, index, i] = np.int8(spins[i, lane])
        first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def advance_patterns_few(
    sites, thresholds, metropolis, left, right, self_couplings, external, spins, overlaps, every, record
):
    """As `advance_patterns`, chain after chain: spins (n_lanes, n_spins) and overlaps (n_lanes, n_patterns)."""
    n_patterns = left.shape[1]
    for lane in range(len(spins)):
        for k in range(len(sites)):
            site = sites[k]
            old = spins[lane, site]
            total = float32(0.0)
            for mu in range(n_patterns):
                total += left[site, mu] * overlaps[lane, mu]
            total += external[site] - self_couplings[site] * old
            total += thresholds[k, lane] * (-old if metropolis else float32(1.0))
            new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
            if new != old:
                change = new - old
                spins[lane, site] = new
                for mu in range(n_patterns):
                    overlaps[lane, mu] += change * right[site, mu]
            if every and (k + 1) % every == 0:
                index = (k + 1) // every - 1
                for i in range(spins.shape[1]):
                    record[lane, index, i] = np.int8(spins[lane, i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_dense(sites, thresholds, metropolis, incoming, spins, fields, every, record):
    """Update spins (n_lanes, n_spins) one site after the other: s_i = sign(fields_i + threshold).

    fields (n_lanes, n_spins) include the external ones and follow each flip of spin i by incoming[i], the couplings
    J_ji with which i acts on all j. Lane after lane within a block, whose rows of couplings then stay in the cache.
    """
    n_lanes, n_spins = spins.shape
    within = np.empty((_DENSE_BLOCK, _DENSE_BLOCK), np.float32)
    flipped = np.empty(_DENSE_BLOCK, np.int64)
    change = np.empty(_DENSE_BLOCK, np.float32)
    first = 0
    while first < len(sites):
        end = _block_end(first, len(sites), every, _DENSE_BLOCK)
        for k in range(end - first):
            for j in range(k):
                within[k, j] = incoming[sites[first + j], sites[first + k]]
        for lane in range(n_lanes):
            flips = 0
            for k in range(end - first):
                site = sites[first + k]
                total = fields[lane, site]
                for f in range(flips):
                    total += change[f] * within[k, flipped[f]]
                old = spins[lane, site]
                total += thresholds[first + k, lane] * (-old if metropolis else float32(1.0))
                new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
                flipped[flips] = k
                change[flips] = new - old
                spins[lane, site] = new
                flips += int32(new != old)
            f = 0
            while f + 4 <= flips:
                c0, c1, c2, c3 = change[f], change[f + 1], change[f + 2], change[f + 3]
                i0, i1 = sites[first + flipped[f]], sites[first + flipped[f + 1]]
                i2, i3 = sites[first + flipped[f + 2]], sites[first + flipped[f + 3]]
                for j in range(n_spins):
                    fields[lane, j] += (
                        c0 * incoming[i0, j] + c1 * incoming[i1, j] + c2 * incoming[i2, j] + c3 * incoming[i3, j]
                    )
                f += 4
            while f < flips:
                c0 = change[f]
                i0 = sites[first + flipped[f]]
                for j in range(n_spins):
                    fields[lane, j] += c0 * incoming[i0, j]
                f += 1
            if every and end % every == 0:
                index = end // every - 1
                for i in range(n_spins):
                    record[lane, index, i] = np.int8(spins[lane, i])
        first = end


@njit(cache=True, nogil=True, error_model="numpy")
def advance_sparse(sites, thresholds, metropolis, start, neighbours, weights, spins, fields, every, record):
    """As `advance_dense`, with row i of the couplings J_ji in compressed form start[i]:start[i + 1]."""
    for lane in range(len(spins)):
        for k in range(len(sites)):
            site = sites[k]
            old = spins[lane, site]
            total = fields[lane, site] + thresholds[k, lane] * (-old if metropolis else float32(1.0))
            new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
            if new != old:
                change = new - old
                spins[lane, site] = new
                for at in range(start[site], start[site + 1]):
                    fields[lane, neighbours[at]] += change * weights[at]
            if every and (k + 1) % every == 0:
                index = (k + 1) // every - 1
                for i in range(spins.shape[1]):
                    record[lane, index, i] = np.int8(spins[lane, i])
