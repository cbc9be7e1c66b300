"""A session of requests that authenticates each request, for calls that users make themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings, Response
from airflow_provider_cloudsync.transport.network import authorities, usable_proxy

if TYPE_CHECKING:
    import requests

#: Bytes of an error that are read to see whether it rejects the key; the gateway's have a few hundred.
_LONGEST_ERROR = 64 * 1024
#: Sends a request that carries a proof, and returns the reply to it or to a second one with a fresh proof.
Exchange = Callable[[HttpRequest, Callable[[HttpRequest], Response]], Response]


def session(
    authenticate: Callable[[HttpRequest], HttpRequest],
    exchange: Exchange,
    http_settings: HttpSettings,
    user_agent: str,
) -> requests.Session:
    """A requests session that authenticates each request and follows no redirect.

    :param authenticate: adds the credentials to a request, or refuses its URL.
    :param exchange: decides whether and how often a request that carries the proof is sent.
    """
    import requests
    from requests.auth import AuthBase

    from airflow_provider_cloudsync.transport.requests_adapter import Exchange as Transmission
    from airflow_provider_cloudsync.transport.requests_adapter import FullAdapter, exchanging

    class Authorizer(AuthBase):
        def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            authorized = authenticate(_bare(prepared, http_settings))
            prepared.url = authorized.url
            prepared.headers.update(authorized.headers)
            return prepared

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            return None  # a signature is for one URL and must not be handed to another host

        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            if kwargs.get("timeout") is None:
                kwargs["timeout"] = (http_settings.connect_timeout, http_settings.read_timeout)
            bare = _bare(request, http_settings)
            if not kwargs.get("proxies"):
                proxy = usable_proxy(bare)
                kwargs["proxies"] = {"http": proxy, "https": proxy} if proxy else {}
            replies: list[requests.Response] = []

            def transmit(authorized: HttpRequest) -> Response:
                for earlier in replies:
                    earlier.close()
                sent = request.copy()
                sent.headers.update(authorized.headers)
                with exchanging(Transmission()):
                    replies.append(super(Session, self).send(sent, **kwargs))
                return _as_read(replies[-1])

            exchange(bare, transmit)
            return replies[-1]

    opened = Session()
    opened.mount("http://", FullAdapter())
    opened.mount("https://", FullAdapter())
    opened.trust_env = False
    opened.verify = authorities(http_settings, "A session for this connection")
    opened.auth = Authorizer()
    opened.headers.update(
        {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent}
    )
    return opened


def _bare(prepared: requests.PreparedRequest, http_settings: HttpSettings) -> HttpRequest:
    body = prepared.body or b""
    if not isinstance(body, bytes | str):
        raise TypeError("A body that is streamed can't be signed; pass bytes, text, or json=.")
    return HttpRequest(
        method=prepared.method or "GET",
        url=prepared.url or "",
        headers={**prepared.headers, "Host": urlsplit(prepared.url or "").netloc},
        body=body.encode() if isinstance(body, str) else body,
        http_settings=http_settings,
    )


def _as_read(reply: requests.Response) -> Response:
    """Return the part of a reply that shows whether the credentials were accepted.

    A streamed reply stays unread, but for a 401: only its text tells a rejected key from a page of a proxy.
    """
    headers = {name.lower(): value for name, value in reply.headers.items()}
    unread = vars(reply)["_content"] is False
    if unread and reply.status_code == 401:
        parts: list[bytes] = []
        for chunk in reply.iter_content(4096):
            parts.append(chunk)
            if len(parts) * 4096 > _LONGEST_ERROR:
                reply.close()  # no service writes an error as long as that
                break
        # As `content` leaves it: the user's own iter_content takes it from there.
        vars(reply).update(_content=b"".join(parts), _content_consumed=True)
        unread = False
    body = reply.content[:_LONGEST_ERROR] if reply.status_code >= 400 and not unread else b""
    return Response(reply.status_code, headers, body)
