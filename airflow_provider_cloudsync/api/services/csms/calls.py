"""CSMS: calls for event notifications."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Request
from airflow_provider_cloudsync.api.model import Probe
from airflow_provider_cloudsync.api.page_rows import Listing, text_of
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.replies import Reply, is_missing, may_be_missing, not_proven_missing
from airflow_provider_cloudsync.api.services.csms.settings import EVENT_TYPES as EVENT_TYPES
from airflow_provider_cloudsync.api.services.csms.settings import NOTHING_TO_CHANGE
from airflow_provider_cloudsync.api.services.csms.settings import STATES as STATES
from airflow_provider_cloudsync.api.services.csms.settings import Notification as Notification
from airflow_provider_cloudsync.api.services.csms.settings import checked_name as checked_name
from airflow_provider_cloudsync.api.services.csms.settings import checked_settings as checked_settings
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, InvalidParameter

log = logging.getLogger(__name__)

SERVICE = "csms"
NO_SUCH_EVENT = "CSMS.0005"
_PATH = "/v1/{project_id}/csms/events"
#: 50 is the default number of events per page; the highest one is not documented.
_EVENTS = Listing("events", "name", "events", 50, total="", position="")


class Event(TypedDict, total=False):
    """Event notification as the service sends it; times are milliseconds, contrary to the documentation."""

    name: str
    event_id: str
    event_types: list[str]
    state: str
    create_time: int
    update_time: int
    notification: Notification


class NotificationRecord(TypedDict, total=False):
    """Record of one message; ``notification_status`` is SUCCESS, FAIL, or INVALID for a bad topic."""

    event_name: str
    trigger_event_type: str
    create_time: int
    secret_name: str
    secret_type: str
    notification_target_name: str
    notification_target_id: str
    notification_content: str
    notification_status: str


def _request(method: str, operation: str, path: str, json: Any = None) -> Request:
    # All are repeatable: a name cannot be created or deleted twice, and an update sets the final state.
    return Request(method, SERVICE, operation, path, repeatable=True, json=json)


def _event(reply: Reply) -> Event:
    event: Event = reply.field("event", dict)
    return event


def create_event(cloud: Cloud, name: str, settings: Mapping[str, Any]) -> Flow[Event]:
    """Create an event notification (CreateSecretEvent). The service does not check that the topic exists."""
    body = {"name": checked_name(name), **settings}
    return _event((yield from call(cloud, _request("POST", "CreateSecretEvent", _PATH, body))))


def get_event(cloud: Cloud, name: str) -> Flow[Event]:
    """Return one event notification (ShowSecretEvent)."""
    path = f"{_PATH}/{checked_name(name)}"
    return _event((yield from call(cloud, _request("GET", "ShowSecretEvent", path))))


def find_event(cloud: Cloud, name: str) -> Flow[Event | None]:
    """Return one event notification; None if the service's own code or the complete list proves that it is missing.

    :raises ApiError: for a 404 of a possible gateway, if the list contains the event or cannot be read.
    """
    try:
        return (yield from get_event(cloud, name))
    except ApiError as error:
        if is_missing(error, NO_SUCH_EVENT):
            return None
        if not may_be_missing(error):
            raise
        try:
            listed = yield from list_events(cloud)
        except CloudSyncError as unread:
            raise not_proven_missing(error, f"The list of events cannot be read either: {unread}") from unread
        if any(text_of(event, "name") == name for event in listed):
            raise not_proven_missing(error, f'The list of events contains "{name}".') from None
        return None


def list_events(cloud: Cloud) -> Flow[list[Event]]:
    """Return all event notifications (ListSecretEvents); documented as those that the user created."""
    request = _request("GET", "ListSecretEvents", _PATH)
    listed = yield from complete_list(cloud, request, _EVENTS)
    return list(listed.rows.values())


def update_event(cloud: Cloud, name: str, settings: Mapping[str, Any]) -> Flow[Event]:
    """Change the given settings and keep the others (UpdateSecretEvent)."""
    if not settings:
        raise InvalidParameter(NOTHING_TO_CHANGE)
    path = f"{_PATH}/{checked_name(name)}"
    return _event((yield from call(cloud, _request("PUT", "UpdateSecretEvent", path, dict(settings)))))


def delete_event(cloud: Cloud, name: str) -> Flow[None]:
    """Delete an event notification permanently (DeleteSecretEvent). Refused while a secret subscribes to it."""
    yield from call(cloud, _request("DELETE", "DeleteSecretEvent", f"{_PATH}/{checked_name(name)}"))


def list_subscribers(cloud: Cloud, name: str) -> Flow[list[str]]:
    """Return the first page of names of secrets that subscribe to an event (ListSecrets)."""
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
    """Return the messages of the last three months (ListNotificationRecords). The API has one page only."""
    path = "/v1/{project_id}/csms/notification-records"
    request = replace(_request("GET", "ListNotificationRecords", path), max_reply=MAX_LIST_REPLY)
    reply = yield from call(cloud, request)
    records: list[NotificationRecord] = reply.field("records", list)
    page = reply.data.get("page_info")
    if isinstance(page, Mapping) and page.get("next_marker"):
        log.warning(
            "Only %d notification records are returned: there are more, and the API has no paging.",
            len(records),
        )
    return records


PROBE = Probe(
    Request(
        "GET",
        SERVICE,
        "ListSecretEvents",
        "/v1/{project_id}/csms/events",
        repeatable=True,
        query=(("limit", "1"),),
    ),
    needs="csms:event:list and csms:event:get to look; csms:event:create, :update and :delete to change",
)
