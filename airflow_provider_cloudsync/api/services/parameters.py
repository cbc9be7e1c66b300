"""Checks of the parameters that users pass, done before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.api.times import epoch_ms
from airflow_provider_cloudsync.exceptions import InvalidParameter

#: Seconds after a start of an IAM user sync in which a flag that is down may only mean that the run is not up yet.
IAM_SETTLE = 10.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_id(value: Any) -> bool:
    """Whether it can stand in a path as it is."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def identifier(value: Any, name: str) -> str:
    """An id as it stands in a path: 1 to 64 letters, digits, underscores and hyphens.

    Nothing else may stand there, so that no id can lead to another path.
    """
    value = number_as_text(value)
    if is_id(value):
        return str(value)
    raise InvalidParameter(
        f"{name} must be 1 to 64 letters, digits, underscores or hyphens, not {shown(value)}."
    )


def number_as_text(value: Any) -> Any:
    """A whole number as text: what ``render_template_as_native_obj`` makes of an id of digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def literal_id(value: Any, name: str) -> Any:
    """The same value, for a DAG that is parsed: an id that stands there as it is gets checked, a template later."""
    if is_literal(value):
        identifier(value, name)
    return value


def literal_time(value: Any, name: str) -> Any:
    """The same for a point in time."""
    if is_literal(value):
        epoch_ms(value, name)
    return value


def is_literal(value: Any) -> bool:
    """Whether it is text that stands in the DAG file as it is meant."""
    return isinstance(value, str) and "{{" not in value and "{%" not in value


def checked_text(value: Any, name: str, most: int) -> str:
    """Text of 1 to `most` characters, none of them a control character."""
    if isinstance(value, str) and value.strip() == value and 1 <= len(value) <= most and value.isprintable():
        return value
    raise InvalidParameter(
        f"{name} must be text of 1 to {most} characters without blanks around it, not {shown(value)}."
    )


def names(value: Any, name: str) -> list[str]:
    """A list of names, without repetitions and in the order given; None means none."""
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidParameter(
            f'{name} must be a list of names such as ["alice", "bob"], not {shown(value)}. For a template that makes '
            "a list, set render_template_as_native_obj=True on the DAG."
        )
    checked: dict[str, None] = {}
    for item in value:
        if not isinstance(item, str) or not item.strip() or not item.isprintable():
            raise InvalidParameter(f"{name} holds {shown(item)}, which is no name.")
        checked[item] = None
    return list(checked)


def one_of(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    if value in choices:
        return str(value)
    raise InvalidParameter(
        f"{name} must be {' or '.join(repr(choice) for choice in choices)}, not {shown(value)}."
    )


def names_or_all(*, sync_all: bool | None, named: bool) -> None:
    """Either names or everything.

    :param sync_all: None where there is no everything.
    :raises InvalidParameter: for both, and for neither.
    """
    if sync_all and named:
        raise InvalidParameter(
            "Name users and groups, or set sync_all=True; both at once contradict each other."
        )
    if not (sync_all or named):
        everything = "" if sync_all is None else ", or set sync_all=True"
        raise InvalidParameter(f"Name users or groups in user_names or group_names{everything}.")
