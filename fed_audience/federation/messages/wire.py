"""How a message becomes bytes, and how bytes are refused that are not a message.

Layout, little-endian: magic ``FAUD``, version (u8), kind (u8), zero (u16), header length (u32),
array count (u32); the header as canonical JSON, padded with spaces to 8 bytes; then each array of
the message's type, in declared order, padded with zeros to 8 bytes. The header says the arrays'
shapes; their element types belong to the message's type and are never read from the wire.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import ConfigDict, ValidationError
from pydantic_core import core_schema

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

WIRE_VERSION: Final = 1
MAX_HEADER_BYTES: Final = 32 * 2**20
MAX_BODY_BYTES: Final = 2**30

_MAGIC: Final = b"FAUD"
_PREFIX: Final = struct.Struct("<4sBBHII")
_WORD: Final = 8
_WRITER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


_READER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


@dataclass(frozen=True, slots=True)
class ArrayType:
    """Element type and number of dimensions of an array field; pydantic checks against it."""

    dtype: str
    dimensions: int = 1

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self.check)

    def check(self, value: Any) -> NDArray[Any]:
        """Return ``value`` as a contiguous array; raise ValueError when it is of another type."""
        if not isinstance(value, np.ndarray) or value.dtype != np.dtype(self.dtype):
            raise ValueError(f"expected an array of {self.dtype}")
        if value.ndim != self.dimensions:
            raise ValueError(f"expected {self.dimensions} dimensions, found {value.ndim}")
        return np.ascontiguousarray(value)


class WireModel(StrictModel):
    """Base of everything that is sent: fields for the header, ``ArrayType`` fields behind it.

    ``kind`` is the message's number on the wire. ``reveals`` says in plain words what a reader
    of the message learns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    kind: ClassVar[int]
    reveals: ClassVar[str]

    @classmethod
    @cache
    def array_types(cls) -> Mapping[str, ArrayType]:
        """Array fields in declared order."""
        return MappingProxyType(
            {
                name: kind
                for name, field in cls.model_fields.items()
                for kind in field.metadata
                if isinstance(kind, ArrayType)
            }
        )


def encode(message: WireModel) -> bytes:
    """Return the bytes of ``message``; equal messages give equal bytes."""
    arrays = [getattr(message, name) for name in message.array_types()]
    parts = [_front(message, [list(array.shape) for array in arrays])]
    for array in arrays:
        parts.append(array.data if array.size else b"")
        parts.append(b"\0" * _padding(array.nbytes))
    return b"".join(parts)


def encode_in_place(blank: WireModel, length: int, write: Callable[[NDArray[Any]], None]) -> bytes:
    """Return the bytes of ``blank``, whose one array ``write`` fills where it stands: no copy.

    ``length``: of the array, which has one dimension and is given full of zeros.
    """
    ((_, array_type),) = blank.array_types().items()
    front, dtype = _front(blank, [[length]]), np.dtype(array_type.dtype)
    size = len(front) + length * dtype.itemsize
    room = BytesIO(bytes(size + _padding(size)))  # written in place, as nobody else has them
    with room.getbuffer() as buffer:
        buffer[: len(front)] = front
        write(np.frombuffer(buffer, dtype, length, len(front)))
    return room.getvalue()


def decode(body: bytes, types: Mapping[int, type[WireModel]]) -> WireModel:
    """Read a message of one of ``types`` (by kind). Raises FederationError for anything else.

    Every byte is accounted for: a body that decodes is the one that ``encode`` would write.
    """
    try:
        return _decode(body, types)
    except (ValueError, TypeError, KeyError, struct.error, RecursionError) as error:
        reason = _first_reason(error)
        raise FederationError(
            f"a message cannot be read: {reason}",
            value=f"{len(body)} bytes",
            fix="run the same version of fed-audience at the coordinator and at every site",
        ) from None


def _decode(body: bytes, types: Mapping[int, type[WireModel]]) -> WireModel:
    kind, header, count = _read_prefix(body)
    if kind not in types:
        raise ValueError(f"kind {kind} is not in the catalogue")
    message_type = types[kind]
    document = _READER.decode(header.decode("ascii"))
    expected = message_type.array_types()
    shapes = document["arrays"]
    if count != len(expected) or len(shapes) != count:
        raise ValueError("it carries other arrays than its type declares")
    position = _PREFIX.size + len(header)
    fields = dict(document["fields"])
    for (name, array_type), shape in zip(expected.items(), shapes, strict=True):
        fields[name], position = _read_array(body, position, array_type, shape)
    if position != len(body):
        raise ValueError(f"{len(body) - position} bytes follow its end")
    message = message_type.model_validate(fields)
    if _header(message, shapes) != header:
        raise ValueError("its header is not in canonical form")
    return message


def _read_prefix(body: bytes) -> tuple[int, bytes, int]:
    """Kind, header and number of arrays of a body of acceptable size."""
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"longer than {MAX_BODY_BYTES} bytes")
    magic, version, kind, zero, header_bytes, count = _PREFIX.unpack_from(body)
    if magic != _MAGIC or zero != 0:
        raise ValueError("not a message of fed-audience")
    if version != WIRE_VERSION:
        raise ValueError(f"version {version}, this program speaks version {WIRE_VERSION}")
    if header_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"its header is longer than {MAX_HEADER_BYTES} bytes")
    header = body[_PREFIX.size : _PREFIX.size + header_bytes]
    if len(header) != header_bytes:
        raise ValueError("its header is cut short")
    return kind, header, count


def _read_array(
    body: bytes, position: int, array_type: ArrayType, shape: Any
) -> tuple[NDArray[Any], int]:
    if not isinstance(shape, list) or len(shape) != array_type.dimensions:
        raise ValueError("an array's shape is malformed")
    for size in shape:
        if type(size) is not int or not 0 <= size <= MAX_BODY_BYTES:
            raise ValueError("an array's shape is malformed")
    dtype = np.dtype(array_type.dtype)
    count = prod(shape)
    end = position + count * dtype.itemsize
    padded = end + _padding(end)
    if padded > len(body) or body[end:padded].strip(b"\0"):
        raise ValueError("an array is cut short")
    array = np.frombuffer(body, dtype=dtype, count=count, offset=position).reshape(shape)
    return array, padded


def _front(message: WireModel, shapes: list[list[int]]) -> bytes:
    """Prefix and header: everything before the arrays."""
    text = _header(message, shapes)
    return _PREFIX.pack(_MAGIC, WIRE_VERSION, message.kind, 0, len(text), len(shapes)) + text


def _header(message: WireModel, shapes: list[list[int]]) -> bytes:
    """Canonical JSON of all that is not an array, padded."""
    fields = message.model_dump(mode="json", exclude=set(message.array_types()))
    text = _WRITER.encode({"arrays": shapes, "fields": fields}).encode("ascii")
    return text + b" " * _padding(len(text))


def _padding(length: int) -> int:
    return -length % _WORD


def _first_reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {str(first['msg']).removeprefix('Value error, ')}"
    return str(error)
