"""Checks of the parameters that users pass, done before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import date, time, timedelta
from typing import Any

from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.api.times import epoch_ms
from airflow_provider_cloudsync.exceptions import InvalidParameter

#: Seconds after a start of an IAM user sync in which a flag that is down may only mean that the run is not up yet.
IAM_SETTLE = 10.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TEMPLATE_MARKS = ("{{", "{%", "{#")
#: Types of values that a DAG file holds as they are. Anything else, such as the output of a task, is known at run time.
_PLAIN_TYPES = (
    *(bool, int, float, complex, str, bytes, bytearray),
    *(date, time, timedelta),
    *(list, tuple, set, frozenset, dict),
)
#: Iterators, and views of a dict, which change with it.
_READ_ONCE = (Iterator, KeysView, ValuesView, ItemsView)
#: Native rendering makes numbers of text such as "1e3", and the original text cannot be restored.
_NATIVE_ADVICE = (
    " Under render_template_as_native_obj such text becomes a number: let the template return it in quotes."
)


def is_id(value: Any) -> bool:
    """Return whether it can stand in a path as it is."""
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
        + _advice(value)
    )


def number_as_text(value: Any) -> Any:
    """A whole number as text: what ``render_template_as_native_obj`` makes of an id of digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _advice(value: Any) -> str:
    """Return advice for a number that cannot be an ID or a name; empty for other values."""
    return _NATIVE_ADVICE if isinstance(value, float | complex) else ""


def flag(value: Any, name: str) -> bool:
    """Return a parameter that must be a bool.

    :raises InvalidParameter: for anything else: the text "false" would count as true.
    """
    if isinstance(value, bool):
        return value
    raise InvalidParameter(
        f"{name} must be True or False (bool), not {shown(value)}. It is not templated: neither a template nor the "
        "output of a task can set it."
    )


def literal(check: Callable[..., object], value: Any, *more: Any) -> Any:
    """Return the same value, checked if the DAG file holds it; a template is checked at run time.

    :param check: one of the checks of this module, called with `value` and `more`.
    :raises InvalidParameter: as `check` does.
    """
    if is_plain(value):
        check(value, *more)
    return value


def literal_id(value: Any, name: str) -> Any:
    """Return the same value; an ID in the DAG file is checked with `identifier`."""
    return literal(identifier, value, name)


def literal_text(value: Any, name: str, most: int) -> Any:
    """Return the same value; text in the DAG file is checked with `checked_text`."""
    literal(checked_text, number_as_text(value), name, most)
    return value


def literal_time(value: Any, name: str) -> Any:
    """Return the same value; a time in the DAG file is checked with `epoch_ms`."""
    return literal(epoch_ms, value, name)


def literal_names(value: Any, name: str) -> Any:
    """Return the same value, a set as a list; names in the DAG file are checked, templates at run time."""
    if isinstance(value, _READ_ONCE):
        # Airflow copies tasks, which fails for these, far away from the cause.
        raise InvalidParameter(
            f"{name} must be a list, not {type(value).__name__}, which Airflow cannot copy. Use list(...)."
        )
    value = listed(value)
    if is_plain(value):
        items = isinstance(value, list | tuple)
        names([each for each in value if is_plain(each)] if items else value, name)
    return value


def filled(value: Any, name: str) -> str:
    """Return text that must not be empty; a whole number as its text.

    :raises InvalidParameter: if it is empty or not text.
    """
    value = number_as_text(value)
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidParameter(
        f"{name} must be text that is not empty, not {shown(value)}. To use the default, omit {name}."
        + _advice(value)
    )


def is_literal(value: Any) -> bool:
    """Return whether it is text that stands in the DAG file as it is meant."""
    return isinstance(value, str) and not any(mark in value for mark in _TEMPLATE_MARKS)


def is_plain(value: Any) -> bool:
    """Return whether a value of a DAG file is known at parse time: neither a template nor the output of a task."""
    return is_literal(value) if isinstance(value, str) else isinstance(value, _PLAIN_TYPES)


def listed(value: Any) -> Any:
    """Return what can be read once only, or has no order, as a list; anything else unchanged.

    An iterator and a view of a dict keep their order, a set is sorted.
    """
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return list(value) if isinstance(value, _READ_ONCE) else value


def checked_text(value: Any, name: str, most: int) -> str:
    """Text of 1 to `most` characters, none of them a control character."""
    if isinstance(value, str) and value.strip() == value and 1 <= len(value) <= most and value.isprintable():
        return value
    raise InvalidParameter(
        f"{name} must be text of 1 to {most} characters without blanks around it, not {shown(value)}."
        + _advice(value)
    )


def names(value: Any, name: str) -> list[str]:
    """A list of names, without repetitions and in the order given; None means none.

    Whole numbers are names of digits, as ``render_template_as_native_obj`` renders them. A set has no order, so its
    names are sorted.
    """
    if value is None:
        return []
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise InvalidParameter(
            f'{name} must be a list of names such as ["alice", "bob"], not {shown(value)}. For a template that makes '
            "a list, set render_template_as_native_obj=True on the DAG."
        )
    checked: dict[str, None] = {}
    for item in listed(value):
        text = number_as_text(item)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise InvalidParameter(f"{name} holds {shown(item)}, which is no name.{_advice(item)}")
        checked[text] = None
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
