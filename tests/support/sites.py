"""A cloud of few words that lets in by each way there is to sign in, and connections for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Request, Response
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.api.signins.agency import Agency
from airflow_provider_cloudsync.api.signins.ecs import Ecs
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.api.signins.refreshable import SignIn
from airflow_provider_cloudsync.exceptions import CloudSyncError
from tests.support.scripted_network import DRIVERS, Stage, answer, http_date, iso

READ = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)
BEGIN = Request("POST", "mrs", "Begin", "/v2/{project_id}/things", repeatable=False, json={})
COC = Request("GET", "coc", "Read", "/v1/things", repeatable=True)
IAM = "https://iam.cn-north-4.myhuaweicloud.com"
STS = "https://sts.cn-north-4.myhuaweicloud.com"
ECS = "http://169.254.169.254"
#: Where somebody signs in.
PLACES = (IAM, STS, ECS)
#: Of a proof that was good once.
GONE = answer(401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated"})
BOTH = pytest.mark.parametrize("driver", DRIVERS)
Wrong = Callable[[HttpRequest], Response | CloudSyncError | None]


@dataclass
class Site:
    """IAM, STS, the metadata service and a service, as simple as can be.

    :param wrong: answers in place of a sign-in, unless it returns None.
    :param last_of: a sign-in is over with a request to one of these paths.
    """

    stage: Stage
    life: float = 3600.0
    wrong: Wrong = lambda request: None
    issued: int = 0
    valid: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=list)
    dead_on_arrival: bool = False
    dated: bool = True

    def __call__(self, request: HttpRequest) -> Response | CloudSyncError:
        dated = {"date": http_date(self.stage.now)} if self.dated else {}
        if self.is_sign_in(request):
            found = self.wrong(request) or self.sign_in(request)
        elif self.proof(request) in self.valid:
            found = answer(200, {"ok": True})
        else:
            found = GONE
        return replace(found, headers={**dated, **found.headers}) if isinstance(found, Response) else found

    def is_sign_in(self, request: HttpRequest) -> bool:
        return request.url.startswith(PLACES)

    def proof(self, request: HttpRequest) -> str:
        signed = request.headers.get("Authorization", "")
        return request.headers.get("X-Auth-Token") or signed.partition("ccess=")[2].partition(",")[0]

    def new(self, kind: str) -> str:
        self.issued += 1
        secret = f"{kind}-{self.issued}"
        self.secrets.append(secret)
        return secret

    def keys(self) -> dict[str, str]:
        access = f"AK{self.issued + 1}X"
        if not self.dead_on_arrival:
            self.valid.add(access)
        return {
            "access": access,
            "secret": self.new("secret"),
            "securitytoken": self.new("session"),
            "expires_at": iso(self.stage.now + self.life),
        }

    def sign_in(self, request: HttpRequest) -> Response:
        path = urlsplit(request.url).path.removeprefix("/other")
        if path == "/v3/auth/tokens":
            token = self.new("token")
            if not self.dead_on_arrival:
                self.valid.add(token)
            return answer(
                201, {"token": {"expires_at": iso(self.stage.now + self.life)}}, x_subject_token=token
            )
        if path == "/v3.0/OS-AUTH/id-token/tokens":
            return answer(201, {"token": {}}, x_subject_token=self.new("unscoped"))
        if path == "/v5/agencies/assume-with-oidc":
            keys = self.keys()
            names = {"access": "access_key_id", "secret": "secret_access_key"}
            names |= {"securitytoken": "security_token", "expires_at": "expiration"}
            return answer(200, {"credentials": {names[name]: value for name, value in keys.items()}})
        if path == "/meta-data/latest/api/token":
            return answer(200, self.new("metadata").encode())
        return answer(200 if path == "/openstack/latest/securitykey" else 201, {"credential": self.keys()})

    @property
    def sign_ins(self) -> int:
        """How many there were; each ends with one of these."""
        ends = ("/v3/auth/tokens", "/securitytokens", "/assume-with-oidc", "/securitykey")
        return sum(urlsplit(each.url).path.endswith(ends) for each in self.stage.sent)

    @property
    def served(self) -> list[HttpRequest]:
        return [each for each in self.stage.sent if not self.is_sign_in(each)]


def nobody(stage: Stage, **more: Any) -> Cloud:
    given = {"region": "cn-north-4", "project_id": "p1", "domain_id": "d1", "attempts": 2, **more}
    return Cloud(credentials=Anonymous(), clock=stage.clock, **given)


def read_id_token() -> str:
    return "an.id.token"


def password(ask: Cloud, **more: Any) -> Password:
    return Password(ask=ask, **{"user": "me", "password": "pw", "domain_name": "acct", **more})


def oidc(ask: Cloud, **more: Any) -> IdToken:
    return IdToken(ask=ask, **{"idp_id": "idp", "read": read_id_token, **more})


def sts(ask: Cloud, **more: Any) -> StsIdToken:
    return StsIdToken(ask=ask, **{"provider_urn": "prov", "agency_urn": "ag", "read": read_id_token, **more})


def ecs(ask: Cloud, **more: Any) -> Ecs:
    return Ecs(ask=ask, **more)


def agency(ask: Cloud, **more: Any) -> Agency:
    return Agency(ask=ask, **{"name": "syncer", "domain_name": "other", **more})


def agency_of_keys(ask: Cloud, **more: Any) -> Agency:
    return agency(replace(ask, credentials=KeyPair("BASE", "sk")), **more)


#: Way in -> how to make it.
WAYS: dict[str, Callable[..., SignIn]] = {
    "password": password,
    "oidc": oidc,
    "sts": sts,
    "ecs": ecs,
    "agency": agency_of_keys,
}
#: Of a user, a token or an agency that IAM does not let in.
REFUSED = answer(401, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}})
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def cloud(stage: Stage, way: str | SignIn = "password", **more: Any) -> Cloud:
    ask = nobody(stage, **more)
    credentials = WAYS[way](ask) if isinstance(way, str) else way
    return replace(ask, credentials=credentials, attempts=5)


def looks(stage: Stage, way: str, count: int) -> list[Flow[Reply]]:
    """So many calls that are tried once."""
    return [call(cloud(stage, way).once(), READ) for _ in range(count)]


def kinds(outcomes: Iterable[Any]) -> set[type]:
    """Of what they came to."""
    return {type(each) for each in outcomes}
