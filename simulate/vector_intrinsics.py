"""Vector instructions for compiled kernels: random words, and sums over rows whose length is a multiple of a vector.

Compiled loops over two rows have to ask, row by row, whether the rows overlap; these need not, and keep the order of
additions whatever calls them. Vectors are those of LLVM: a processor with shorter registers uses several of them for
each. Every function here has a plain twin in tests/simulate/dynamics/test_vectors.py. A kernel whose compiled code is
cached does not notice a change of this file: save the file of the kernel as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["LANES", "add_scaled", "dot", "fill_words"]

LANES = 16

_INDEX = ir.IntType(64)
_WORD = ir.IntType(32)
_WORDS = ir.VectorType(_WORD, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_FUSED = ("contract",)


def _check_rows(*arrays: Any) -> None:
    """Offsets are counted in memory: refuse arrays whose memory has gaps."""
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


def _sum_of_lanes(builder: Any, vector: Any, add: Callable[[Any, Any], Any]) -> Any:
    """Sum of the lanes: the upper half to the lower half until one is left."""
    width = vector.type.count
    while width > 1:
        half = width // 2
        undefined, chosen = ir.Constant(vector.type, ir.Undefined), ir.VectorType(_WORD, half)
        lower = builder.shuffle_vector(vector, undefined, ir.Constant(chosen, list(range(half))))
        upper = builder.shuffle_vector(vector, undefined, ir.Constant(chosen, list(range(half, width))))
        vector, width = add(lower, upper), half
    return builder.extract_element(vector, ir.Constant(_WORD, 0))


@intrinsic
def dot(typing_context, left, left_at, right, right_at, count):
    """Sum of left[left_at + k] right[right_at + k] over k < count, float32; count is a multiple of 16."""
    _check_rows(left, right)
    signature = types.float32(left, types.int64, right, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, left_at, right, right_at, count = values
        total = cgutils.alloca_once_value(builder, ir.Constant(_FLOATS, [0.0] * LANES))
        ends = ir.Constant(_INDEX, 0), count, ir.Constant(_INDEX, LANES)
        with cgutils.for_range_slice(builder, *ends, _INDEX) as (k, _):
            a = _pointer(context, builder, signature.args[0], left, builder.add(left_at, k), _FLOATS)
            b = _pointer(context, builder, signature.args[2], right, builder.add(right_at, k), _FLOATS)
            product = builder.fmul(builder.load(a, align=4), builder.load(b, align=4), flags=_FUSED)
            builder.store(builder.fadd(builder.load(total), product, flags=_FUSED), total)
        return _sum_of_lanes(builder, builder.load(total), builder.fadd)

    return signature, generate


@intrinsic
def add_scaled(typing_context, target, target_at, factor, source, source_at, count):
    """target[target_at + k] += factor source[source_at + k] for k < count, float32; count is a multiple of 16."""
    _check_rows(target, source)
    signature = types.void(target, types.int64, types.float32, source, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, target_at, factor, source, source_at, count = values
        factors = _repeated(builder, factor, _FLOATS)
        ends = ir.Constant(_INDEX, 0), count, ir.Constant(_INDEX, LANES)
        with cgutils.for_range_slice(builder, *ends, _INDEX) as (k, _):
            to = _pointer(context, builder, signature.args[0], target, builder.add(target_at, k), _FLOATS)
            a = _pointer(context, builder, signature.args[3], source, builder.add(source_at, k), _FLOATS)
            product = builder.fmul(factors, builder.load(a, align=4), flags=_FUSED)
            builder.store(builder.fadd(builder.load(to, align=4), product, flags=_FUSED), to, align=4)
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
