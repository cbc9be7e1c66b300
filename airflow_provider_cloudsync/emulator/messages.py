"""What goes through the pipeline: the request as a value, the reply as a value, and a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from airflow_provider_cloudsync.emulator.identities import Identity


@dataclass
class Call:
    """A request as it came over the wire.

    :param path: as sent, percent-encoding and all.
    :param query: names and values, decoded, in the order sent.
    :param headers: names in lower case.
    :param parts: what the placeholders of the operation's path stand for, decoded.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=lambda: uuid4().hex)
    identity: Identity | None = None

    @cached_property
    def document(self) -> Any:
        """The JSON body.

        :raises ValueError: the body is no JSON.
        """
        return json.loads(self.body)

    @property
    def caller(self) -> Identity:
        """Who sent it; only what needs credentials may ask."""
        if self.identity is None:
            raise RuntimeError(
                f"{self.method} {self.path} needs no credentials, so nobody is known to send it"
            )
        return self.identity

    def asked(self, name: str) -> str | None:
        """The value of a query parameter; the last one, if it was sent more than once."""
        return dict(self.query).get(name)


def query_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of a query string. A plus is a plus: a client that signs a blank must send ``%20``."""
    pairs = [piece.partition("=") for piece in text.split("&") if piece]
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


@dataclass(frozen=True)
class Reply:
    """What a service answers.

    :param effect: what the operation set off (``started``, ``updated``, ``deleted``), for the journal.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: str | None = None

    def content(self) -> tuple[bytes, str]:
        """The bytes to send, and their type."""
        if self.body is None:
            return b"", "application/json"
        if isinstance(self.body, str):
            looks_like_markup = self.body.lstrip().startswith("<")
            return self.body.encode(), "text/html" if looks_like_markup else "text/plain"
        # Half a character, which JSON can hold, may come back in a name or in the journal; UTF-8 has none.
        text = json.dumps(self.body, ensure_ascii=False)
        return text.encode(errors="replace"), "application/json"


class Refused(Exception):
    """The request is not served; carries the reply that says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.body)
        self.reply = reply


def gateway_refusal(status: int, code: str, text: str, request_id: str) -> Refused:
    """A refusal by the API gateway, ahead of any service."""
    return Refused(Reply({"error_code": code, "error_msg": text, "request_id": request_id}, status))
