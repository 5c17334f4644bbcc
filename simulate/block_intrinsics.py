"""Vector instructions for blocks of updates of spins under Hebbian couplings of at most 64 patterns.

The fields of a block of visited spins are sums over patterns as bits, in whole numbers of 16 bits, so that they are
exact; spins that keep their state then take no further time. The plain twin is in
tests/simulate/dynamics/test_blocks.py. Numba's cache of a kernel does not depend on this file: after a change here, save
the file of the kernel as well.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["BLOCK", "MOST_PATTERNS", "visit_four", "visit_one", "visit_two"]

#: Updates of a chain in a block, the lanes of a vector of 512 bits.
BLOCK = 32
#: Bits of a word.
MOST_PATTERNS = 64

_BYTE, _SHORT, _WORD, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT = ir.FloatType()
_SHORTS = ir.VectorType(_SHORT, BLOCK)
_HALF = ir.VectorType(_WORD, BLOCK // 2)
_FLAGS = ir.VectorType(ir.IntType(1), BLOCK)
_PARTS = MOST_PATTERNS // 16  # parts of 16 patterns
_LIMIT = 32767.0


def _splat(builder: Any, value: Any, count: int = BLOCK) -> Any:
    """Vector with the value in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_WORD, count), [0] * count))


def _all(vector: Any, value: float) -> Any:
    """Constant vector."""
    return ir.Constant(vector, [value] * vector.count)


def _chosen(builder: Any, vector: Any, lanes: list[int]) -> Any:
    """Vector of the given lanes."""
    undefined = ir.Constant(vector.type, ir.Undefined)
    return builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(_WORD, len(lanes)), lanes))


def _flags(builder: Any, bits: Any) -> Any:
    return builder.bitcast(bits, _FLAGS)


def _bits(builder: Any, flags: Any) -> Any:
    return builder.bitcast(flags, _WORD)


def _called(builder: Any, name: str, result: Any, vector: Any) -> Any:
    """Result of a function of LLVM of one vector."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [vector.type]), name)
    return builder.call(function, [vector])


class _Chain:
    """Code for one chain of a block: its places in memory, and values that change from one flip to the next."""

    def __init__(self, builder: Any, index: Any) -> None:
        self.builder, self.index = builder, index
        # of each visit: site, threshold, the spin before the block, bits of the patterns
        self.words = self._scratch(_LONG, BLOCK + 1)
        self.before = self._scratch(_BYTE)
        self.short_sites = self._scratch(_SHORT, BLOCK + 1)
        self.members = self._scratch(_WORD, MOST_PATTERNS)
        self.parts = [cgutils.alloca_once(builder, _SHORTS) for _ in range(_PARTS)]
        self.fields, self.lowest, self.places = (cgutils.alloca_once(builder, _SHORTS) for _ in range(3))
        self.halves = [cgutils.alloca_once(builder, _HALF) for _ in range(4)]
        self.up, self.turning, self.flips, self.downs = (cgutils.alloca_once(builder, _WORD) for _ in range(4))

    def _scratch(self, kind: Any, count: int = BLOCK) -> Any:
        return self.builder.bitcast(cgutils.alloca_once(self.builder, ir.ArrayType(kind, count)), kind.as_pointer())


def _visit(n_chains: int) -> Any:
    """Up to 32 updates of each of some chains that follow each other; see `visit_one`."""

    @intrinsic
    def visit(typing_context, sites, thresholds, at, count, first, words, overlaps, spins, scale, n_patterns):
        for array in (sites, thresholds, words, overlaps, spins):
            if not isinstance(array, types.Array) or array.layout != "C":
                raise TypingError(f"vectors need contiguous arrays, got {array}")
        index = types.int64
        signature = types.void(
            sites, thresholds, index, index, index, words, overlaps, spins, types.float32, index
        )

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            sites, thresholds, at, count, first, words, overlaps, spins, scale, n_patterns = values
            names = {"sites": 0, "thresholds": 1, "words": 5, "overlaps": 6, "spins": 7}
            arrays = {
                name: context.make_array(signature.args[k])(context, builder, values[k]) for name, k in names.items()
            }

            def row(name: str, chain: Any, column: Any) -> Any:
                """Pointer to an entry of an array (rows, columns)."""
                columns = builder.extract_value(arrays[name].shape, 1)
                return builder.gep(arrays[name].data, [builder.add(builder.mul(chain, columns), column)])

            def load(pointer: Any, vector: Any, align: int) -> Any:
                return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=align)

            zero, whole = ir.Constant(_LONG, 0), ir.Constant(_LONG, BLOCK)
            full = builder.icmp_signed("==", count, whole)
            valid = builder.trunc(
                builder.sub(builder.shl(ir.Constant(_LONG, 1), count), ir.Constant(_LONG, 1)), _WORD
            )
            ones = ir.Constant(_LONG, -1)
            used = builder.lshr(ones, builder.sub(ir.Constant(_LONG, MOST_PATTERNS), n_patterns))
            short_patterns = builder.trunc(n_patterns, _SHORT)
            chains = [_Chain(builder, builder.add(first, ir.Constant(_LONG, k))) for k in range(n_chains)]

            for chain in chains:
                chain.sites, chain.thresholds = row("sites", chain.index, at), row("thresholds", chain.index, at)
                own_sites, own_thresholds = chain._scratch(_WORD), chain._scratch(_FLOAT)
                with builder.if_then(builder.not_(full), likely=False):
                    # a part of a block is copied, so that nothing is read beyond the arrays
                    with cgutils.for_range(builder, whole, intp=_LONG) as loop:
                        builder.store(ir.Constant(_WORD, 0), builder.gep(own_sites, [loop.index]))
                        builder.store(ir.Constant(_FLOAT, 0.0), builder.gep(own_thresholds, [loop.index]))
                    with cgutils.for_range(builder, count, intp=_LONG) as loop:
                        for source, target in ((chain.sites, own_sites), (chain.thresholds, own_thresholds)):
                            builder.store(
                                builder.load(builder.gep(source, [loop.index])), builder.gep(target, [loop.index])
                            )
                chain.sites = builder.select(full, chain.sites, own_sites)
                chain.thresholds = builder.select(full, chain.thresholds, own_thresholds)
            for chain in chains:
                with cgutils.for_range(builder, whole, intp=_LONG) as loop:
                    site = builder.sext(builder.load(builder.gep(chain.sites, [loop.index])), _LONG)
                    word = builder.load(builder.gep(arrays["words"].data, [site]))
                    builder.store(word, builder.gep(chain.words, [loop.index]))
                    spin = builder.load(row("spins", chain.index, site))
                    builder.store(spin, builder.gep(chain.before, [loop.index]))

            every_short = ir.VectorType(_SHORT, 4 * BLOCK)
            every_word = ir.VectorType(_WORD, 2 * BLOCK)
            for chain in chains:
                shorts, words_ = load(chain.words, every_short, 8), load(chain.words, every_word, 8)
                for part, kept in enumerate(chain.parts):
                    builder.store(_chosen(builder, shorts, [4 * lane + part for lane in range(BLOCK)]), kept)
                for part, kept in enumerate(chain.halves):
                    lanes = [2 * (BLOCK // 2 * (part // 2) + lane) + part % 2 for lane in range(BLOCK // 2)]
                    builder.store(_chosen(builder, words_, lanes), kept)
                builder.store(_all(_SHORTS, 0), chain.fields)
            # sums of the overlaps of patterns whose bit is set
            for part in range(_PARTS):
                begin = ir.Constant(_LONG, 16 * part)
                end = ir.Constant(_LONG, 16 * (part + 1))
                end = builder.select(builder.icmp_signed("<", n_patterns, end), n_patterns, end)
                bit = cgutils.alloca_once_value(builder, _all(_SHORTS, 1))
                with cgutils.for_range_slice(builder, begin, end, ir.Constant(_LONG, 1), _LONG) as (pattern, _):
                    bits = builder.load(bit)
                    builder.store(builder.add(bits, bits), bit)
                    for chain in chains:
                        overlap = _splat(builder, builder.load(row("overlaps", chain.index, pattern)))
                        chosen = builder.icmp_signed(
                            "!=", builder.and_(builder.load(chain.parts[part]), bits), _all(_SHORTS, 0)
                        )
                        builder.store(_bits(builder, chosen), builder.gep(chain.members, [pattern]))
                        term = builder.select(chosen, overlap, _all(_SHORTS, 0))
                        builder.store(builder.add(builder.load(chain.fields), term), chain.fields)

            for chain in chains:
                halves = [
                    load(row("overlaps", chain.index, ir.Constant(_LONG, BLOCK * half)), _SHORTS, 2) for half in range(2)
                ]
                total = _called(builder, "llvm.vector.reduce.add.v32i16", _SHORT, builder.add(*halves))
                before = load(chain.before, ir.VectorType(_BYTE, BLOCK), 1)
                up = builder.icmp_signed(">", before, ir.Constant(before.type, [0] * BLOCK))
                own = _splat(builder, short_patterns)
                own = builder.select(up, own, builder.neg(own))
                fields = builder.load(chain.fields)
                fields = builder.sub(builder.sub(builder.add(fields, fields), _splat(builder, total)), own)
                builder.store(fields, chain.fields)
                # the spin is up where its field is at least - scale threshold, or the next whole number above that
                floats, words_ = ir.VectorType(_FLOAT, BLOCK), ir.VectorType(_WORD, BLOCK)
                needed = builder.fneg(builder.fmul(load(chain.thresholds, floats, 4), _splat(builder, scale)))
                needed = builder.select(
                    builder.fcmp_ordered("<", needed, _all(floats, _LIMIT)), needed, _all(floats, _LIMIT)
                )
                needed = builder.select(
                    builder.fcmp_ordered(">", needed, _all(floats, -_LIMIT)), needed, _all(floats, -_LIMIT)
                )
                rounded = builder.fptosi(needed, words_)
                above = builder.fcmp_ordered(">", needed, builder.sitofp(rounded, floats))
                lowest = builder.trunc(builder.sub(rounded, builder.sext(above, words_)), _SHORTS)
                builder.store(lowest, chain.lowest)
                places = builder.trunc(load(chain.sites, words_, 4), _SHORTS)
                builder.store(places, chain.places)
                builder.store(places, builder.bitcast(chain.short_sites, _SHORTS.as_pointer()), align=2)
                builder.store(ir.Constant(_SHORT, -1), builder.gep(chain.short_sites, [ir.Constant(_LONG, BLOCK)]))
                up = _bits(builder, up)
                builder.store(up, chain.up)
                wanted = _bits(builder, builder.icmp_signed(">=", fields, lowest))
                builder.store(builder.and_(builder.xor(wanted, up), valid), chain.turning)
                builder.store(ir.Constant(_WORD, 0), chain.flips)
                builder.store(ir.Constant(_WORD, 0), chain.downs)

            check, body, done = (builder.append_basic_block(name) for name in ("check", "turn", "done"))
            builder.branch(check)
            builder.position_at_end(check)
            any_left = builder.load(chains[0].turning)
            for chain in chains[1:]:
                any_left = builder.or_(any_left, builder.load(chain.turning))
            builder.cbranch(builder.icmp_signed("!=", any_left, ir.Constant(_WORD, 0)), body, done)
            builder.position_at_end(body)
            for chain in chains:
                turning, up = builder.load(chain.turning), builder.load(chain.up)
                lane = builder.cttz(turning, ir.Constant(ir.IntType(1), 0))
                place = builder.zext(lane, _LONG)
                lane = builder.and_(lane, ir.Constant(_WORD, BLOCK - 1))
                word = builder.bitcast(builder.gep(chain.words, [place]), _WORD.as_pointer())
                own = [
                    _splat(builder, builder.load(builder.gep(word, [ir.Constant(_LONG, half)])), BLOCK // 2)
                    for half in range(2)
                ]
                numbers = [
                    _called(
                        builder, "llvm.ctpop.v16i32", _HALF, builder.xor(builder.load(kept), own[half % 2])
                    )
                    for half, kept in enumerate(chain.halves)
                ]
                pair = [
                    builder.bitcast(builder.add(numbers[k], numbers[k + 1]), _SHORTS) for k in (0, 2)
                ]
                different = builder.shuffle_vector(
                    *pair, ir.Constant(ir.VectorType(_WORD, BLOCK), list(range(0, 2 * BLOCK, 2)))
                )
                twice = _splat(builder, builder.shl(short_patterns, ir.Constant(_SHORT, 1)))
                change = builder.sub(twice, builder.shl(different, _all(_SHORTS, 2)))
                same = builder.icmp_signed(
                    "==",
                    builder.load(chain.places),
                    _splat(builder, builder.load(builder.gep(chain.short_sites, [place]))),
                )
                same = _bits(builder, same)
                was_up = builder.sext(builder.trunc(builder.lshr(up, lane), ir.IntType(1)), _WORD)
                others = builder.not_(same)
                fields = builder.load(chain.fields)
                more = _flags(builder, builder.and_(others, builder.not_(was_up)))
                fields = builder.select(more, builder.add(fields, change), fields)
                less = _flags(builder, builder.and_(others, was_up))
                fields = builder.select(less, builder.sub(fields, change), fields)
                builder.store(fields, chain.fields)
                low = builder.and_(turning, builder.neg(turning))
                builder.store(builder.or_(builder.load(chain.downs), builder.and_(low, up)), chain.downs)
                builder.store(builder.or_(builder.load(chain.flips), low), chain.flips)
                up = builder.xor(up, same)
                builder.store(up, chain.up)
                wanted = _bits(builder, builder.icmp_signed(">=", fields, builder.load(chain.lowest)))
                later = builder.not_(builder.xor(turning, builder.sub(turning, ir.Constant(_WORD, 1))))
                left = builder.and_(builder.and_(builder.xor(wanted, up), valid), later)
                builder.store(left, chain.turning)
                now_up = builder.trunc(builder.lshr(up, lane), ir.IntType(1))
                site = builder.load(builder.gep(chain.sites, [builder.zext(lane, _LONG)]))
                builder.store(
                    builder.select(now_up, ir.Constant(_BYTE, 1), ir.Constant(_BYTE, -1)),
                    row("spins", chain.index, builder.sext(site, _LONG)),
                )
            builder.branch(check)
            builder.position_at_end(done)
            every = ir.VectorType(_WORD, MOST_PATTERNS)
            for chain in chains:
                members = load(chain.members, every, 4)
                flips, downs = builder.load(chain.flips), builder.load(chain.downs)
                # flips that raise the overlap: of spins aligned with the pattern now
                raising = builder.and_(
                    builder.xor(members, _splat(builder, downs, MOST_PATTERNS)), _splat(builder, flips, MOST_PATTERNS)
                )
                raising = _called(builder, "llvm.ctpop.v64i32", every, raising)
                raising = builder.trunc(raising, ir.VectorType(_SHORT, MOST_PATTERNS))
                twice = builder.shl(raising, ir.Constant(raising.type, [2] * MOST_PATTERNS))
                number = builder.trunc(builder.ctpop(flips), _SHORT)
                number = builder.shl(number, ir.Constant(_SHORT, 1))
                change = builder.sub(twice, _splat(builder, number, MOST_PATTERNS))
                numbers = ir.Constant(ir.VectorType(_SHORT, MOST_PATTERNS), list(range(MOST_PATTERNS)))
                in_use = builder.icmp_signed("<", numbers, _splat(builder, short_patterns, MOST_PATTERNS))
                change = builder.select(in_use, change, ir.Constant(change.type, [0] * MOST_PATTERNS))
                where = builder.bitcast(row("overlaps", chain.index, zero), change.type.as_pointer())
                builder.store(builder.add(builder.load(where, align=2), change), where, align=2)
            return context.get_dummy_value()

        return signature, generate

    return visit


# visit_one(sites, thresholds, at, count, chain, words, overlaps, spins, scale, n_patterns) makes updates at ... at +
# count - 1 of a chain, count <= 32: s = sign(h + scale threshold), h = sum_mu xi_mu m_mu - n_patterns s in whole numbers
# below 2^15, and the overlaps m follow each flip. sites (int32) and thresholds (float32) are (n_chains, n_updates),
# words (n_spins,) uint64 hold a bit for each pattern, overlaps are int16 (n_chains, 64), 0 beyond n_patterns, spins int8
# (n_chains, n_spins), n_spins below 2^15. The others update that many chains from `chain` on
visit_one, visit_two, visit_four = _visit(1), _visit(2), _visit(4)
