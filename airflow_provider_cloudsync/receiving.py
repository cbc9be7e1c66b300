"""What becomes of a reply as it comes in, whichever library brings it: bounds, completeness, counting."""

from __future__ import annotations

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.exceptions import TransportError, UnreadableReply
from airflow_provider_cloudsync.reaching import CHECK, lost, where

#: A larger reply is refused; the longest of the lists that are read here stay far below.
LARGEST_REPLY = 16 * 1024 * 1024
#: A reply that trickles in has this many read timeouts until it must be complete.
TRICKLE = 3
#: Bytes that are taken in at once.
CHUNK = 64 * 1024


def complete(request: HttpRequest, response: Response) -> Response:
    """The response, if all of it came."""
    if metrics.are_on():
        _count(request, response.status)
    announced = response.headers.get("content-length", "")
    as_announced = not announced.isdecimal() or len(response.body) == int(announced)
    if not as_announced and request.method != "HEAD" and "content-encoding" not in response.headers:
        raise UnreadableReply(f"the reply is cut short: {where(request)}. {CHECK}")
    return response


def without_reply(request: HttpRequest, error: Exception, *, sent: bool, lasting: bool) -> TransportError:
    """The error for a request that got no usable reply; see `lost`."""
    _count(request, None)
    return lost(request, error, sent=sent, lasting=lasting)


def _count(request: HttpRequest, status: int | None) -> None:
    metrics.count("requests", service=request.service or "other", outcome=metrics.outcome_of(status))


def bound(size: int, request: HttpRequest) -> None:
    """Refuse a reply that is larger than any should be.

    :param size: bytes of it, so far or announced.
    :raises UnreadableReply: if they are too many.
    """
    if size > LARGEST_REPLY:
        raise UnreadableReply(
            f"the reply is larger than {LARGEST_REPLY // 2**20} MiB: {where(request)}. {CHECK}"
        )
