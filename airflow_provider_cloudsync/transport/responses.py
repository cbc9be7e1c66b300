"""Bodies of replies, whichever library reads them: limits, decoding, completeness, counting."""

from __future__ import annotations

import logging
import zlib

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.bodies import LARGE as LARGE
from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.api.redaction import NO_SECRETS
from airflow_provider_cloudsync.exceptions import TransportError, UnreadableReply
from airflow_provider_cloudsync.transport.network import CHECK, lost, proxy_refusal, where
from airflow_provider_cloudsync.transport.reply_parser import ReplyParser

log = logging.getLogger(__name__)

#: Bytes that are read of the body of an error or redirect. Codes and texts are far shorter.
MAX_ERROR = 64 * 1024
#: A reply that trickles in has this many read timeouts until it must be complete.
TRICKLE = 3
#: Bytes that are taken in at once.
CHUNK = 64 * 1024
#: Bytes of a body from which on an event loop reads one in each of its turns, and from which on a thread reads it: some
#: take 0.1 ms a KiB to parse and to look through for secrets, and the replies of many waits may come at once.
_SLOW, _SLOWEST = 2 * 1024, 16 * 1024
_ENCODINGS = ("gzip", "x-gzip", "deflate")


class Body:
    """Body of a reply as it arrives.

    :param parser: what the reply was read with; its head is complete.
    :ivar truncated: whether the rest is not wanted, as with a long body of an error.
    """

    __slots__ = ("_encoding", "_limit", "_parser", "_parts", "_request", "_status", "size", "truncated")

    def __init__(self, request: HttpRequest, parser: ReplyParser) -> None:
        head = parser.head
        assert head is not None
        self._request, self._parser, self._status = request, parser, head.status
        encoding = head.headers.get("content-encoding")
        self._encoding = "" if encoding is None or encoding.lower() == "identity" else encoding.lower()
        self._limit = MAX_ERROR if head.status >= 300 else request.max_reply
        self._parts: list[bytes] = []
        self.size = 0
        self.truncated = False
        if head.length is not None and not self._is_error:
            self._bound(head.length)

    @property
    def _is_error(self) -> bool:
        return self._status >= 300

    @property
    def is_slow(self) -> bool:
        """Return whether an event loop is to make no response of another body in the same turn."""
        return self.size > _SLOW or bool(self._encoding)

    @property
    def is_slowest(self) -> bool:
        """Return whether it takes an event loop too long to make a response of it."""
        return self.size > _SLOWEST or bool(self._encoding)

    def add(self, chunk: bytes) -> None:
        """Take in a piece.

        :raises UnreadableReply: if the body of a success is longer than the call can need.
        """
        self._parts.append(chunk)
        self.size += len(chunk)
        if not self._is_error:
            self._bound(self.size)
        elif self.size > self._limit:
            self.truncated = True

    def _bound(self, size: int) -> None:
        if size > self._limit:
            raise self._unreadable(f"the reply is larger than {self._limit:,} bytes")

    def response(self) -> Response:
        """The response, its JSON parsed where that takes long.

        :raises UnreadableReply: if the body is incomplete or cannot be decoded.
        """
        if self._parser.is_cut_short and not self.truncated:
            raise self._unreadable("the reply is cut short")
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._encoding and body:
            body = self._decoded(body)
        if self.truncated:
            body = body[: self._limit]
        assert self._parser.head is not None
        response = Response(self._status, self._parser.head.headers, body, self.truncated)
        if len(body) > _SLOW:
            response.prepare(NO_SECRETS if self._request.verbatim else self._request.secrets)
        return response

    def _decoded(self, body: bytes) -> bytes:
        try:
            if self._encoding not in _ENCODINGS:
                raise ValueError
            decoded, complete = _decompressed(body, self._encoding, self._limit)
        except (ValueError, zlib.error):
            if self._is_error:
                self.truncated = True
                return b""  # the status says enough
            raise self._unreadable(
                'the body does not match the "Content-Encoding" header of the reply'
            ) from None
        if self._is_error:
            self.truncated = self.truncated or not complete
        else:
            self._bound(len(decoded))
            if not complete:
                raise self._unreadable("the reply is cut short")
        return decoded

    def _unreadable(self, text: str) -> UnreadableReply:
        return UnreadableReply(f"{text}: {where(self._request)}. {CHECK}")


def _decompressed(body: bytes, encoding: str, limit: int) -> tuple[bytes, bool]:
    """At most one byte more than the limit, and whether that is all.

    :raises zlib.error: if the body is not compressed so.
    """
    try:
        decoder = zlib.decompressobj(zlib.MAX_WBITS + 32)  # gzip or zlib, as it says
        decoded = decoder.decompress(body, limit + 1)
    except zlib.error:
        if encoding != "deflate":
            raise
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the zlib header out
        decoded = decoder.decompress(body, limit + 1)
    return decoded, decoder.eof and not decoder.unused_data


def complete(request: HttpRequest, response: Response) -> Response:
    """Count a response, and tell a proxy's refusal from a reply of the service.

    :raises TransportError: if a proxy refused the request.
    """
    if metrics.are_on():
        _count(request, response.status)
    if response.status == 407:
        text, permanent = proxy_refusal(407)
        raise TransportError(f"{text}: {where(request)}. {CHECK}", sent=False, permanent=permanent)
    return response


def without_reply(
    request: HttpRequest,
    error: Exception,
    *,
    sent: bool,
    permanent: bool,
    reason: str = "",
    proxied: bool = False,
) -> TransportError:
    """The error for a request that got no usable reply; see `lost`."""
    _count(request, None)
    return lost(request, error, sent=sent, permanent=permanent, reason=reason, proxied=proxied)


def sent_again(request: HttpRequest) -> None:
    """Count a request that is sent again, since a reused connection was closed before any byte of a reply arrived."""
    _count(request, None)
    metrics.count("retries", service=request.service or "other")
    log.debug("The server had closed the connection: sent again on a new connection, %s", where(request))


def _count(request: HttpRequest, status: int | None) -> None:
    metrics.count("requests", service=request.service or "other", outcome=metrics.outcome_of(status))
