"""CSMS: the calls for event notifications, and what a request may hold."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.flows import Cloud, call, marked_pages
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Request
from airflow_provider_cloudsync.api.replies import Reply, is_missing
from airflow_provider_cloudsync.api.services.parameters import checked_text, names, one_of
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import ApiError, InvalidParameter

log = logging.getLogger(__name__)

SERVICE = "csms"
EVENT_TYPES = (
    "SECRET_VERSION_CREATED",
    "SECRET_VERSION_EXPIRED",
    "SECRET_ROTATED",
    "SECRET_DELETED",
    "SECRET_ROTATED_FAILED",
)
STATES = ("ENABLED", "DISABLED")
NO_SUCH_EVENT = "CSMS.0005"
_MOST_TYPES = 12
_NOTIFICATION = ("target_type", "target_id", "target_name")
_PATH = "/v1/{project_id}/csms/events"
#: What the service takes by default; the most that it takes is not documented.
_PAGE = 50
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Notification(TypedDict):
    """Where messages go. The only type known to work is ``SMN``: ``target_id`` is the topic's URN then."""

    target_type: str
    target_id: str
    target_name: str


class Event(TypedDict, total=False):
    """An event notification as the service sends it; times are milliseconds, whatever its documentation says."""

    name: str
    event_id: str
    event_types: list[str]
    state: str
    create_time: int
    update_time: int
    notification: Notification


class NotificationRecord(TypedDict, total=False):
    """One message that was sent, or not: ``notification_status`` is SUCCESS, FAIL, or INVALID for a bad topic."""

    event_name: str
    trigger_event_type: str
    create_time: int
    secret_name: str
    secret_type: str
    notification_target_name: str
    notification_target_id: str
    notification_content: str
    notification_status: str


def checked_name(name: Any) -> str:
    """An event's name: 1 to 64 letters, digits, underscores and hyphens. It stands in the path."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidParameter(
        f"The name of an event must be 1 to 64 letters, digits, underscores or hyphens, not {shown(name)}."
    )


def checked_settings(
    *, state: Any = None, event_types: Any = None, notification: Any = None
) -> dict[str, Any]:
    """What to set, checked; what is None is left out.

    :raises InvalidParameter: for what the service would refuse, and for what it would take and never deliver.
    """
    settings: dict[str, Any] = {}
    if state is not None:
        settings["state"] = one_of(state, "state", STATES)
    if event_types is not None:
        settings["event_types"] = _checked_types(event_types)
    if notification is not None:
        settings["notification"] = _checked_notification(notification)
    return settings


def _checked_types(event_types: Any) -> list[str]:
    # Once and for all: what comes from another task may be an iterator.
    given = (
        [*event_types]
        if isinstance(event_types, Iterable) and not isinstance(event_types, str)
        else event_types
    )
    types = names(given, "event_types")
    if len(types) != len(given):
        twice = next(each for each in types if given.count(each) > 1)
        raise InvalidParameter(f"event_types holds {shown(twice)} more than once.")
    if not 1 <= len(types) <= _MOST_TYPES:
        raise InvalidParameter(
            f"event_types must hold 1 to {_MOST_TYPES} types, not {len(types)}. To silence an event, set its state to "
            "DISABLED."
        )
    unknown = [each for each in types if each not in EVENT_TYPES]
    if unknown:
        log.warning(
            "The event type %s is not one of %s. It is sent as it is.", unknown[0], ", ".join(EVENT_TYPES)
        )
    return types


def _checked_notification(notification: Any) -> Notification:
    if not isinstance(notification, Mapping) or {*notification} != {*_NOTIFICATION}:
        has = ", ".join(map(str, notification)) if isinstance(notification, Mapping) else shown(notification)
        raise InvalidParameter(
            f"notification must hold {', '.join(_NOTIFICATION)}, all three and nothing else; it has {has or 'nothing'}."
        )
    if notification["target_type"] != "SMN":
        log.warning("The only target_type known to work is SMN, not %s.", shown(notification["target_type"]))
    return {
        "target_type": checked_text(notification["target_type"], "target_type", 64),
        "target_id": checked_text(notification["target_id"], "target_id", 512),
        "target_name": checked_text(notification["target_name"], "target_name", 512),
    }


def _request(method: str, operation: str, path: str, json: Any = None) -> Request:
    # Repeatable, all of them: a name can't be created or deleted twice, and an update says how it is to be.
    return Request(method, SERVICE, operation, path, repeatable=True, json=json)


def _event(reply: Reply) -> Event:
    event: Event = reply.field("event", dict)
    return event


def create_event(cloud: Cloud, name: str, settings: Mapping[str, Any]) -> Flow[Event]:
    """Create an event notification (CreateSecretEvent). The service does not look whether the topic exists."""
    body = {"name": checked_name(name), **settings}
    return _event((yield from call(cloud, _request("POST", "CreateSecretEvent", _PATH, body))))


def get_event(cloud: Cloud, name: str) -> Flow[Event]:
    """One event notification (ShowSecretEvent)."""
    path = f"{_PATH}/{checked_name(name)}"
    return _event((yield from call(cloud, _request("GET", "ShowSecretEvent", path))))


def find_event(cloud: Cloud, name: str) -> Flow[Event | None]:
    """The same; None where there is none of that name."""
    try:
        return (yield from get_event(cloud, name))
    except ApiError as error:
        if is_missing(error, NO_SUCH_EVENT):
            return None
        raise


def list_events(cloud: Cloud) -> Flow[list[Event]]:
    """All event notifications (ListSecretEvents); documented as those that the connection's user created."""
    request = replace(_request("GET", "ListSecretEvents", _PATH), max_reply=MAX_LIST_REPLY)
    return (yield from marked_pages(cloud, request, items="events", key="name", limit=_PAGE))


def update_event(cloud: Cloud, name: str, settings: Mapping[str, Any]) -> Flow[Event]:
    """Change what is named, and leave the rest as it is (UpdateSecretEvent)."""
    if not settings:
        raise InvalidParameter("There is nothing to change: give state, event_types or notification.")
    path = f"{_PATH}/{checked_name(name)}"
    return _event((yield from call(cloud, _request("PUT", "UpdateSecretEvent", path, dict(settings)))))


def delete_event(cloud: Cloud, name: str) -> Flow[None]:
    """Delete an event notification (DeleteSecretEvent), for good. Refused while a secret subscribes to it."""
    yield from call(cloud, _request("DELETE", "DeleteSecretEvent", f"{_PATH}/{checked_name(name)}"))


def list_subscribers(cloud: Cloud, name: str) -> Flow[list[str]]:
    """The names of the secrets that subscribe to an event (ListSecrets), the first page of them."""
    request = Request(
        "GET",
        SERVICE,
        "ListSecrets",
        "/v1/{project_id}/secrets",
        repeatable=True,
        query=(("event_name", checked_name(name)),),
        max_reply=MAX_LIST_REPLY,
    )
    reply = yield from call(cloud, request)
    secrets = reply.field("secrets", list)
    return [each["name"] for each in secrets if isinstance(each, dict) and isinstance(each.get("name"), str)]


def list_notification_records(cloud: Cloud) -> Flow[list[NotificationRecord]]:
    """The messages of the last three months (ListNotificationRecords): one page, since the call takes no other."""
    path = "/v1/{project_id}/csms/notification-records"
    request = replace(_request("GET", "ListNotificationRecords", path), max_reply=MAX_LIST_REPLY)
    reply = yield from call(cloud, request)
    records: list[NotificationRecord] = reply.field("records", list)
    page = reply.data.get("page_info")
    if isinstance(page, Mapping) and page.get("next_marker"):
        log.warning(
            "There are more notification records than the %d shown, and the service has no way to ask for them.",
            len(records),
        )
    return records
