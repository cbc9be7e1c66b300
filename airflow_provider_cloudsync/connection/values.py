"""Reading single fields of an Airflow connection: each is checked, and each error says what belongs there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_cloudsync.api.endpoints import check_url, near_region, unknown_region
from airflow_provider_cloudsync.exceptions import InvalidConnection

_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
#: What Airflow's API and form show in place of a secret; saved back, it is one no longer.
_MASKED = "***"


class Fields:
    """The fields of one connection; each reader says what it expects where it finds something else."""

    def __init__(self, conn_id: str, values: Mapping[str, Any]) -> None:
        self._conn_id = conn_id
        self._values = values

    def wrong(self, text: str) -> InvalidConnection:
        return InvalidConnection(f'Connection "{self._conn_id}": {text}')

    def raw(self, name: str) -> Any:
        """The value; None where the form was left empty."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = value.strip()
            if value == _MASKED:
                raise self.wrong(
                    f'"{name}" is the mask {_MASKED}, not a value. Enter the value itself again.'
                )
        return None if value in ("", None) else value

    def words(self, name: str) -> str | None:
        """Text that may hold blanks, such as a name or a password."""
        value = self.raw(name)
        if value is not None and (not isinstance(value, str) or not value.isprintable()):
            raise self.wrong(f'"{name}" must be text without line breaks.')
        return value

    def one_of(self, name: str, choices: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise self.wrong(f'"{name}" must be one of {", ".join(choices)}.')
        return value

    def needed(self, name: str, value: str | None, auth: str) -> str:
        """A value that a way to sign in can't do without."""
        if value is None:
            raise self.wrong(f'"auth": "{auth}" needs "{name}", which is empty.')
        return value

    def text(self, name: str) -> str | None:
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise self.wrong(f'"{name}" must be text without spaces or line breaks.')
        return value

    def secret(self, name: str) -> str | None:
        """A password, as it is: blanks at its ends may be part of it, a line break cannot."""
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
        """Text that is sent in a header as it is."""
        value = self.text(name)
        if value is not None and not value.isascii():
            raise self.wrong(f'"{name}" holds a character that no key has; copy it anew.')
        return value

    def identifier(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _ID.fullmatch(value):
            raise self.wrong(f'"{name}" may hold letters, digits, hyphens and underscores only.')
        return value

    def region(self, name: str, source: str) -> str | None:
        """A region. One that the endpoint table does not have may be that of a private cloud.

        :param source: where it was set, for the error.
        """
        value = self.raw(name)
        if value is not None and not (isinstance(value, str) and _ID.fullmatch(value)):
            if near_region(value):
                raise self.wrong(unknown_region(value, source))
            return self.identifier(name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self.raw(name)
        words = {"true": True, "false": False}
        if isinstance(value, str):
            value = words.get(value.lower(), value)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f'"{name}" must be true or false.')
        return value

    def seconds(self, name: str, default: float, most: float = 600) -> float:
        value = self.raw(name)
        if value is None:
            return default
        try:
            number = float(value) if not isinstance(value, bool) else 0.0
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        if not 1 <= number <= most:
            raise self.wrong(f'"{name}" must be a number of seconds from 1 to {most:g}.')
        return number

    def url(self, name: str, value: Any, *, allow_http: bool) -> str:
        try:
            if not isinstance(value, str):
                raise InvalidConnection(f'"{name}" must be a URL.')
            return check_url(value.strip(), field=name, allow_http=allow_http)
        except InvalidConnection as error:
            raise self.wrong(error.message) from None


def parse_object(text: Any, conn_id: str, name: str) -> Mapping[str, Any]:
    """A field that is a JSON object, as an object or as text; empty where there is none.

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
        # Raised out here, since the error of the JSON module holds the text with all its secrets: not to be chained.
        raise InvalidConnection(f'Connection "{conn_id}": "{name}" is not JSON.')
    if text is None:
        return {}
    if not isinstance(text, Mapping):
        raise InvalidConnection(
            f'Connection "{conn_id}": "{name}" must be a JSON object, such as {{"region": "..."}}.'
        )
    return text
