"""An answer in steps: kernels that run in the background, and what a site does with their sums."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Answer = TypeVar("Answer")

Steps = Generator[None, None, Answer]
"""Yields while work runs in the background; returns the answer."""


def to_the_end(steps: Steps[Answer]) -> Answer:
    """Return the answer, whatever the number of steps."""
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer


def side_by_side(many: Iterable[Steps[Answer]]) -> Iterator[Answer]:
    """Yield the answer of each, in order; the next one has always taken its first step before.

    Two are open at a time. Should one raise, the other is closed.
    """
    with ExitStack() as stack:
        ending: Callable[[], Answer] | None = None
        for steps in many:
            stack.callback(steps.close)
            following = _begun(steps)
            if ending is not None:
                yield ending()
            ending = following
        if ending is not None:
            yield ending()


def _begun(steps: Steps[Answer]) -> Callable[[], Answer]:
    """Take the first step; return what brings the rest."""
    try:
        next(steps)
    except StopIteration as ended:
        return partial(_same, ended.value)
    return partial(to_the_end, steps)


def _same(answer: Answer) -> Answer:
    return answer
