"""Compiled kernels of single-spin updates from given sites and thresholds, for each kind of couplings.

Every chain has its own sites. Updates of up to eight chains are interleaved, so that the processor works on one while
another waits for a sum. The arithmetic of a chain does not depend on their number, so that results do not depend on the
grouping of chains.
"""

import numpy as np
from numba import float32, int8, int64, njit

from simulate.block_intrinsics import BLOCK, visit_four, visit_one, visit_two
from simulate.vector_intrinsics import add_rows, update_eight, update_four, update_one

# interleaved chains, each with its spins and fields in the first-level cache
_TURNS = 8
_BLOCK_TURNS = 4
# up to this many columns of a matrix, adding zeros where a spin stays takes less time than a mispredicted branch
_ADD_ALWAYS = 128
# four updates at once are faster where at least this share of spins turned among the last updates
_OFTEN, _TRIAL = 0.2, 64


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


@njit(cache=True, nogil=True, error_model="numpy")
def _new_spin(old, field, threshold, scale, metropolis):
    """Spin sign(field + scale threshold), as in `advance_patterns`."""
    field += scale * threshold * (-old if metropolis else float32(1.0))
    return float32(1.0) if field >= float32(0.0) else float32(-1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(spins, chain, site, field, threshold, scale, metropolis):
    """Update a spin and return its change: -2, 0 or 2."""
    old = float32(spins[chain, site])
    new = _new_spin(old, field, threshold, scale, metropolis)
    spins[chain, site] = int8(new)
    return new - old


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, inline="always")
def _visit_four(
    sites, thresholds, k, chain, scale, metropolis, incoming, spins, fields, every_row, turn, rows, changes
):
    """Updates k to k + 3 of a chain, whose fields are left to the caller; no step depends on whether a spin turns.

    Sites and changes of the spins that turn go into row `turn` of rows and changes, or with `every_row` of all.
    """
    a, b = int64(sites[chain, k]), int64(sites[chain, k + 1])
    c, d = int64(sites[chain, k + 2]), int64(sites[chain, k + 3])
    # all loads first: none waits for a spin
    ab, ac, bc = float32(incoming[a, b]), float32(incoming[a, c]), float32(incoming[b, c])
    ad, bd, cd = float32(incoming[a, d]), float32(incoming[b, d]), float32(incoming[c, d])
    of_a, of_b = float32(fields[chain, a]), float32(fields[chain, b])
    of_c, of_d = float32(fields[chain, c]), float32(fields[chain, d])
    by_a = _turn(spins, chain, a, of_a, thresholds[chain, k], scale, metropolis)
    of_b += by_a * ab
    by_b = _turn(spins, chain, b, of_b, thresholds[chain, k + 1], scale, metropolis)
    of_c += by_a * ac
    of_c += by_b * bc
    by_c = _turn(spins, chain, c, of_c, thresholds[chain, k + 2], scale, metropolis)
    of_d += by_a * ad
    of_d += by_b * bd
    of_d += by_c * cd
    by_d = _turn(spins, chain, d, of_d, thresholds[chain, k + 3], scale, metropolis)
    count = 0
    for site, change in ((a, by_a), (b, by_b), (c, by_c), (d, by_d)):
        rows[turn, count], changes[turn, count] = site, change
        count += int64(every_row or change != float32(0.0))
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _advance_by_fours(
    sites, thresholds, first, end, group, turns, scale, metropolis, incoming, spins, fields, rows, changes, counts
):
    """Updates first to end, by fours, of chains that follow `group`, as in `advance_dense`; how many spins turned."""
    columns, turned = incoming.shape[1], 0
    every_row = columns <= _ADD_ALWAYS
    for k in range(first, end, 4):
        for turn in range(turns):
            chain = group + turn
            counts[turn] = _visit_four(
                sites,
                thresholds,
                k,
                chain,
                scale,
                metropolis,
                incoming,
                spins,
                fields,
                every_row,
                turn,
                rows,
                changes,
            )
        for turn in range(turns):
            count, to = counts[turn], (group + turn) * columns
            turned += count
            a, b, c, d = rows[turn, 0], rows[turn, 1], rows[turn, 2], rows[turn, 3]
            by_a, by_b, by_c, by_d = changes[turn, 0], changes[turn, 1], changes[turn, 2], changes[turn, 3]
            if count == 1:
                add_rows(fields, to, incoming, (a,), (by_a,))
            elif count == 2:
                add_rows(fields, to, incoming, (a, b), (by_a, by_b))
            elif count == 3:
                add_rows(fields, to, incoming, (a, b, c), (by_a, by_b, by_c))
            elif count == 4:
                add_rows(fields, to, incoming, (a, b, c, d), (by_a, by_b, by_c, by_d))
    return turned


@njit(cache=True, nogil=True, error_model="numpy")
def _advance_by_ones(sites, thresholds, first, end, group, turns, scale, metropolis, incoming, spins, fields):
    """As `_advance_by_fours`, one update of each chain after the other."""
    columns, turned = incoming.shape[1], 0
    every_row = columns <= _ADD_ALWAYS
    for k in range(first, end):
        for chain in range(group, group + turns):
            site = int64(sites[chain, k])
            old = float32(spins[chain, site])
            new = _new_spin(old, float32(fields[chain, site]), thresholds[chain, k], scale, metropolis)
            if every_row or new != old:
                turned += 1
                spins[chain, site] = int8(new)
                add_rows(fields, chain * columns, incoming, (site,), (new - old,))
    return turned


@njit(cache=True, nogil=True, error_model="numpy")
def advance_dense(sites, thresholds, scale, metropolis, incoming, spins, fields, done, every, record):
    """As `advance_patterns`, with fields kept for all spins: s_i = sign(fields_i + scale threshold).

    fields (n_rows, columns) include the external ones and follow each flip of spin i by incoming[i], the couplings J_ji
    with which i acts on all j. Both are float32 with a multiple of sixteen columns; or fields are int16 and couplings
    int8, with a multiple of 64. Where spins turn often, four updates of a chain share one way through its fields, which
    begins once all chains have made theirs; the sums are the same.
    """
    n_chains, n_updates = sites.shape
    rows, changes = np.empty((_TURNS, 4), np.int64), np.empty((_TURNS, 4), np.float32)
    counts = np.empty(_TURNS, np.int64)
    for group in range(0, n_chains, _TURNS):
        first, often = 0, True
        turns = min(_TURNS, n_chains - group)
        chains = group, turns, scale, metropolis, incoming, spins, fields
        while first < n_updates:
            record_end = _block_end(first, n_updates, done, every)
            while first < record_end:
                end, turned = min(first + _TRIAL, record_end), 0
                alone = first
                if often:
                    alone += (end - first) // 4 * 4
                    turned += _advance_by_fours(sites, thresholds, first, alone, *chains, rows, changes, counts)
                turned += _advance_by_ones(sites, thresholds, alone, end, *chains)
                often = turned >= _OFTEN * turns * (end - first)
                first = end
            _record_states(spins, group, group + _TURNS, record, done + record_end, every)


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
