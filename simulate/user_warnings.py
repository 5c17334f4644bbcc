"""Warnings as values, and silence for those of other libraries, without changes to the filters of other threads.

`warnings.catch_warnings` replaces the filters of the process and restores those that it found: of two threads that do
so at once, the one that ends last may leave the filters of the other behind for good (up to Python 3.13).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

__all__ = ["UserNotice", "collected_warnings", "filters_restored", "libraries_silenced", "warn"]


@dataclass(frozen=True)
class UserNotice:
    """A warning that was not shown."""

    message: str
    category: type[Warning]


#: Packages whose lines no warning points to.
_NOT_OF_USERS = ("simulate", "infer", "reverie", "contextlib", "functools", "threading", "concurrent")

_collector: ContextVar[list[UserNotice] | None] = ContextVar("_collector", default=None)
_silenced: ContextVar[bool] = ContextVar("_silenced", default=False)


def warn(message: str, category: type[Warning], stacklevel: int = 1) -> None:
    """Warn, as `warnings.warn` does, or add to the list of the `collected_warnings` that the caller runs in.

    The warning points to the line of the user that led here: the innermost one outside of these packages, however
    many calls lie between; where there is none, as in other threads, to `stacklevel`.
    """
    found = _collector.get()
    if found is None:
        warnings.warn(message, category, stacklevel=_level_of_user() or stacklevel + 1)
    else:
        found.append(UserNotice(message, category))


def _level_of_user() -> int | None:
    """`stacklevel` of the innermost frame outside of these packages, for the caller of this function."""
    frame: FrameType | None = sys._getframe(1)
    level = 1
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _NOT_OF_USERS:
            return level
        frame, level = frame.f_back, level + 1
    return None


@contextmanager
def collected_warnings(*categories: type[Warning]) -> Iterator[list[UserNotice]]:
    """Collect what is warned of with `warn` in this block of this thread, instead of showing it.

    Parameters
    ----------
    *categories : type
        Which warnings; all by default. Others are shown (or collected by a block around this one) when the block ends.
    """
    found: list[UserNotice] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)
        others = [notice for notice in found if categories and not issubclass(notice.category, categories)]
        found[:] = [notice for notice in found if notice not in others]
        for notice in others:
            warn(notice.message, notice.category, stacklevel=4)


class _ThisThread:
    """Pattern of a filter: matches any text, where the calling thread is in a block of `libraries_silenced`."""

    def match(self, text: str) -> bool:
        return _silenced.get()


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Ignore what other libraries warn of in this block, in this thread only.

    A filter of its own, which matches nothing in other threads, is added and taken away; the others stay as they are.
    """
    token = _silenced.set(True)
    own = ("ignore", _ThisThread(), Warning, None, 0)
    try:
        if getattr(sys.flags, "context_aware_warnings", False):  # Python 3.14: filters may belong to the thread
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
            return
        filters = cast("list[Any]", warnings.filters)
        filters.insert(0, own)
        try:
            yield
        finally:
            for found in (filters, cast("list[Any]", warnings.filters)):
                with suppress(ValueError):  # another thread may have restored older filters, or a copy, meanwhile
                    found.remove(own)
    finally:
        _silenced.reset(token)


@contextmanager
def filters_restored() -> Iterator[None]:
    """Restore the filters of the process after a block in which other threads use libraries.

    Some, such as arviz and scikit-learn, replace the filters for the time of a call: of two calls that overlap, the one
    that ends last leaves a copy behind. Used by the thread that starts the others.
    """
    with warnings.catch_warnings():
        yield
