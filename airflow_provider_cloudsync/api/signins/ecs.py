"""Sign-in as the virtual machine (ECS) that Airflow runs on: keys of its agency, from the metadata service."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, HttpSettings, MaskSecret, Response
from airflow_provider_cloudsync.api.redaction import NO_SECRETS, Secrets, secrets_of
from airflow_provider_cloudsync.api.replies import date_of, said
from airflow_provider_cloudsync.api.signins.refreshable import Obtained, SignIn, temporary_keys
from airflow_provider_cloudsync.exceptions import ApiError, InvalidConnection, Throttled, UnreadableReply

#: A link-local address: requests to it do not leave the machine.
METADATA = "http://169.254.169.254"
_TTL = 21600
_TIMEOUT = 3.0
#: Replies of a metadata service without tokens (version 1) to the request for a token.
_OLD = (404, 405, 503)
_NO_AGENCY = "Please configure Cloud Service Agency first"


@dataclass(frozen=True, kw_only=True)
class Ecs(SignIn):
    """Agency of an ECS, by its metadata service: version 2 with a token, else version 1.

    :param url: URL of the metadata service.
    """

    url: str = METADATA

    @property
    def identity(self) -> str:
        return f"ecs:{self.url}"

    @property
    def who(self) -> str:
        return "the agency of this machine (ECS)"

    @property
    def place(self) -> Hashable:
        return self.url

    def obtain(self, scope: str) -> Flow[Obtained]:
        headers: dict[str, str] = {}
        secrets = NO_SECRETS
        reply = yield self._request(
            "PUT", "/meta-data/latest/api/token", {"X-Metadata-Token-Ttl-Seconds": str(_TTL)}
        )
        if reply.status == 200:
            headers["X-Metadata-Token"] = token = _token(reply)
            secrets = secrets_of((), headers)
            yield MaskSecret(token)
        elif reply.status not in _OLD:
            raise _refusal(reply, secrets)
        reply = yield self._request("GET", "/openstack/latest/securitykey", headers)
        if reply.status != 200:
            raise _refusal(reply, secrets)
        if reply.parsed.problem:
            raise UnreadableReply("The reply of the metadata service is not JSON.")
        return temporary_keys(reply.data, date_of(reply) or self.ask.clock())

    def _request(self, method: str, path: str, headers: Mapping[str, str]) -> HttpRequest:
        # No proxy can reach a link-local address, and the metadata service is plain http only.
        http_settings = dataclasses.replace(
            HttpSettings(), connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, proxy="", allow_http=True
        )
        agent = {"User-Agent": self.ask.user_agent, "Accept-Encoding": "identity"}
        return HttpRequest(method, self.url + path, {**agent, **headers}, b"", http_settings)


def _token(reply: Response) -> str:
    token = reply.body.decode("ascii", "replace").strip()
    if not token or not token.isprintable() or not token.isascii():
        raise UnreadableReply("The reply of the metadata service has no token.")
    return token


def _refusal(reply: Response, secrets: Secrets) -> ApiError | InvalidConnection:
    text = said(reply, secrets)
    if _NO_AGENCY in text:
        return InvalidConnection(
            'This machine has no agency, so "auth": "ecs" returns no keys. Set an agency in the ECS console (Agency), '
            "with the permissions that the tasks need."
        )
    kind = Throttled if reply.status == 429 else ApiError
    return kind(
        f"The metadata service of this machine rejected the request ({reply.status}): {text or 'no text'}. "
        '"auth": "ecs" works on an ECS only.',
        service="metadata",
        operation="securitykey",
        status=reply.status,
        detail=text,
        sent=False,
    )
