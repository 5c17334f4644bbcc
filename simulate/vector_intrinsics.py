"""Vector instructions for compiled kernels: random words, and sums over rows whose length is a multiple of a vector.

Compiled loops over two rows must check for each row whether the two overlap; these functions need no check, and their
order of additions does not depend on the caller. Vectors are those of LLVM: a processor with shorter registers uses
several of them for each. Every function here has a plain twin in tests/simulate/dynamics/test_vectors.py. Numba's cache
of a kernel does not depend on this file: after a change here, save the file of the kernel as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["LANES", "add_rows", "fill_words", "logistic", "update_eight", "update_four", "update_one"]

LANES = 16

_INDEX = ir.IntType(64)
_WORD = ir.IntType(32)
_WORDS = ir.VectorType(_WORD, LANES)
_FLOAT = ir.FloatType()
_FLOATS = ir.VectorType(_FLOAT, LANES)
_SHORTS = ir.VectorType(ir.IntType(16), 2 * LANES)
_BYTE = ir.IntType(8)
_FUSED = ("contract",)
# logarithm of 1 + f over f^2 less (1/f - 1/2), for f around 0 (Cephes logf)
_LOGARITHM = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)


def _check_rows(*arrays: Any) -> None:
    """Refuse arrays that are not contiguous, since offsets are counted in memory."""
    for array in arrays:
        if not isinstance(array, types.Array) or array.layout != "C":
            raise TypingError(f"vectors need contiguous arrays, got {array}")


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Pointer to the vector that begins at an offset, in elements, of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _repeated(builder: Any, value: Any, vector: Any) -> Any:
    """Vector with the value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_WORD, vector.count), [0] * vector.count))


def _shuffled(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """Vector of the given lanes of two vectors one after the other."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_WORD, len(lanes)), lanes))


def _sums_of_lanes(builder: Any, vectors: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    """Vector of the sums of the lanes of each vector, a power of two of them.

    Each sum adds the upper half of its lanes to the lower half until one is left, for any number of vectors. Two
    vectors share one addition by holding half of the lanes of each.
    """
    lanes = width = vectors[0].type.count
    while width > 1:
        half, parts = width // 2, lanes // width
        if len(vectors) > 1:
            begins = [vector * lanes + part * width for vector in range(2) for part in range(parts)]
            pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
        else:
            begins = list(range(0, vectors[0].type.count, width))
            pairs = [(vectors[0], ir.Constant(vectors[0].type, ir.Undefined))]
        lower = [begin + lane for begin in begins for lane in range(half)]
        upper = [begin + half + lane for begin in begins for lane in range(half)]
        vectors = [add(_shuffled(builder, *pair, lower), _shuffled(builder, *pair, upper)) for pair in pairs]
        width = half
    return vectors[0]


def _gathered(builder: Any, values: list[Any]) -> Any:
    """Vector with the given numbers in its lanes."""
    vector = ir.Constant(ir.VectorType(values[0].type, len(values)), ir.Undefined)
    for lane, value in enumerate(values):
        vector = builder.insert_element(vector, value, ir.Constant(_WORD, lane))
    return vector


@intrinsic
def add_rows(typing_context, target, target_at, source, rows, factors):
    """target[target_at + k] += factors[r] source[rows[r], k] for all columns k of source, one r after the other.

    rows and factors are tuples, the latter of float32. target and source are float32 with a multiple of 16 columns; or
    target is int16 and source int8 with a multiple of 32 columns, factors are whole and sums modulo 2^16.
    """
    _check_rows(target, source)
    signature = types.void(target, types.int64, source, rows, factors)
    short = target.dtype == types.int16
    to_row, align = (_SHORTS, (2, 1)) if short else (_FLOATS, (4, 4))
    from_row = ir.VectorType(_BYTE, to_row.count) if short else _FLOATS

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, target_at, source, rows, factors = values
        columns = builder.extract_value(context.make_array(signature.args[2])(context, builder, source).shape, 1)
        begins = [builder.mul(row, columns) for row in cgutils.unpack_tuple(builder, rows)]
        repeated = []
        for factor in cgutils.unpack_tuple(builder, factors):
            whole = builder.fptosi(factor, to_row.element) if short else factor
            repeated.append(_repeated(builder, whole, to_row))
        ends = ir.Constant(_INDEX, 0), columns, ir.Constant(_INDEX, to_row.count)
        with cgutils.for_range_slice(builder, *ends, _INDEX) as (k, _):
            to = _pointer(context, builder, signature.args[0], target, builder.add(target_at, k), to_row)
            total = builder.load(to, align=align[0])
            for begin, factor in zip(begins, repeated, strict=True):
                place = _pointer(context, builder, signature.args[2], source, builder.add(begin, k), from_row)
                row = builder.load(place, align=align[1])
                if short:
                    total = builder.add(total, builder.mul(builder.sext(row, to_row), factor))
                else:
                    total = builder.fadd(total, builder.fmul(factor, row, flags=_FUSED), flags=_FUSED)
            builder.store(total, to, align=align[0])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def fill_words(typing_context, state, state_at, out, n_kinds, n_rows):
    """Fill out[kind, : 16 n_rows] with xoshiro128++ (Blackman, Vigna 2021), a stream in every lane.

    The state is 4 times 16 words of uint32 that begin at state_at; it stays in registers until all rows are made, row
    by row and within each kind by kind. out (at least n_kinds, a multiple of 16) is uint32.
    """
    _check_rows(state, out)
    signature = types.void(state, types.int64, out, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        state, state_at, out, n_kinds, n_rows = values
        columns = builder.extract_value(context.make_array(signature.args[2])(context, builder, out).shape, 1)

        def constant(value: int) -> Any:
            return ir.Constant(_WORDS, [value] * LANES)

        def turned(words: Any, by: int) -> Any:
            return builder.or_(builder.shl(words, constant(by)), builder.lshr(words, constant(32 - by)))

        places = [
            _pointer(
                context,
                builder,
                signature.args[0],
                state,
                builder.add(state_at, ir.Constant(_INDEX, LANES * word)),
                _WORDS,
            )
            for word in range(4)
        ]
        kept = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
        with (
            cgutils.for_range(builder, n_rows, intp=_INDEX) as row,
            cgutils.for_range(builder, n_kinds, intp=_INDEX) as kind,
        ):
            s0, s1, s2, s3 = (builder.load(word) for word in kept)
            begin = builder.mul(row.index, ir.Constant(_INDEX, LANES))
            at = builder.add(builder.mul(kind.index, columns), begin)
            to = _pointer(context, builder, signature.args[2], out, at, _WORDS)
            builder.store(builder.add(turned(builder.add(s0, s3), 7), s0), to, align=4)
            s2, s3, shifted = builder.xor(s2, s0), builder.xor(s3, s1), builder.shl(s1, constant(9))
            s1, s0 = builder.xor(s1, s2), builder.xor(s0, s3)
            for word, value in zip(kept, (s0, s1, builder.xor(s2, shifted), turned(s3, 11)), strict=True):
                builder.store(value, word)
        for place, word in zip(places, kept, strict=True):
            builder.store(builder.load(word), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def logistic(typing_context, words, scale, out, n_rows):
    """out = scale times the threshold of each word, for n_rows times 16 words, flat.

    The lowest bit of a word is the sign; the others make w uniform on (0, 1), down to 2^-32, and |z| = 1/2 log((2 - w)
    / w) has P(|z| > x) = 2 / (1 + exp(2 x)): z has the density of 1/2 log(u / (1 - u)), in full float32 precision.
    """
    _check_rows(words, out)
    signature = types.void(words, types.float32, out, types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        words, scale, out, n_rows = values

        def whole(value: int) -> Any:
            return ir.Constant(_WORDS, [value] * LANES)

        def real(value: float) -> Any:
            return ir.Constant(_FLOATS, [float(np.float32(value))] * LANES)

        def add(a: Any, b: Any) -> Any:
            return builder.fadd(a, b, flags=_FUSED)

        def multiply(a: Any, b: Any) -> Any:
            return builder.fmul(a, b, flags=_FUSED)

        scales = _repeated(builder, scale, _FLOATS)
        with cgutils.for_range(builder, n_rows, intp=_INDEX) as row:
            at = builder.mul(row.index, ir.Constant(_INDEX, LANES))
            word = builder.load(_pointer(context, builder, signature.args[0], words, at, _WORDS), align=4)
            uniform = add(builder.sitofp(builder.lshr(word, whole(1)), _FLOATS), real(0.5))
            uniform = multiply(uniform, real(2.0**-31))
            ratio = builder.bitcast(builder.fdiv(builder.fsub(real(2.0), uniform), uniform), _WORDS)
            exponent = builder.ashr(builder.sub(ratio, whole(0x3F3504F3)), whole(23))
            mantissa = builder.bitcast(builder.sub(ratio, builder.shl(exponent, whole(23))), _FLOATS)
            f = builder.fsub(mantissa, real(1.0))
            polynomial = real(_LOGARITHM[0])
            for coefficient in _LOGARITHM[1:]:
                polynomial = add(multiply(polynomial, f), real(coefficient))
            square = multiply(f, f)
            value = builder.fsub(multiply(multiply(f, square), polynomial), multiply(real(0.5), square), flags=_FUSED)
            value = add(add(value, f), multiply(builder.sitofp(exponent, _FLOATS), real(0.6931471805599453)))
            sign = builder.fsub(real(0.5), builder.sitofp(builder.and_(word, whole(1)), _FLOATS))
            to = _pointer(context, builder, signature.args[2], out, at, _FLOATS)
            builder.store(builder.fmul(builder.fmul(value, sign), scales), to, align=4)
        return context.get_dummy_value()

    return signature, generate


def _update(n_chains: int) -> Any:
    """One update of each of some chains that follow each other; see `update_one`."""

    @intrinsic
    def update(typing_context, sites, thresholds, at, first, left, right, overlaps, spins, own, scale, metropolis):
        _check_rows(sites, thresholds, left, right, overlaps, spins, own)
        index = types.int64
        signature = types.void(
            sites, thresholds, index, index, left, right, overlaps, spins, own, types.float32, types.boolean
        )
        short = left.dtype == types.int16
        row, align = (_SHORTS, 2) if short else (_FLOATS, 4)
        reals = ir.VectorType(_FLOAT, n_chains)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            names = ["sites", "thresholds", "at", "first", "left", "right", "overlaps", "spins", "own", "scale"]
            names += ["metropolis"]
            value = dict(zip(names, values, strict=True))
            array = {
                name: context.make_array(kind)(context, builder, value[name])
                for name, kind in zip(names, signature.args, strict=True)
                if isinstance(kind, types.Array)
            }

            def place(name: str, *offset: Any) -> Any:
                """Pointer to an entry of an array (rows, columns), from its row and column."""
                if len(offset) == 2:
                    columns = builder.extract_value(array[name].shape, 1)
                    return builder.gep(array[name].data, [builder.add(builder.mul(offset[0], columns), offset[1])])
                return builder.gep(array[name].data, list(offset))

            def real(number: float) -> Any:
                return ir.Constant(reals, [number] * n_chains)

            def add_product(total: Any, a: Any, b: Any) -> Any:
                if short:
                    return builder.add(total, builder.mul(a, b))
                return builder.fadd(total, builder.fmul(a, b, flags=_FUSED), flags=_FUSED)

            zero = ir.Constant(_INDEX, 0)
            chains = [builder.add(value["first"], ir.Constant(_INDEX, chain)) for chain in range(n_chains)]
            here = [builder.sext(builder.load(place("sites", chain, value["at"])), _INDEX) for chain in chains]
            columns = builder.extract_value(array["left"].shape, 1)
            rows = {
                name: [builder.bitcast(place(name, k, zero), row.as_pointer()) for k in lines]
                for name, lines in (("left", here), ("right", here), ("overlaps", chains))
            }
            ends = zero, builder.sdiv(columns, ir.Constant(_INDEX, row.count)), ir.Constant(_INDEX, 1)
            totals = [
                cgutils.alloca_once_value(builder, ir.Constant(row, [0 if short else 0.0] * row.count)) for _ in chains
            ]
            with cgutils.for_range_slice(builder, *ends, _INDEX) as (k, _):
                for total, a, b in zip(totals, rows["left"], rows["overlaps"], strict=True):
                    pair = (builder.load(builder.gep(pointer, [k]), align=align) for pointer in (a, b))
                    builder.store(add_product(builder.load(total), *pair), total)
            loaded = [builder.load(total) for total in totals]
            field = _sums_of_lanes(builder, loaded, builder.add if short else builder.fadd)
            if n_chains == 1:
                field = builder.bitcast(field, ir.VectorType(field.type.element, 1))
            if short:
                field = builder.sitofp(field, reals)
            places = [place("spins", *pair) for pair in zip(chains, here, strict=True)]
            old = builder.sitofp(_gathered(builder, [builder.load(spin) for spin in places]), reals)
            threshold = _gathered(builder, [builder.load(place("thresholds", chain, value["at"])) for chain in chains])
            if short:
                itself = _repeated(builder, builder.load(place("own", zero)), reals)
            else:
                itself = _gathered(builder, [builder.load(place("own", site)) for site in here])
            facing = builder.select(value["metropolis"], builder.fsub(real(-0.0), old), real(1.0))
            field = builder.fsub(field, builder.fmul(itself, old))
            scaled = builder.fmul(threshold, _repeated(builder, value["scale"], reals))
            field = builder.fadd(field, builder.fmul(scaled, facing))
            up = builder.fcmp_ordered(">=", field, real(0.0))
            byte = ir.VectorType(_BYTE, n_chains)
            new = builder.select(up, ir.Constant(byte, [1] * n_chains), ir.Constant(byte, [-1] * n_chains))
            for chain, spin in enumerate(places):
                builder.store(builder.extract_element(new, ir.Constant(_WORD, chain)), spin)
            change = builder.fsub(builder.select(up, real(1.0), real(-1.0)), old)
            if short:
                change = builder.fptosi(change, ir.VectorType(ir.IntType(16), n_chains))
            changes = [_shuffled(builder, change, change, [chain] * row.count) for chain in range(n_chains)]
            with cgutils.for_range_slice(builder, *ends, _INDEX) as (k, _):
                for factor, a, b in zip(changes, rows["right"], rows["overlaps"], strict=True):
                    to = builder.gep(b, [k])
                    source = builder.load(builder.gep(a, [k]), align=align)
                    builder.store(add_product(builder.load(to, align=align), source, factor), to, align=align)
            return context.get_dummy_value()

        return signature, generate

    return update


# update_one(sites, thresholds, at, chain, left, right, overlaps, spins, own, scale, metropolis) makes update `at` of a
# chain, s = sign(h + scale threshold) with h = left[site] . overlaps[chain] - own s, and adds the change of the spin
# times right[site] to the overlaps of the chain. With `metropolis` the threshold is -s times the given one. sites
# (int32) and thresholds (float32) are (n_chains, n_updates), spins int8 (n_chains, n_spins); left, right and overlaps
# are float32 with a multiple of 16 columns and own (n_spins,), or int16 with a multiple of 32 columns, own (1,) and
# sums modulo 2^16. The others update that many chains from `chain` on, and round as it does
update_one, update_four, update_eight = _update(1), _update(4), _update(8)
