"""Pages of a list: sorted, filtered, and cut at a cursor that stays right while the list changes."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flask import request
from werkzeug.exceptions import BadRequest

from status_api.requests import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MOST_ITEMS = 500
"""How many items a page may have. Without the parameter `limit` the answer has all."""

Item = TypeVar("Item")
Place = tuple[float | str | None, str]
"""What an item is sorted by, and its name, which no other item has."""


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """What a list can be sorted by: for each name of `sort`, how an item's value is found."""

    name: str
    """The value that names an item: the list is sorted by it unless the request says otherwise."""
    values: Mapping[str, Callable[[Item], Any]]
    """Each value is a number, a text, or None."""

    def page(self, items: Iterable[Item]) -> tuple[list[Item], str | None]:
        """Return the items that the request asks for, and the cursor of the next page; None at the end.

        An item without a value comes last, whatever the direction.

        Raises:
            BadRequest: a query parameter has a value that it cannot have.
        """
        sort, text, cursor = _once("sort", self.name), _once("q", "").casefold(), _once("cursor", "")
        limit = number("limit", 0, MOST_ITEMS)
        by, backwards = sort.removeprefix("-"), sort.startswith("-")
        if by not in self.values:
            raise BadRequest(f"The query parameter 'sort' is one of {', '.join(sorted(self.values))}, or -NAME.")
        value, name = self.values[by], self.values[self.name]
        places = [((value(item), name(item)), item) for item in items if text in name(item).casefold()]
        known = sorted((row for row in places if row[0][0] is not None), key=_place, reverse=backwards)
        unknown = sorted((row for row in places if row[0][0] is None), key=lambda row: row[0][1])
        rows = [*known, *unknown]
        if cursor:
            last = _read(cursor, sort)
            rows = [row for row in rows if _is_after(row[0], last, backwards=backwards)]
        chosen = rows[:limit] if limit else rows
        more = _written(chosen[-1][0], sort) if len(chosen) < len(rows) else None
        return [item for _, item in chosen], more


def _place(pair: tuple[Any, object]) -> Any:  # noqa: ANN401 - numbers or texts
    return pair[0]


def _is_after(place: Place, last: Place, *, backwards: bool) -> bool:
    (value, name), (last_value, last_name) = place, last
    if value is None or last_value is None:
        return value is None and (last_value is not None or name > last_name)
    try:
        return place < last if backwards else place > last
    except TypeError:
        raise _wrong_cursor() from None


def _written(place: Place, sort: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, *place]).encode()).decode().rstrip("=")


def _read(cursor: str, sort: str) -> Place:
    try:
        of, value, name = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise _wrong_cursor() from None
    if of != sort or not isinstance(name, str) or not isinstance(value, (int, float, str, type(None))):
        raise _wrong_cursor()
    return value, name


def _wrong_cursor() -> BadRequest:
    return BadRequest("The query parameter 'cursor' is the `next_cursor` of an answer with the same `sort`.")


def _once(name: str, default: str) -> str:
    values = request.args.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"The query parameter {name!r} is given once.")
    return values[0] if values else default
