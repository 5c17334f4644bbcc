"""Vector instructions for blocks of updates of spins under Hebbian couplings of at most 64 patterns.

The fields of a block of visited spins are sums over patterns as bits, in whole numbers of 16 bits, so that they are
exact; after that only spins that flip take time. The plain twin is in tests/simulate/dynamics/test_blocks.py. Numba's
cache of a kernel does not depend on this file: after a change here, save the file of the kernel as well.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["BLOCK", "MOST_PATTERNS", "visit_four", "visit_one", "visit_two", "wide_vectors"]

#: Updates of a chain in a block: the numbers of 16 bits in a vector of 512.
BLOCK = 32
#: Bits of a word.
MOST_PATTERNS = 64

_FLAG, _BYTE, _SHORT, _WORD, _LONG = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_FLOAT = ir.FloatType()
# by visit of a block, by half of the visits, by pattern
_SHORTS, _WORDS, _FLOATS = (ir.VectorType(kind, BLOCK) for kind in (_SHORT, _WORD, _FLOAT))
_HALF = ir.VectorType(_WORD, BLOCK // 2)
_PAIRS = ir.VectorType(_BYTE, 2 * BLOCK)
_PATTERN_SHORTS, _PATTERN_WORDS = (ir.VectorType(kind, MOST_PATTERNS) for kind in (_SHORT, _WORD))
_LARGEST_SHORT = 32767.0


@cache
def wide_vectors() -> bool:
    """Whether code is compiled for a processor that adds and counts bits in vectors of 512 bits.

    On others a block of several chains takes longer than one update after the other, unless flips are rare.
    """
    if config.CPU_NAME or config.CPU_FEATURES:  # type: ignore[attr-defined]
        found = {name.strip("+"): True for name in (config.CPU_FEATURES or "").split(",")}  # type: ignore[attr-defined]
    else:
        found = binding.get_host_cpu_features()
    return bool(found.get("avx512bw")) and bool(found.get("avx512vpopcntdq"))


def _all(vector: Any, value: float) -> Any:
    """Constant vector with the value in every lane."""
    return ir.Constant(vector, [value] * vector.count)


def _index(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _shuffled(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """Vector of the given lanes of two vectors one after the other."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_WORD, len(lanes)), lanes))


def _repeated(builder: Any, value: Any, count: int = BLOCK) -> Any:
    """Vector with the value in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_WORD, 0))
    return _shuffled(builder, first, undefined, [0] * count)


def _called(builder: Any, name: str, result: Any, vector: Any) -> Any:
    """Result of a function of LLVM of one vector."""
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [vector.type]), name)
    return builder.call(function, [vector])


def _bits(builder: Any, flags: Any) -> Any:
    """Word with a bit for each visit."""
    return builder.bitcast(flags, _WORD)


def _chosen(builder: Any, bits: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes whose bit of the word is set, `no` in the others."""
    return builder.select(builder.bitcast(bits, ir.VectorType(_FLAG, BLOCK)), yes, no)


class _Chain:
    """Memory of one chain during a block. Values that change from flip to flip end up in registers."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder, self.number = builder, number
        # of each visit: site and threshold, the word of its patterns, the spin before the block. One visit more, for
        # chains that have no flip left while others have: its site is that of no spin
        self.sites, self.thresholds = self.array(_WORD, BLOCK), self.array(_FLOAT, BLOCK)
        self.words, self.before = self.array(_LONG, BLOCK + 1), self.array(_BYTE, BLOCK)
        self.short_sites = self.array(_SHORT, BLOCK + 1)
        # of each pattern: the visits at whose site it is +1
        self.members = self.array(_WORD, MOST_PATTERNS)
        # words by parts: twice 8 patterns of all visits, 32 patterns of half of the visits
        self.pairs = self.array(_PAIRS, 4)
        self.halves = [cgutils.alloca_once(builder, _HALF) for _ in range(4)]
        # fields, lowest fields at which the spin is up, sites, by visit
        self.fields, self.lowest, self.places = (cgutils.alloca_once(builder, _SHORTS) for _ in range(3))
        # by bit: spins that are up now, visits that flip unless one before does, flips so far, and those downwards
        self.up, self.flipping, self.flips, self.downs = (cgutils.alloca_once(builder, _WORD) for _ in range(4))

    def array(self, kind: Any, count: int) -> Any:
        """Pointer to memory on the stack."""
        return self.builder.bitcast(cgutils.alloca_once(self.builder, ir.ArrayType(kind, count)), kind.as_pointer())


class _Block:
    """Code of a block of up to 32 updates of each of some chains, written step by step."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any, n_chains: int) -> None:
        self.builder = builder
        names = ("sites", "thresholds", "at", "count", "first", "words", "overlaps", "spins", "scale", "n_patterns")
        value = dict(zip(names, values, strict=True))
        self.arrays = {
            name: context.make_array(kind)(context, builder, value[name])
            for name, kind in zip(names, signature.args, strict=True)
            if isinstance(kind, types.Array)
        }
        self.at, self.count, self.scale, self.n_patterns = (value[name] for name in names[2:4] + names[8:])
        self.short_patterns = builder.trunc(self.n_patterns, _SHORT)
        shift = builder.sub(_index(BLOCK), self.count)
        self.valid = builder.trunc(builder.lshr(_index(2**BLOCK - 1), shift), _WORD)
        self.chains = [_Chain(builder, builder.add(value["first"], _index(k))) for k in range(n_chains)]

    def row(self, name: str, chain: Any, column: Any) -> Any:
        """Pointer to an entry of an array (chains, columns)."""
        columns = self.builder.extract_value(self.arrays[name].shape, 1)
        offset = self.builder.add(self.builder.mul(chain.number, columns), column)
        return self.builder.gep(self.arrays[name].data, [offset])

    def vector(self, pointer: Any, kind: Any, lane: int = 0) -> Any:
        """The vector that begins at a lane after the pointer."""
        place = self.builder.gep(pointer, [_index(lane)])
        size = 4 if kind.element == _FLOAT else kind.element.width // 8
        return self.builder.load(self.builder.bitcast(place, kind.as_pointer()), align=size)

    def write(self) -> None:
        for chain in self.chains:
            self.find_visits(chain)
        for chain in self.chains:
            self.gather(chain)
        for chain in self.chains:
            self.part_words(chain)
        self.sum_overlaps()
        for chain in self.chains:
            self.find_flips(chain)
        builder = self.builder
        check, body, done = (builder.append_basic_block(name) for name in ("check", "flip", "done"))
        builder.branch(check)
        builder.position_at_end(check)
        left = builder.load(self.chains[0].flipping)
        for chain in self.chains[1:]:
            left = builder.or_(left, builder.load(chain.flipping))
        builder.cbranch(builder.icmp_signed("!=", left, ir.Constant(_WORD, 0)), body, done)
        builder.position_at_end(body)
        for chain in self.chains:
            self.flip(chain)
        builder.branch(check)
        builder.position_at_end(done)
        for chain in self.chains:
            self.update_overlaps(chain)

    def find_visits(self, chain: _Chain) -> None:
        """Sites and thresholds of the visits: a part of a block is copied, so that nothing beyond arrays is read."""
        builder = self.builder
        full = builder.icmp_signed("==", self.count, _index(BLOCK))
        for name in ("sites", "thresholds"):
            source, copy = self.row(name, chain, self.at), getattr(chain, name)
            with builder.if_then(builder.not_(full), likely=False):
                with cgutils.for_range(builder, _index(BLOCK), intp=_LONG) as loop:
                    builder.store(ir.Constant(copy.type.pointee, 0), builder.gep(copy, [loop.index]))
                with cgutils.for_range(builder, self.count, intp=_LONG) as loop:
                    builder.store(builder.load(builder.gep(source, [loop.index])), builder.gep(copy, [loop.index]))
            setattr(chain, name, builder.select(full, source, copy))

    def gather(self, chain: _Chain) -> None:
        """Words and spins of the visited sites."""
        builder = self.builder
        with cgutils.for_range(builder, _index(BLOCK), intp=_LONG) as loop:
            site = builder.sext(builder.load(builder.gep(chain.sites, [loop.index])), _LONG)
            word = builder.load(builder.gep(self.arrays["words"].data, [site]))
            builder.store(word, builder.gep(chain.words, [loop.index]))
            builder.store(builder.load(self.row("spins", chain, site)), builder.gep(chain.before, [loop.index]))

    def part_words(self, chain: _Chain) -> None:
        builder = self.builder
        shorts = self.vector(builder.bitcast(chain.words, _SHORT.as_pointer()), ir.VectorType(_SHORT, 4 * BLOCK))
        words = self.vector(builder.bitcast(chain.words, _WORD.as_pointer()), ir.VectorType(_WORD, 2 * BLOCK))
        for part in range(4):
            both = _shuffled(builder, shorts, shorts, [4 * visit + part for visit in range(BLOCK)])
            both = builder.bitcast(both, _PAIRS)
            both = _shuffled(builder, both, both, [2 * visit + k for k in range(2) for visit in range(BLOCK)])
            builder.store(both, builder.gep(chain.pairs, [_index(part)]))
        for number, kept in enumerate(chain.halves):
            later, part = divmod(number, 2)
            visits = range(later * BLOCK // 2, (later + 1) * BLOCK // 2)
            builder.store(_shuffled(builder, words, words, [2 * visit + part for visit in visits]), kept)

    def sum_overlaps(self) -> None:
        """Sums of the overlaps of the patterns that are +1 at each visited site."""
        builder = self.builder
        for chain in self.chains:
            builder.store(_all(_SHORTS, 0), chain.fields)
        # pairs of patterns, of which one test finds the visits of both; one without partner has an overlap of 0
        with cgutils.for_range_slice(builder, _index(0), self.n_patterns, _index(2), _LONG) as (pattern, _):
            part = builder.lshr(pattern, _index(4))
            bit = builder.and_(builder.lshr(pattern, _index(1)), _index(7))
            bits = _repeated(builder, builder.trunc(builder.shl(_index(1), bit), _BYTE), 2 * BLOCK)
            for chain in self.chains:
                here = builder.and_(builder.load(builder.gep(chain.pairs, [part])), bits)
                here = builder.icmp_signed("!=", here, _all(_PAIRS, 0))
                members = builder.bitcast(builder.gep(chain.members, [pattern]), _LONG.as_pointer())
                builder.store(builder.bitcast(here, _LONG), members, align=4)
                fields = builder.load(chain.fields)
                for k in range(2):
                    overlap = self.row("overlaps", chain, builder.add(pattern, _index(k)))
                    overlap = _repeated(builder, builder.load(overlap))
                    one = _shuffled(builder, here, here, list(range(k * BLOCK, (k + 1) * BLOCK)))
                    fields = builder.add(fields, builder.select(one, overlap, _all(_SHORTS, 0)))
                builder.store(fields, chain.fields)

    def find_flips(self, chain: _Chain) -> None:
        """Fields, the lowest ones at which spins are up, and the visits that flip unless one before does."""
        builder = self.builder
        overlaps = self.row("overlaps", chain, _index(0))
        both = builder.add(self.vector(overlaps, _SHORTS), self.vector(overlaps, _SHORTS, BLOCK))
        total = _called(builder, "llvm.vector.reduce.add.v32i16", _SHORT, both)
        before = self.vector(chain.before, ir.VectorType(_BYTE, BLOCK))
        up = builder.icmp_signed(">", before, _all(before.type, 0))
        own = _repeated(builder, self.short_patterns)
        own = builder.select(up, own, builder.neg(own))
        fields = builder.load(chain.fields)
        fields = builder.sub(builder.sub(builder.add(fields, fields), _repeated(builder, total)), own)
        builder.store(fields, chain.fields)

        # the whole number next to - scale threshold or above
        needed = builder.fmul(self.vector(chain.thresholds, _FLOATS), _repeated(builder, self.scale))
        needed = builder.fneg(needed)
        for relation, limit in (("<", _LARGEST_SHORT), (">", -_LARGEST_SHORT)):
            inside = builder.fcmp_ordered(relation, needed, _all(_FLOATS, limit))
            needed = builder.select(inside, needed, _all(_FLOATS, limit))
        rounded = builder.fptosi(needed, _WORDS)
        above = builder.fcmp_ordered(">", needed, builder.sitofp(rounded, _FLOATS))
        lowest = builder.trunc(builder.sub(rounded, builder.sext(above, _WORDS)), _SHORTS)
        builder.store(lowest, chain.lowest)

        places = builder.trunc(self.vector(chain.sites, _WORDS), _SHORTS)
        builder.store(places, chain.places)
        builder.store(places, builder.bitcast(chain.short_sites, _SHORTS.as_pointer()), align=2)
        builder.store(ir.Constant(_SHORT, -1), builder.gep(chain.short_sites, [_index(BLOCK)]))
        wanted, up = _bits(builder, builder.icmp_signed(">=", fields, lowest)), _bits(builder, up)
        builder.store(up, chain.up)
        builder.store(builder.and_(builder.xor(wanted, up), self.valid), chain.flipping)
        for kept in (chain.flips, chain.downs):
            builder.store(ir.Constant(_WORD, 0), kept)

    def flip(self, chain: _Chain) -> None:
        """Flip the spin of the first visit that does, and find those after it that do then.

        A chain without any takes visit 32, of no site, whose changes of fields come too late to matter.
        """
        builder = self.builder
        flipping, up = builder.load(chain.flipping), builder.load(chain.up)
        visit = builder.cttz(flipping, ir.Constant(_FLAG, 0))
        place, lane = builder.zext(visit, _LONG), builder.and_(visit, ir.Constant(_WORD, BLOCK - 1))
        # N h_j changes by 2 s (n_patterns - 2 different) for the new spin s, but not that of the same site
        word = builder.bitcast(builder.gep(chain.words, [place]), _WORD.as_pointer())
        own = [_repeated(builder, builder.load(builder.gep(word, [_index(k)])), BLOCK // 2) for k in range(2)]
        counts = [
            _called(builder, "llvm.ctpop.v16i32", _HALF, builder.xor(builder.load(half), own[number % 2]))
            for number, half in enumerate(chain.halves)
        ]
        first, second = (builder.bitcast(builder.add(counts[k], counts[k + 1]), _SHORTS) for k in (0, 2))
        different = _shuffled(builder, first, second, list(range(0, 2 * BLOCK, 2)))
        twice = _repeated(builder, builder.shl(self.short_patterns, ir.Constant(_SHORT, 1)))
        change = builder.sub(twice, builder.shl(different, _all(_SHORTS, 2)))
        site = _repeated(builder, builder.load(builder.gep(chain.short_sites, [place])))
        same = _bits(builder, builder.icmp_signed("==", builder.load(chain.places), site))
        was_up = builder.sext(builder.trunc(builder.lshr(up, lane), _FLAG), _WORD)
        others, fields = builder.not_(same), builder.load(chain.fields)
        rising, falling = builder.and_(others, builder.not_(was_up)), builder.and_(others, was_up)
        fields = _chosen(builder, rising, builder.add(fields, change), fields)
        fields = _chosen(builder, falling, builder.sub(fields, change), fields)
        builder.store(fields, chain.fields)

        this = builder.and_(flipping, builder.neg(flipping))
        builder.store(builder.or_(builder.load(chain.flips), this), chain.flips)
        builder.store(builder.or_(builder.load(chain.downs), builder.and_(this, up)), chain.downs)
        up = builder.xor(up, same)
        builder.store(up, chain.up)
        wanted = _bits(builder, builder.icmp_signed(">=", fields, builder.load(chain.lowest)))
        later = builder.not_(builder.xor(flipping, builder.sub(flipping, ir.Constant(_WORD, 1))))
        builder.store(builder.and_(builder.and_(builder.xor(wanted, up), self.valid), later), chain.flipping)
        # the spin as it is now, which visit 32 leaves at visit 0
        is_up = builder.trunc(builder.lshr(up, lane), _FLAG)
        site = builder.load(builder.gep(chain.sites, [builder.zext(lane, _LONG)]))
        new = builder.select(is_up, ir.Constant(_BYTE, 1), ir.Constant(_BYTE, -1))
        builder.store(new, self.row("spins", chain, builder.sext(site, _LONG)))

    def update_overlaps(self, chain: _Chain) -> None:
        """Add to each overlap 2 for each flip towards the pattern, and take 2 for each other one."""
        builder = self.builder
        flips, downs = builder.load(chain.flips), builder.load(chain.downs)
        members = self.vector(chain.members, _PATTERN_WORDS)
        towards = builder.xor(members, _repeated(builder, downs, MOST_PATTERNS))
        towards = builder.and_(towards, _repeated(builder, flips, MOST_PATTERNS))
        towards = builder.trunc(_called(builder, "llvm.ctpop.v64i32", _PATTERN_WORDS, towards), _PATTERN_SHORTS)
        number = builder.shl(builder.trunc(builder.ctpop(flips), _SHORT), ir.Constant(_SHORT, 1))
        change = builder.shl(towards, _all(_PATTERN_SHORTS, 2))
        change = builder.sub(change, _repeated(builder, number, MOST_PATTERNS))
        patterns = ir.Constant(_PATTERN_SHORTS, list(range(MOST_PATTERNS)))
        in_use = builder.icmp_signed("<", patterns, _repeated(builder, self.short_patterns, MOST_PATTERNS))
        change = builder.select(in_use, change, _all(_PATTERN_SHORTS, 0))
        overlaps = self.row("overlaps", chain, _index(0))
        total = builder.add(self.vector(overlaps, _PATTERN_SHORTS), change)
        builder.store(total, builder.bitcast(overlaps, _PATTERN_SHORTS.as_pointer()), align=2)


def _visit(n_chains: int) -> Any:
    """Up to 32 updates of each of some chains that follow each other; see `visit_one`."""

    @intrinsic
    def visit(typing_context, sites, thresholds, at, count, first, words, overlaps, spins, scale, n_patterns):
        for array in (sites, thresholds, words, overlaps, spins):
            if not isinstance(array, types.Array) or array.layout != "C":
                raise TypingError(f"vectors need contiguous arrays, got {array}")
        index = types.int64
        signature = types.void(sites, thresholds, index, index, index, words, overlaps, spins, types.float32, index)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _Block(context, builder, signature, values, n_chains).write()
            return context.get_dummy_value()

        return signature, generate

    return visit


# visit_one(sites, thresholds, at, count, chain, words, overlaps, spins, scale, n_patterns) makes updates at ... at +
# count - 1 of a chain, 1 <= count <= 32: s = sign(h + scale threshold), h = sum_mu xi_mu m_mu - n_patterns s in whole
# numbers below 2^15, and the overlaps m follow each flip. sites (int32) and thresholds (float32) are (n_chains,
# n_updates), words (n_spins,) uint64 hold a bit for each pattern, 0 and 8 of the first two, then 1 and 9 and so on to 7
# and 15, 16 and 24 ..., overlaps are int16 (n_chains, 64), 0 beyond n_patterns, spins int8 (n_chains, n_spins), n_spins
# below 2^15. The others update that many chains from `chain` on
visit_one, visit_two, visit_four = _visit(1), _visit(2), _visit(4)
