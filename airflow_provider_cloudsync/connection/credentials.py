"""Credentials of an Airflow connection, for each way to authenticate."""

from __future__ import annotations

import dataclasses

from airflow_provider_cloudsync.api.credentials import Credentials, KeyPair, Token
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.signing import DERIVED
from airflow_provider_cloudsync.api.signins.agency import Agency
from airflow_provider_cloudsync.api.signins.ecs import METADATA, Ecs
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.connection.default_chain import Found, find_default_credentials
from airflow_provider_cloudsync.connection.token_file import TokenFile
from airflow_provider_cloudsync.connection.values import ConnectionFields

#: Fields that choose a way to authenticate, besides Login and Password. If all are empty, the vendor SDK's default
#: credential chain may be used.
_CHOOSING_FIELDS = (
    "auth",
    "token",
    "security_token",
    "idp_id",
    "id_token_file",
    "oidc_provider_urn",
    "oidc_agency_urn",
)


def read_credentials(fields: ConnectionFields, bare: Cloud) -> tuple[Credentials, Found]:
    """Return the credentials that a connection describes, and what else was found with them.

    :param bare: the cloud without credentials.
    :raises InvalidConnection: if they cannot be used. The error names the field and what to enter there.
    """
    derived = _derived_for(fields, bare)
    found = Found()
    match fields.value("auth"):
        case "password":
            base: Credentials = Password(
                ask=bare,
                user=fields.required("Login", fields.words("Login"), "password"),
                password=fields.required("Password", fields.secret("Password"), "password"),
                domain_name=fields.required("domain_name", fields.value("domain_name"), "password"),
            )
        case "token":
            base = Token(fields.required("token", fields.value("token"), "token"))
        case "ecs":
            base = Ecs(ask=bare, derived_for_region=derived, url=bare.endpoints.get("metadata", METADATA))
        case "oidc":
            base = _oidc(fields, bare, derived)
        case _:
            found = _keys(fields, bare, derived)
            assert found.credentials is not None
            base = found.credentials
    agency = fields.value("agency")
    if agency is None:
        return base, found
    name, at, account = agency.rpartition("@")
    if not (name and at and account):
        raise fields.wrong(
            '"agency" must be the name of the agency and of the account that it belongs to: NAME@ACCOUNT.'
        )
    as_base = dataclasses.replace(bare, credentials=base)
    # Project and account found with the keys are not those of the agency.
    return Agency(ask=as_base, derived_for_region=derived, name=name, domain_name=account), Found()


def _keys(fields: ConnectionFields, bare: Cloud, derived: str | None) -> Found:
    """Return the access key of the connection; if it has none, of the default credential chain."""
    access_key, secret_key = fields.header("Login"), fields.text("Password")
    if access_key and secret_key:
        return Found(KeyPair(access_key, secret_key, fields.value("security_token"), derived))
    if access_key or secret_key:
        missing = "No secret key in Password" if access_key else "No access key in Login"
        raise fields.wrong(f"{missing}. Enter that of an IAM user (console: My Credentials, Access Keys).")
    use_chain = all(fields.raw(name) is None for name in _CHOOSING_FIELDS)
    found = find_default_credentials(bare, derived) if use_chain else Found()
    if found.credentials is None:
        raise fields.wrong(
            'No credentials. Set Login (AK) and Password (SK), set "auth", or export HUAWEICLOUD_SDK_AK and '
            "HUAWEICLOUD_SDK_SK (or write ~/.huaweicloud/credentials)."
        )
    return found


def _oidc(fields: ConnectionFields, bare: Cloud, derived: str | None) -> Credentials:
    read = TokenFile(fields.required("id_token_file", fields.value("id_token_file"), "oidc"))
    idp_id = fields.value("idp_id")
    provider, agency = fields.value("oidc_provider_urn"), fields.value("oidc_agency_urn")
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


def _derived_for(fields: ConnectionFields, bare: Cloud) -> str | None:
    return (bare.region or "") if fields.value("signing") == DERIVED else None
