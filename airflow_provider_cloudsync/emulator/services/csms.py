"""Cloud Secret Management Service: the events that secrets set off, and the records of their notifications.

A topic is not looked at when an event is written. A wrong one shows only in the record of a notification.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services.csms_event import (
    CHANGEABLE,
    EVENT_NAME,
    NOTIFICATION_FIELDS,
    STATES,
    TOPIC,
    SecretEvent,
    event_types_fault,
    read_event,
)
from airflow_provider_cloudsync.emulator.services.csms_secret import Firing, Secret, read_firing

BAD_PARAMETER = "CSMS.0002"
BAD_BODY = "CSMS.0004"
NO_EVENT = "CSMS.0005"
# The real codes of these two are not documented; what matters is that they are CSMS codes under HTTP 400.
NAME_TAKEN = "CSMS.0002"
STILL_REFERENCED = "CSMS.0002"
# Unconfirmed as well; its 403 is documented, and that errors are objects within an object.
NO_PERMISSION = "CSMS.0403"
#: The default is documented; that the limit ends at 500 is unconfirmed.
PAGE, LONGEST_PAGE = 50, 500
#: Records have no paging input: this many are all that can be seen. How many there are really is unconfirmed.
RECORDS_SHOWN = 50
RECORDS_KEPT_SECONDS = 90 * 86_400


class Csms(Service):
    """Secret events of the account's projects."""

    name = "csms"
    default: ClassVar = {
        "topics": [TOPIC],
        "events": {"example-event": {}, "pipeline-event": {}},
        "secrets": {"pipeline-secret": {"event_name": "pipeline-event"}},
    }

    def load(self, section: Reader) -> None:
        """Read the events, the secrets, and what these will set off."""
        began = self.clock.started
        self.topics = section.names("topics")
        self.missing_status = section.whole("missing_status", 404, least=400, most=404)
        if self.missing_status not in (400, 404):
            raise BadInput(f"{section.at('missing_status')} must be 400 or 404")
        self.marker_inclusive = section.flag("marker_inclusive", True)
        self.ignores_writes = section.flag("ignores_writes")
        self.resets_omitted = section.flag("resets_omitted")
        events = [
            read_event(name, reader, self.account, began)
            for name, reader in section.entries("events").items()
        ]
        self.events = {(each.project_id, each.name): each for each in events}
        self.secrets = {
            name: Secret(name, reader, self.account, began)
            for name, reader in section.entries("secrets").items()
        }
        firings = [read_firing(each, self.secrets, began) for each in section.children("fired")]
        self._firings: deque[Firing] = deque(sorted(firings, key=lambda firing: firing.at))
        self._records: list[tuple[str, float, dict[str, Any]]] = []

    def state(self) -> dict[str, Any]:
        """The events, the secrets that refer to them, and all records."""
        self._catch_up()
        return {
            "events": {name: event.show() for (_, name), event in self.events.items()},
            "secrets": {name: secret.event_name for name, secret in self.secrets.items()},
            "records": [record for _, _, record in self._records],
        }

    def misuse(self, text: str) -> Refused:
        """The parameter error of CSMS."""
        return _refusal(BAD_PARAMETER, f"Invalid parameter: {text}")

    def denial(self, call: Call, operation: Operation) -> Refused:
        """The 403 of CSMS."""
        return _refusal(NO_PERMISSION, f"No permission for {operation.name}", 403)

    def json_body(self, call: Call) -> dict[str, Any]:
        """The JSON object in the body of `call`; a body that is none has a code of its own."""
        try:
            return super().json_body(call)
        except Refused as refused:
            raise _refusal(BAD_BODY, refused.reply.body["error"]["error_msg"]) from None

    def _catch_up(self) -> None:
        """Write the records of what secrets have set off since the last look, before any event changes."""
        now = self.clock.now()
        while self._firings and self._firings[0].at <= now:
            firing = self._firings.popleft()
            secret = firing.secret
            event = self.events.get((secret.project_id, secret.event_name or ""))
            if event and event.subscribes(firing.event_type):
                record = event.record(
                    firing.event_type,
                    firing.at,
                    secret.name,
                    secret.secret_type,
                    self.topics,
                    firing.delivered,
                )
                self._records.append((secret.project_id, firing.at, record))

    def _event(self, call: Call) -> SecretEvent:
        self._catch_up()
        name = call.parts["event_name"]
        self._check_name(name)
        event = self.events.get((call.parts["project_id"], name))
        if event is None:
            # The table of codes says 400, the documents of the calls 404.
            raise _refusal(NO_EVENT, f"The event {name} does not exist", self.missing_status)
        return event

    def _check_name(self, name: Any) -> None:
        if not isinstance(name, str) or not EVENT_NAME.fullmatch(name):
            raise self.misuse("name must be 1 to 64 letters, digits, hyphens and underscores")

    def _fields(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The changeable fields in a body; null counts as left out, which is unconfirmed."""
        fields = {name: document[name] for name in CHANGEABLE if document.get(name) is not None}
        if fields.get("state", "ENABLED") not in STATES:
            raise self.misuse(f"state must be one of {', '.join(STATES)}")
        if "event_types" in fields and (fault := event_types_fault(fields["event_types"])):
            raise self.misuse(f"event_types {fault}")
        if "notification" in fields:
            fields["notification"] = self._notification(fields["notification"])
        return fields

    def _notification(self, given: Any) -> dict[str, str]:
        sent = given if isinstance(given, dict) else {}
        wanted = {name: sent.get(name) for name in NOTIFICATION_FIELDS}
        texts = {name: text for name, text in wanted.items() if isinstance(text, str) and text}
        if len(texts) < len(wanted):
            raise self.misuse(
                f"notification needs {', '.join(NOTIFICATION_FIELDS)} together, all of them text"
            )
        return texts

    def create(self, call: Call) -> Reply:
        """Make an event."""
        self._catch_up()
        document = self.json_body(call)
        name = document.get("name")
        self._check_name(name)
        fields = self._fields(document)
        for needed in CHANGEABLE:
            if needed not in fields:
                raise self.misuse(f"{needed} is missing")
        key = call.parts["project_id"], str(name)
        if key in self.events:
            raise _refusal(NAME_TAKEN, f"The event {name} exists already")
        self.events[key] = SecretEvent(key[1], key[0], fields, self.clock.now())
        return Reply({"event": self.events[key].show()}, effect="created")

    def update(self, call: Call) -> Reply:
        """Change an event."""
        event = self._event(call)
        fields = self._fields(self.json_body(call))
        now = self.clock.now()
        if self.ignores_writes:
            return Reply({"event": event.changed(fields, now)})
        event.update(fields, now, resets_omitted=self.resets_omitted)
        return Reply({"event": event.show()}, effect="updated")

    def show(self, call: Call) -> Reply:
        """One event."""
        return Reply({"event": self._event(call).show()})

    def delete(self, call: Call) -> Reply:
        """Delete an event for good, unless a secret refers to it."""
        event = self._event(call)
        key = event.project_id, event.name
        if any((each.project_id, each.event_name) == key for each in self.secrets.values()):
            raise _refusal(STILL_REFERENCED, f"The event {event.name} is still referenced by a secret")
        del self.events[key]
        return Reply(None, 204, effect="deleted")

    def list_events(self, call: Call) -> Reply:
        """A page of the project's events."""
        self._catch_up()
        rows, info = self._page(call, self.events.values())
        return Reply({"events": [each.show() for each in rows], "page_info": info})

    def list_secrets(self, call: Call) -> Reply:
        """A page of the project's secrets, or of those that refer to an event."""
        wanted = call.asked("event_name")
        secrets = [each for each in self.secrets.values() if wanted in (None, each.event_name)]
        rows, info = self._page(call, secrets)
        return Reply({"secrets": [each.show() for each in rows], "page_info": info})

    def _page(
        self, call: Call, items: Iterable[SecretEvent | Secret]
    ) -> tuple[list[SecretEvent | Secret], dict[str, Any]]:
        """The items from the marker on, by name, and where the next page begins.

        Unconfirmed: the order, whether the marker's own item belongs to the page, and what the markers of the
        reply name.
        """
        limit = self.whole_query(call, "limit", PAGE, 1, LONGEST_PAGE)
        marker = call.asked("marker") or ""
        project = call.parts["project_id"]
        own = sorted((each for each in items if each.project_id == project), key=lambda each: each.name)
        found = [
            each for each in own if each.name > marker or (self.marker_inclusive and each.name == marker)
        ]
        rows = found[:limit]
        return rows, {
            "next_marker": rows[-1].name if len(found) > limit else None,
            "previous_marker": rows[0].name if rows and marker else None,
            "current_count": len(rows),
        }

    def list_records(self, call: Call) -> Reply:
        """The records of notifications, the newest first."""
        self._catch_up()
        oldest = self.clock.now() - RECORDS_KEPT_SECONDS
        project = call.parts["project_id"]
        found = [record for owner, at, record in self._records if owner == project and at >= oldest]
        rows = found[::-1][:RECORDS_SHOWN]
        info = {
            # A marker that no parameter takes.
            "next_marker": rows[-1]["secret_name"] if len(found) > len(rows) else None,
            "previous_marker": None,
            "current_count": len(rows),
        }
        return Reply({"records": rows, "page_info": info})

    _path = "/v1/{project_id}/csms/events"
    operations = (
        Operation("CreateSecretEvent", "POST", _path, create),
        Operation("UpdateSecretEvent", "PUT", _path + "/{event_name}", update),
        Operation("ShowSecretEvent", "GET", _path + "/{event_name}", show),
        Operation("DeleteSecretEvent", "DELETE", _path + "/{event_name}", delete),
        Operation("ListSecretEvents", "GET", _path, list_events),
        Operation(
            "ListNotificationRecords", "GET", "/v1/{project_id}/csms/notification-records", list_records
        ),
        Operation("ListSecrets", "GET", "/v1/{project_id}/secrets", list_secrets),
    )


def _refusal(code: str, text: str, status: int = 400) -> Refused:
    return Refused(Reply({"error": {"error_code": code, "error_msg": text}}, status))
