"""Paged lists: every row of a list, or an error. A part of a list is never returned as the whole.

One broken paging feature of a service must neither hide rows nor stop a wait for good, so an end has to be proven:

- ``total`` is the same on several pages, is larger than each of them, and as many distinct rows were read; or
- the page after the last row is empty, or holds no other row than the marker names; or
- the page after the last row repeats known rows, although earlier positions were followed; or
- the service returns the same page for every position, and either its ``total`` counts that page also where fewer
  rows are asked for, or the number of rows is no likely page size of a service (see `_is_page_size`).

``total`` of a single page proves nothing, since it may count that page only: the next page is read as well.

A list can change while its pages are read: ``total`` changes, a page repeats rows, or one row has two contents. It is
read again then, at most `_READINGS` times in all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_cloudsync.api.clocks import NO_CLOCK, ServiceClock
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Request
from airflow_provider_cloudsync.api.page_rows import POSITION_REFUSED, Listing, row_count, rows_of, text_of
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.exceptions import ApiError, UnreadableReply

#: Upper bounds of one reading: a list that is longer has no end, because the service repeats itself.
_MOST_ROWS, _MOST_PAGES = 1_000_000, 10_000
#: Attempts to read a list that changes meanwhile.
_READINGS = 3
#: Words with which services refuse a position.
_OF_POSITION = re.compile(r"offset|page|limit|range|marker|position|exceed", re.IGNORECASE)
#: No service caps its pages at fewer rows.
_SMALLEST_PAGE = 10


@dataclass(frozen=True, slots=True)
class CompleteList:
    """All rows of a list.

    :param rows: key as text -> row.
    :param clock: the service's at the first page: a row may have changed since it was read.
    """

    rows: Mapping[str, Any]
    clock: ServiceClock


def complete_list(cloud: Cloud, request: Request, listing: Listing) -> Flow[CompleteList]:
    """Read all pages of a list.

    :raises UnreadableReply: if it cannot be shown that every row was read; a later poll may succeed.
    """
    before: _Reading | None = None
    for _ in range(_READINGS):
        reading = _Reading(listing)
        yield from _read(cloud, request, reading)
        if reading.is_settled or reading.agrees_with(before):
            return CompleteList(reading.found, reading.clock)
        if not reading.ended:
            break
        before = reading
    raise UnreadableReply(
        f"List is incomplete: {reading.shortfall}. It is not used. If this lasts, ask the service's support. "
        f"[{request.service} {request.operation}, request ID {reading.request_id or 'unknown'}]"
    )


@dataclass(slots=True)
class _Page:
    """One page of a list.

    :param rows: the rows with their keys, in the order of the reply.
    """

    reply: Reply
    rows: list[tuple[str, Any]]

    @property
    def next_marker(self) -> Any:
        """The marker that the service names for the next page: empty or None at the end, 0 where it says nothing."""
        info = self.reply.data.get("page_info")
        return info.get("next_marker", 0) if isinstance(info, Mapping) else 0


@dataclass(slots=True)
class _Count:
    """Stated total of a page, rows of that page, and rows received up to its end, repeated ones included."""

    total: int
    page: int
    so_far: int


@dataclass(slots=True)
class _Reading:
    """Result of one pass over the pages.

    :param steps: pages that had a new row.
    :param received: rows received, repeated ones included.
    :param last: key of the last row of the last page that had a new row.
    :param pages: keys of the rows of each page.
    :param repeats: whether a page had known rows, unless the service returned an earlier page again.
    :param conflicts: whether a row came with two contents.
    :param ended: whether the end of the list is proven.
    """

    listing: Listing
    found: dict[str, Any] = field(default_factory=dict)
    counts: list[_Count] = field(default_factory=list)
    pages: list[list[str]] = field(default_factory=list)
    steps: int = 0
    received: int = 0
    last: str = ""
    repeats: bool = False
    conflicts: bool = False
    ended: bool = False
    clock: ServiceClock = NO_CLOCK
    request_id: str = ""

    def add(self, page: _Page, marker: str | None = None) -> bool:
        """Add a page; return whether it had a new row. Of two rows with one key, the later one counts.

        :param marker: the row that an inclusive marker repeats.
        """
        order = [key for key, _ in page.rows]
        keys, size = {*order}, len(order)
        new = keys - self.found.keys()
        if not self.pages:
            self.clock = page.reply.clock
        self.received += size
        self.request_id = page.reply.request_id
        total = row_count(page.reply, self.listing.total)
        if total is not None:
            self.counts.append(_Count(total, size, self.received))
        for key, row in page.rows:
            self.conflicts |= self.found.get(key, row) != row
            self.found[key] = row
        if new:
            self.steps += 1
            self.repeats |= len(new) < len(keys - {marker}) or len(keys) < size
            self.last = order[-1]
        elif keys - {marker}:
            self.repeats |= order not in self.pages
        self.pages.append(order)
        return bool(new)

    @property
    def total(self) -> int | None:
        """The stated number of all rows; None if there is none, or if it counts a page or the rows sent so far."""
        counts = self.counts
        if len(counts) > 1 and (self.is_uncounted or all(each.total == each.so_far for each in counts)):
            return None
        return max((each.total for each in counts), default=None)

    @property
    def is_uncounted(self) -> bool:
        """Return whether no page states more rows than its own."""
        return all(each.total == each.page for each in self.counts)

    @property
    def is_short(self) -> bool:
        """Return whether fewer rows were found than are stated."""
        total = self.total
        return total is not None and len(self.found) < total

    @property
    def has_stated_rows(self) -> bool:
        """Return whether as many rows were found as are stated, and the service counts that far."""
        total = self.total
        return total == len(self.found) and total != self.listing.most_counted

    @property
    def is_counted(self) -> bool:
        """Return whether the totals of several pages show that all rows are there."""
        totals = {each.total for each in self.counts}
        return (
            len(self.counts) > 1
            and totals == {len(self.found)} == {self.received}
            and self.listing.most_counted not in totals
            and all(each.page < each.total for each in self.counts)
        )

    @property
    def has_all(self) -> bool:
        """Return whether the end is proven and no stated total is higher than the number of rows."""
        if not self.ended:
            return False
        if self.listing.is_log:
            return not self.counts or len(self.found) >= self.counts[0].total
        return not self.conflicts and not self.is_short

    @property
    def is_settled(self) -> bool:
        """Return whether this is the whole list, and nothing changed while it was read."""
        if not self.has_all or self.listing.is_log:
            return self.has_all
        total = self.total
        if total is None:
            return not self.repeats
        return {each.total for each in self.counts} == {len(self.found)}

    def agrees_with(self, other: _Reading | None) -> bool:
        """Return whether both found the same rows, and no stated total is higher."""
        return other is not None and self.has_all and self.found.keys() == other.found.keys()

    @property
    def shortfall(self) -> str:
        """Return the missing part, for the error."""
        found, rows = len(self.found), self.listing.rows
        if self.is_short:
            return f"{found} of {self.total} {rows}"
        if not self.ended:
            return f"at least {found} {rows}; every page is the same, and no usable total is returned"
        return f"it changed during each of {_READINGS} attempts to read it ({found} {rows} in the last one)"


def _read(cloud: Cloud, request: Request, reading: _Reading) -> Flow[None]:
    """Read all pages once."""
    listing = reading.listing
    if not listing.position:
        proven = yield from _read_by_marker(cloud, request, reading, None)
        reading.ended = proven or not _is_page_size(len(reading.found), listing)
        return
    while True:
        # Of the rows that are known: a repeated row must not make the next page begin too late.
        position = len(reading.pages) + 1 if listing.numbered else len(reading.found)
        try:
            page = yield from _page(cloud, request, listing, listing.limit, (listing.position, str(position)))
        except ApiError as error:
            if not reading.pages or error.status not in POSITION_REFUSED:
                raise
            if reading.has_stated_rows:
                # A service may reject a position behind the last row instead of returning an empty page.
                reading.ended = True
                return
            if not _OF_POSITION.search(error.said):
                raise
            raise _refused(request, reading, error) from error
        new = reading.add(page)
        if reading.is_counted:
            reading.ended = True
            return
        if not new:
            break
        _check_length(request, reading)
    reading.ended = yield from _is_end(cloud, request, reading, is_empty=not page.rows)


def _is_end(cloud: Cloud, request: Request, reading: _Reading, *, is_empty: bool) -> Flow[bool]:
    """Return whether a list ends where the next position brought no new row.

    :param is_empty: whether it brought none at all, rather than known ones.
    """
    listing = reading.listing
    doubtful = not is_empty or reading.is_short or reading.is_uncounted
    proven = is_empty or reading.steps > 1
    if listing.marked and reading.last and doubtful:
        proven = (yield from _read_by_marker(cloud, request, reading, reading.last)) or proven
    if proven:
        return True
    found = len(reading.found)
    if found > listing.least:
        fewer = max(listing.least, found // 2)
        first = (listing.position, "1" if listing.numbered else "0")
        page = yield from _page(cloud, request, listing, fewer, first)
        if row_count(page.reply, listing.total) == found:
            return True
    return not _is_page_size(found, listing)


def _read_by_marker(cloud: Cloud, request: Request, reading: _Reading, marker: str | None) -> Flow[bool]:
    """Read on from a marker; return whether that proves the end of the list.

    Services differ in whether the marker's own row is the first of its page, and in what the next marker in their reply
    names. Where that brings nothing new, the key of the last row is the marker.
    """
    listing = reading.listing
    tried: set[str | None] = set()
    while True:
        tried.add(marker)
        query = () if marker is None else (("marker", marker),)
        page = yield from _page(cloud, request, listing, listing.limit, *query)
        new = reading.add(page, marker)
        _check_length(request, reading)
        stated = page.next_marker
        candidates = [reading.last]
        if isinstance(stated, str) and stated not in reading.found and (new or not reading.found):
            candidates.insert(0, stated)
        untried = [each for each in candidates if each and each not in tried]
        if untried:
            marker = untried[0]
        elif {key for key, _ in page.rows} <= {marker}:
            return True
        else:
            # The marker is ignored, unless earlier ones were followed. A stated end counts like a total.
            return reading.steps > 1 or stated in (None, "")


def _page(
    cloud: Cloud, request: Request, listing: Listing, limit: int, *position: tuple[str, str]
) -> Flow[_Page]:
    query = (*request.query, (listing.size, str(limit)), *position)
    reply = yield from call(cloud, replace(request, query=query, max_reply=MAX_LIST_REPLY))
    rows = []
    for row in rows_of(reply, listing):
        key = text_of(row, listing.key)
        if key is None:
            raise UnreadableReply(
                f"{request.service} {request.operation}: an item of the list has no {listing.key}."
            )
        rows.append((key, row))
    return _Page(reply, rows)


def _refused(request: Request, reading: _Reading, error: ApiError) -> ApiError:
    """The error for a list whose next page is refused although its end is not known."""
    listing, total = reading.listing, reading.total
    of = "an unknown number of" if total in (None, listing.most_counted) else f"{total:,}"
    return ApiError(
        f"List is incomplete: {len(reading.found):,} of {of} {listing.rows}, and the service refused the next page "
        f"with {error.status}. It is not used. Ask the service's support. [{request.service} {request.operation}: "
        f"{error.said}, request ID {error.request_id or 'unknown'}]",
        **error.facts,
    )


def _is_page_size(rows: int, listing: Listing) -> bool:
    """Return whether a service is likely to end its pages after that many rows: round numbers and powers of two."""
    is_round = rows % 10 == 0 or rows % 25 == 0 or rows & (rows - 1) == 0
    return rows == listing.limit or (rows >= _SMALLEST_PAGE and is_round)


def _check_length(request: Request, reading: _Reading) -> None:
    rows = len(reading.found)
    if rows >= _MOST_ROWS or len(reading.pages) >= _MOST_PAGES:
        raise UnreadableReply(
            f"{request.service} {request.operation}: the list has no end after {rows} items."
        )
