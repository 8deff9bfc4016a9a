"""The catalogue of messages as a page: each type's fields, sizes and what it reveals."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from fed_audience.config import StrictModel
from fed_audience.federation.contract.joining import Joined, Joining
from fed_audience.federation.messages import REPLIES, REQUESTS, Slot, VectorReply, encode
from fed_audience.federation.messages.members import ANSWERED, ASKED, LogPart, LogWanted
from fed_audience.federation.messages.overlap import OVERLAP_MESSAGES, OverlapMessage, OverlapTerms
from fed_audience.federation.messages.wire import ArrayType

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fed_audience.federation.messages import Reply
    from fed_audience.federation.messages.members import MemberMessage
    from fed_audience.federation.messages.wire import WireModel

BESIDE = """\
Between organisations, coordinator and agents also tell each other, as JSON, who is there, what is
queued and how a run ended."""
SHAPES = {1: "vector", 2: "table"}
PARTS = {
    Slot: "run, tree, level, attempt",
    OverlapTerms: ", ".join(name.replace("_", " ") for name in OverlapTerms.model_fields),
}
WORDS = {int: "whole number", float: "number", str: "text", bool: "yes or no", NoneType: "nothing"}


def catalogue() -> str:
    """Return every type of message, those that leave a site first."""
    vector = next(kind for kind in REPLIES if issubclass(kind, VectorReply))
    empty = encode(vector(slot=_slot(), words=np.empty(0, np.uint32)))
    begin = (
        f"Each begins with {len(empty)} bytes or a few more that say its type, run, tree and "
        "level; its numbers follow."
    )
    parts = [
        "## From a site to the coordinator",
        begin,
        *(_section(kind, _reader(kind)) for kind in REPLIES),
        "## From the coordinator to the sites",
        *(_section(kind, "every site of the round") for kind in REQUESTS),
        "## Beside the rounds, from a site",
        BESIDE,
        *(_member_section(kind) for kind in (*ANSWERED, LogWanted, Joining)),
        "## Beside the rounds, to a site",
        *(_member_section(kind) for kind in (*ASKED, LogPart, Joined)),
        "## From one brand to another",
        "Files of [an overlap](overlap.md), handed over by people, each signed by its sender.",
        *(_section(kind, "the brand that it is handed to") for kind in OVERLAP_MESSAGES),
    ]
    return "\n\n".join(parts)


def _reader(kind: type[Reply]) -> str:
    masked = ", in the sum over all sites; alone it is noise, unless the run has no masks"
    return f"the coordinator{masked if issubclass(kind, VectorReply) else ''}"


def _section(kind: type[WireModel], reader: str) -> str:
    facts = [
        f"- **Read by:** {reader}.",
        f"- **Reveals:** {kind.reveals}",
        f"- **Size:** {_size(kind)}",
    ]
    return _described(kind, str(kind.kind), facts)


def _member_section(kind: type[MemberMessage]) -> str:
    return _described(kind, kind.kind, [f"- **Reveals:** {kind.reveals}"])


def _described(kind: type[BaseModel], number: str, facts: list[str]) -> str:
    rows = [
        f"| `{name}` | {_typed(field.annotation, field.metadata)} |"
        for name, field in kind.model_fields.items()
    ]
    said = " ".join(inspect.cleandoc(kind.__doc__ or "").replace("``", "`").split())
    head = [f"### {kind.__name__} ({number})", "", said, "", *facts, ""]
    return "\n".join([*head, "| field | holds |", "|---|---|", *rows])


def _size(kind: type[WireModel]) -> str:
    if issubclass(kind, OverlapMessage) and kind.array_types():
        tables = " and of ".join(f"`{name}`" for name in kind.array_types())
        return f"32 bytes a point of {tables}; and the header."
    arrays = [
        f"{np.dtype(one.dtype).itemsize} bytes a number of `{name}`"
        for name, one in kind.array_types().items()
    ]
    return f"{', '.join(arrays)}; and the header." if arrays else "the header alone."


def _typed(annotation: Any, metadata: Any = ()) -> str:
    for one in metadata:
        if isinstance(one, ArrayType):
            return f"{np.dtype(one.dtype).name} {SHAPES[one.dimensions]}"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _typed(arguments[0], arguments[1:])
    if origin is Literal:
        return "one of " + ", ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list; each {_typed(arguments[0])}"
    if origin in (Union, UnionType):
        return " or ".join(_typed(one) for one in arguments)
    return f"by name; each {_typed(arguments[1])}" if origin is dict else _named(annotation)


def _named(annotation: Any) -> str:
    if annotation not in PARTS and issubclass(annotation, StrictModel):
        fields = annotation.model_fields.items()
        return ", ".join(f"{name} ({_typed(one.annotation)})" for name, one in fields)
    return PARTS.get(annotation) or WORDS.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )


def _slot() -> Slot:
    return Slot(run="repurchase-20261001T000000-0a1b2c3d", tree=100, level=3)
