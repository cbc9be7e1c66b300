"""Checked values of a connection's fields. Each error names the field and what to enter there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_cloudsync.api.endpoints import EXTRA_REGION, check_url, near_region, unknown_region
from airflow_provider_cloudsync.connection.fields import TABLE
from airflow_provider_cloudsync.exceptions import InvalidConnection

_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
#: Shown by Airflow's API and form in place of a secret. Saved back, it replaces the secret.
_MASKED = "***"


class Fields:
    """Values by name, with one method for each type of value.

    :param conn_id: for errors.
    """

    def __init__(self, conn_id: str, values: Mapping[str, Any]) -> None:
        self._conn_id = conn_id
        self._values = values

    def wrong(self, text: str) -> InvalidConnection:
        """Return the error for an unusable value."""
        return InvalidConnection(f'Connection "{self._conn_id}": {text}')

    def raw(self, name: str) -> Any:
        """Return the value without blanks around it; None if it is empty."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = value.strip()
            if value == _MASKED:
                raise self.wrong(
                    f'"{name}" is the mask {_MASKED}, not a value. Enter the value itself again.'
                )
        return None if value in ("", None) else value

    def words(self, name: str) -> str | None:
        """Return text that may hold blanks, such as a name."""
        value = self.raw(name)
        if value is not None and (not isinstance(value, str) or not value.isprintable()):
            raise self.wrong(f'"{name}" must be text without line breaks.')
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """Return one of several words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise self.wrong(f'"{name}" must be one of {", ".join(choices)}.')
        return value

    def required(self, name: str, value: str | None, auth: str) -> str:
        """Return a value that a way to authenticate needs.

        :raises InvalidConnection: if it is None.
        """
        if value is None:
            raise self.wrong(f'"auth": "{auth}" needs "{name}", which is empty.')
        return value

    def text(self, name: str) -> str | None:
        """Return text without blanks inside."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise self.wrong(f'"{name}" must be text without spaces or line breaks.')
        return value

    def secret(self, name: str) -> str | None:
        """Return a password unchanged: blanks at its ends may be part of it, a line break cannot."""
        self.words(name)
        value = self._values.get(name)
        if not isinstance(value, str) or not value:
            return None
        if value.rstrip("\r\n") != value:
            raise self.wrong(
                f'"{name}" ends in a line break, which secret stores and files often append. Nothing was sent. Store '
                "it without the line break."
            )
        if not value.isprintable():
            raise self.wrong(f'"{name}" holds a line break or another control character. Nothing was sent.')
        return value

    def header(self, name: str) -> str | None:
        """Return text that is sent in a header."""
        value = self.text(name)
        if value is not None and not value.isascii():
            raise self.wrong(f'"{name}" holds a character that no key has. Copy it again.')
        return value

    def identifier(self, name: str) -> str | None:
        """Return an ID."""
        value = self.text(name)
        if value is not None and not _ID.fullmatch(value):
            raise self.wrong(f'"{name}" may hold letters, digits, hyphens and underscores only.')
        return value

    def region(self, name: str, source: str) -> str | None:
        """Return a region. A region that is not in the endpoint table may belong to a private cloud.

        :param source: where it was set, for the error.
        """
        value = self.raw(name)
        if value is not None and not (isinstance(value, str) and _ID.fullmatch(value)):
            if near_region(value):
                raise self.wrong(unknown_region(value, source))
            return self.identifier(name)
        return value

    def flag(self, name: str) -> bool | None:
        """Return a Boolean, also from the words "true" and "false"."""
        value = self.raw(name)
        words = {"true": True, "false": False}
        if isinstance(value, str):
            value = words.get(value.lower(), value)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f'"{name}" must be true or false.')
        return value

    def seconds(self, name: str, limits: tuple[int, int]) -> float | None:
        """Return a number of seconds between two limits."""
        value = self.raw(name)
        if value is None:
            return None
        try:
            number = float(value) if not isinstance(value, bool) else 0.0
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        least, most = limits
        if not least <= number <= most:
            raise self.wrong(f'"{name}" must be a number of seconds, from {least} to {most}.')
        return number

    def object(self, name: str) -> Mapping[str, Any]:
        """Return a JSON object, given as an object or as text; empty if there is none."""
        return parse_object(self.raw(name), self._conn_id, name)

    def url(self, name: str, value: Any, *, allow_http: bool) -> str:
        """Return the URL of an endpoint.

        :param name: of the field, for the error.
        """
        try:
            if not isinstance(value, str):
                raise InvalidConnection(f'"{name}" must be a URL.')
            return check_url(value.strip(), field=name, allow_http=allow_http)
        except InvalidConnection as error:
            raise self.wrong(error.message) from None


class ConnectionFields(Fields):
    """Fields of an Airflow connection: those of `fields.TABLE`, and Airflow's own Login and Password.

    :param extra: the connection's Extra.
    """

    def __init__(
        self, conn_id: str, extra: Mapping[str, Any], login: str | None, password: str | None
    ) -> None:
        known = {name: value for name, value in extra.items() if name in TABLE}
        super().__init__(conn_id, {**known, "Login": login, "Password": password})

    def value(self, name: str) -> Any:
        """Return a field of the table by its type; None if it is empty.

        :raises InvalidConnection: if the value is not of that type.
        """
        field = TABLE[name]
        match field.kind:
            case "choice":
                return self.choice(name, field.choices)
            case "seconds":
                assert field.limits is not None
                return self.seconds(name, field.limits)
            case "region":
                return self.region(name, EXTRA_REGION)
        return getattr(self, field.kind)(name)


def parse_object(text: Any, conn_id: str, name: str) -> Mapping[str, Any]:
    """Return a JSON object, given as an object or as text; empty if there is none.

    :param name: of the field, for the error.
    :raises InvalidConnection: if it is something else.
    """
    readable = True
    if isinstance(text, str):
        text = text.strip()
        try:
            text = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            readable = False
    if not readable:
        # Raised outside the except block: the chained error of the JSON module would hold the text, secrets included.
        raise InvalidConnection(f'Connection "{conn_id}": "{name}" is not JSON.')
    if text is None:
        return {}
    if not isinstance(text, Mapping):
        raise InvalidConnection(
            f'Connection "{conn_id}": "{name}" must be a JSON object, such as {{"region": "..."}}.'
        )
    return text
