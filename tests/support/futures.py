"""Answers as the admin clients give them: futures that are done already."""

from concurrent.futures import Future
from typing import Any


def done(value: object) -> Future[Any]:
    """A future with this result, or with this error."""
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future
