"""CSMS: an event is green only if it really was changed or deleted, whatever is between the task and the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_cloudsync.operators.csms import (
    CsmsCreateEventOperator,
    CsmsDeleteEventOperator,
    CsmsUpdateEventOperator,
)
from tests.airflow.real_world.cloud import Answer, Ask, Cloud, Quirk, between, nth
from tests.airflow.real_world.site import Site

_FOREVER = 1e9
_SMN = {"target_type": "SMN", "target_id": "urn:smn:cn-north-4:0a1b:topic", "target_name": "topic"}
_EVENT = {"name": "e", "state": "ENABLED", "event_types": ["SECRET_ROTATED"], "notification": _SMN}
_NO_EVENT = Answer({"error": {"error_code": "CSMS.0005", "error_msg": "not found"}}, 404)


@dataclass
class Csms:
    """Events of secrets.

    :param missing: answer for an event that does not exist.
    :ivar writes: methods of the writes that were carried out.
    """

    events: dict[str, dict[str, Any]] = field(default_factory=lambda: {"e": dict(_EVENT)})
    missing: Answer = _NO_EVENT
    writes: list[str] = field(default_factory=list)

    def __call__(self, ask: Ask) -> Answer:
        name = ask.path.rpartition("/")[2]
        if name == "events" and ask.method == "GET":
            first = ask.query.get("marker", "")
            names = [each for each in sorted(self.events) if each >= first]
            return Answer(
                {"events": [self.events[each] for each in names], "page_info": {"next_marker": None}}
            )
        if name == "events":
            self.writes.append(ask.method)
            self.events[ask.body["name"]] = dict(ask.body)
            return Answer({"event": self.events[ask.body["name"]]})
        if name not in self.events:
            return self.missing
        if ask.method == "DELETE":
            self.writes.append(ask.method)
            del self.events[name]
            return Answer(None, 204)
        if ask.method == "PUT":
            self.writes.append(ask.method)
            self.events[name] |= ask.body
        return Answer({"event": self.events[name]})


def _others() -> dict[str, dict[str, Any]]:
    return {"f": {**_EVENT, "name": "f"}}


def _delete(**more: Any) -> Any:
    return CsmsDeleteEventOperator(task_id="t", name="e", **more)


def _update() -> Any:
    return CsmsUpdateEventOperator(task_id="t", name="e", state="DISABLED")


def _create() -> Any:
    return CsmsCreateEventOperator(
        task_id="t", name="e", event_types=_EVENT["event_types"], notification=_SMN, state="ENABLED"
    )


_404 = (
    ("empty", Answer(None, 404)),
    ("detail", Answer({"detail": "Not Found"}, 404)),
    ("Spring", Answer({"timestamp": "2026", "status": 404, "error": "Not Found"}, 404)),
    ("Kong", Answer({"message": "no Route matched with those values"}, 404)),
    ("page", Answer(b"<html>404</html>", 404, {"Content-Type": "text/html"})),
)
_CASES: list[tuple[str, Any, Csms, Sequence[Quirk], bool, bool]] = [
    # id, task, service, quirks, green, whether the event is there afterwards
    ("delete", _delete, Csms(), [], True, False),
    ("delete, missing", _delete, Csms(_others()), [], False, False),
    ("delete, missing, ignored", lambda: _delete(ignore_missing=True), Csms(_others()), [], True, False),
    (
        "delete, the only one missing, ignored",
        lambda: _delete(ignore_missing=True),
        Csms({}),
        [],
        True,
        False,
    ),
    (
        "delete, missing by a 404 without a code, ignored",
        lambda: _delete(ignore_missing=True),
        Csms(_others(), missing=Answer(None, 404)),
        [],
        True,
        False,
    ),
    *(
        (
            f"A1 delete is answered with 404 {what}",
            _delete,
            Csms(),
            [between(0, _FOREVER, answer, method="DELETE")],
            False,
            True,
        )
        for what, answer in _404
    ),
    *(
        (f"A1 all is answered with 404 {what}", _delete, Csms(), [between(0, _FOREVER, answer)], False, True)
        for what, answer in _404
    ),
    *(
        (
            f"A1 all is answered with 404 {what}, ignored",
            lambda: _delete(ignore_missing=True),
            Csms(),
            [between(0, _FOREVER, answer)],
            False,
            True,
        )
        for what, answer in _404
    ),
    *(
        (f"A1 404 {what} in all for 3 s", _delete, Csms(), [between(0, 3, answer)], True, False)
        for what, answer in _404
    ),
    (
        "A1 read is answered with 404 for good",
        lambda: _delete(ignore_missing=True),
        Csms(),
        [between(0, _FOREVER, Answer(None, 404), where="/events/e", method="GET")],
        False,
        True,
    ),
    (
        "A1 list is empty, reads are 404",
        lambda: _delete(ignore_missing=True),
        Csms(_others() | {"e": dict(_EVENT)}),
        [between(0, _FOREVER, Answer(None, 404), where="/events/e")],
        False,
        True,
    ),
    ("update", _update, Csms(), [], True, True),
    ("update, missing", _update, Csms(_others()), [], False, False),
    (
        "update, read back shows the old state at first",
        _update,
        Csms(),
        [nth([2], Answer({"event": _EVENT}), where="/events/e")],
        True,
        True,
    ),
    (
        "update is answered with 404",
        _update,
        Csms(),
        [between(0, _FOREVER, Answer(None, 404), method="PUT")],
        False,
        True,
    ),
    ("create, missing", _create, Csms(_others()), [], True, True),
    ("create, there as asked", _create, Csms(), [], True, True),
    (
        "create, missing by 404 without a code",
        _create,
        Csms(_others(), missing=Answer(None, 404)),
        [],
        True,
        True,
    ),
    (
        "create, 404 for good",
        _create,
        Csms(_others()),
        [between(0, _FOREVER, Answer(None, 404))],
        False,
        False,
    ),
]


@pytest.mark.parametrize(
    ("make", "service", "quirks", "green", "there"),
    [case[1:] for case in _CASES],
    ids=[case[0] for case in _CASES],
)
def test_an_event(make, service, quirks, green, there, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(service, quirks)
    try:
        site = Site(monkeypatch, cloud)
        end = site.execute(make())
    finally:
        cloud.close()
    assert not cloud.crashes
    assert end.green == green, end
    assert ("e" in service.events) == there
    assert len(service.writes) <= 1
