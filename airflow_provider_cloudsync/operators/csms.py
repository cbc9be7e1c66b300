"""CSMS: create, change and delete event notifications of secrets."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_cloudsync.api.parameters import flag, literal_id
from airflow_provider_cloudsync.api.services.csms import settings
from airflow_provider_cloudsync.api.times import iso
from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.operators.cloud import CloudOperator, forget, has_memory, recall, remember
from airflow_provider_cloudsync.tasks.tries import TryMark
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, given

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.api.messages import Flow
    from airflow_provider_cloudsync.api.services.csms.changes import Change, Memory
    from airflow_provider_cloudsync.api.services.csms.settings import Notification

__all__ = [
    "CsmsCreateEventOperator",
    "CsmsDeleteEventOperator",
    "CsmsEventOperator",
    "CsmsUpdateEventOperator",
]

#: Key in Airflow's task state store (3.3 and later): what the event was like before the first write. Never rename it.
BEFORE_KEY = "cloudsync_before"
_RENDERERS = {"event_types": "json", "notification": "json"}
#: By so much the clocks of Airflow and of the service may differ (seconds).
_CLOCKS = 60.0


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the tries before this one.

    :param memory: what one of them remembered.
    :param remember: what the tries to come will know.
    :param since: a change at that time or later (seconds since the epoch) may be of a try that could not remember.
        None: there is none such.
    """

    memory: Memory | None
    remember: Callable[[Memory | None], None]
    since: float | None


class CsmsEventOperator(CloudOperator):
    """Changes an event notification. What it was like before survives a try that is killed in between.

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
        """What to set, from the rendered parameters, checked."""

    @abstractmethod
    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        """The flow that changes the event."""

    def subject(self) -> str:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.described(self.name)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the event, and tell what it was like before and is now."""
        from airflow_provider_cloudsync.api.services.csms import changes

        with self.clear_errors():
            self.name = settings.checked_name(self.name)
            wanted = self.wanted()
            self.show_console(context, changes.CONSOLE, {"name": self.name})
            where = [self.cloudsync_conn_id, self.region, self.project_id]
            of = json.dumps([type(self).__name__, self.name, wanted, *where])

            def keep(memory: Memory | None) -> None:
                if memory is None:
                    forget(context, BEFORE_KEY)
                else:
                    kept = {"memory": asdict(memory), "of": of, "try": TryMark.of(context).to_json()}
                    remember(context, BEFORE_KEY, json.dumps(kept))

            past = Past(self._recall(context, of), keep, self._since(context))
            change = self.hook.run(self.change(wanted, past))
        self.log.info("Event notification %s: %s.", self.name, json.dumps(change))
        self.tell_outlets(context, "csms", {"name": self.name}, _happened(change))
        return dict(change)

    def _recall(self, context: Context, of: str) -> Memory | None:
        from airflow_provider_cloudsync.api.services.csms import changes

        stored = recall(context, BEFORE_KEY)
        if stored is None:
            return None
        try:
            left = json.loads(stored)
            memory = changes.Memory.of(left["memory"]) if left["of"] == of else None
            mark = TryMark.from_json(left.get("try"))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self.log.warning("What an earlier try stored can't be read, and is not used: %r", error)
            return None
        # A task that was cleared knows what it wrote before; but not what became of a write that it did not see.
        if memory is not None and memory.wrote is None and not self.is_retry(context, mark):
            forget(context, BEFORE_KEY)
            return None
        return memory

    def _since(self, context: Context) -> float | None:
        if context["ti"].try_number <= 1 or has_memory(context):
            return None
        began = getattr(context.get("dag_run"), "start_date", None)
        return 0.0 if began is None else began.timestamp() - _CLOCKS


def _happened(change: Change) -> dict[str, Any]:
    """A change in a few words: whom the event notifies is nobody's business who only wants to know of the change."""
    before, after = ((change[when] or {}).get("state") for when in ("before", "after"))
    return {
        "outcome": "succeeded",
        "changed": change["changed"],
        "state_before": before,
        "state_after": after,
        "ended_at": iso(round(time.time() * 1000)),
    }


class CsmsCreateEventOperator(CsmsEventOperator):
    """Creates an event notification, and sees that it is there.

    One that is there already, as asked, is left alone; one that is different fails the task and is not changed. The
    service does not look whether the topic exists: a wrong one shows only when an event fires (`CsmsHook`,
    ``list_notification_records``).

    The other parameters are those of `CsmsEventOperator`.

    :param event_types: such as ``["SECRET_ROTATED"]``, each once. Templated.
    :param notification: ``target_type`` (``SMN``), ``target_id`` (the topic's URN) and ``target_name``. Templated.
    :param state: ``ENABLED`` or ``DISABLED``; only an enabled one fires. Templated.
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
            raise InvalidParameter("An event needs event_types, notification and state; one of them is None.")
        return wanted

    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.create(
            self.hook.cloud, self.name, wanted, memory=past.memory, remember=past.remember, since=past.since
        )


class CsmsUpdateEventOperator(CsmsEventOperator):
    """Brings an event notification into the state that is asked for.

    It reads first, writes only what differs, and reads back: a write that the service accepts and does not carry out
    fails the task. It returns ``{"changed": ..., "before": ..., "after": ...}``, so that another task can restore what
    was: see the guide of CSMS for setup and teardown.

    The other parameters are those of `CsmsEventOperator`.

    :param state: ``ENABLED`` or ``DISABLED``; not given: left as it is. Templated.
    :param event_types: all types that are to fire it; not given: left as they are. Templated.
    :param notification: ``target_type``, ``target_id`` and ``target_name``; not given: left as it is. Templated.
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
        left = "would be left as it is"
        return settings.checked_settings(
            state=given(self.state, "state", otherwise=f"it {left}"),
            event_types=given(self.event_types, "event_types", otherwise="they would be left as they are"),
            notification=given(self.notification, "notification", otherwise=f"it {left}"),
        )

    def change(self, wanted: Mapping[str, Any], past: Past) -> Flow[Change]:
        from airflow_provider_cloudsync.api.services.csms import changes

        return changes.update(
            self.hook.cloud, self.name, wanted, memory=past.memory, remember=past.remember, since=past.since
        )


class CsmsDeleteEventOperator(CsmsEventOperator):
    """Deletes an event notification, for good, and sees that it is gone. Secrets that subscribe to it prevent that.

    The other parameters are those of `CsmsEventOperator`.

    :param ignore_missing: whether one that does not exist is as good as deleted; if not, it fails the task.
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
            memory=past.memory,
            remember=past.remember,
            retried=past.since is not None,
        )
