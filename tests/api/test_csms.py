"""CSMS flows against a service of a few lines, driven by hand: what is read, what is written, and how it ends."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_cloudsync.api.credentials import Anonymous
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import AcquireSlot, Cooldown, HttpRequest, Pause, Response
from airflow_provider_cloudsync.api.services.csms import changes
from airflow_provider_cloudsync.api.services.csms.calls import (
    EVENT_TYPES,
    checked_name,
    checked_settings,
    delete_event,
    find_event,
    get_event,
    list_notification_records,
    list_subscribers,
    update_event,
)
from airflow_provider_cloudsync.api.services.csms.changes import Memory, Past
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidParameter,
    SyncFailed,
    TransportError,
    UnreadableReply,
)
from tests.support.driven import drive

SMN = {"target_type": "SMN", "target_id": "urn:smn:r:p:topic", "target_name": "topic"}
OTHER = {**SMN, "target_name": "other"}
BOTH = ["SECRET_ROTATED", "SECRET_DELETED"]
THERE: dict[str, Any] = {"state": "ENABLED", "event_types": BOTH, "notification": SMN}
NOW = 1_710_901_516.0


@dataclass
class Service:
    """An event "e" that is there or not, and what happens to the requests about it.

    :param missing: status and code, or the body, of the reply where there is does not exist after.
    :param hidden: the reply to a request about the event itself, whatever there is; None: as it is.
    :param listed: the reply to a request for the list of events; None: as it is.
    :param spoil: by method, what becomes of the next requests: ``lost before``, ``lost after``, a status, a reply, or a
        function of the fields that are written.
    """

    there: dict[str, Any] | None = None
    updated: float | None = NOW - 86_400
    missing: tuple[int, str] | Response = (404, "CSMS.0005")
    hidden: Response | None = None
    listed: Response | None = None
    subscribers: list[str] = field(default_factory=list)
    spoil: dict[str, list[Any]] = field(default_factory=dict)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    now: float = NOW
    kept: list[Any] = field(default_factory=list)

    def cloud(self) -> Cloud:
        return Cloud(Anonymous(), lambda: self.now, region="cn-north-4", project_id="p1")

    def run(self, flow: Any) -> Any:
        return drive(flow, self.carry_out)

    def carry_out(self, message: Any) -> Any:
        if isinstance(message, Pause):
            self.now += message.seconds
            return None
        return 0.0 if isinstance(message, AcquireSlot | Cooldown) else self.answer(message)

    def answer(self, request: HttpRequest) -> Response:
        assert "/v1/p1/" in request.url
        fields = json.loads(request.body) if request.body else None
        self.sent.append((request.method, fields))
        self.urls.append(request.url)
        trouble = self.spoil.get(request.method) or [None]
        what = trouble.pop(0) if len(trouble) > 1 else trouble[0]
        if what == "lost before":
            raise TransportError("lost")
        if isinstance(what, Response):
            return what
        if isinstance(what, int):
            return self.error(what, "CSMS.0002", "refused")
        if urlsplit(request.url).path.endswith("/csms/events") and request.method == "GET":
            return self.listed or self.list(urlsplit(request.url).query)
        if "/secrets" in request.url:
            assert parse_qs(urlsplit(request.url).query) == {"event_name": ["e"]}
            return self.reply({"secrets": [{"name": name} for name in self.subscribers]})
        response = getattr(self, request.method)(what(fields) if callable(what) else fields)
        if what == "lost after":
            raise TransportError("lost")
        return response

    def reply(self, data: Any, status: int = 200) -> Response:
        return Response(status, {}, b"" if data is None else json.dumps(data).encode())

    def error(self, status: int, code: str, text: str) -> Response:
        return self.reply({"error": {"error_code": code, "error_msg": text}}, status)

    def show(self) -> Response:
        if self.hidden is not None:
            return self.hidden
        if self.there is None:
            if isinstance(self.missing, Response):
                return self.missing
            return self.error(*self.missing, "does not exist after")
        times = {} if self.updated is None else {"update_time": int(self.updated * 1000)}
        return self.reply({"event": {"name": "e", **self.there, **times}})

    def list(self, asked: str) -> Response:
        """The event, if it is there, between two others."""
        names = ["a", *(["e"] if self.there else []), "z"]
        marker = parse_qs(asked).get("marker", [""])[0]
        return self.reply({"events": [{"name": name} for name in names if name > marker]})

    def GET(self, fields: Any) -> Response:
        return self.show()

    def PUT(self, fields: Any) -> Response:
        if self.there is not None:
            self.there = {**self.there, **fields}
            self.updated = self.now
        return self.show()

    def POST(self, fields: Any) -> Response:
        if self.there is not None:
            return self.error(400, "CSMS.0002", "exists")
        self.there = {key: value for key, value in fields.items() if key != "name"}
        self.updated = self.now
        return self.show()

    def DELETE(self, fields: Any) -> Response:
        if self.there is None:
            return self.show()
        if self.subscribers:
            return self.error(400, "CSMS.0002", "referenced")
        self.there = None
        return self.reply(None, 204)

    def befores(self) -> list[Any]:
        """What was remembered of the time before, once it is known to be needed."""
        return [memory.before for memory in self.kept if memory is not None]

    def writes(self) -> list[tuple[str, Any]]:
        return [each for each in self.sent if each[0] != "GET"]


def there(**fields: Any) -> Service:
    return Service({**THERE, **fields})


def update(service: Service, wanted: dict[str, Any], **more: Any) -> Any:
    return service.run(
        changes.update(service.cloud(), "e", wanted, past=Past(remember=service.kept.append, **more))
    )


def create(service: Service, wanted: dict[str, Any] | None = None) -> Any:
    return service.run(
        changes.create(service.cloud(), "e", wanted or THERE, past=Past(remember=service.kept.append))
    )


def delete(service: Service, *, ignore_missing: bool = False) -> Any:
    flow = changes.delete(
        service.cloud(), "e", ignore_missing=ignore_missing, past=Past(remember=service.kept.append)
    )
    return service.run(flow)


# --- update --------------------------------------------------------------------------------------------------------

UPDATES = [
    # id, wanted, body of the PUT or None
    ("all as it is", THERE, None),
    ("types in another order", {"event_types": BOTH[::-1]}, None),
    ("state", {"state": "DISABLED"}, {"state": "DISABLED"}),
    ("only what differs", {**THERE, "state": "DISABLED"}, {"state": "DISABLED"}),
    ("fewer types", {**THERE, "event_types": BOTH[:1]}, {"event_types": BOTH[:1]}),
    (
        "more types",
        {"event_types": [*BOTH, "SECRET_ROTATED_FAILED"]},
        {"event_types": [*BOTH, "SECRET_ROTATED_FAILED"]},
    ),
    ("one field of the topic: all three are sent", {"notification": OTHER}, {"notification": OTHER}),
]


@pytest.mark.parametrize(
    ("wanted", "body"), [case[1:] for case in UPDATES], ids=[case[0] for case in UPDATES]
)
def test_update(wanted, body) -> None:
    service = there()
    change = update(service, wanted)
    assert service.writes() == ([] if body is None else [("PUT", body)])
    assert change["changed"] is (body is not None)
    assert change["before"] == THERE
    assert change["after"] == service.there
    assert service.befores() == ([] if body is None else [THERE, THERE])
    if body is not None:
        first, last = service.kept
        assert (first.then, first.wrote) == (int((NOW - 86_400) * 1000), None)
        assert (last.then, last.wrote) == (first.then, int(NOW * 1000))


def test_what_was_there_is_kept_before_the_write_is_sent() -> None:
    service = there()
    order: list[Any] = []
    flow = changes.update(
        service.cloud(),
        "e",
        {"state": "DISABLED"},
        past=Past(remember=lambda before: order.append(len(service.sent))),
    )
    service.run(flow)
    assert order == [1, 3]  # after the read and before the PUT, and again when it shows


MISMATCHES = [
    # id, what the service makes of the write, wanted, words
    ("ignored", lambda fields: {}, {"state": "DISABLED"}, ["state is 'ENABLED', not 'DISABLED'"]),
    ("another state", lambda fields: {"state": "PENDING"}, {"state": "DISABLED"}, ["'PENDING'"]),
    (
        "half of it",
        lambda fields: {"state": fields["state"]},
        {"state": "DISABLED", "event_types": BOTH[:1]},
        ["event_types is", "not ['SECRET_ROTATED']"],
    ),
    (
        "one type lost",
        lambda fields: {"event_types": fields["event_types"][:1]},
        {"event_types": [*BOTH, "SECRET_ROTATED_FAILED"]},
        ["event_types is ['SECRET_ROTATED'], not"],
    ),
    (
        "a type twice",
        lambda fields: {"event_types": [*fields["event_types"], *BOTH[:1]]},
        {"event_types": BOTH[:1]},
        ["event_types"],
    ),
    (
        "what was left out is reset",
        lambda fields: {**fields, "event_types": BOTH[:1]},
        {"state": "DISABLED"},
        ["event_types is ['SECRET_ROTATED'], not ['SECRET_ROTATED', 'SECRET_DELETED']"],
    ),
    (
        "what was left out is gone",
        lambda fields: {**fields, "notification": None},
        {"state": "DISABLED"},
        ["notification is None"],
    ),
    (
        "another topic",
        lambda fields: {"notification": {**OTHER, "target_id": "urn:smn:r:p:x"}},
        {"notification": OTHER},
        ["notification"],
    ),
]


@pytest.mark.parametrize(
    ("makes", "wanted", "words"), [case[1:] for case in MISMATCHES], ids=[case[0] for case in MISMATCHES]
)
def test_a_write_that_does_not_show_fails_and_says_what_was_there(makes, wanted, words) -> None:
    service = Service(dict(THERE), spoil={"PUT": [makes]})
    with pytest.raises(SyncFailed, match="after an accepted write") as raised:
        update(service, wanted)
    for word in [*words, "Settings before the write", "SECRET_DELETED", "urn:smn:r:p:topic"]:
        assert word in raised.value.message
    assert len(service.writes()) == 1
    assert service.befores() == [THERE]


def test_more_fields_of_a_topic_than_were_asked_for_do_no_harm() -> None:
    service = Service({**THERE, "notification": {**SMN, "since": 5}})
    assert update(service, {"notification": SMN})["changed"] is False


@pytest.mark.parametrize(
    "missing", [(404, "CSMS.0005"), (400, "CSMS.0005"), (404, "CSMS.9999"), "bare"], ids=str
)
@pytest.mark.parametrize("do", [lambda s: update(s, {"state": "DISABLED"}), delete], ids=["update", "delete"])
def test_what_is_missing(do, missing) -> None:
    service = Service(None)
    service.missing = Response(404, {}, b"") if missing == "bare" else missing
    with pytest.raises(
        SyncFailed, match=r'CSMS event notification "e" not found in region cn-north-4, project p1'
    ):
        do(service)
    assert service.writes() == []


@pytest.mark.parametrize(
    "missing", [(404, "APIGW.0101"), (404, "APIG.0101"), (400, "CSMS.0002"), (403, "CSMS.0005x")]
)
@pytest.mark.parametrize("ignore", [True, False])
def test_what_is_not_missing_but_wrong(missing, ignore) -> None:
    service = Service(None, missing=missing)
    with pytest.raises(ApiError):
        delete(service, ignore_missing=ignore)


def test_gone_between_the_look_and_the_write() -> None:
    service = there()
    service.spoil["PUT"] = [lambda fields: setattr(service, "there", None)]
    with pytest.raises(CloudSyncError):
        update(service, {"state": "DISABLED"})


SINCE = [
    # id, since, updated, whether before is known
    ("no try before", None, NOW, True),
    ("changed in this run", NOW - 100, NOW - 50, False),
    ("changed as the run began", NOW - 100, NOW - 100, False),
    ("changed before", NOW - 100, NOW - 101, True),
    ("nobody knows when it was changed", NOW - 100, None, False),
    ("nobody knows when the run began", 0.0, NOW - 86_400, False),
]


@pytest.mark.parametrize(
    ("since", "updated", "known"), [case[1:] for case in SINCE], ids=[case[0] for case in SINCE]
)
def test_what_was_before_a_try_that_left_no_word(since, updated, known, caplog) -> None:
    service = Service(dict(THERE), updated=updated)
    change = update(service, {"state": "ENABLED"}, since=since)
    assert change == {"changed": False, "before": THERE if known else None, "after": THERE}
    assert ("cannot be restored" in caplog.text) is not known


def test_a_try_that_left_no_word_and_wrote_nothing() -> None:
    service = there()
    change = update(service, {"state": "DISABLED"}, since=0.0)
    assert change == {"changed": True, "before": THERE, "after": {**THERE, "state": "DISABLED"}}


def test_to_ask_for_nothing_is_a_mistake() -> None:
    service = there()
    with pytest.raises(InvalidParameter, match="nothing to change"):
        update(service, {})
    with pytest.raises(InvalidParameter, match="nothing to change"):
        service.run(update_event(service.cloud(), "e", {}))
    assert service.sent == []


# --- lost replies --------------------------------------------------------------------------------------------------

LOSSES = [
    ("before, once", ["lost before", None], True),
    ("after, once", ["lost after", None], True),
    ("before, always", ["lost before"], False),
    ("after, always", ["lost after"], True),
    ("503 once", [503, None], True),
    ("503 always", [503], False),
    ("after, then 503", ["lost after", 503], True),
    ("403", [403], False),
]


@pytest.mark.parametrize(
    ("trouble", "carried_out"), [case[1:] for case in LOSSES], ids=[case[0] for case in LOSSES]
)
class TestLostReplies:
    def test_update(self, trouble, carried_out) -> None:
        service = Service(dict(THERE), spoil={"PUT": list(trouble)})
        if carried_out:
            assert update(service, {"state": "DISABLED"})["changed"] is True
            assert service.there == {**THERE, "state": "DISABLED"}
        else:
            with pytest.raises((TransportError, ApiError)):
                update(service, {"state": "DISABLED"})
            assert service.there == THERE

    def test_create(self, trouble, carried_out) -> None:
        service = Service(None, spoil={"POST": list(trouble)})
        if carried_out:
            assert create(service) == {"changed": True, "before": None, "after": THERE}
        else:
            with pytest.raises((TransportError, ApiError)):
                create(service)
            assert service.there is None

    def test_delete(self, trouble, carried_out) -> None:
        service = Service(dict(THERE), spoil={"DELETE": list(trouble)})
        if carried_out:
            assert delete(service) == {"changed": True, "before": THERE, "after": None}
        else:
            with pytest.raises(CloudSyncError):
                delete(service)
        assert (service.there is None) is carried_out


@pytest.mark.parametrize("refusal", [403, 400, 404, 429])
def test_a_lost_reply_and_then_a_refusal_is_red_and_before_is_not_forgotten(refusal) -> None:
    """The first attempt was carried out; that the second is refused says nothing about it."""
    service = Service(dict(THERE), spoil={"PUT": ["lost after", refusal]})
    with contextlib.suppress(CloudSyncError):
        update(service, {"state": "DISABLED"})
    assert service.there == {**THERE, "state": "DISABLED"}
    memory = service.kept[-1]
    assert update(service, {"state": "DISABLED"}, memory=memory)["before"] == THERE


MEMORIES = [
    # id, what an earlier try remembered, there now, changed last, before of the result, PUTs
    ("none", None, "DISABLED", NOW, "DISABLED", 0),
    ("it wrote, nobody since", Memory(THERE, 1, int(NOW * 1000)), "DISABLED", NOW, "ENABLED", 0),
    ("it wrote, somebody since", Memory(THERE, 1, int(NOW * 1000)), "DISABLED", NOW + 5, "DISABLED", 0),
    ("it wrote, and somebody undid it", Memory(THERE, 1, int(NOW * 1000)), "ENABLED", NOW + 5, "ENABLED", 1),
    ("it may have written, and has", Memory(THERE, 1), "DISABLED", NOW, "ENABLED", 0),
    ("it may have written, and has not", Memory(THERE, int(NOW * 1000)), "ENABLED", NOW, "ENABLED", 1),
]


@pytest.mark.parametrize(
    ("memory", "state", "updated", "before", "puts"),
    [case[1:] for case in MEMORIES],
    ids=[case[0] for case in MEMORIES],
)
def test_what_an_earlier_try_remembered(memory, state, updated, before, puts) -> None:
    service = Service({**THERE, "state": state}, updated=updated)
    change = update(service, {"state": "DISABLED"}, memory=memory)
    assert change["before"] == {**THERE, "state": before}
    assert change["after"] == {**THERE, "state": "DISABLED"}
    assert change["changed"] is (before != "DISABLED")
    assert len(service.writes()) == puts


def test_an_event_that_an_earlier_try_left_wrong_stays_red() -> None:
    """It asked for the state only, and the service has reset the types."""
    service = Service({**THERE, "state": "DISABLED", "event_types": BOTH[:1]}, updated=NOW)
    with pytest.raises(SyncFailed, match="event_types"):
        update(service, {"state": "DISABLED"}, memory=Memory(THERE, 1))


@pytest.mark.parametrize("refusal", [403, 400, 404, 429])
def test_a_write_that_was_refused_is_forgotten(refusal) -> None:
    service = Service(dict(THERE), spoil={"PUT": [refusal]})
    with pytest.raises(ApiError):
        update(service, {"state": "DISABLED"})
    assert service.kept[-1] is None


@pytest.mark.parametrize(
    "data", [{}, {"before": 5, "then": None, "wrote": None}, {"before": None, "then": "x", "wrote": None}]
)
def test_what_is_no_memory(data) -> None:
    with pytest.raises((ValueError, KeyError)):
        Memory.of(data)


@pytest.mark.parametrize("trouble", [["lost before"], [503], [403], [400]], ids=str)
def test_a_read_that_fails_after_a_write_is_not_green(trouble) -> None:
    service = Service(dict(THERE), spoil={"GET": [None, *trouble]})
    with pytest.raises((TransportError, ApiError)):
        update(service, {"state": "DISABLED"})
    assert service.befores() == [THERE]


@pytest.mark.parametrize("trouble", [["lost before"], [503], [403]], ids=str)
@pytest.mark.parametrize(
    "do", [lambda s: update(s, {"state": "DISABLED"}), create, delete], ids=["update", "create", "delete"]
)
def test_a_first_read_that_fails_writes_nothing(do, trouble) -> None:
    service = Service(dict(THERE), spoil={"GET": trouble})
    with pytest.raises((TransportError, ApiError)):
        do(service)
    assert (service.writes(), service.kept) == ([], [])


# --- create and delete ---------------------------------------------------------------------------------------------


def test_create_reads_first_and_reads_back() -> None:
    service = Service(None)
    assert create(service) == {"changed": True, "before": None, "after": THERE}
    assert [method for method, _ in service.sent] == ["GET", "POST", "GET"]
    assert service.sent[1][1] == {"name": "e", **THERE}
    assert service.befores() == [None]


@pytest.mark.parametrize("types", [BOTH, BOTH[::-1]], ids=["same order", "another"])
def test_create_what_is_there(types) -> None:
    service = there()
    change = create(service, {**THERE, "event_types": types})
    assert change == {"changed": False, "before": THERE, "after": THERE}
    assert (service.writes(), service.kept) == ([], [])


@pytest.mark.parametrize("name", list(THERE))
def test_create_what_is_there_and_different(name) -> None:
    other = {"state": "DISABLED", "event_types": BOTH[:1], "notification": OTHER}
    service = there()
    with pytest.raises(SyncFailed, match=f"already exists with a different {name}"):
        create(service, {**THERE, name: other[name]})
    assert (service.there, service.writes(), service.kept) == (THERE, [], [])


def test_create_that_brings_something_else_fails() -> None:
    service = Service(None, spoil={"POST": [lambda fields: {**fields, "state": "DISABLED"}]})
    with pytest.raises(SyncFailed, match="state is 'DISABLED', not 'ENABLED'"):
        create(service)


def test_create_that_brings_nothing_fails() -> None:
    service = Service(None)
    service.POST = lambda fields: service.reply({"event": {"name": "e", **THERE}})  # type: ignore[method-assign]
    with pytest.raises(SyncFailed, match="does not exist after"):
        create(service)


def test_delete() -> None:
    service = there()
    assert delete(service) == {"changed": True, "before": THERE, "after": None}
    assert service.befores() == [THERE]


def test_delete_of_nothing_where_that_is_fine() -> None:
    service = Service(None)
    assert delete(service, ignore_missing=True) == {"changed": False, "before": None, "after": None}
    assert (service.writes(), service.kept) == ([], [])


def test_deleted_and_still_there() -> None:
    service = there()
    service.DELETE = lambda fields: service.reply(None, 204)  # type: ignore[method-assign]
    with pytest.raises(SyncFailed, match="still exists after"):
        delete(service)
    assert 1 < service.now - NOW < 60


@pytest.mark.parametrize("count", [1, 10, 11, 500])
def test_a_refused_deletion_names_the_secrets(count) -> None:
    service = Service(dict(THERE), subscribers=[f"secret-{number:03}" for number in range(count)])
    with pytest.raises(SyncFailed, match=r"secret-000.*referenced") as raised:
        delete(service)
    assert ("and more" in raised.value.message) is (count > 10)
    assert raised.value.message.count("secret-") == min(count, 10)
    assert service.there == THERE


def test_a_deletion_that_is_refused_for_something_else() -> None:
    service = Service(dict(THERE), spoil={"DELETE": [400]})
    with pytest.raises(ApiError, match="refused"):
        delete(service)


@pytest.mark.parametrize(
    "reply",
    [{}, {"secrets": None}, {"secrets": {}}, {"secrets": [None, {}, {"name": None}, {"name": 5}, "x"]}],
    ids=str,
)
def test_a_list_of_secrets_that_says_nothing(reply) -> None:
    service = Service(dict(THERE), subscribers=["s"])
    show = service.reply
    service.reply = lambda data, status=200: show(  # type: ignore[method-assign]
        reply if isinstance(data, dict) and "secrets" in data else data, status
    )
    with pytest.raises(ApiError, match="referenced"):
        delete(service)


# --- a 404 that may be of a gateway ----------------------------------------------------------------------------------

#: Bodies of a 404 without a code of the service.
CODELESS = {
    "empty": b"",
    "detail": b'{"detail": "Not Found"}',
    "Spring": b'{"timestamp": 1, "status": 404, "error": "Not Found", "path": "/v1/p1/csms/events/e"}',
    "Kong": b'{"message": "no Route matched with those values"}',
    "HTML": b"<html><h1>404 Not Found</h1></html>",
    "text": b"404 page not found",
    "the status as code": b'{"code": 404}',
    "the status as text": b'{"error_code": "404", "error_msg": "x"}',
    "its phrase": b'{"error": {"code": "NOT_FOUND", "message": "x"}}',
    "both": b'{"errorCode": "404 Not Found"}',
    "not JSON": b'{"error_code": ',
    "null": b"null",
    "a list": b"[]",
}
#: Lists that do not prove that there is does not exist after.
UNREADABLE = {
    "404": Response(404, {}, b""),
    "403": Response(403, {}, b'{"error": {"error_code": "CSMS.0403", "error_msg": "no permission"}}'),
    "503": Response(503, {}, b""),
    "HTML": Response(200, {}, b"<html>"),
    "no list": Response(200, {}, b"{}"),
    "rows without a name": Response(200, {}, b'{"events": [{"event_id": "1"}]}'),
    "the same page for each marker": Response(
        200, {}, json.dumps({"events": [{"name": f"n{number}"} for number in range(20)]}).encode()
    ),
}
CODELESS_404 = pytest.mark.parametrize("body", CODELESS.values(), ids=CODELESS.keys())
DO: dict[str, Callable[[Service], Any]] = {
    "update": lambda s: update(s, {"state": "DISABLED"}),
    "create": lambda s: create(s),
    "delete": lambda s: delete(s),
    "delete, ignoring": lambda s: delete(s, ignore_missing=True),
    "find": lambda s: s.run(find_event(s.cloud(), "e")),
}
EACH = pytest.mark.parametrize("do", DO.values(), ids=DO.keys())


@CODELESS_404
@EACH
def test_a_404_without_a_code_and_an_event_in_the_list(do, body) -> None:
    service = Service(dict(THERE), hidden=Response(404, {}, body))
    with pytest.raises(ApiError, match=r"^404 without a known service code.*The list of events contains"):
        do(service)
    assert (service.writes(), service.kept, service.there) == ([], [], THERE)
    assert service.now - NOW < 60


@pytest.mark.parametrize("listed", UNREADABLE.values(), ids=UNREADABLE.keys())
@EACH
def test_a_404_without_a_code_and_no_list(do, listed) -> None:
    service = Service(dict(THERE), hidden=Response(404, {}, b""), listed=listed)
    with pytest.raises(ApiError, match="The list of events cannot be read either"):
        do(service)
    assert (service.writes(), service.kept) == ([], [])


@CODELESS_404
def test_a_404_without_a_code_and_no_event_in_the_list(body) -> None:
    def missing() -> Service:
        return Service(None, missing=Response(404, {}, body))

    with pytest.raises(SyncFailed, match="not found in region"):
        update(missing(), {"state": "DISABLED"})
    with pytest.raises(SyncFailed, match="not found in region"):
        delete(missing())
    assert delete(missing(), ignore_missing=True)["changed"] is False
    assert create(missing())["after"] == THERE


@CODELESS_404
@EACH
def test_a_404_without_a_code_that_passes(do, body) -> None:
    """A gateway that is reconfigured answers so for some seconds."""
    service = Service(dict(THERE))
    service.spoil["GET"] = [Response(404, {}, body), Response(404, {}, body), None]
    assert do(service)
    assert not any("csms/events?" in url for url in service.urls)


@CODELESS_404
def test_a_deletion_is_no_success_by_a_404_without_a_code(body) -> None:
    """Whether it is the reply to the deletion itself, or to the look afterwards."""
    service = Service(dict(THERE), spoil={"DELETE": [Response(404, {}, body)]})
    with pytest.raises(ApiError, match=r"^404 without a known service code.*The event .e. still exists"):
        delete(service, ignore_missing=True)
    assert service.there == THERE

    def hides(fields: Any) -> Response:
        service.hidden = Response(404, {}, body)
        return service.reply(None, 204)

    service = Service(dict(THERE))
    service.DELETE = hides  # type: ignore[method-assign]
    with pytest.raises(ApiError, match="The list of events contains"):
        delete(service)
    assert service.now - NOW < 60


@CODELESS_404
def test_a_deletion_whose_reply_is_lost_where_what_is_missing_has_no_code(body) -> None:
    service = Service(dict(THERE), missing=Response(404, {}, body), spoil={"DELETE": ["lost after", None]})
    assert delete(service) == {"changed": True, "before": THERE, "after": None}
    assert service.now - NOW < 60


@CODELESS_404
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_write_is_no_success_by_a_404_without_a_code(method, body) -> None:
    service = Service(dict(THERE) if method == "PUT" else None, spoil={method: [Response(404, {}, body)]})
    with pytest.raises(ApiError):
        DO["update" if method == "PUT" else "create"](service)
    assert service.there == (THERE if method == "PUT" else None)
    assert service.kept[-1] is None

    def hides(fields: Any) -> Response:
        service.hidden = Response(404, {}, body)
        service.there = dict(THERE)
        return service.reply({"event": {"name": "e", **THERE}})

    service = Service(dict(THERE) if method == "PUT" else None)
    setattr(service, method, hides)
    with pytest.raises(ApiError, match="The list of events contains"):
        DO["update" if method == "PUT" else "create"](service)


# --- single calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda cloud, name: get_event(cloud, name),
        lambda cloud, name: find_event(cloud, name),
        lambda cloud, name: update_event(cloud, name, {"state": "ENABLED"}),
        lambda cloud, name: delete_event(cloud, name),
        lambda cloud, name: list_subscribers(cloud, name),
    ],
    ids=["get", "find", "update", "delete", "subscribers"],
)
@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "e\n", "é", "١", "a?b", "a" * 65, None, 5.0, b"e"], ids=repr
)
def test_no_name_leads_to_another_path(call, name) -> None:
    service = there()
    with pytest.raises(InvalidParameter, match="name of an event"):
        service.run(call(service.cloud(), name))
    assert service.sent == []


@pytest.mark.parametrize("body", [{}, {"event": None}, {"event": []}, {"event": "e"}, [], None], ids=repr)
def test_a_reply_without_an_event_is_not_a_missing_one(body) -> None:
    service = there()
    service.show = lambda: service.reply(body)  # type: ignore[method-assign]
    with pytest.raises(UnreadableReply):
        service.run(find_event(service.cloud(), "e"))


@pytest.mark.parametrize(
    ("page", "warns"),
    [
        ({}, False),
        ({"page_info": {}}, False),
        ({"page_info": None}, False),
        ({"page_info": {"next_marker": "m"}}, True),
    ],
    ids=str,
)
def test_records_that_are_not_all(page, warns, caplog) -> None:
    service = Service()
    service.show = lambda: service.reply({"records": [{"event_name": "e"}], **page})  # type: ignore[method-assign]
    assert service.run(list_notification_records(service.cloud())) == [{"event_name": "e"}]
    assert ("Only 1 notification records are returned" in caplog.text) is warns


def test_an_abandoned_change_ends() -> None:
    flow = changes.update(there().cloud(), "e", {"state": "DISABLED"})
    next(flow)
    flow.close()
    assert inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED


# --- parameters ----------------------------------------------------------------------------------------------------

GOOD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing", {}, {}),
    ("None is left out", {"state": None, "event_types": None, "notification": None}, {}),
    *[(f"state {state}", {"state": state}, {"state": state}) for state in ("ENABLED", "DISABLED")],
    ("one type", {"event_types": BOTH[:1]}, {"event_types": BOTH[:1]}),
    ("every type", {"event_types": EVENT_TYPES}, {"event_types": list(EVENT_TYPES)}),
    (
        "twelve, unknown ones among them",
        {"event_types": list("abcdefghijkl")},
        {"event_types": list("abcdefghijkl")},
    ),
    ("a tuple, order kept", {"event_types": tuple(BOTH[::-1])}, {"event_types": BOTH[::-1]}),
    ("keys of a mapping", {"event_types": dict.fromkeys(BOTH).keys()}, {"event_types": BOTH}),
    ("a topic", {"notification": SMN}, {"notification": SMN}),
    ("fields in another order", {"notification": dict(reversed(SMN.items()))}, {"notification": SMN}),
]


@pytest.mark.parametrize(("given", "checked"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_settings(given, checked) -> None:
    assert checked_settings(**given) == checked
    json.dumps(checked_settings(**given))


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("state in small letters", {"state": "enabled"}, "state"),
    ("state empty", {"state": ""}, "state"),
    ("state with a line feed", {"state": "ENABLED\n"}, "state"),
    ("state a flag", {"state": True}, "state"),
    ("state a list", {"state": ["ENABLED"]}, "state"),
    ("state a mapping", {"state": {}}, "state"),
    ("no type", {"event_types": []}, "1 to 12 types, not 0"),
    ("13 types", {"event_types": list("abcdefghijklm")}, "1 to 12 types, not 13"),
    ("a type twice", {"event_types": ["a", "b", "a"]}, "'a' more than once"),
    ("one text", {"event_types": "SECRET_ROTATED"}, "list of names"),
    ("the text of a list", {"event_types": str(BOTH)}, "list of names"),
    ("a number", {"event_types": 5}, "list of names"),
    ("an empty type", {"event_types": [""]}, "event_types"),
    ("a type that is None", {"event_types": [None]}, "event_types"),
    ("a type with a line feed", {"event_types": ["SECRET_ROTATED\n"]}, "event_types"),
    ("topic as text", {"notification": "urn:smn"}, "all three"),
    ("topic as a list", {"notification": list(SMN)}, "all three"),
    ("topic empty", {"notification": {}}, "all three"),
    ("topic and more", {"notification": {**SMN, "x": 1}}, "nothing else"),
    ("topic with odd keys", {"notification": {1: 2}}, "all three"),
    *[(f"only {name}", {"notification": {name: SMN[name]}}, "all three") for name in SMN],
    *[
        (f"without {name}", {"notification": {k: v for k, v in SMN.items() if k != name}}, "all three")
        for name in SMN
    ],
    *[
        (f"{name} {value!r}", {"notification": {**SMN, name: value}}, name)
        for name in SMN
        for value in ("", None, 5.0, " x", "x\n", "\x1b[1m", ["x"])
    ],
    ("target_id too long", {"notification": {**SMN, "target_id": "x" * 513}}, "target_id"),
]


@pytest.mark.parametrize(("given", "word"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_settings(given, word) -> None:
    with pytest.raises(InvalidParameter) as raised:
        checked_settings(**given)
    assert word in raised.value.message
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 400


def test_types_that_come_from_a_generator_are_not_lost() -> None:
    assert checked_settings(event_types=(each for each in BOTH)) == {"event_types": BOTH}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        pytest.param({"event_types": ["SECRET_RENAMED"]}, "SECRET_RENAMED", id="type"),
        pytest.param({"event_types": ["secret_rotated"]}, "secret_rotated", id="small letters"),
        pytest.param({"notification": {**SMN, "target_type": "FG"}}, "FG", id="target"),
    ],
)
def test_what_is_not_known_is_let_through_with_a_warning(given, word, caplog) -> None:
    assert checked_settings(**given) == given
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert word in record.getMessage()


@pytest.mark.parametrize("name", ["e", "A-Z_09", "x" * 64, "-", "_"])
def test_names(name) -> None:
    assert checked_name(name) == name


Flow = Callable[[Service], Any]


@pytest.mark.parametrize(
    "do", [lambda s: update(s, {"state": "DISABLED"}), create, delete], ids=["update", "create", "delete"]
)
def test_no_flow_takes_long(do: Flow) -> None:
    """There is nothing to wait for, so even the worst ends soon."""
    service = Service(None if do is create else dict(THERE), spoil={"GET": [None, 503]})
    with pytest.raises(CloudSyncError):
        do(service)
    assert service.now - NOW < 120
