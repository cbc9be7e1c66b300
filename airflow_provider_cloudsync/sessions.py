"""A session of requests that authenticates each request, for calls that users make themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cloudsync.api.messages import HttpRequest, Wiring
from airflow_provider_cloudsync.reaching import authorities, proxy_for

if TYPE_CHECKING:
    import requests


def session(
    authorize: Callable[[HttpRequest], HttpRequest], wiring: Wiring, user_agent: str
) -> requests.Session:
    """A requests session that authenticates each request and follows no redirect.

    :param authorize: adds the proof to a request, or refuses its URL.
    """
    import requests
    from requests.auth import AuthBase

    class Authorizer(AuthBase):
        def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            body = prepared.body or b""
            if not isinstance(body, bytes | str):
                raise TypeError("A body that is streamed can't be signed; pass bytes, text, or json=.")
            bare = HttpRequest(
                method=prepared.method or "GET",
                url=prepared.url or "",
                headers={**prepared.headers, "Host": urlsplit(prepared.url or "").netloc},
                body=body.encode() if isinstance(body, str) else body,
                wiring=wiring,
            )
            authorized = authorize(bare)
            prepared.url = authorized.url
            prepared.headers.update(authorized.headers)
            return prepared

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            return None  # a signature is for one URL and must not be handed to another host

        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            if kwargs.get("timeout") is None:
                kwargs["timeout"] = (wiring.connect_timeout, wiring.read_timeout)
            proxy = proxy_for(request.url or "", wiring)
            kwargs["proxies"] = kwargs.get("proxies") or ({"http": proxy, "https": proxy} if proxy else {})
            return super().send(request, **kwargs)

    opened = Session()
    opened.trust_env = False
    opened.verify = authorities(wiring, "A session for this connection")
    opened.auth = Authorizer()
    opened.headers.update(
        {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent}
    )
    return opened
