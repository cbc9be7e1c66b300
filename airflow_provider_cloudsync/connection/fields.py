"""Fields of a ``cloudsync`` connection: the only table of them, for the forms, the reader and the documentation.

It imports nothing else of the package, since `get_provider_info` passes it to every command of Airflow. Airflow from
3.2 makes its form of ``conn-fields`` and ``ui-field-behaviour``; older versions ask the hook for widgets
(`airflow_provider_cloudsync.connection.form`).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

#: Type of a value, which names the method of `values.Fields` that reads it.
Kind = Literal[
    "text", "words", "header", "identifier", "region", "choice", "flag", "seconds", "object", "raw"
]
_JSON_TYPES: dict[Kind, str] = {"flag": "boolean", "seconds": "number", "object": "object"}


class Field(NamedTuple):
    """One field in the Extra of a connection.

    :param label: in a form.
    :param description: hint in a form.
    :param kind: type of the value. ``raw``: checked by the code that uses it.
    :param choices: accepted values of a ``choice``.
    :param limits: least and greatest number of ``seconds``.
    :param secret: Airflow must mask it, so "token", "secret" or "password" is in its name.
    """

    label: str
    description: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    limits: tuple[int, int] | None = None
    secret: bool = False

    @property
    def conn_field(self) -> dict[str, Any]:
        """The field as ``conn-fields`` of the provider info describe it: label, hint, JSON schema of the value."""
        schema: dict[str, Any] = {"type": [_JSON_TYPES.get(self.kind, "string"), "null"]}
        if self.choices:
            schema["enum"] = [*self.choices, None]
        if self.limits:
            schema["minimum"], schema["maximum"] = self.limits
        if self.secret:
            schema["format"] = "password"
        if self.kind == "flag":
            schema["default"] = False
        return {"label": self.label, "description": self.description, "schema": schema}


#: Name in Extra -> field, in the order of the form. Stored in connections: never rename one.
TABLE: dict[str, Field] = {
    "region": Field("Region", "Region of the services, such as cn-north-4.", "region"),
    "project_id": Field("Project ID", "Default: looked up by the region.", "identifier"),
    "domain_id": Field(
        "Account ID", "For services of the whole account (COC). Default: looked up.", "identifier"
    ),
    "enterprise_project_id": Field(
        "Enterprise project ID",
        "For services that take one (HSS), or all_granted_eps. Default: the default enterprise project.",
        "identifier",
    ),
    "auth": Field(
        "Authentication",
        "aksk (keys in Login and Password), password (IAM user in Login, account in Account name), token, ecs (agency "
        "of the machine) or oidc (ID token). Default: access keys from this connection, else from the environment.",
        "choice",
        choices=("aksk", "password", "token", "ecs", "oidc"),
    ),
    "security_token": Field("Security token", "For aksk with temporary keys only.", "header", secret=True),
    "domain_name": Field("Account name", "For password: account of the IAM user.", "words"),
    "token": Field(
        "IAM token", "For token: an IAM token. It expires within 24 hours.", "header", secret=True
    ),
    "id_token_file": Field(
        "Id token file", "For oidc: path of the file with the ID token, on each Airflow machine.", "words"
    ),
    "idp_id": Field(
        "Identity provider ID", "For OIDC through IAM. Leave both URN fields empty.", "identifier"
    ),
    "oidc_provider_urn": Field("OIDC provider URN", "For OIDC through STS, with the agency URN."),
    "oidc_agency_urn": Field("OIDC agency URN", "For OIDC through STS, with the provider URN."),
    "agency": Field(
        "Agency",
        "Agency of another account that trusts this one, as NAME@ACCOUNT. Works with each way to authenticate.",
        "words",
    ),
    "signing": Field(
        "Signing",
        "Default: SDK-HMAC-SHA256. V11-HMAC-SHA256 derives a key for day, region and service.",
        "choice",
        choices=("SDK-HMAC-SHA256", "V11-HMAC-SHA256"),
    ),
    "endpoint": Field(
        "Endpoint", "URL of all services, for a private cloud or the emulator. Default: by region.", "raw"
    ),
    "endpoints": Field(
        "Endpoints by service",
        'JSON, such as {"mrs": "https://..."}; services: mrs, dataartsstudio, hss, coc, csms, iam, sts.',
        "object",
    ),
    "service_time_zone": Field(
        "Time zone of services",
        "Z, or an offset such as +08:00, for times that services return without a zone. Default: such times are not "
        "compared with yours.",
    ),
    "timeout": Field(
        "Read timeout (seconds)",
        "Seconds to wait for a reply before a call counts as lost. Default: 60.",
        "seconds",
        limits=(1, 600),
    ),
    "verify": Field(
        "TLS verification", "true, false, or the path of a file with CA certificates. Default: true.", "raw"
    ),
    "proxy": Field("Proxy", "URL of a proxy. Default: the proxy variables of Airflow's environment."),
    "allow_http": Field("Allow plain http", "Allow endpoints without TLS on other machines. Unsafe.", "flag"),
}

#: The table as ``conn-fields`` of the provider info.
FIELDS: dict[str, dict[str, Any]] = {name: field.conn_field for name, field in TABLE.items()}
HIDDEN = ["description", "host", "port", "schema", "extra"]
RELABELING = {"login": "Access key (AK) or user", "password": "Secret key (SK) or password"}
PLACEHOLDERS = {"login": "AK of an IAM user; with password: its name", "region": "cn-north-4"}
