"""Bounded parsing of bodies, and what is told from a body that was cut off."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cloudsync.api import bodies
from airflow_provider_cloudsync.api.bodies import (
    LARGE,
    MAX_NODES,
    NOT_JSON,
    TOO_MANY_CONTAINERS,
    TOO_MANY_NODES,
    parse_body,
)
from airflow_provider_cloudsync.api.messages import Request, Response
from airflow_provider_cloudsync.api.replies import accepts_credentials, find_error, read, rejects_credentials
from airflow_provider_cloudsync.exceptions import ApiError, UnreadableReply

REQUEST = Request("GET", "mrs", "Operation", "/", repeatable=True)


@pytest.mark.parametrize(
    ("body", "data", "problem"),
    [
        (b"", None, ""),
        (b" \r\n", None, ""),
        (b"null", None, ""),
        (b'{"a": [1, "b"]}', {"a": [1, "b"]}, ""),
        ('{"工": "é"}'.encode(), {"工": "é"}, ""),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, ""),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}, ""),
        ('{"a": 1}'.encode("utf-32-le"), {"a": 1}, ""),
        (b"<html>", None, NOT_JSON),
        (b'{"a": 1', None, NOT_JSON),
        (b"\xff\xfe\xfd", None, NOT_JSON),
        (b"[" * 100_000, None, TOO_MANY_CONTAINERS),
        (b'{"a":' * 70_000, None, TOO_MANY_CONTAINERS),
        (b"9" * 10_000, None, NOT_JSON),
        (b"[" + b"9" * 101 + b"]" + b" " * LARGE, None, NOT_JSON),
        (b"[" + b"9" * 100 + b"]" + b" " * LARGE, [10**100 - 1], ""),
        (b"[" + b"[]," * 1200 + b"0]", None, TOO_MANY_CONTAINERS),
        (b"[" + b"{}," * 1200 + b"0]", None, TOO_MANY_CONTAINERS),
        (b"[" + b"{}," * 1000 + b"0]", [{}] * 1000 + [0], ""),
        (b"[" + b"0," * (MAX_NODES - 2) + b"0]", [0] * (MAX_NODES - 1), ""),
        (b"[" + b"0," * MAX_NODES + b"0]", None, TOO_MANY_NODES),
        (b"[" + b"[]," * (MAX_NODES // 2) + b"0]", None, TOO_MANY_NODES),
        (b"[" + b'{"":0},' * (MAX_NODES // 3 + 1) + b"0]", None, TOO_MANY_NODES),
        (b"[" * MAX_NODES * 2, None, TOO_MANY_NODES),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_parse(body, data, problem):
    assert parse_body(body) == (data, problem)


ERROR = {"error_code": "X.1", "error_msg": "The cause"}


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (ERROR | {"more": "y" * 100}, ("X.1", "The cause")),
        (ERROR | {"more": [{"a": 1}] * 20}, ("X.1", "The cause")),
        ({"error": ERROR | {"more": ["y"] * 50}}, ("X.1", "The cause")),
        ({"errors": [ERROR, *[{"y": ']}\\"'}] * 20]}, ("X.1", "The cause")),
        ({"error_code": "X.1", "error_msg": "y" * 100}, ("X.1", "")),
        ({"request_id": "r", "error": {"code": 5, "message": "m", "y": "," * 100}}, ("5", "m")),
        ({"y": "y" * 100} | ERROR, ("", "")),
        ([[[]]] * 40, ("", "")),
    ],
)
def test_the_beginning_of_an_error(whole, expected):
    body = json.dumps(whole).encode()
    cut = body[:95]
    assert len(body) > len(cut)
    assert find_error(parse_body(cut, truncated=True).data) == expected


@pytest.mark.parametrize("body", [b'{"a": "b', b'"abc', b"[" * 1000, b"]]", b"abc", b"{", b'{"a\\', b""])
def test_a_beginning_that_tells_nothing(body):
    assert find_error(parse_body(body, truncated=True).data) == ("", "")


def test_any_beginning_of_a_list_is_a_part_of_it():
    whole = [{"a": [1, 'x,]}"\\'], "b": {}}] * 3
    body = json.dumps(whole).encode()
    for at in range(len(body)):
        data, problem = parse_body(body[:at], truncated=True)
        if not problem and data:
            assert json.dumps(data[:-1]) == json.dumps(whole[: len(data) - 1])
            assert all(whole[0][name] == value or name == "a" for name, value in data[-1].items())


def test_a_body_is_parsed_once(monkeypatch):
    parsed = []
    monkeypatch.setattr(
        bodies.json, "loads", lambda body: parsed.append(body) or {"error_code": "APIGW.0301"}
    )
    response = Response(401, {}, b"{}")
    assert rejects_credentials(response)
    assert not accepts_credentials(response)
    with pytest.raises(ApiError):
        read(REQUEST, response)
    assert response.data == {"error_code": "APIGW.0301"}
    assert parsed == [b"{}"]


def test_the_result_is_no_part_of_a_comparison_or_of_the_repr():
    parsed, other = Response(200, {}, b'{"secret": 1}'), Response(200, {}, b'{"secret": 1}')
    assert parsed.data
    assert parsed == other
    assert "secret" not in repr(parsed)


def test_an_error_that_was_cut_off():
    body = json.dumps(ERROR | {"more": "y" * 100}).encode()[:80]
    with pytest.raises(ApiError, match=r"503 X\.1\): The cause") as caught:
        read(REQUEST, Response(503, {}, body, truncated=True))
    assert caught.value.code == "X.1"


def test_an_error_that_was_cut_off_before_anything_was_said():
    with pytest.raises(ApiError, match="the body is longer than the part that is read"):
        read(REQUEST, Response(503, {}, b"[" * 80, truncated=True))


def test_too_many_values():
    with pytest.raises(UnreadableReply, match="holds more than 150,000 JSON values"):
        read(REQUEST, Response(200, {}, b"[" + b"0," * MAX_NODES + b"0]"))


@pytest.mark.parametrize(
    "hostile", [[[]] * 100_000, [[[1] * 100] * 100] * 100, {str(n): {} for n in range(100_000)}]
)
def test_the_search_for_an_error_is_bounded(hostile):
    class Counting(list):  # type: ignore[type-arg]
        seen = 0

        def __iter__(self):
            for each in super().__iter__():
                Counting.seen += 1
                yield each

    values = Counting(hostile.values() if isinstance(hostile, dict) else hostile)
    assert find_error(values) == ("", "")
    assert 0 < Counting.seen <= 1001
