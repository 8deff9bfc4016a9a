"""One instruction that numba does not offer: ask the cache for a line before it is needed."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_READ, _KEEP_IN_ALL_LEVELS, _DATA_CACHE = 0, 3, 1


@intrinsic
def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, index)``: start loading ``array[index]`` (1-D, contiguous) into L1.

    An address past the end is harmless: the instruction never faults.
    """
    signature = types.void(array, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(loaded.data, [arguments[1]])
        pointer = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, word, word, word]),
            "llvm.prefetch.p0",
        )
        hints = [ir.Constant(word, hint) for hint in (_READ, _KEEP_IN_ALL_LEVELS, _DATA_CACHE)]
        builder.call(function, [builder.bitcast(address, pointer), *hints])
        return context.get_dummy_value()

    return signature, generate
