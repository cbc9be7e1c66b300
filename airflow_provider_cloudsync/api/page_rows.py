"""Rows of one page of a list: how a list is described, and how its rows, their keys and the total are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.exceptions import UnreadableReply

#: Statuses with which services refuse a position behind the last row.
POSITION_REFUSED = (400, 404)
#: Rows of a page at most: so many times what was asked for, or so many where that is more. A service that ignores the
#: limit returns all its rows, which are some hundred; to read 20,000 rows stops the event loop for 0.15 s.
_MOST_TIMES, _MOST_OF_A_PAGE = 10, 2000


@dataclass(frozen=True, slots=True)
class Listing:
    """Description of a paged list.

    :param items: field of the reply that holds the rows of a page.
    :param key: field that tells rows apart.
    :param rows: what the rows are, for errors, such as ``accounts``.
    :param limit: rows per page to ask for.
    :param least: smallest number of rows per page that the service accepts.
    :param total: field of the reply with the number of all rows; empty: there is none.
    :param most_counted: highest number that `total` reports, however long the list is.
    :param size, position: names of the query parameters; position is empty for a list with markers only.
    :param numbered: whether the position is the number of a page, from 1 on, instead of a number of rows to skip.
    :param marked: whether the service also accepts ``marker``, the key of the last row of the page before.
    :param is_log: whether new rows come at its beginning all the time. Rows that were added after the reading began
        may be missing then, and old rows may move to the next page.
    """

    items: str
    key: str
    rows: str
    limit: int
    least: int = 1
    total: str = "total"
    most_counted: int | None = None
    size: str = "limit"
    position: str = "offset"
    numbered: bool = False
    marked: bool = False
    is_log: bool = False


def text_of(row: Any, name: str) -> str | None:
    """A field that identifies something, as text without blanks around it; None if the row has none.

    Services send some ids as numbers.
    """
    value = row.get(name) if isinstance(row, Mapping) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def rows_of(reply: Reply, listing: Listing) -> list[Any]:
    """The rows of a page.

    :raises UnreadableReply: if there are none, or far more than were asked for.
    """
    rows: list[Any] = reply.field(listing.items, list)
    most = max(listing.limit * _MOST_TIMES, _MOST_OF_A_PAGE)
    if len(rows) > most:
        raise UnreadableReply(
            f"A page of the list has {len(rows):,} {listing.rows}, and {listing.limit} were asked for; more than "
            f"{most:,} are not read. Ask the service's support. [request ID {reply.request_id or 'unknown'}]"
        )
    return rows


def row_count(reply: Reply, name: str) -> int | None:
    """The number of all rows that a reply states, also as text; None if it states none that can be one."""
    value = reply.data.get(name) if name else None
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
