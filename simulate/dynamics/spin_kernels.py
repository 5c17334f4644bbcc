"""Compiled kernels of single-spin updates from given sites and thresholds, for each kind of couplings.

The arithmetic of a chain never depends on the other chains; so results do not depend on how chains are grouped.
Arrays are indexed in full, since each view of a row would be counted in and out atomically.
"""

import numpy as np
from numba import float32, int32, njit, uint64

# updates of a block, before their flips are carried to all overlaps: reading and writing those once for several flips
# is what makes the kernels fast; within a block the missing part is added from the few couplings it needs
_BLOCK = 4
# the same for a full matrix; long blocks carry more flips in one pass over the fields
_DENSE_BLOCK = 32
# updates that few chains make in turn, each by itself: the rows of the couplings they share stay in the second cache,
# and the fields of a chain in the first
_SHARED_ROWS = 64
# lanes of a strip. A row of a strip has this many places however many of them are in use: the compiler then knows that
# rows do not overlap, and works on tiles of four by four without asking
STRIP = 64
_ROW, _TWO_ROWS = np.uint64(STRIP), np.uint64(2 * STRIP)
_THREE_ROWS, _FOUR_ROWS = np.uint64(3 * STRIP), np.uint64(4 * STRIP)


@njit(cache=True, nogil=True, error_model="numpy")
def _block_end(first, total, done, every, block):
    """End of the block that begins at update `first`: at a record at the latest."""
    next_record = max((done + first) // every + 1, 1) * every  # none in burn-in, where `done` is below 0
    return min(total, first + block, next_record - done)


@njit(cache=True, nogil=True, error_model="numpy")
def _record_index(past, every):
    """Which record is due when `past` updates have been made since burn-in; -1 if none is."""
    return past // every - 1 if past > 0 and past % every == 0 else -1


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _couplings_within(sites, size, left, right, within):
    """within[k, j] = J_ik,ij for the sites of a block; 0 for two visits of one site, which does not act on itself."""
    for k in range(size):
        for j in range(k):
            total = float32(0.0)
            if sites[k] != sites[j]:
                for mu in range(left.shape[1]):
                    total += left[sites[k], mu] * right[sites[j], mu]
            within[k, j] = total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _update_block(sites, size, thresholds, first, strip, lanes, n_spins, within, near, spins, changes, metropolis):
    """Update `size` spins in turn for all lanes; near holds the fields of the block, from which its own flips lack."""
    plain = float32(0.0) if metropolis else float32(1.0)
    own = float32(-1.0) if metropolis else float32(0.0)
    for k in range(size):
        row = uint64(k * STRIP)
        j = 0
        while j + 4 <= k:
            w0, w1, w2, w3 = within[k, j], within[k, j + 1], within[k, j + 2], within[k, j + 3]
            source = uint64(j * STRIP)
            for lane in range(lanes):
                at = source + uint64(lane)
                s0, s1 = changes[at], changes[at + _ROW]
                s2, s3 = changes[at + _TWO_ROWS], changes[at + _THREE_ROWS]
                near[row + uint64(lane)] += w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3
            j += 4
        while j < k:
            w0, source = within[k, j], uint64(j * STRIP)
            for lane in range(lanes):
                near[row + uint64(lane)] += w0 * changes[source + uint64(lane)]
            j += 1
        at = uint64((strip * n_spins + sites[k]) * STRIP)
        for lane in range(lanes):
            old = spins[at + uint64(lane)]
            threshold = thresholds[first + k, strip * STRIP + lane] * (plain + own * old)
            new = float32(1.0) if near[row + uint64(lane)] + threshold >= float32(0.0) else float32(-1.0)
            changes[row + uint64(lane)] = new - old
            spins[at + uint64(lane)] = new


@njit(cache=True, nogil=True, error_model="numpy")
def _record_strips(spins, n_spins, record, index):
    """record[chain, index] = spins of every chain, from flat strips."""
    for chain in range(record.shape[0]):
        at = (chain // STRIP) * n_spins * STRIP + chain % STRIP
        for i in range(n_spins):
            record[chain, index, i] = np.int8(spins[at + i * STRIP])


@njit(cache=True, nogil=True, error_model="numpy")
def _record_chains(spins, record, index):
    """record[chain, index] = spins of every chain, from rows."""
    for chain in range(len(spins)):
        for i in range(spins.shape[1]):
            record[chain, index, i] = np.int8(spins[chain, i])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _read_overlaps(sites, left, overlaps, strip, lanes, fields):
    """Add sum_mu left[site, mu] overlaps[mu] to the fields of four sites, four patterns at a time."""
    n_patterns = left.shape[1]
    i0, i1, i2, i3 = sites[0], sites[1], sites[2], sites[3]
    start = uint64(strip * n_patterns * STRIP)
    for mu in range(0, n_patterns, 4):
        a0, a1, a2, a3 = left[i0, mu], left[i0, mu + 1], left[i0, mu + 2], left[i0, mu + 3]
        b0, b1, b2, b3 = left[i1, mu], left[i1, mu + 1], left[i1, mu + 2], left[i1, mu + 3]
        c0, c1, c2, c3 = left[i2, mu], left[i2, mu + 1], left[i2, mu + 2], left[i2, mu + 3]
        d0, d1, d2, d3 = left[i3, mu], left[i3, mu + 1], left[i3, mu + 2], left[i3, mu + 3]
        for lane in range(lanes):
            to, at = uint64(lane), start + uint64(lane)
            m0, m1 = overlaps[at], overlaps[at + _ROW]
            m2, m3 = overlaps[at + _TWO_ROWS], overlaps[at + _THREE_ROWS]
            fields[to] += a0 * m0 + a1 * m1 + a2 * m2 + a3 * m3
            fields[to + _ROW] += b0 * m0 + b1 * m1 + b2 * m2 + b3 * m3
            fields[to + _TWO_ROWS] += c0 * m0 + c1 * m1 + c2 * m2 + c3 * m3
            fields[to + _THREE_ROWS] += d0 * m0 + d1 * m1 + d2 * m2 + d3 * m3
        start += _FOUR_ROWS


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _write_overlaps(sites, right, changes, overlaps, strip, lanes):
    """Carry the changes of four spins to the overlaps, overlaps[mu] += sum_k right[site k, mu] changes[k]."""
    n_patterns = right.shape[1]
    i0, i1, i2, i3 = sites[0], sites[1], sites[2], sites[3]
    start = uint64(strip * n_patterns * STRIP)
    for mu in range(0, n_patterns, 4):
        a0, a1, a2, a3 = right[i0, mu], right[i0, mu + 1], right[i0, mu + 2], right[i0, mu + 3]
        b0, b1, b2, b3 = right[i1, mu], right[i1, mu + 1], right[i1, mu + 2], right[i1, mu + 3]
        c0, c1, c2, c3 = right[i2, mu], right[i2, mu + 1], right[i2, mu + 2], right[i2, mu + 3]
        d0, d1, d2, d3 = right[i3, mu], right[i3, mu + 1], right[i3, mu + 2], right[i3, mu + 3]
        for lane in range(lanes):
            at, to = uint64(lane), start + uint64(lane)
            s0, s1 = changes[at], changes[at + _ROW]
            s2, s3 = changes[at + _TWO_ROWS], changes[at + _THREE_ROWS]
            overlaps[to] += a0 * s0 + b0 * s1 + c0 * s2 + d0 * s3
            overlaps[to + _ROW] += a1 * s0 + b1 * s1 + c1 * s2 + d1 * s3
            overlaps[to + _TWO_ROWS] += a2 * s0 + b2 * s1 + c2 * s2 + d2 * s3
            overlaps[to + _THREE_ROWS] += a3 * s0 + b3 * s1 + c3 * s2 + d3 * s3
        start += _FOUR_ROWS


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_patterns(
    order, thresholds, metropolis, left, right, self_couplings, external, spins, overlaps, done, every, record
):
    """Update spins one site after the other: s_i = sign(h_i + external_i + threshold).

    h_i = sum_mu left[i, mu] overlaps[mu] - self_couplings[i] s_i, and overlaps follow each flip by right[i]; the number
    of columns of left and right is a multiple of four (zeros fill up). Chains are the lanes of strips, spins flat
    (n_strips, n_spins, STRIP) and overlaps flat (n_strips, n_patterns, STRIP). With `metropolis` the threshold is -s_i
    times the given one. After each `every` updates the states go into record (n_chains, n_records, n_spins); `done` is
    the number of updates made before, less those of burn-in, which are not recorded.
    """
    n_chains = thresholds.shape[1]
    n_spins = len(left)
    fields = np.zeros(_BLOCK * STRIP, np.float32)
    changes = np.zeros(_BLOCK * STRIP, np.float32)
    within = np.zeros((_BLOCK, _BLOCK), np.float32)
    sites = np.zeros(_BLOCK, np.int64)
    first = 0
    while first < len(order):
        end = _block_end(first, len(order), done, every, _BLOCK)
        size = end - first
        for k in range(size):
            sites[k] = order[first + k]
        _couplings_within(sites, size, left, right, within)
        for strip in range((n_chains + STRIP - 1) // STRIP):
            lanes = min(STRIP, n_chains - strip * STRIP)
            for k in range(size):
                here, back = external[sites[k]], self_couplings[sites[k]]
                at, row = uint64((strip * n_spins + sites[k]) * STRIP), uint64(k * STRIP)
                for lane in range(lanes):
                    fields[row + uint64(lane)] = here - back * spins[at + uint64(lane)]
            _read_overlaps(sites, left, overlaps, strip, lanes, fields)
            _update_block(
                sites, size, thresholds, first, strip, lanes, n_spins, within, fields, spins, changes, metropolis
            )
            for rest in range(size * STRIP, _BLOCK * STRIP):
                changes[rest] = float32(0.0)
            _write_overlaps(sites, right, changes, overlaps, strip, lanes)
        index = _record_index(done + end, every)
        if index >= 0:
            _record_strips(spins, n_spins, record, index)
        first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def advance_patterns_few(
    order, thresholds, metropolis, left, right, self_couplings, external, spins, overlaps, done, every, record
):
    """As `advance_patterns`, chain after chain: spins (n_chains, n_spins) and overlaps (n_chains, n_patterns)."""
    n_patterns = left.shape[1]
    first = 0
    while first < len(order):
        end = _block_end(first, len(order), done, every, len(order))
        for k in range(first, end):
            site = order[k]
            for chain in range(len(spins)):
                old = spins[chain, site]
                total = float32(0.0)
                for mu in range(n_patterns):
                    total += left[site, mu] * overlaps[chain, mu]
                total += external[site] - self_couplings[site] * old
                total += thresholds[k, chain] * (-old if metropolis else float32(1.0))
                new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
                if new != old:
                    change = new - old
                    spins[chain, site] = new
                    for mu in range(n_patterns):
                        overlaps[chain, mu] += change * right[site, mu]
        index = _record_index(done + end, every)
        if index >= 0:
            _record_chains(spins, record, index)
        first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_rows(fields, chain, incoming, rows, weights, count):
    """fields[chain] += sum_f weights[f] incoming[rows[f]], in few passes to load and store the fields less."""
    n_spins = fields.shape[1]
    f = 0
    while f + 4 <= count:
        w0, w1, w2, w3 = weights[f], weights[f + 1], weights[f + 2], weights[f + 3]
        i0, i1, i2, i3 = rows[f], rows[f + 1], rows[f + 2], rows[f + 3]
        for j in range(n_spins):
            fields[chain, j] += (
                w0 * incoming[i0, j] + w1 * incoming[i1, j] + w2 * incoming[i2, j] + w3 * incoming[i3, j]
            )
        f += 4
    if count - f == 3:
        w0, w1, w2 = weights[f], weights[f + 1], weights[f + 2]
        i0, i1, i2 = rows[f], rows[f + 1], rows[f + 2]
        for j in range(n_spins):
            fields[chain, j] += w0 * incoming[i0, j] + w1 * incoming[i1, j] + w2 * incoming[i2, j]
    elif count - f == 2:
        w0, w1 = weights[f], weights[f + 1]
        i0, i1 = rows[f], rows[f + 1]
        for j in range(n_spins):
            fields[chain, j] += w0 * incoming[i0, j] + w1 * incoming[i1, j]
    elif count - f == 1:
        w0, i0 = weights[f], rows[f]
        for j in range(n_spins):
            fields[chain, j] += w0 * incoming[i0, j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_dense(order, thresholds, metropolis, incoming, spins, fields, done, every, record):
    """Update spins one site after the other: s_i = sign(fields_i + threshold).

    fields (n_chains, n_spins) include the external ones and follow each flip of spin i by incoming[i], the couplings
    J_ji with which i acts on all j; spins are the lanes of strips, flat (n_strips, n_spins, STRIP). The spins of a
    block are updated for all lanes side by side; then chain after chain takes the flips into its fields.
    """
    n_chains, n_spins = fields.shape
    near = np.zeros(_DENSE_BLOCK * STRIP, np.float32)
    changes = np.zeros(_DENSE_BLOCK * STRIP, np.float32)
    within = np.zeros((_DENSE_BLOCK, _DENSE_BLOCK), np.float32)
    rows = np.zeros(_DENSE_BLOCK, np.int64)
    weights = np.zeros(_DENSE_BLOCK, np.float32)
    sites = np.zeros(_DENSE_BLOCK, np.int64)
    first = 0
    while first < len(order):
        end = _block_end(first, len(order), done, every, _DENSE_BLOCK)
        size = end - first
        for k in range(size):
            sites[k] = order[first + k]
            for j in range(k):
                within[k, j] = incoming[sites[j], sites[k]]
        for strip in range((n_chains + STRIP - 1) // STRIP):
            lanes = min(STRIP, n_chains - strip * STRIP)
            for lane in range(lanes):
                for k in range(size):
                    near[k * STRIP + lane] = fields[strip * STRIP + lane, sites[k]]
            _update_block(
                sites, size, thresholds, first, strip, lanes, n_spins, within, near, spins, changes, metropolis
            )
            for lane in range(lanes):
                count = 0
                for k in range(size):
                    change = changes[k * STRIP + lane]
                    rows[count] = sites[k]
                    weights[count] = change
                    count += int32(change != float32(0.0))
                _add_rows(fields, strip * STRIP + lane, incoming, rows, weights, count)
        index = _record_index(done + end, every)
        if index >= 0:
            _record_strips(spins, n_spins, record, index)
        first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_dense_few(order, thresholds, metropolis, incoming, spins, fields, done, every, record):
    """As `advance_dense`, chain after chain: spins (n_chains, n_spins), and columns of zeros may fill up the others."""
    first = 0
    while first < len(order):
        end = _block_end(first, len(order), done, every, _SHARED_ROWS)
        for chain in range(len(spins)):
            for k in range(first, end):
                site = uint64(order[k])
                old = spins[chain, site]
                total = fields[chain, site] + thresholds[k, chain] * (-old if metropolis else float32(1.0))
                new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
                if new != old:
                    change = new - old
                    spins[chain, site] = new
                    for j in range(fields.shape[1]):
                        fields[chain, j] += change * incoming[site, j]
        index = _record_index(done + end, every)
        if index >= 0:
            _record_chains(spins, record, index)
        first = end


@njit(cache=True, nogil=True, error_model="numpy")
def advance_sparse(sites, thresholds, metropolis, start, neighbours, weights, spins, fields, done, every, record):
    """As `advance_dense`, with row i of the couplings J_ji in compressed form start[i]:start[i + 1]."""
    first = 0
    while first < len(sites):
        end = _block_end(first, len(sites), done, every, len(sites))
        for chain in range(len(spins)):
            for k in range(first, end):
                site = sites[k]
                old = spins[chain, site]
                total = fields[chain, site] + thresholds[k, chain] * (-old if metropolis else float32(1.0))
                new = float32(1.0) if total >= float32(0.0) else float32(-1.0)
                if new != old:
                    change = new - old
                    spins[chain, site] = new
                    for at in range(start[site], start[site + 1]):
                        fields[chain, neighbours[at]] += change * weights[at]
        index = _record_index(done + end, every)
        if index >= 0:
            _record_chains(spins, record, index)
        first = end
