"""Compiled kernels of single-spin updates from given sites and thresholds, for each kind of couplings.

Every chain has its own sites. Updates of up to eight chains are interleaved, so that the processor works on one while
another waits for a sum. The arithmetic of a chain does not depend on their number, so that results do not depend on the
grouping of chains.
"""

from numba import float32, int8, int64, njit

from simulate.block_intrinsics import BLOCK, visit_four, visit_one, visit_two
from simulate.vector_intrinsics import add_scaled, update_eight, update_four, update_one

# interleaved chains, each with its spins and fields in the first-level cache
_TURNS = 8
_BLOCK_TURNS = 4
# up to this many columns of a matrix, adding zeros where a spin stays takes less time than a mispredicted branch
_ADD_ALWAYS = 128


@njit(cache=True, nogil=True, error_model="numpy")
def _block_end(first, total, done, every):
    """End of the updates that begin with `first`: at the next record at the latest."""
    next_record = max((done + first) // every + 1, 1) * every  # none in burn-in, where `done` is below 0
    return min(total, next_record - done)


@njit(cache=True, nogil=True, error_model="numpy")
def _record_states(spins, first_chain, end_chain, record, past, every):
    """record[chain, past / every - 1] = spins of the interleaved chains, if `past` updates end with a record."""
    if past <= 0 or past % every != 0:
        return
    index = past // every - 1
    for chain in range(first_chain, min(end_chain, len(record))):
        for i in range(spins.shape[1]):
            record[chain, index, i] = spins[chain, i]


@njit(cache=True, nogil=True, error_model="numpy")
def advance_patterns(sites, thresholds, scale, metropolis, left, right, own, spins, overlaps, done, every, record):
    """Update spins one site after the other: s_i = sign(h_i + scale threshold).

    h_i = sum_mu left[i, mu] overlaps[mu] - own_i s_i, and overlaps follow each flip by right[i]. sites and thresholds
    are (n_chains, n_updates); spins (int8) and overlaps have a row for each chain. With `metropolis` the threshold is
    -s_i times the given one. left, right and overlaps are float32, own (n_spins,); or all are int16 and own is one
    number (1,). After each `every` updates the states go into record (n_chains, n_records, n_spins); `done` is the
    number of updates made before, less those of burn-in, which are not recorded.
    """
    n_chains, n_updates = sites.shape
    for group in range(0, n_chains, _TURNS):
        first = 0
        while first < n_updates:
            end = _block_end(first, n_updates, done, every)
            chain = group
            if chain + 8 <= n_chains:
                for k in range(first, end):
                    update_eight(sites, thresholds, k, chain, left, right, overlaps, spins, own, scale, metropolis)
                chain += 8
            elif chain + 4 <= n_chains:
                for k in range(first, end):
                    update_four(sites, thresholds, k, chain, left, right, overlaps, spins, own, scale, metropolis)
                chain += 4
            while chain < min(group + _TURNS, n_chains):
                for k in range(first, end):
                    update_one(sites, thresholds, k, chain, left, right, overlaps, spins, own, scale, metropolis)
                chain += 1
            _record_states(spins, group, group + _TURNS, record, done + end, every)
            first = end


@njit(cache=True, nogil=True, error_model="numpy")
def advance_blocks(sites, thresholds, scale, words, n_patterns, spins, overlaps, done, every, record):
    """As `advance_patterns` for Hebbian couplings in whole numbers, from at most 64 patterns as bits of words.

    words (n_spins,) uint64 have a bit for each pattern, in the order of `visit_one`, and overlaps (n_chains, 64) are
    int16. The fields of 32 updates of a chain are computed at once and follow each flip among them.
    """
    n_chains, n_updates = sites.shape
    for group in range(0, n_chains, _BLOCK_TURNS):
        first, end_chain = 0, min(group + _BLOCK_TURNS, n_chains)
        while first < n_updates:
            end = _block_end(first, n_updates, done, every)
            chain = group
            while chain < end_chain:
                together = 4 if chain + 4 <= end_chain else 2 if chain + 2 <= end_chain else 1
                for at in range(first, end, BLOCK):
                    count = min(BLOCK, end - at)
                    if together == 4:
                        visit_four(sites, thresholds, at, count, chain, words, overlaps, spins, scale, n_patterns)
                    elif together == 2:
                        visit_two(sites, thresholds, at, count, chain, words, overlaps, spins, scale, n_patterns)
                    else:
                        visit_one(sites, thresholds, at, count, chain, words, overlaps, spins, scale, n_patterns)
                chain += together
            _record_states(spins, group, end_chain, record, done + end, every)
            first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_dense(sites, thresholds, metropolis, incoming, spins, fields, done, every, record):
    """As `advance_patterns`, with fields kept for all spins: s_i = sign(fields_i + threshold).

    fields (n_rows, columns) include the external ones and follow each flip of spin i by incoming[i], the couplings J_ji
    with which i acts on all j; the number of columns is a multiple of sixteen.
    """
    n_chains, n_updates = sites.shape
    columns = incoming.shape[1]
    for group in range(0, n_chains, _TURNS):
        first = 0
        while first < n_updates:
            end = _block_end(first, n_updates, done, every)
            for k in range(first, end):
                for chain in range(group, min(group + _TURNS, n_chains)):
                    site = int64(sites[chain, k])
                    old = float32(spins[chain, site])
                    field = fields[chain, site] + thresholds[chain, k] * (-old if metropolis else float32(1.0))
                    new = float32(1.0) if field >= float32(0.0) else float32(-1.0)
                    if columns <= _ADD_ALWAYS or new != old:
                        spins[chain, site] = int8(new)
                        add_scaled(fields, chain * columns, new - old, incoming, site * columns, columns)
            _record_states(spins, group, group + _TURNS, record, done + end, every)
            first = end


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def advance_sparse(sites, thresholds, metropolis, start, neighbours, weights, spins, fields, done, every, record):
    """As `advance_dense`, with row i of the couplings J_ji in compressed form start[i]:start[i + 1]."""
    n_chains, n_updates = sites.shape
    for group in range(0, n_chains, _TURNS):
        first = 0
        while first < n_updates:
            end = _block_end(first, n_updates, done, every)
            for k in range(first, end):
                for chain in range(group, min(group + _TURNS, n_chains)):
                    site = int64(sites[chain, k])
                    old = float32(spins[chain, site])
                    field = fields[chain, site] + thresholds[chain, k] * (-old if metropolis else float32(1.0))
                    new = float32(1.0) if field >= float32(0.0) else float32(-1.0)
                    if new != old:
                        spins[chain, site] = int8(new)
                        for at in range(start[site], start[site + 1]):
                            fields[chain, neighbours[at]] += (new - old) * weights[at]
            _record_states(spins, group, group + _TURNS, record, done + end, every)
            first = end
