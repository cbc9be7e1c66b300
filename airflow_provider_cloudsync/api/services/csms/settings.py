"""CSMS: checks of the settings of an event notification. Loaded at parse time, so it imports no more than that."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.parameters import (
    checked_text,
    is_id,
    is_plain,
    listed,
    literal,
    literal_names,
    names,
    number_as_text,
    one_of,
)
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import InvalidParameter

log = logging.getLogger(__name__)

EVENT_TYPES = (
    "SECRET_VERSION_CREATED",
    "SECRET_VERSION_EXPIRED",
    "SECRET_ROTATED",
    "SECRET_DELETED",
    "SECRET_ROTATED_FAILED",
)
STATES = ("ENABLED", "DISABLED")
NOTHING_TO_CHANGE = "There is nothing to change: give state, event_types or notification."
_MOST_TYPES = 12
_NOTIFICATION = {"target_type": 64, "target_id": 512, "target_name": 512}


class Notification(TypedDict):
    """Destination of messages. Only type ``SMN`` is known to work; ``target_id`` is the URN of the topic."""

    target_type: str
    target_id: str
    target_name: str


def checked_name(name: Any) -> str:
    """Return a checked event name: 1 to 64 letters, digits, underscores and hyphens. Part of the path."""
    text = number_as_text(name)
    if is_id(text):
        return str(text)
    raise InvalidParameter(
        f"The name of an event must be 1 to 64 letters, digits, underscores or hyphens, not {shown(name)}."
    )


def checked_settings(
    *, state: Any = None, event_types: Any = None, notification: Any = None
) -> dict[str, Any]:
    """Return the checked settings without those that are None.

    :raises InvalidParameter: for settings that the service refuses, or accepts but never delivers.
    """
    settings: dict[str, Any] = {}
    if state is not None:
        settings["state"] = one_of(state, "state", STATES)
    if event_types is not None:
        settings["event_types"] = _types(event_types)
        unknown = [each for each in settings["event_types"] if each not in EVENT_TYPES]
        if unknown:
            log.warning(
                'Unknown event type "%s" (known: %s); sending it unchanged.',
                unknown[0],
                ", ".join(EVENT_TYPES),
            )
    if notification is not None:
        settings["notification"] = target = _notification(notification)
        if target["target_type"] != "SMN":
            log.warning("The only target_type known to work is SMN, not %s.", shown(target["target_type"]))
    return settings


def check_literals(*, state: Any, event_types: Any, notification: Any) -> None:
    """Check at parse time what the DAG file holds; templates and outputs of tasks are checked at run time.

    :raises InvalidParameter: as `checked_settings` does.
    """
    literal(one_of, state, "state", STATES)
    event_types = literal_names(event_types, "event_types")
    if isinstance(event_types, list | tuple) and all(map(is_plain, event_types)):
        _types(event_types)
    if is_plain(notification):
        parts = notification.values() if isinstance(notification, Mapping) else ()
        if all(map(is_plain, parts)):
            _notification(notification)
        else:
            _check_keys(notification)


def _types(event_types: Any) -> list[str]:
    given = listed(event_types)
    types = names(given, "event_types")
    items = list(map(number_as_text, given)) if isinstance(given, Iterable) else []
    if len(types) != len(items):
        twice = next(each for each in types if items.count(each) > 1)
        raise InvalidParameter(f"event_types holds {shown(twice)} more than once.")
    if not 1 <= len(types) <= _MOST_TYPES:
        raise InvalidParameter(
            f"event_types must hold 1 to {_MOST_TYPES} types, not {len(types)}. To silence an event, set its state to "
            "DISABLED."
        )
    return types


def _check_keys(notification: Any) -> None:
    if not isinstance(notification, Mapping) or {*notification} != {*_NOTIFICATION}:
        has = ", ".join(map(str, notification)) if isinstance(notification, Mapping) else shown(notification)
        raise InvalidParameter(
            f"notification must hold {', '.join(_NOTIFICATION)}, all three and nothing else; it has {has or 'nothing'}."
        )


def _notification(notification: Any) -> Notification:
    _check_keys(notification)
    # The topic's name may be digits, which native rendering makes a number.
    parts = {**notification, "target_name": number_as_text(notification["target_name"])}
    texts = {part: checked_text(parts[part], part, most) for part, most in _NOTIFICATION.items()}
    return Notification(
        target_type=texts["target_type"], target_id=texts["target_id"], target_name=texts["target_name"]
    )
