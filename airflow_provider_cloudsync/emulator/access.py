"""Access checks ahead of everything else: the name in ``Host``, and for the control API the origin and the token.

A page in the browser of this machine can send requests to loopback, too. It cannot read the replies of another site,
but it can have its own name resolve to 127.0.0.1 (DNS rebinding), and then the emulator is its own site. So a request
must name a host that is known here, and a control request must carry a header that no page can know.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from airflow_provider_cloudsync.emulator.messages import Call, Reply, gateway_refusal

TOKEN_HEADER = "X-Emulator-Token"
#: Environment variable with a fixed token, for whoever starts the emulator and its callers separately.
TOKEN_VARIABLE = "CLOUDSYNC_EMULATOR_TOKEN"
#: The only type of body that a page cannot send to another site without asking first.
_TYPE = "application/json"
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)(?:%[\w.~-]+)?\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?", re.A)
_TOKEN = re.compile(r"[!-~]{1,256}", re.A)
_SHOWN = 100


class Access:
    """Decides which requests are answered at all.

    :param host: name or address that the emulator listens on.
    :param allowed_hosts: further names or addresses that clients reach it by, without a port.
    :param token: what control requests must carry; random unless given.
    :raises ValueError: a name or the token cannot be used.
    """

    def __init__(self, host: str, *, allowed_hosts: Iterable[str] = (), token: str | None = None) -> None:
        self._known = {_normalized(host)}
        for name in allowed_hosts:
            self._known.add(checked_host(name))
        self.token = secrets.token_urlsafe(24) if token is None else checked_token(token)

    def refuse_host(self, call: Call, bound: str | None) -> Reply | None:
        """Return the refusal of a request that was sent to another site, or None.

        :param bound: address of this machine that the connection came in on.
        """
        host = call.headers.get("host", "")
        if not call.path.startswith("/"):
            text = "The request target must be a path. The emulator is not a proxy."
            return gateway_refusal(400, "EMULATOR.0001", text, call.request_id).reply
        name = _name_in(host)
        if name is not None and (is_loopback(name) or name in self._known or name == _normalized(bound)):
            return None
        text = (
            f"The host {host[:_SHOWN]!r} is not allowed. Use the URL that the start line shows, or start the emulator "
            "with --allow-host NAME."
        )
        return gateway_refusal(421, "EMULATOR.0002", text, call.request_id).reply

    def refuse_control(self, call: Call, remote: str | None) -> Reply | None:
        """Return the refusal of a control request that is not the user's own, or None. Needs no body.

        :param remote: address of the client.
        """
        if not is_loopback(_normalized(remote)):
            return _error(403, "The control API answers requests from this machine only.")
        origin = call.headers.get("origin")
        if origin is not None and not _is_loopback_origin(origin):
            return _error(403, f"The origin {origin[:_SHOWN]!r} is not allowed to use the control API.")
        sent = call.headers.get(TOKEN_HEADER.lower(), "")
        if not hmac.compare_digest(sent.encode(errors="replace"), self.token.encode()):
            what = "wrong" if sent else "missing"
            return _error(
                401,
                f"The control token is {what}. Send the header {TOKEN_HEADER} with the value of control_token in the "
                "start line.",
            )
        has_body = call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers
        media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (call.method == "POST" or has_body) and media_type != _TYPE:
            return _error(415, f"The content type must be {_TYPE}, not {media_type[:_SHOWN] or 'missing'}.")
        return None


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def checked_token(token: str) -> str:
    """Return a control token that fits into a header.

    :raises ValueError: it does not. The text does not show it.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("The control token must have 1 to 256 printable ASCII characters and no spaces.")
    return token


def checked_host(name: str) -> str:
    """Return a host name or address as `Host` headers are compared with it.

    :raises ValueError: it is none, or it has a port.
    """
    known = _normalized(name)
    if _name_in(f"[{known}]" if ":" in known else known) != known:
        raise ValueError(f"{name!r} is not a host name. Give a name or an address, without scheme and port.")
    return known


def _error(status: int, text: str) -> Reply:
    return Reply({"error": text}, status)


def _name_in(host: str) -> str | None:
    """The name or address in a ``Host`` header, without its port; None if it is malformed."""
    found = _HOST.fullmatch(host.lower()) if host.isascii() else None
    if found is None:
        return None
    address = found["v6"] and _normalized(found["v6"])
    if address and not _is_address(address):
        return None
    return address or _normalized(found["name"])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _normalized(host: str | None) -> str:
    """A name or address in the one spelling that is compared."""
    name = (host or "").lower().removesuffix(".").removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_loopback_origin(origin: str) -> bool:
    try:
        return is_loopback(_normalized(urlsplit(origin).hostname))
    except ValueError:
        return False
