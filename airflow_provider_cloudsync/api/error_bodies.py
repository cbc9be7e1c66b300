"""The error code and the text in the body of an error, whichever of a dozen shapes it has.

Services and gateways put the code under ``error_code``, ``errorCode``, ``errCode`` or ``code``, flat, nested under
``error``, or in a list under ``errors``. Others have only a text, under ``detail``, ``reason`` or ``title``, or as the
whole body. The case of a key and the underscores in it make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from airflow_provider_cloudsync.api.redaction import is_sensitive
from airflow_provider_cloudsync.api.text import LONGEST_READ, one_line
from airflow_provider_cloudsync.exceptions import is_service_code

_CODES = ("errorcode", "errcode", "code")
#: The services' own names for a text come first; a title says least.
_OWN_TEXTS = ("errormsg", "errmsg", "errormessage", "errmessage")
_TEXTS = (
    *_OWN_TEXTS,
    "errordescription",
    "errordesc",
    "message",
    "msg",
    "faultstring",
    "description",
    "detail",
    "details",
    "reason",
    "errors",
    "error",
    "title",
)
#: Fields that hold an error within an error.
_INNER = ("error", "errors", "detail", "details", "fault")
#: Fields whose objects may have the names of the caller's fields: ``{"errors": {"name": ["is too long"]}}``.
_BY_NAME = ("errors", "detail", "details")
_OF_ERROR = dict.fromkeys((*_INNER, *_TEXTS))
#: A code has no spaces; what has is a text.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
#: Levels and values that are searched; the sender decides how deep a body is nested, and how much it holds.
_DEPTH, _MOST_VALUES = 8, 1000
#: Characters of the name of a field that is looked at, with what is in it. Those of an error are far shorter.
_LONGEST_NAME = 64
#: Texts of a list that are joined, and levels of lists and objects below a field of an error that hold them.
_MOST_TEXTS, _TEXT_DEPTH = 5, 4

Clean = Callable[[str], str]


def find_error(data: Any, clean: Clean = str, clean_code: Clean | None = None) -> tuple[str, str]:
    """The first error code and the text beside it, wherever they stand; empty strings where there are none.

    :param clean: removes secrets from a text before it is cut to length.
    :param clean_code: the same for a code; None: `clean`.
    """
    if isinstance(data, list):
        data = {"errors": data}
    code, text = ("", data) if isinstance(data, str) else _find(data, _DEPTH, _budget())
    if not text:
        text = "; ".join(islice(_inner_texts(data, _TEXT_DEPTH, _budget()), _MOST_TEXTS))
    return one_line((clean_code or clean)(code), 100), one_line(clean(text[:LONGEST_READ]))


def error_code_of(data: Mapping[str, Any]) -> str:
    """The code under one of the names that only an error has; empty if there is none. ``code`` may be of a result."""
    fields = _fields(data)
    for name in ("errorcode", "errcode"):
        value = fields.get(name)
        if value and not isinstance(value, bool):
            return str(value)
    return ""


def is_all_error(data: Mapping[str, Any]) -> bool:
    """Return whether a body holds an error with a code and nothing else, whatever the status says."""
    return _fields(data).keys() <= {"error", "errors", "requestid"} and is_service_code(find_error(data)[0])


def is_of_caller(data: Any, status: int) -> bool:
    """Return whether a 401 is about the caller: it has a code, or a text in a field that only the services use.

    A text alone may be of a proxy that wants a login.
    """
    return names_code(data, status) or bool(_find(data, _DEPTH, _budget(), _OWN_TEXTS)[1])


def names_code(data: Any, status: int) -> bool:
    """Return whether the body holds a code of a service or its gateway, also IAM's ``{"error": {"code": 403}}``."""
    if is_service_code(find_error(data)[0]):
        return True
    inner = _fields(data).get("error") if isinstance(data, dict) else None
    return isinstance(inner, dict) and _first_code(_fields(inner)) == str(status)


def _budget() -> Iterator[int]:
    """Yields one item per value that may be looked at."""
    return iter(range(_MOST_VALUES))


def _find(data: Any, depth: int, budget: Iterator[int], texts: tuple[str, ...] = _TEXTS) -> tuple[str, str]:
    if next(budget, None) is None:
        return "", ""
    if isinstance(data, list):
        return _first(data, depth, budget, texts)
    if not isinstance(data, dict):
        return "", ""
    fields = _fields(data)
    code, text = _first_code(fields), _first_text(fields, texts)
    if not code and not text and texts is _TEXTS:
        text = _first_text(fields, _CODES)
    if not (code or text):
        short = (value for name, value in data.items() if len(name) <= _LONGEST_NAME)
        return _first(short, depth, budget, texts)
    if code and text:
        return code, text
    # A summary often stands above the error itself.
    inner_code, inner_text = _first((fields.get(name) for name in _INNER), depth, budget, texts)
    return code or inner_code, inner_text if code or (inner_code and inner_text) else text


def _first(
    children: Iterable[Any], depth: int, budget: Iterator[int], texts: tuple[str, ...]
) -> tuple[str, str]:
    some = islice(children, _MOST_VALUES)
    found = (_find(child, depth - 1, budget, texts) for child in some) if depth else ()
    return next((each for each in found if any(each)), ("", ""))


def _inner_texts(data: Any, depth: int, budget: Iterator[int]) -> Iterator[str]:
    """Texts below the fields of an error, each with the name of its field."""
    if not isinstance(data, Mapping) or not depth or next(budget, None) is None:
        return
    fields = _fields(data)
    for name in _OF_ERROR:
        yield from _all_texts(fields.get(name), "", depth, budget, names=name in _BY_NAME)
    for name, value in fields.items():
        if name not in _OF_ERROR:
            yield from _inner_texts(value, depth - 1, budget)


def _all_texts(value: Any, name: str, depth: int, budget: Iterator[int], *, names: bool) -> Iterator[str]:
    """Texts of a value.

    :param names: whether the fields of an object are named for what is wrong. Of any other object, only texts in known
        fields and in lists are read: it may hold more than an error, such as a key.
    """
    if next(budget, None) is None:
        return
    if _is_text(value):
        yield f"{name}: {value}" if name else str(value)
    elif isinstance(value, list) and depth:
        for each in value[:_MOST_VALUES]:
            yield from _all_texts(each, name, depth - 1, budget, names=names)
    elif isinstance(value, Mapping) and depth:
        for inner, each in islice(value.items(), _MOST_VALUES):
            if len(inner) > _LONGEST_NAME or is_sensitive(inner):
                continue
            plain = _field_name(inner)
            if plain in _OF_ERROR:
                yield from _all_texts(each, name, depth - 1, budget, names=plain in _BY_NAME)
            elif plain not in _CODES and (names or isinstance(each, list)):
                yield from _all_texts(each, inner, depth - 1, budget, names=names)


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their plain names. Those with too long a name are one field with an empty name and no value."""
    found: dict[str, Any] = {}
    for name, value in islice(data.items(), _MOST_VALUES):
        if len(name) > _LONGEST_NAME:
            found[""] = None
        else:
            found.setdefault(_field_name(name), value)
    return found


@lru_cache(maxsize=1024)
def _field_name(name: str) -> str:
    """The name without what makes no difference."""
    return re.sub(r"[\W_]", "", name).lower()


def _first_code(fields: Mapping[str, Any]) -> str:
    for name in _CODES:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and _CODE.fullmatch(value):
            return value
    return ""


def _first_text(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, list):
            value = "; ".join([each for each in value[:_MOST_VALUES] if _is_text(each)][:_MOST_TEXTS])
        if _is_text(value):
            return str(value)
    return ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
