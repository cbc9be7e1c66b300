"""From an Airflow connection to credentials: each way to sign in that a connection can ask for."""

from __future__ import annotations

import dataclasses

from airflow_provider_cloudsync.api.credentials import Credentials, KeyPair, Token
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.signing import ALGORITHM, DERIVED
from airflow_provider_cloudsync.api.signins.agency import Agency
from airflow_provider_cloudsync.api.signins.ecs import METADATA, Ecs
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.connection.default_chain import Found, find_default_credentials
from airflow_provider_cloudsync.connection.token_file import TokenFile
from airflow_provider_cloudsync.connection.values import Fields

WAYS = ("aksk", "password", "token", "ecs", "oidc")
#: What says how to sign in, besides Login and Password. With any of them it is not left to the machine.
_OTHERS = (
    "auth",
    "token",
    "security_token",
    "idp_id",
    "id_token_file",
    "oidc_provider_urn",
    "oidc_agency_urn",
)


def read_credentials(fields: Fields, bare: Cloud) -> tuple[Credentials, Found]:
    """The credentials that a connection describes, and what else was found with them.

    :param bare: the cloud as nobody yet.
    :raises InvalidConnection: if they can't be used; says which field, and what to put there.
    """
    derived = _derived_for(fields, bare)
    found = Found()
    match fields.one_of("auth", WAYS):
        case "password":
            base: Credentials = Password(
                ask=bare,
                user=fields.needed("Login", fields.words("Login"), "password"),
                password=fields.needed("Password", fields.secret("Password"), "password"),
                domain_name=fields.needed("domain_name", fields.words("domain_name"), "password"),
            )
        case "token":
            base = Token(fields.needed("token", fields.header("token"), "token"))
        case "ecs":
            base = Ecs(ask=bare, derived_for_region=derived, url=bare.endpoints.get("metadata", METADATA))
        case "oidc":
            base = _oidc(fields, bare, derived)
        case _:
            found = _keys(fields, bare, derived)
            assert found.credentials is not None
            base = found.credentials
    agency = fields.words("agency")
    if agency is None:
        return base, found
    name, at, account = agency.rpartition("@")
    if not (name and at and account):
        raise fields.wrong(
            '"agency" must be the agency\'s name and that of the account which it belongs to: NAME@ACCOUNT.'
        )
    as_base = dataclasses.replace(bare, credentials=base)
    # What was found beside the keys is of their account, not of the agency's.
    return Agency(ask=as_base, derived_for_region=derived, name=name, domain_name=account), Found()


def _keys(fields: Fields, bare: Cloud, derived: str | None) -> Found:
    """A key pair of the connection; where it names none, of the machine."""
    access_key, secret_key = fields.header("Login"), fields.text("Password")
    if access_key and secret_key:
        return Found(KeyPair(access_key, secret_key, fields.header("security_token"), derived))
    lacking = "access key in Login" if not access_key else "secret key in Password"
    if access_key or secret_key:
        raise fields.wrong(
            f"it has no {lacking}. Put in that of an IAM user (console: My Credentials, Access Keys)."
        )
    silent = all(fields.raw(name) is None for name in _OTHERS)
    found = find_default_credentials(bare, derived) if silent else Found()
    if found.credentials is None:
        raise fields.wrong(
            f"it has no {lacking}. Put in that of an IAM user (console: My Credentials, Access Keys), or name another "
            'way to sign in with "auth". Nor are there keys in the environment (HUAWEICLOUD_SDK_AK and _SK) or in '
            "~/.huaweicloud/credentials."
        )
    return found


def _oidc(fields: Fields, bare: Cloud, derived: str | None) -> Credentials:
    read = TokenFile(fields.needed("id_token_file", fields.words("id_token_file"), "oidc"))
    idp_id = fields.identifier("idp_id")
    provider, agency = fields.text("oidc_provider_urn"), fields.text("oidc_agency_urn")
    if idp_id and not provider and not agency:
        return IdToken(ask=bare, derived_for_region=derived, idp_id=idp_id, read=read)
    if provider and agency and not idp_id:
        return StsIdToken(
            ask=bare, derived_for_region=derived, provider_urn=provider, agency_urn=agency, read=read
        )
    raise fields.wrong(
        '"auth": "oidc" needs either "idp_id" (an identity provider of IAM) or both "oidc_provider_urn" and '
        '"oidc_agency_urn" (of STS).'
    )


def _derived_for(fields: Fields, bare: Cloud) -> str | None:
    signing = fields.one_of("signing", (ALGORITHM, DERIVED))
    return (bare.region or "") if signing == DERIVED else None
