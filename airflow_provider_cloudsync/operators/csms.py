"""CSMS: create, change and delete event notifications of secrets."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_cloudsync.api.parameters import flag, literal_id
from airflow_provider_cloudsync.api.services.csms import settings
from airflow_provider_cloudsync.api.times import iso
from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.operators.cloud import (
    CloudOperator,
    delete_state,
    has_state_store,
    load_state,
    store_state,
)
from airflow_provider_cloudsync.tasks.tries import TryMark
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, resolve_omittable

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.api.messages import Flow
    from airflow_provider_cloudsync.api.services.csms.changes import Change, Memory, Past
    from airflow_provider_cloudsync.api.services.csms.settings import Notification

__all__ = [
    "CsmsCreateEventOperator",
    "CsmsDeleteEventOperator",
    "CsmsEventOperator",
    "CsmsUpdateEventOperator",
]

#: Key in Airflow's task state store (3.3 and later): the event before the first write. Never rename it.
BEFORE_KEY = "cloudsync_before"
_RENDERERS = {"event_types": "json", "notification": "json"}
#: Greatest tolerated difference between the clocks of Airflow and of the service (seconds).
_CLOCKS = 60.0


class CsmsEventOperator(CloudOperator):
    """Changes an event notification. Its previous settings survive a try that is killed in between.

    The other parameters are those of `CloudOperator`.

    :param name: the event's name. Templated.
    """

    template_fields: Sequence[str] = ("name", *CloudOperator.template_fields)

    def __init__(self, *, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_connection_parameters()
        self.name = literal_id(name, "name")

    @abstractmethod
    def wanted(self) -> dict[str, Any]:
        """Return the settings to write, from the rendered parameters, checked."""

    @abstractmethod
    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        """Return the flow that changes the event."""

    def subject(self) -> str:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.described(self.name)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the event. Return its settings before and after."""
        from airflow_provider_cloudsync.api.services.csms import changes

        with self.report_failure():
            self.name = settings.checked_name(self.name)
            wanted = self.wanted()
            self.show_console(context, changes.CONSOLE, {"name": self.name})
            where = [self.cloudsync_conn_id, self.region, self.project_id]
            of = json.dumps([type(self).__name__, self.name, wanted, *where])

            def store(memory: Memory | None) -> None:
                if memory is None:
                    delete_state(context, BEFORE_KEY)
                else:
                    kept = {"memory": asdict(memory), "of": of, "try": TryMark.of(context).to_json()}
                    store_state(context, BEFORE_KEY, json.dumps(kept))

            past = changes.Past(self._load_memory(context, of), store, self._since(context))
            change = self.hook.run(self.change(wanted, past))
        self.log.info("Event notification %s: %s.", self.name, _summary(change))
        self.annotate_outlet_events(context, "csms", {"name": self.name}, _outcome(change))
        return dict(change)

    def _load_memory(self, context: Context, of: str) -> Memory | None:
        from airflow_provider_cloudsync.api.services.csms import changes

        stored = load_state(context, BEFORE_KEY)
        if stored is None:
            return None
        try:
            left = json.loads(stored)
            memory = changes.Memory.of(left["memory"]) if left["of"] == of else None
            mark = TryMark.from_json(left.get("try"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self.log.warning("Ignoring the unreadable state of a previous try: %r", error)
            return None
        # A cleared task knows what it wrote before, but not the outcome of a write whose reply was lost.
        if memory is not None and memory.wrote is None and not self.is_retry(context, mark):
            delete_state(context, BEFORE_KEY)
            return None
        return memory

    def _since(self, context: Context) -> float | None:
        if context["ti"].try_number <= 1 or has_state_store(context):
            return None
        began = getattr(context.get("dag_run"), "start_date", None)
        return 0.0 if began is None else began.timestamp() - _CLOCKS


def _summary(change: Change) -> str:
    """Return a change as a log line: ``state: ENABLED -> DISABLED``."""
    if not change["changed"]:
        return "unchanged"
    before, after = change["before"], change["after"]
    if before is None or after is None:
        return "created" if before is None else "deleted"
    names = [name for name in after if before.get(name) != after.get(name)]  # type: ignore[attr-defined, unused-ignore]
    return "; ".join(f"{name}: {_shown(before.get(name))} -> {_shown(after.get(name))}" for name in names)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _outcome(change: Change) -> dict[str, Any]:
    """Return the outcome for the asset event, without the recipients of the notification."""
    before, after = ((change[when] or {}).get("state") for when in ("before", "after"))
    return {
        "outcome": "succeeded",
        "changed": change["changed"],
        "state_before": before,
        "state_after": after,
        "ended_at": iso(round(time.time() * 1000)),
    }


class CsmsCreateEventOperator(CsmsEventOperator):
    """Creates an event notification and verifies that it exists.

    An existing event with the same settings is not changed; one with other settings fails the task. The service does
    not check that the topic exists: a wrong topic shows only when an event fires (`CsmsHook`,
    ``list_notification_records``).

    The other parameters are those of `CsmsEventOperator`.

    :param event_types: such as ``["SECRET_ROTATED"]``, each once. Templated.
    :param notification: ``target_type`` (``SMN``), ``target_id`` (the topic's URN) and ``target_name``. Templated.
    :param state: ``ENABLED`` or ``DISABLED``; only an enabled event fires. Templated.
    """

    template_fields: Sequence[str] = (
        "event_types",
        "notification",
        "state",
        *CsmsEventOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = _RENDERERS

    def __init__(
        self,
        *,
        event_types: Sequence[str],
        notification: Notification,
        state: str = "ENABLED",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        settings.check_literals(state=state, event_types=event_types, notification=notification)
        self.event_types = event_types
        self.notification = notification
        self.state = state

    def wanted(self) -> dict[str, Any]:
        wanted = settings.checked_settings(
            state=self.state, event_types=self.event_types, notification=self.notification
        )
        if len(wanted) < 3:  # a template that rendered to None
            raise InvalidParameter(
                "event_types, notification or state is None, perhaps from a template. Set all three."
            )
        return wanted

    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.create(self.hook.cloud, self.name, wanted, past=past)


class CsmsUpdateEventOperator(CsmsEventOperator):
    """Updates an event notification.

    It reads first, writes only what differs, and reads back: a write that the service accepts but does not execute
    fails the task. It returns ``{"changed": ..., "before": ..., "after": ...}``, so that another task can restore the
    previous settings: see the guide of CSMS for setup and teardown.

    The other parameters are those of `CsmsEventOperator`.

    :param state: ``ENABLED`` or ``DISABLED``. Omitted: unchanged. Templated.
    :param event_types: all types that fire it. Omitted: unchanged. Templated.
    :param notification: ``target_type``, ``target_id`` and ``target_name``. Omitted: unchanged. Templated.
    """

    template_fields: Sequence[str] = (
        "state",
        "event_types",
        "notification",
        *CsmsEventOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = _RENDERERS

    def __init__(
        self,
        *,
        state: str | NotGiven = NOT_GIVEN,
        event_types: Sequence[str] | NotGiven = NOT_GIVEN,
        notification: Notification | NotGiven = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if all(each is NOT_GIVEN for each in (state, event_types, notification)):
            raise InvalidParameter(settings.NOTHING_TO_CHANGE)
        settings.check_literals(state=state, event_types=event_types, notification=notification)
        self.state = state
        self.event_types = event_types
        self.notification = notification

    def wanted(self) -> dict[str, Any]:
        return settings.checked_settings(
            state=resolve_omittable(self.state, "state", consequence="it would not change"),
            event_types=resolve_omittable(
                self.event_types, "event_types", consequence="they would not change"
            ),
            notification=resolve_omittable(
                self.notification, "notification", consequence="it would not change"
            ),
        )

    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.update(self.hook.cloud, self.name, wanted, past=past)


class CsmsDeleteEventOperator(CsmsEventOperator):
    """Deletes an event notification permanently and verifies that it is gone. Fails while secrets subscribe to it.

    The other parameters are those of `CsmsEventOperator`.

    :param ignore_missing: succeed if the event does not exist. With False, the task fails.
    """

    def __init__(self, *, ignore_missing: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_missing = flag(ignore_missing, "ignore_missing")

    def wanted(self) -> dict[str, Any]:
        return {}

    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.delete(
            self.hook.cloud,
            self.name,
            ignore_missing=self.ignore_missing,
            past=past,
        )
