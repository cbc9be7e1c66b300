"""Default credential chain of the vendor's SDK: the environment, then the profile file.

Only connections without credentials use it. Names and order (OIDC through STS, environment, profile) are those of the
SDK.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from airflow_provider_cloudsync.api.credentials import Credentials, KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.signins.oidc import DEFAULT_DURATION, DEFAULT_SESSION, IdToken, StsIdToken
from airflow_provider_cloudsync.connection.token_file import TokenFile
from airflow_provider_cloudsync.connection.values import Fields
from airflow_provider_cloudsync.exceptions import InvalidConnection

_ENVIRONMENT = "HUAWEICLOUD_SDK_"
_OIDC = "HUAWEICLOUD_OIDC_"
_PROFILE = "~/.huaweicloud/credentials"


@dataclass(frozen=True, slots=True)
class Found:
    """Credentials, and the settings found with them.

    :param endpoints: service -> URL, of the services that authenticate.
    """

    credentials: Credentials | None = None
    project_id: str | None = None
    domain_id: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)


def find_default_credentials(ask: Cloud, derived: str | None) -> Found:
    """Return the credentials of the environment or of the profile file; `Found` without credentials if there are none.

    :raises InvalidConnection: if they cannot be used.
    """
    own = _prefixed(os.environ, _ENVIRONMENT)
    fields = Fields("environment", own)
    named = {"iam": own.get("iam_endpoint"), "sts": own.get("sts_endpoint")}
    endpoints = {
        service: fields.url(
            f"{_ENVIRONMENT}{service.upper()}_ENDPOINT", url, allow_http=ask.http_settings.allow_http
        )
        for service, url in named.items()
        if url
    }
    ask = replace(ask, endpoints={**endpoints, **ask.endpoints})
    found = (
        _sts_environment(ask, derived, fields)
        or _read(own, "the environment (HUAWEICLOUD_SDK_...)", ask, derived)
        or _profile(ask, derived)
        or Found()
    )
    return replace(found, endpoints={**endpoints, **found.endpoints})


def _prefixed(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix).lower(): value for name, value in values.items() if name.startswith(prefix)
    }


def _sts_environment(ask: Cloud, derived: str | None, ids: Fields) -> Found | None:
    fields = Fields("environment", _prefixed(os.environ, _OIDC))
    provider, agency, file = (fields.text(name) for name in ("provider_urn", "agency_urn", "token_file"))
    if not (provider and agency):
        return None
    unknown = [name for name in ("policy", "policy_ids", "id_token") if fields.raw(name) is not None]
    if unknown or not file:
        # Without them the task would have more rights than intended, or another identity.
        what = f"{_OIDC}{unknown[0].upper()} is not supported" if unknown else f"{_OIDC}TOKEN_FILE is not set"
        raise InvalidConnection(
            f'OIDC settings of the environment cannot be used: {what} ({_OIDC}AGENCY_URN is set). Set "auth": '
            '"oidc" in the connection instead.'
        )
    credentials = StsIdToken(
        ask=ask,
        derived_for_region=derived,
        provider_urn=provider,
        agency_urn=agency,
        read=TokenFile(file),
        session=fields.text("session_name") or DEFAULT_SESSION,
        duration=int(fields.seconds("duration_seconds", (1, 43_200)) or DEFAULT_DURATION),
    )
    return Found(credentials, ids.identifier("project_id"), ids.identifier("domain_id"))


def _profile(ask: Cloud, derived: str | None) -> Found | None:
    try:
        path = Path(os.environ.get(f"{_ENVIRONMENT}CREDENTIALS_FILE") or _PROFILE).expanduser()
    except RuntimeError:  # no home directory
        return None
    parser = configparser.ConfigParser(interpolation=None)
    broken = False
    try:
        parser.read(path, encoding="utf-8-sig")  # Windows editors write a byte order mark
    except (OSError, UnicodeError, configparser.Error):
        broken = True
    if broken:  # raised outside the except block: the parser's error shows lines of the file
        raise InvalidConnection(f"The profile file of the vendor's SDK cannot be read: {path}.")
    for section in ("basic", "global"):
        if parser.has_section(section):
            found = _read(dict(parser.items(section)), f"{path}, [{section}]", ask, derived)
            if found is not None:
                return found
    return None


def _read(values: Mapping[str, str], source: str, ask: Cloud, derived: str | None) -> Found | None:
    fields = Fields(source, values)
    endpoints: dict[str, str] = {}
    if values.get("iam_endpoint"):
        endpoints["iam"] = fields.url(
            "iam_endpoint", values["iam_endpoint"], allow_http=ask.http_settings.allow_http
        )
    ask = replace(ask, endpoints={**endpoints, **ask.endpoints})
    credentials: Credentials | None = None
    if (idp_id := fields.identifier("idp_id")) and (file := fields.words("id_token_file")):
        credentials = IdToken(ask=ask, derived_for_region=derived, idp_id=idp_id, read=TokenFile(file))
    elif (access_key := fields.header("ak")) and (secret_key := fields.text("sk")):
        credentials = KeyPair(access_key, secret_key, fields.header("security_token"), derived, source)
    if credentials is None:
        return None
    return Found(credentials, fields.identifier("project_id"), fields.identifier("domain_id"), endpoints)
