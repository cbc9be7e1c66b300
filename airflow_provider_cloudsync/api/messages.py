"""What a flow yields, and what it is sent back.

A flow is a generator that holds all the logic of a conversation with the cloud and does no input or output itself.
It yields one of the messages below. A driver (`airflow_provider_cloudsync.transport.drivers`) carries it out, blocking
or under asyncio, and sends the result back, or throws the error into the flow.

======================  ================================================================
a flow yields           and is sent
======================  ================================================================
`HttpRequest`           a `Response`, or `TransportError` is thrown
`Pause`                 None, when the time is over
`SingleFlight`                what the shared flow returned, the error that it raised, or `PENDING`
`Batched`              what the common flow returned for its part, or the error
                        (both: `TransportError` is thrown when the `limit` has passed)
`AcquireSlot`                  0.0 if it may send now; else the seconds after which to ask again
`Cooldown`                  None
`MaskSecret`               None
======================  ================================================================

Two rules for whoever writes one: yield nothing else, and catch no error that you do not handle.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_cloudsync.api.bodies import ParsedBody, parse_body
from airflow_provider_cloudsync.api.redaction import NO_SECRETS, Secrets
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import InvalidParameter

T = TypeVar("T")

#: Bytes of the body of a success: of a call that returns one resource, and of one that returns a list.
MAX_REPLY, MAX_LIST_REPLY = 2**20, 8 * 2**20


@dataclass(frozen=True, slots=True)
class Quota:
    """Documented quota of one API: `limit` calls within `seconds`.

    :param by_address: whether it counts for everybody who calls from one address, and not for each user.
    """

    limit: int
    seconds: float
    by_address: bool = False


# What each call makes is not frozen: to make one that is costs several times as much.
@dataclass(slots=True)
class Request:
    """One call of an API, before it is known where it goes and as whom.

    :param operation: the service's own name of the operation, for errors and logs.
    :param path: absolute path, percent-encoded; ``{project_id}`` in it is filled in when the call is made.
    :param repeatable: whether sending it twice does no more than sending it once. Not to be told from the method:
        some GETs of HSS start work.
    :param quota: the documented limit of this API, where one process can come near it; all its tasks keep it together.
    :param max_reply: bytes of the longest success that the call can need.
    :param verbatim: whether the reply is the user's own data, which stays as it is even where it repeats a secret.
    """

    method: str
    service: str
    operation: str
    path: str
    repeatable: bool
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)  # a sign-in has a password in it
    quota: Quota | None = None
    max_reply: int = MAX_REPLY
    verbatim: bool = False

    @property
    def name(self) -> str:
        """Return service and operation, for errors and logs."""
        return f"{self.service} {self.operation}"

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            token = name.isascii() and name.replace("-", "").isalnum()
            if not token or type(value) is not str or not value.isprintable():
                raise InvalidParameter(
                    f"{self.operation}: header {shown(name)} can't be sent: the name must be of letters, digits and "
                    "hyphens, the value text without line breaks or control characters."
                )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """HTTP settings of a connection, the same for all its requests.

    :param connect_timeout: seconds until a connection must stand.
    :param read_timeout: seconds without a byte after which a reply counts as lost.
    :param verify: True: the usual certificate authorities; a path: those in that file; False: none (insecure).
    :param proxy: URL of a proxy; None: what the environment says; "": none.
    :param allow_http: whether plain http may leave this machine.
    :param secrets: passwords of the proxies that the environment names, where it decides on the proxy.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    allow_http: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(slots=True)
class HttpRequest:
    """One request as it goes out. Headers can hold a signature or a token, so they are left out of its repr.

    :param headers: others may have the same ones: never to be changed.
    :param service: what it is for, as in the endpoint table; empty where that is not known.
    :param repeatable: whether the driver may send it again by itself, where a reused connection was closed before any
        byte of a reply arrived.
    :param max_reply: bytes of the longest success that is read; a longer one is refused.
    :param secrets: what no text of the reply may show.
    :param verbatim: whether the JSON of a success stays as it is even where it repeats a secret.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    http_settings: HttpSettings = field(repr=False)
    service: str = ""
    repeatable: bool = False
    max_reply: int = MAX_REPLY
    secrets: Secrets = field(default=NO_SECRETS, repr=False)
    verbatim: bool = False

    def pieces(self) -> tuple[str, str, str, str]:
        """Scheme, host with its port, path and query. There is no fragment; the library's way costs what a signature
        does.
        """
        scheme, _, rest = self.url.partition("://")
        place, _, query = rest.partition("?")
        host, slash, path = place.partition("/")
        return scheme, host, slash + path, query


@dataclass(slots=True)
class Response:
    """One reply as it came in. Its headers are to be asked for by names in lower case.

    :param truncated: whether only the beginning of the body was read, as with a long one of an error.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool = False
    _parsed: ParsedBody | None = field(default=None, init=False, repr=False, compare=False)
    _redacted: tuple[Secrets, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def prepare(self, secrets: Secrets) -> None:
        """Do now, in a thread perhaps, what takes long with a large body."""
        if 200 <= self.status < 300:
            self.redacted(secrets)
        else:
            _ = self.parsed

    def redacted(self, secrets: Secrets) -> Any:
        """JSON value of a success without secrets."""
        done = self._redacted
        if done is None or done[0] is not secrets:
            done = self._redacted = secrets, secrets.redact_data(self.data, self.body)
        return done[1]

    @property
    def parsed(self) -> ParsedBody:
        """JSON of the body, parsed at the first access; a driver does it beforehand for a large body."""
        parsed = self._parsed
        if parsed is None:
            parsed = self._parsed = parse_body(self.body, truncated=self.truncated)
        return parsed

    @property
    def data(self) -> Any:
        """JSON value of the body; None where the body is empty or is not JSON."""
        return self.parsed.data


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds.

    :param retry_of: the service that is asked again then, if that is what it is for; counted.
    """

    seconds: float
    retry_of: str = ""


@dataclass(slots=True)
class SingleFlight:
    """Run a flow once for all who ask for the same key in this process (under asyncio: in this event loop).

    The flow runs when the first of those who wait wants it, and all who joined before it ran are sent its result.
    So a thousand waits for one thing cost as much as the most impatient of them.

    :param key: equal for askers who can share; includes whose credentials are used.
    :param make: makes the flow; called only where it has to run.
    :param max_age: seconds that an earlier result may be old, to be taken instead. Errors are never kept.
    :param wait: seconds from now at which the asker wants the result at the latest. It may come sooner.
    :param is_fresh: whether an earlier result may be taken, for results that know their own end; `max_age` says nothing
        then.
    :param max_wait: seconds to wait for a run that another asker began, even one that is under way; after that,
        `PENDING` is sent. None: until it ends. An asker whose own flow runs waits for its end.
    :param limit: seconds from now after which the asker waits no longer, not even for its own flow: `TransportError` is
        thrown. A run that others still wait for goes on under asyncio. Blocking, the flow is the asker's own, and its
        requests and pauses end by then. None: no limit.
    """

    key: Hashable
    make: Callable[[], Flow[Any]]
    max_age: float = 0.0
    wait: float = 0.0
    is_fresh: Callable[[Any], bool] | None = None
    max_wait: float | None = None
    limit: float | None = None


#: Sent in place of a result: the run that another asker began has not ended in time.
PENDING = object()


@dataclass(frozen=True, slots=True)
class Batched:
    """Run one flow for many who ask for parts of the same, such as tasks of one workspace.

    The flow runs when the first of those who wait wants its part. It is told the parts that are wanted about then, and
    may bring more: whoever waits for one of these is sent it as well.

    :param key: equal for askers who can share; includes whose credentials are used.
    :param part: what the asker wants of it.
    :param make: makes the flow for the parts that are wanted; it returns part -> result, or the error of that part.
    :param wait: seconds from now at which the asker wants its part at the latest.
    :param soonest: seconds from now before which the asker does not want it, unless others' wishes bring it anyway.
    :param limit: as for `SingleFlight`.
    """

    key: Hashable
    part: Hashable
    make: Callable[[Sequence[Any]], Flow[Mapping[Any, Any]]]
    wait: float = 0.0
    soonest: float = 0.0
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class MaskSecret:
    """Keep a secret that was obtained just now out of all logs."""

    secret: str = field(repr=False)


@dataclass(slots=True)
class AcquireSlot:
    """Ask whether a call may be sent without going over its quota. Whoever asks in this process is in one queue.

    :param key: what the quota is kept for: one API of one host, for one user.
    :param quota: the documented one; None: the one that a refusal has told, if there was any.
    :param claim: who wants to send what. It keeps its place in the queue while it comes back when it was told to.
    """

    key: Hashable
    quota: Quota | None
    claim: Hashable = field(repr=False)  # a sign-in has a password in its body


@dataclass(frozen=True, slots=True)
class Cooldown:
    """The service refused a call for its quota: nobody in this process is to send one for so many seconds.

    :param seconds: None: the refusal named no time; it grows while one follows the other.
    :param quota: what the refusal said of the quota; kept from then on.
    """

    key: Hashable
    seconds: float | None
    quota: Quota | None = None


Message = HttpRequest | Pause | SingleFlight | Batched | AcquireSlot | Cooldown | MaskSecret
Flow = Generator[Message, Any, T]
