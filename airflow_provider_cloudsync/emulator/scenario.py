"""The scenario: what there is in the emulated cloud, as JSON.

A scenario is an object with any of these sections; each key that is left out keeps its value of the default scenario.

``account``
    ``domain_id``, ``domain_name``, ``user``, ``user_id``, ``password``, ``region``, ``projects`` (a list of ``id``,
    ``name``, ``enabled``), ``keys`` (a list of ``access_key``, ``secret_key``; with ``security_token`` a temporary
    one, that may end after ``expires_after`` seconds), ``iam_users`` (name to ``{"groups": [...]}``), ``iam_groups``,
    ``lists_domains`` (false: the list of accounts is empty, so that a caller must ask who it is);
    ``token_seconds`` (life of tokens), ``revoke_tokens_at`` (a list of times at which all tokens of the moment end, as
    after a change of permissions), ``password_failures`` (so many wrong passwords in a row lock the user; 0 for
    never), ``password_lock_seconds``;
    ``agencies`` (a list of ``name``, ``domain_id``, ``domain_name``, ``projects`` of that account, and ``trusts``,
    which are names of users and names or ids of accounts; by default an agency is in this account and trusts all of
    it), ``identity_providers`` (a list of ``id``, ``urn``, ``id_tokens``, which are the texts that count as its tokens,
    and ``agency_urns``, such as ``iam::{domain_id}:agency:{name}``; an agency that is not listed is this account's);
    ``denied_actions`` (names of operations or services that the caller has no permission for).
``quotas``
    ``true``, ``false``, or by operation ``{"limit": 2, "seconds": 60, "per": "project"|"user"}`` or ``false``.
``metadata``
    ``version`` (2: keys are for who brings a token; 1: there is no token, and ``old_status`` says so with 404, 405 or
    503), ``token_seconds``, ``key_seconds`` (their longest lives), ``agency`` (false: the server has none, and so no
    keys, said with ``no_agency_status`` 401 or 404).
``mrs``
    ``clusters``, by cluster id: ``name``, ``state``, ``version``, ``safe_mode``, ``project_id``,
    ``enterprise_project_id``; ``starts_after`` and ``seconds`` of each run; ``outcome`` (``succeeded``, ``failed``,
    ``partial``, ``never_ends``, an object ``{"result": ..., "missing": [...]}``, or a list of these for successive
    runs, the last of which stays), ``cancel_outcome`` likewise, ``missing`` (names that partial runs leave out),
    ``brings_groups`` (a named user brings the groups it is in), ``synced_users``, ``synced_groups``,
    ``is_synchronous`` (what is there at first), ``terminates_at``, and ``foreign_runs`` (a list of ``at``,
    ``seconds``, ``starts_after``, ``users``, ``groups``, ``full``, ``outcome``, ``missing``).
``dataarts``
    ``workspaces`` (ids), and ``tasks``, by task id: ``workspace``, the fields of the service's own object,
    ``sync_status``, ``sync_time`` and ``sync_msg`` as they are at first (a ``sync_time`` below 10^11 is an offset in
    seconds), ``seconds`` and ``outcome`` of scheduled runs (a list for successive ones), ``first_run_at`` (by default
    one interval), ``status_lag`` (so long the status lags behind ``sync_time``), and ``runs`` (a list of ``at``,
    ``seconds`` or null, ``outcome``, ``msg``).
``hss``
    ``denied_enterprise_projects`` (ids), and ``clusters``, by cluster id: ``name``, ``enterprise_project_id``,
    ``cluster_status``, ``protect_status``, ``last_update_time`` (at first; below 10^11 an offset in seconds, null for
    never), ``events`` (how many are there at first, or a list of objects with fields of the service), ``starts_after``
    and ``seconds`` of a sync, ``brings`` (so many events each), ``outcome`` (``succeeded``, ``not_created``,
    ``never_ends``, or a list for successive syncs), ``updates_at`` (times of somebody else's updates).
``coc``
    ``date_format`` (``naive``, ``zulu``, ``ms``), ``loose_filter`` (account ids match by their beginning),
    ``resources`` and ``resources_after`` (after a sync that succeeded), by vendor: ``{type: count}``; and ``accounts``,
    by COC's own id: ``vendor``, ``account_id``, ``account_name``, ``ak``, ``sync_status``, ``sync_date`` (an offset, or
    null) and ``failure_msg`` at first, ``shows_after`` (so long nothing shows), ``starts_after`` (waiting), ``seconds``
    (running), ``outcome`` (``succeeded``, ``failed``, ``never_ends``, ``ignored``, or a list), ``failure``,
    ``clears_failure``, ``dates`` (what ``sync_date`` marks: ``end`` or ``start``), ``status_lag`` (with ``start``),
    ``added_at``, ``removed_at``, ``foreign_runs`` (a list of ``at``, ``starts_after``, ``seconds``, ``outcome``).
``csms``
    ``topics`` (URNs that exist), ``missing_status`` (404 or 400), ``marker_inclusive``, ``ignores_writes``,
    ``resets_omitted`` (an update resets what it leaves out); ``events``, by name: ``state``, ``event_types``,
    ``notification``, ``event_id``, ``create_time``, ``update_time``; ``secrets``, by name: ``event_name``,
    ``secret_type``; ``fired`` (a list of ``at``, ``secret_name``, ``type``, ``delivered``).

All times are seconds, counted from the start of the emulated clock. Tokens and keys live real seconds, however fast
that clock is, and end early when it is advanced. What belongs to a project has a ``project_id``, by default that of the
main project; a vendor account of COC has a ``domain_id``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_cloudsync.emulator.reading import (
    MAX_DOCUMENT,
    BadInput,
    Reader,
    check_depth,
    parse_document,
)
from airflow_provider_cloudsync.emulator.services import SERVICES

ACCESS_KEY = "EMULATORACCESSKEY001"
SECRET_KEY = "emulator-secret-key-for-no-real-cloud-01"
TEMPORARY_ACCESS_KEY = "EMULATORTEMPORARY001"
TEMPORARY_SECRET_KEY = "emulator-secret-key-for-no-real-cloud-02"
SECURITY_TOKEN = "emulator-security-token-" + "0123456789abcdef" * 8
REGION = "cn-north-4"
PROJECT_ID = "e1000000000000000000000000000001"
DOMAIN_ID = "d1000000000000000000000000000001"
DOMAIN_NAME = "emulator"
USER = "emulator-user"
PASSWORD = "emulator-password"

ACCOUNT: Mapping[str, Any] = {
    "domain_id": DOMAIN_ID,
    "domain_name": DOMAIN_NAME,
    "user": USER,
    "password": PASSWORD,
    "region": REGION,
    "projects": [{"id": PROJECT_ID, "name": REGION}],
    "keys": [
        {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
        {
            "access_key": TEMPORARY_ACCESS_KEY,
            "secret_key": TEMPORARY_SECRET_KEY,
            "security_token": SECURITY_TOKEN,
        },
    ],
    "iam_users": {
        "alice": {"groups": ["analysts"]},
        "bob": {"groups": ["engineers"]},
        "carol": {"groups": ["analysts", "engineers"]},
    },
    "iam_groups": ["analysts", "engineers"],
}


def default_scenario() -> dict[str, Any]:
    """What the demo and the example DAGs run against; a fresh copy."""
    # One by one: services without a section have the same empty object, and a copy of all would keep that so.
    sections = {service.name: copy.deepcopy(service.default) for service in SERVICES}
    return {"account": copy.deepcopy(dict(ACCOUNT)), "quotas": True, **sections}


def complete(given: Any) -> dict[str, Any]:
    """The default scenario with the keys of `given` in place of its own.

    :raises BadInput: `given` or one of its sections is no object, or no such section exists.
    """
    scenario = default_scenario()
    check_depth(given, "the scenario")
    reader = Reader(given, "")
    for name in reader.keys():
        if name not in scenario:
            raise BadInput(f"{name} is not known; the sections are {', '.join(scenario)}")
        if name == "quotas":
            scenario[name] = copy.deepcopy(reader.raw(name))
        else:
            section = reader.child(name)
            scenario[name].update({key: copy.deepcopy(section.raw(key)) for key in section.keys()})
    return scenario


def load(source: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """The scenario out of an object, a file of JSON, or nothing.

    :raises BadInput: the file can't be read or holds no JSON.
    """
    if source is None:
        return default_scenario()
    if not isinstance(source, (str, Path)):
        return complete(source)
    try:
        with Path(source).open("rb") as file:
            content = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise BadInput(f"the scenario {source} cannot be read: {error.strerror or error}") from error
    return complete(parse_document(content, f"the scenario {source}"))
