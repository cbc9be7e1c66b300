"""CSMS: event notifications of secrets."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_cloudsync.api.services.csms import calls
from airflow_provider_cloudsync.api.services.csms.calls import Event, Notification, NotificationRecord
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["CsmsHook", "Event", "Notification", "NotificationRecord"]


class CsmsHook(CloudSyncHook):
    """Calls of CSMS (API version 1), a part of DEW. All of them are synchronous.

    The service does not check that the topic of a notification exists: a wrong topic shows only when an event fires, as
    INVALID in `list_notification_records`.
    """

    def create_event(
        self,
        name: str,
        *,
        event_types: Sequence[str],
        notification: Notification,
        state: str = "ENABLED",
    ) -> Event:
        """Create an event notification (CreateSecretEvent).

        :param name: 1 to 64 letters, digits, underscores and hyphens; it cannot be changed later.
        :param event_types: such as ``SECRET_ROTATED``, each once.
        :param notification: ``target_type`` (``SMN``), ``target_id`` (the topic's URN) and ``target_name``.
        :param state: ``ENABLED`` or ``DISABLED``; only an enabled event fires.
        """
        settings = calls.checked_settings(state=state, event_types=event_types, notification=notification)
        return self.run(calls.create_event(self.cloud, name, settings))

    def get_event(self, name: str) -> Event:
        """Return an event notification (ShowSecretEvent). Its times are milliseconds since the epoch."""
        return self.run(calls.get_event(self.cloud, name))

    def list_events(self) -> list[Event]:
        """Return all event notifications (ListSecretEvents). Documented: those that the connection's user created."""
        return self.run(calls.list_events(self.cloud))

    def update_event(
        self,
        name: str,
        *,
        state: str | None = None,
        event_types: Sequence[str] | None = None,
        notification: Notification | None = None,
    ) -> Event:
        """Change the given settings (UpdateSecretEvent). ``event_types`` replaces all types.

        `CsmsUpdateEventOperator` writes only what differs, and verifies the write.
        """
        settings = calls.checked_settings(state=state, event_types=event_types, notification=notification)
        return self.run(calls.update_event(self.cloud, name, settings))

    def delete_event(self, name: str) -> None:
        """Delete an event notification permanently (DeleteSecretEvent). Rejected while a secret subscribes to it."""
        self.run(calls.delete_event(self.cloud, name))

    def list_notification_records(self) -> list[NotificationRecord]:
        """Return the messages of the last three months, one page (ListNotificationRecords)."""
        return self.run(calls.list_notification_records(self.cloud))
