"""Reading of JSON that a user wrote: each complaint names the key it is about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, overload

#: No time in a scenario is longer; added to any date it stays a date.
MOST_SECONDS = 1e9
#: From here on a number is a time in milliseconds, not an offset in seconds.
MILLISECONDS_FROM = 10**11
#: Bytes of a scenario file or the body of a control request.
MAX_DOCUMENT = 4 * 1024 * 1024
#: Levels of objects and lists in it.
MAX_DEPTH = 50


class BadInput(ValueError):
    """A scenario, a fault or a control request is not as it should be; the text says where."""


def parse_document(content: bytes, name: str) -> Any:
    """Return the JSON that a user wrote.

    :param name: the document in complaints, such as ``the request body``.
    :raises BadInput: it is too large, not JSON, or nested too deeply.
    """
    if len(content) > MAX_DOCUMENT:
        raise BadInput(f"{name} must have {MAX_DOCUMENT} bytes at most")
    try:
        document = json.loads(content)
    except RecursionError:
        raise BadInput(f"{name} is not JSON of {MAX_DEPTH} levels at most") from None
    except ValueError as error:
        raise BadInput(f"{name} is not JSON: {error}") from None
    check_depth(document, name)
    return document


def check_depth(value: Any, name: str) -> None:
    """Check that objects and lists are not nested too deeply to be copied and shown.

    :raises BadInput: they are.
    """
    level = _nested(value)
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [inner for each in level for item in _items(each) for inner in _nested(item)]
    if level:
        raise BadInput(f"{name} must have {MAX_DEPTH} levels of objects and lists at most")


def _nested(value: Any) -> list[Any]:
    return [value] if isinstance(value, (Mapping, list, tuple)) else []


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


class Reader:
    """One JSON object that is being read. What `done` has not seen read by then is a mistake of the user.

    :param value: the object.
    :param where: how complaints call it, such as ``mrs.clusters.example-cluster``.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise BadInput(f"{where or 'the document'} must be an object, not {_kind(value)}")
        self.where = where
        self.fields = dict(value)
        self._read: set[str] = set()

    def at(self, key: str) -> str:
        """How complaints call the field `key`."""
        return f"{self.where}.{key}" if self.where else key

    def __contains__(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def keys(self) -> list[str]:
        """The names of all fields."""
        return list(self.fields)

    def raw(self, key: str, default: Any = None) -> Any:
        """The field as it is."""
        self._read.add(key)
        return self.fields.get(key, default)

    def needed(self, key: str) -> Any:
        """The field as it is; without it the object is of no use."""
        if key not in self.fields:
            raise BadInput(f"{self.at(key)} is missing")
        return self.raw(key)

    @overload
    def text(self, key: str, default: str = ..., *, choices: Iterable[str] = ...) -> str: ...
    @overload
    def text(self, key: str, default: None, *, choices: Iterable[str] = ...) -> str | None: ...
    def text(self, key: str, default: str | None = "", *, choices: Iterable[str] = ()) -> str | None:
        """A string."""
        value = self.raw(key, default)
        if value is None and default is None:
            return None
        if not isinstance(value, str):
            raise BadInput(f"{self.at(key)} must be a string, not {_kind(value)}")
        allowed = tuple(choices)
        if allowed and value not in allowed:
            raise BadInput(f"{self.at(key)} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    @overload
    def number(self, key: str, default: float = ..., *, least: float = ..., most: float = ...) -> float: ...
    @overload
    def number(self, key: str, default: None, *, least: float = ..., most: float = ...) -> float | None: ...
    def number(
        self, key: str, default: float | None = 0.0, *, least: float = 0.0, most: float = MOST_SECONDS
    ) -> float | None:
        """A number within bounds, both of them included."""
        value = self.raw(key, default)
        if value is None and default is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadInput(f"{self.at(key)} must be a number, not {_kind(value)}")
        # Written so that NaN, which JSON readers let pass, is out of bounds as well.
        if not least <= value <= most:
            raise BadInput(f"{self.at(key)} must be from {least:g} to {most:g}, not {value!r}")
        return value

    def whole(self, key: str, default: int = 0, *, least: int = 0, most: int | None = None) -> int:
        """A whole number within bounds, both of them included."""
        value = self.raw(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadInput(f"{self.at(key)} must be a whole number, not {_kind(value)}")
        if value < least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"from {least} to {most}"
            raise BadInput(f"{self.at(key)} must be {bounds}, not {value}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise BadInput(f"{self.at(key)} must be true or false, not {_kind(value)}")
        return value

    def names(self, key: str, default: Iterable[str] = ()) -> list[str]:
        """A list of strings."""
        value = self.raw(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadInput(f"{self.at(key)} must be a list of strings")
        return value

    def numbers(self, key: str) -> list[float]:
        """A list of numbers of seconds."""
        value = self.raw(key, [])
        if not isinstance(value, list):
            raise BadInput(f"{self.at(key)} must be a list of numbers, not {_kind(value)}")
        items = Reader({f"{key}[{index}]": item for index, item in enumerate(value)}, self.where)
        return [items.number(name) for name in items.keys()]

    def moment(self, key: str, began: float, default: float | None = None) -> float | None:
        """A time, given as an offset in seconds from `began` or as milliseconds since the epoch; null is never."""
        offset = default if key not in self.fields else None
        value = self.number(key, offset, least=-MOST_SECONDS, most=1e14)
        if value is None:
            return None
        return round(value / 1000 if value >= MILLISECONDS_FROM else began + value, 3)

    def series(self, key: str, default: str, *, choices: Iterable[str] = ()) -> list[str]:
        """What happens to successive runs, the last of which stays: a string, or a list of them."""
        value = self.raw(key, default)
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise BadInput(f"{self.at(key)} must be a string, or a list of strings for successive runs")
        allowed = tuple(choices)
        for index, text in enumerate(texts):
            if allowed and text not in allowed:
                where = self.at(key) if isinstance(value, str) else f"{self.at(key)}[{index}]"
                raise BadInput(f"{where} must be one of {', '.join(allowed)}, not {text!r}")
        return texts

    def child(self, key: str) -> Reader:
        """An object within this one; an absent one reads as empty."""
        return Reader(self.raw(key, {}), self.at(key))

    def children(self, key: str) -> list[Reader]:
        """A list of objects."""
        value = self.raw(key, [])
        if not isinstance(value, list):
            raise BadInput(f"{self.at(key)} must be a list of objects, not {_kind(value)}")
        return [Reader(item, f"{self.at(key)}[{index}]") for index, item in enumerate(value)]

    def entries(self, key: str) -> dict[str, Reader]:
        """Objects by name."""
        inner = self.child(key)
        return {name: inner.child(name) for name in inner.keys()}

    def done(self) -> None:
        """Complain of the first field that nobody asked for: most likely its name is misspelt."""
        for key in self.fields:
            if key not in self._read:
                known = ", ".join(sorted(self._read))
                raise BadInput(f"{self.at(key)} is not known; known here: {known}")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the string {value!r}"
    return "a list" if isinstance(value, list) else "an object"
