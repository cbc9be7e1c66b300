"""The fields of a ``cloudsync`` connection: one table for every Airflow's form, and for whoever reads the connection.

It imports nothing, since `get_provider_info` hands it to every command of Airflow. Airflow from 3.2 makes its form of
``conn-fields`` and ``ui-field-behaviour``; older ones ask the hook for widgets (`airflow_provider_cloudsync.hooks`).
"""

from __future__ import annotations

from typing import Any

_OPTIONAL = ["string", "null"]

#: Name in the connection's Extra -> how a form shows it: label, description, JSON schema of the value.
#: Names of secrets are such that Airflow masks them ("token", "secret", "password" in the name).
FIELDS: dict[str, dict[str, Any]] = {
    "region": {
        "label": "Region",
        "description": "Region of the services, such as cn-north-4.",
        "schema": {"type": _OPTIONAL},
    },
    "project_id": {
        "label": "Project ID",
        "description": "Empty: looked up by the region.",
        "schema": {"type": _OPTIONAL},
    },
    "domain_id": {
        "label": "Account ID",
        "description": "For services of the whole account (COC). Empty: looked up.",
        "schema": {"type": _OPTIONAL},
    },
    "enterprise_project_id": {
        "label": "Enterprise project ID",
        "description": "For services that take one (HSS). Empty: the default one; all_granted_eps: all.",
        "schema": {"type": _OPTIONAL},
    },
    "auth": {
        "label": "Authentication",
        "description": "How to sign in: aksk (keys in Login and Password), password (IAM user in Login, account in "
        "Account name), token, ecs (the machine's agency), oidc (an id token). Empty: keys, of the connection or else "
        "of the machine.",
        "schema": {"type": _OPTIONAL, "enum": ["aksk", "password", "token", "ecs", "oidc", None]},
    },
    "security_token": {
        "label": "Security token",
        "description": "aksk: only with temporary keys.",
        "schema": {"type": _OPTIONAL, "format": "password"},
    },
    "domain_name": {
        "label": "Account name",
        "description": "password: the account that the IAM user belongs to.",
        "schema": {"type": _OPTIONAL},
    },
    "token": {
        "label": "IAM token",
        "description": "token: a token that somebody else obtained. It ends within a day.",
        "schema": {"type": _OPTIONAL, "format": "password"},
    },
    "id_token_file": {
        "label": "Id token file",
        "description": "oidc: path of the file with the id token, on each machine of Airflow.",
        "schema": {"type": _OPTIONAL},
    },
    "idp_id": {
        "label": "Identity provider ID",
        "description": "oidc: of IAM; instead of the two URNs.",
        "schema": {"type": _OPTIONAL},
    },
    "oidc_provider_urn": {
        "label": "OIDC provider URN",
        "description": "oidc: of STS; together with the agency's URN.",
        "schema": {"type": _OPTIONAL},
    },
    "oidc_agency_urn": {
        "label": "OIDC agency URN",
        "description": "oidc: of STS.",
        "schema": {"type": _OPTIONAL},
    },
    "agency": {
        "label": "Agency",
        "description": "Act for another account: NAME@ACCOUNT of an agency that trusts this one. With any auth.",
        "schema": {"type": _OPTIONAL},
    },
    "signing": {
        "label": "Signing",
        "description": "Empty: SDK-HMAC-SHA256. V11-HMAC-SHA256 derives a key for day, region and service.",
        "schema": {"type": _OPTIONAL, "enum": ["SDK-HMAC-SHA256", "V11-HMAC-SHA256", None]},
    },
    "endpoint": {
        "label": "Endpoint",
        "description": "URL of all services, for a private cloud or the emulator. Empty: by region.",
        "schema": {"type": _OPTIONAL},
    },
    "endpoints": {
        "label": "Endpoints by service",
        "description": 'JSON, such as {"mrs": "https://..."}; services: mrs, dataartsstudio, hss, coc, csms, iam, sts.',
        "schema": {"type": ["object", "null"]},
    },
    "service_time_zone": {
        "label": "Time zone of services",
        "description": "Time zone of times that services send without one: Z, or an offset such as +08:00. Empty: such "
        "times are not compared with yours.",
        "schema": {"type": _OPTIONAL},
    },
    "timeout": {
        "label": "Read timeout (seconds)",
        "description": "Seconds without an answer after which a call counts as lost; 60 if empty.",
        "schema": {"type": ["number", "null"], "minimum": 1, "maximum": 600},
    },
    "verify": {
        "label": "TLS verification",
        "description": "true, false, or the path of a file with certificate authorities; true if empty.",
        "schema": {"type": _OPTIONAL},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of a proxy. Empty: what the environment of Airflow says.",
        "schema": {"type": _OPTIONAL},
    },
    "allow_http": {
        "label": "Allow plain http",
        "description": "Endpoints without TLS elsewhere than on this machine. Unsafe.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

HIDDEN = ["description", "host", "port", "schema", "extra"]
RELABELING = {"login": "Access key (AK) or user", "password": "Secret key (SK) or password"}
PLACEHOLDERS = {"login": "AK of an IAM user; with password: its name", "region": "cn-north-4"}
