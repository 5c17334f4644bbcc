"""Vector instructions for products with +-1 values by table look-up; the only module here that generates LLVM code.

A nibble of a 64-bit word holds four spins, and there are 16 signed sums of four numbers: a product with +-1 values
takes one addition for four terms. Tables, terms and sums are tiles of `TILE_BYTES`, C-contiguous, of int32 or int64
lanes. All code uses portable vectors, which LLVM compiles to the best instructions of the processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

TILE_BYTES = 128
NIBBLES = 16  # of a word
_SHIFT = TILE_BYTES.bit_length() - 1


def _pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """First byte of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(data, ir.IntType(8).as_pointer())


def _tile(context: Any, array_type: Any) -> Any:
    """LLVM's type of a tile with the lanes of an array."""
    bits = array_type.dtype.bitwidth
    return ir.VectorType(ir.IntType(bits), 8 * TILE_BYTES // bits)


def _vector(builder: Any, base: Any, offset: Any, tile: Any) -> Any:
    """Pointer to the tile at an offset in bytes."""
    if isinstance(offset, int):
        offset = ir.Constant(ir.IntType(64), offset)
    return builder.bitcast(builder.gep(base, [offset]), tile.as_pointer())


@intrinsic
def fill_tables(typing_context: Any, terms: Any, first: Any, tables: Any) -> Any:
    """Signed sums of each four of the 64 tiles ``terms[first:first + 64]``, into ``tables`` (16 nibbles, 16 sums)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (_pointer(context, builder, signature.args[k], arguments[k]) for k in (0, 2))
        tile = _tile(context, signature.args[0])
        size = ir.Constant(ir.IntType(64), TILE_BYTES)
        source = builder.gep(source, [builder.mul(arguments[1], size)])
        align = signature.args[0].dtype.bitwidth // 8
        for nibble in range(NIBBLES):
            four = [
                builder.load(_vector(builder, source, (4 * nibble + k) * TILE_BYTES, tile), align=align)
                for k in range(4)
            ]
            lowest = builder.neg(builder.add(builder.add(four[0], four[1]), builder.add(four[2], four[3])))
            twice = [builder.add(value, value) for value in four]
            sums = [lowest]
            for k in range(4):
                sums += [builder.add(value, twice[k]) for value in sums]
            for k, value in enumerate(sums):
                place = _vector(builder, target, (16 * nibble + k) * TILE_BYTES, tile)
                builder.store(value, place, align=align)
        return context.get_dummy_value()

    return types.void(terms, types.int64, tables), generate


@intrinsic
def add_looked_up(typing_context: Any, tables: Any, word: Any, sums: Any, place: Any) -> Any:
    """Add to the tile ``sums[place]`` the 16 entries of ``tables`` that the nibbles of a word pick."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i64 = ir.IntType(64)
        source, target = (_pointer(context, builder, signature.args[k], arguments[k]) for k in (0, 2))
        tile = _tile(context, signature.args[0])
        align = signature.args[0].dtype.bitwidth // 8
        here = _vector(builder, target, builder.mul(arguments[3], ir.Constant(i64, TILE_BYTES)), tile)
        value = builder.load(here, align=align)
        for nibble in range(NIBBLES):
            shift = 4 * nibble - _SHIFT
            move = builder.lshr if shift >= 0 else builder.shl
            offset = builder.and_(move(arguments[1], ir.Constant(i64, abs(shift))), ir.Constant(i64, 15 << _SHIFT))
            base = builder.gep(source, [ir.Constant(i64, 16 * nibble * TILE_BYTES)])
            value = builder.add(value, builder.load(_vector(builder, base, offset, tile), align=align))
        builder.store(value, here, align=align)
        return context.get_dummy_value()

    return types.void(tables, types.uint64, sums, types.int64), generate


@intrinsic
def shifted_exponent(typing_context: Any, value: Any) -> Any:
    """Float whose bits are those of ``value`` moved up by the length of the mantissa.

    For ``value = 1.5 * 2^m + bias + n``, of m mantissa bits, this is ``2^n``.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = signature.args[0].bitwidth
        whole = ir.IntType(bits)
        moved = builder.shl(builder.bitcast(arguments[0], whole), ir.Constant(whole, 23 if bits == 32 else 52))
        return builder.bitcast(moved, context.get_value_type(signature.args[0]))

    return value(value), generate


@intrinsic
def count_bits(typing_context: Any, word: Any) -> Any:
    """Number of bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
