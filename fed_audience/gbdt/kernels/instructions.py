"""Instructions that numba does not offer."""

from __future__ import annotations

import platform
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_READ, _KEEP_IN_ALL_LEVELS, _DATA_CACHE = 0, 3, 1
_HAS_PAUSE: Final = platform.machine() in {"x86_64", "AMD64"}


@intrinsic
def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, index)``: start loading ``array[index]`` (1-D, contiguous) into L1.

    An address past the end is harmless: the instruction never faults.
    """
    signature = types.void(array, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, word, word, word]),
            "llvm.prefetch.p0",
        )
        hints = [ir.Constant(word, hint) for hint in (_READ, _KEEP_IN_ALL_LEVELS, _DATA_CACHE)]
        address = _address(context, builder, signature, arguments)
        builder.call(function, [builder.bitcast(address, pointer), *hints])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def read_shared(_typing: Any, array: Any, index: Any) -> Any:
    """``read_shared(array, index)``: an int64 that another thread may be writing.

    Read from memory each time, and before all that follows (an acquiring load).
    """
    signature = types.int64(array, index)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        return builder.load_atomic(address, "acquire", 8)

    return signature, generate


@intrinsic
def pause(_typing: Any) -> Any:
    """``pause()``: a moment's rest in a loop that waits; nothing where there is no such word."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if _HAS_PAUSE:
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Address of an element of a contiguous array of one dimension."""
    loaded = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(loaded.data, [arguments[1]])
