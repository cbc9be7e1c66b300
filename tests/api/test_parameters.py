"""What users may pass, and what is refused before anything is sent."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.parameters import (
    checked_text,
    filled,
    flag,
    identifier,
    listed,
    literal,
    literal_id,
    literal_names,
    literal_time,
    names,
    one_of,
)
from airflow_provider_cloudsync.api.times import epoch_ms
from airflow_provider_cloudsync.exceptions import InvalidParameter


def refused(check, *args):
    with pytest.raises(InvalidParameter) as caught:
        check(*args)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    return caught.value.message


@pytest.mark.parametrize("value", ["a", "A-Z_09", "-", "x" * 64, "0e2ba92c-c3d4-4b9e-8c4b-3b5c1e1e1e1e"])
def test_identifier(value):
    assert identifier(value, "cluster_id") == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 65, id="too long"),
        pytest.param("x" * 1_000_000, id="far too long"),
        pytest.param("a/b", id="slash"),
        pytest.param("..", id="dots"),
        pytest.param("a%2fb", id="escape"),
        pytest.param("a b", id="blank"),
        pytest.param(" a", id="blank before"),
        pytest.param("a\n", id="line feed at the end"),
        pytest.param("a?x=1", id="query"),
        pytest.param("a#x", id="fragment"),
        pytest.param("ä", id="umlaut"),
        pytest.param("١", id="digit of another script"),
        pytest.param("{{ var.value.cluster }}", id="a template that was not rendered"),
        pytest.param(None, id="none"),
        pytest.param(1.5, id="fraction"),
        pytest.param(True, id="flag"),
        pytest.param(10**64, id="number of 65 digits"),
        pytest.param(b"a", id="bytes"),
        pytest.param(["a"], id="list"),
        pytest.param("\x1b[31m", id="escape sequence"),
    ],
)
def test_no_identifier(value):
    message = refused(identifier, value, "cluster_id")
    assert message.startswith("cluster_id must be")


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_an_identifier_can_lead_nowhere_else(text):
    from urllib.parse import quote

    try:
        identifier(text, "cluster_id")
    except InvalidParameter:
        return
    assert quote(text, safe="") == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, [], id="none"),
        pytest.param([], [], id="empty"),
        pytest.param(["b", "a"], ["b", "a"], id="order kept"),
        pytest.param(["a", "b", "a"], ["a", "b"], id="repetitions go"),
        pytest.param(("a",), ["a"], id="tuple"),
        pytest.param((name for name in "ab"), ["a", "b"], id="generator"),
        pytest.param({"a": 1}.keys(), ["a"], id="keys"),
        pytest.param(["with blank", "工", "a.b@c"], ["with blank", "工", "a.b@c"], id="anything printable"),
        pytest.param([" a"], [" a"], id="as it is"),
        pytest.param(["a", 1001, "1002"], ["a", "1001", "1002"], id="digits, rendered natively"),
        pytest.param([1001, "1001"], ["1001"], id="the same digits twice"),
        pytest.param({"c", "a", "b"}, ["a", "b", "c"], id="set"),
        pytest.param(frozenset({"b", 7}), ["7", "b"], id="frozenset"),
        pytest.param({"a": "b"}.values(), ["b"], id="values"),
        pytest.param(map(str, (1, 2)), ["1", "2"], id="iterator"),
        pytest.param(range(2), ["0", "1"], id="range"),
    ],
)
def test_names(value, expected):
    assert names(value, "user_names") == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("alice", id="a single name"),
        pytest.param("['alice']", id="a list as text"),
        pytest.param(5, id="number"),
        pytest.param([""], id="empty name"),
        pytest.param(["  "], id="blank name"),
        pytest.param(["a", None], id="none among them"),
        pytest.param(["a", 1000.0], id="float among them"),
        pytest.param(["a", 1 + 2j], id="complex number among them"),
        pytest.param(["a", True], id="bool among them"),
        pytest.param(["a", datetime(2024, 3, 20, tzinfo=UTC)], id="time among them"),
        pytest.param({"alice": 1}, id="dict"),
        pytest.param({"alice": 1}.items(), id="items of a dict"),
        pytest.param(bytearray(b"ab"), id="bytearray"),
        pytest.param([["a"]], id="list among them"),
        pytest.param(["a\nb"], id="line feed"),
        pytest.param(["\x1b[31m"], id="escape sequence"),
        pytest.param([b"a"], id="bytes among them"),
        pytest.param(b"ab", id="bytes"),
        pytest.param(["x\n" * 100_000], id="long"),
    ],
)
def test_no_names(value):
    assert "user_names" in refused(names, value, "user_names")


MS = 1_710_901_516_000  # 2024-03-20T02:25:16Z
EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(datetime(2024, 3, 20, 2, 25, 16, tzinfo=UTC), MS, id="datetime"),
        pytest.param(datetime(2024, 3, 20, 10, 25, 16, tzinfo=EAST), MS, id="another zone"),
        pytest.param(datetime(2024, 3, 20, 2, 25, 16), MS, id="no zone counts as UTC"),  # noqa: DTZ001
        pytest.param(datetime(2024, 3, 20, 2, 25, 16, 250_000, tzinfo=UTC), MS + 250, id="fractions"),
        pytest.param(pendulum.datetime(2024, 3, 20, 2, 25, 16), MS, id="pendulum, as Airflow passes it"),
        pytest.param("2024-03-20T02:25:16+00:00", MS, id="ISO"),
        pytest.param("2024-03-20T10:25:16+08:00", MS, id="ISO, another zone"),
        pytest.param("2024-03-20T02:25:16Z", MS, id="ISO with Z"),
        pytest.param("2024-03-20T02:25:16", MS, id="ISO without a zone"),
        pytest.param(" 2024-03-20 02:25:16 ", MS, id="as str() of a datetime, with blanks"),
        pytest.param("2024-03-20", 1_710_892_800_000, id="a day"),
        pytest.param(MS, MS, id="ms"),
        pytest.param(MS / 1000, MS, id="s"),
        pytest.param(MS // 1000, MS, id="whole s"),
        pytest.param(str(MS), MS, id="ms as text"),
        pytest.param("1710901516.0", MS, id="s as text"),
        pytest.param(10**9, 10**12, id="the least that is a time"),
        pytest.param("20260131", 1769817600000, id="a date without hyphens"),
        pytest.param(10**12, 10**12, id="the least that is ms"),
        pytest.param(10**10 - 1, (10**10 - 1) * 1000, id="the most that is s"),
    ],
)
def test_epoch_ms(value, expected):
    assert epoch_ms(value, "synced_after") == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("soon", id="text"),
        pytest.param("2024-13-40", id="no such day"),
        pytest.param(True, id="boolean"),
        pytest.param(-1, id="negative"),
        pytest.param("-1", id="negative as text"),
        pytest.param(float("nan"), id="nan"),
        pytest.param("nan", id="nan as text"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param("1e400", id="infinity as text"),
        pytest.param(10**15, id="too large"),
        pytest.param(10**400, id="beyond measure"),
        pytest.param(date(2024, 3, 20), id="a date"),
        pytest.param(timedelta(seconds=1), id="a span"),
        pytest.param(Decimal(5), id="decimal"),
        pytest.param([MS], id="list"),
        pytest.param("{{ ts }}", id="a template that was not rendered"),
        pytest.param("x" * 1_000_000, id="long"),
    ],
)
def test_no_point_in_time(value):
    assert refused(epoch_ms, value, "synced_after").startswith("synced_after must be a point in time")


@given(st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.datetimes(), st.none()))
@settings(max_examples=300, deadline=None)
def test_any_point_in_time_is_taken_or_refused(value):
    with contextlib.suppress(InvalidParameter):
        assert isinstance(epoch_ms(value, "synced_after"), int)


@given(st.datetimes(min_value=datetime(2002, 1, 1), max_value=datetime(2286, 1, 1)))  # noqa: DTZ001
@settings(max_examples=100, deadline=None)
def test_every_spelling_of_a_time_is_the_same_ms(moment):
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    expected = round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    assert epoch_ms(moment, "t") == expected
    assert epoch_ms(moment.isoformat(), "t") == expected
    assert epoch_ms(moment.astimezone(EAST).isoformat(), "t") == expected
    assert epoch_ms(expected, "t") == expected


@pytest.mark.parametrize("value", ["warn", "fail"])
def test_one_of(value):
    assert one_of(value, "if_unscheduled", ("warn", "fail")) == value


@pytest.mark.parametrize("value", ["", "WARN", "other", None, 5, ["warn"], {}, "\x1b"])
def test_none_of(value):
    message = refused(one_of, value, "if_unscheduled", ("warn", "fail"))
    assert message.startswith("if_unscheduled must be 'warn' or 'fail', not ")


@pytest.mark.parametrize("value", [0, 17, 111122223333])
def test_an_identifier_of_digits_may_come_as_a_number(value):
    """As with render_template_as_native_obj=True."""
    assert identifier(value, "cluster_id") == str(value)


TEMPLATES = ["{{ ts }}", "{{x}}", "a{% if b %}c{% endif %}", "x {{ y", "a{# why #}"]
#: Stands for the output of a task, which is known at run time only.
OUTPUT = object()


@pytest.mark.parametrize("value", [*TEMPLATES, None, 5, "an-id", OUTPUT])
def test_literal_id_leaves_alone_what_it_can_not_tell(value):
    assert literal_id(value, "cluster_id") == value


@pytest.mark.parametrize("value", ["", "a b", "../x", "a\n", "{ x }", "x" * 65, ["a"], 1.0, True, b"a"])
def test_literal_id_refuses_what_is_wrong_in_the_dag_file(value):
    assert refused(literal_id, value, "cluster_id").startswith("cluster_id must be")


MOMENT = datetime(2024, 3, 20, 2, 25, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [*TEMPLATES, None, OUTPUT, MS, MOMENT, "2024-03-20T02:25:16Z", "20240320", str(MS)]
)
def test_literal_time_leaves_alone_what_it_can_not_tell(value):
    assert literal_time(value, "synced_after") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "None",
        "2024-13-40",
        "{ ts }",
        "12",
        " ",
        "yesterday",
        12,
        True,
        timedelta(1),
        [MS],
        b"2024",
    ],
)
def test_literal_time_refuses_what_is_wrong_in_the_dag_file(value):
    assert refused(literal_time, value, "synced_after").startswith("synced_after must be a point in time")


@pytest.mark.parametrize(
    "value",
    [
        *(*TEMPLATES, None, OUTPUT),
        *(["alice"], ("alice", "{{ x }}"), ["{{ x }}", OUTPUT], [1001], []),
    ],
    ids=repr,
)
def test_literal_names_leaves_alone_what_it_can_not_tell(value):
    assert literal_names(value, "user_names") is value


@pytest.mark.parametrize(
    "value",
    ["alice", "", "['alice']", 5, {"alice": 1}, b"alice", [""], ["{{ x }}", 1.0], ["a", ["b"]], {"a\n"}],
    ids=repr,
)
def test_literal_names_refuses_what_is_wrong_in_the_dag_file(value):
    assert "user_names" in refused(literal_names, value, "user_names")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: (name for name in "ba"), ["b", "a"], id="generator"),
        pytest.param(lambda: iter(["b", "{{ x }}"]), ["b", "{{ x }}"], id="iterator"),
        pytest.param(lambda: {"b": 1, "a": 2}.keys(), ["b", "a"], id="keys"),
        pytest.param(lambda: {1: "b", 2: "a"}.values(), ["b", "a"], id="values"),
    ],
)
def test_what_can_be_read_once_is_for_run_time_only(make, expected):
    """Airflow copies a task of a DAG file; at run time it may come from a template or another task."""
    assert "list" in refused(literal_names, make(), "user_names")
    assert listed(make()) == expected


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_set_becomes_a_sorted_list(kind):
    assert literal_names(kind(["b", "a"]), "user_names") == ["a", "b"]


@pytest.mark.parametrize("value", [True, False])
def test_flag(value):
    assert flag(value, "sync_all") is value


@pytest.mark.parametrize(
    "value", ["true", "false", "False", "", "{{ params.x }}", 0, 1, None, [], [True], OUTPUT], ids=repr
)
def test_no_flag(value):
    message = refused(flag, value, "sync_all")
    assert message.startswith("sync_all must be True or False (bool), not ")
    assert "not templated" in message


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (" a ", " a "), (123, "123")])
def test_filled(value, text):
    assert filled(value, "region") == text
    assert literal(filled, value, "region") == value


@pytest.mark.parametrize("value", ["", " ", "\n", 1.0, True, [], ["a"], b"a"], ids=repr)
def test_not_filled(value):
    for check in (filled, partial(literal, filled)):
        assert refused(check, value, "region").startswith("region must be text that is not empty")


@pytest.mark.parametrize("value", [*TEMPLATES, None, OUTPUT])
def test_literal_leaves_alone_what_it_can_not_tell(value):
    assert literal(filled, value, "region") is value


@pytest.mark.parametrize("value", [1000.0, 1e300, 1 + 2j])
def test_a_number_that_text_became_is_explained(value):
    for check in (identifier, filled):
        assert "render_template_as_native_obj" in refused(check, value, "cluster_id")
    assert "render_template_as_native_obj" in refused(names, [value], "user_names")


@pytest.mark.parametrize("value", ["a", "x" * 64, "a b", "工 & co", '!"#$%/?', "0", "a.b@c"])
def test_checked_text(value):
    assert checked_text(value, "account_id", 64) == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank"),
        pytest.param(" a", id="blank before"),
        pytest.param("a ", id="blank after"),
        pytest.param("a\u00a0", id="a wide blank after"),
        pytest.param("a\n", id="line feed after"),
        pytest.param("a\r\nb", id="line break"),
        pytest.param("a\x00b", id="null"),
        pytest.param("\x1b[31m", id="escape sequence"),
        pytest.param("a\u202eb", id="turns the text around"),
        pytest.param("x" * 65, id="too long"),
        pytest.param("x" * 10**6, id="far too long"),
        pytest.param(None, id="none"),
        pytest.param(5, id="number"),
        pytest.param(True, id="flag"),
        pytest.param(b"a", id="bytes"),
        pytest.param(["a"], id="list"),
    ],
)
def test_no_text(value):
    assert refused(checked_text, value, "account_id", 64).startswith("account_id must be text of 1 to 64")
