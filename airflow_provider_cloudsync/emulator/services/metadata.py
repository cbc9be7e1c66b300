"""The metadata service of a cloud server: temporary keys of the agency that the server has, for whoever is on it.

In its second version it wants a token first, which a request forged through some other server can't have.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.account import DAY
from airflow_provider_cloudsync.emulator.clock import instant
from airflow_provider_cloudsync.emulator.identities import agency_session
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services.iam_keys import credential

#: What a client must be able to tell from a token that has ended.
NO_AGENCY = "Please configure Cloud Service Agency first"
AGENCY = "ecs-agency"
SERVER = "ecs-server"
LONGEST_TOKEN = 6 * 3600
OLD = (404, 405, 503)


class Metadata(Service):
    """One server's metadata."""

    name = "metadata"
    default: ClassVar = {"version": 2, "agency": True}

    def load(self, section: Reader) -> None:
        """Read what the server is like."""
        self.version = section.whole("version", 2, least=1, most=2)
        self.old_status = _status(section, "old_status", OLD)
        self.agency = section.flag("agency", True)
        self.no_agency_status = _status(section, "no_agency_status", (401, 404))
        self.token_seconds = section.number("token_seconds", LONGEST_TOKEN)
        self.key_seconds = section.number("key_seconds", DAY)
        self._tokens: dict[str, float] = {}
        self._keys = 0

    def state(self) -> dict[str, Any]:
        """How many tokens and keys were handed out."""
        return {
            "version": self.version,
            "agency": self.agency,
            "tokens": len(self._tokens),
            "keys": self._keys,
        }

    def misuse(self, text: str) -> Refused:
        """It speaks no JSON."""
        return Refused(Reply(f"400 Bad Request\n{text}\n", 400))

    def create_token(self, call: Call) -> Reply:
        """A token that keys can be asked for with."""
        if self.version < 2:
            return Reply(f"{self.old_status}\n", self.old_status)
        asked = call.headers.get("x-metadata-token-ttl-seconds", "")
        if not re.fullmatch(r"[0-9]{1,5}", asked) or not 1 <= int(asked) <= LONGEST_TOKEN:
            raise self.misuse(
                f"X-Metadata-Token-Ttl-Seconds must be a whole number from 1 to {LONGEST_TOKEN}"
            )
        token = secrets.token_urlsafe(42)
        life = min(int(asked), self.token_seconds)
        self._tokens[token] = instant(self.clock.credential_now() + life)
        return Reply(token)

    def show_key(self, call: Call) -> Reply:
        """New temporary keys, each time."""
        ends = self._tokens.get(call.headers.get("x-metadata-token", ""), 0.0)
        if self.version > 1 and self.clock.credential_now() >= ends:
            raise Refused(Reply("401 Unauthorized\nThe token is missing or has ended\n", 401))
        if not self.agency:
            # Both statuses are seen; which server answers how is unconfirmed.
            raise Refused(Reply(f"{self.no_agency_status}\n{NO_AGENCY}\n", self.no_agency_status))
        acting = agency_session(AGENCY, self.account.domain, SERVER)
        key = self.account.credentials.issue_key(acting, self.key_seconds)
        self._keys += 1
        return Reply({"credential": credential(key)})

    operations = (
        Operation("CreateMetadataToken", "PUT", "/meta-data/latest/api/token", create_token, public=True),
        Operation("ShowSecurityKey", "GET", "/openstack/latest/securitykey", show_key, public=True),
    )


def _status(section: Reader, key: str, choices: tuple[int, ...]) -> int:
    value = section.whole(key, choices[0])
    if value not in choices:
        raise BadInput(f"{section.at(key)} must be one of {', '.join(map(str, choices))}, not {value}")
    return value
