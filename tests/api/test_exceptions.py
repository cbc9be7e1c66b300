"""The errors: they survive pickling, copying and the way through a trigger's event."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from airflow_provider_cloudsync import exceptions
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    ConnectionNotFound,
    CredentialsRejected,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    Throttled,
    TransportError,
    UnreadableReply,
    WaitTimedOut,
    from_report,
)

FIELDS = {
    "service": "mrs",
    "operation": "Op",
    "status": 400,
    "code": "1",
    "detail": "d",
    "request_id": "r",
}
EXAMPLES = [
    CloudSyncError("m"),
    InvalidConnection("m"),
    ConnectionNotFound("m"),
    InvalidParameter("m"),
    InvalidEvent("m"),
    TransportError("m", sent=False, permanent=True),
    UnreadableReply("m"),
    ApiError("m", **FIELDS),
    Throttled("m", retry_after=2.5, **FIELDS),
    Throttled("m", **FIELDS),
    CredentialsRejected("m", **FIELDS),
    SyncFailed("m"),
    WaitTimedOut("m", last_seen="l"),
]
NAMES = [type(error).__name__ for error in EXAMPLES]


def all_kinds(root=CloudSyncError):
    found = {root}
    for kind in root.__subclasses__():
        found |= all_kinds(kind)
    return {kind for kind in found if kind.__module__ == exceptions.__name__}


def test_there_is_an_example_of_each():
    assert {type(error) for error in EXAMPLES} == all_kinds()


def same(one, other):
    assert type(one) is type(other)
    assert str(one) == str(other) == "m"
    assert vars(one) == vars(other)
    assert one.args == other.args


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(error, protocol):
    same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copying(error, duplicate):
    copied = duplicate(error)
    same(copied, error)
    assert copied is not error


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_report(error):
    report = json.loads(json.dumps(error.to_report()))
    assert report["error"] == type(error).__name__
    assert report["message"] == "m"
    same(from_report(report), error)


@pytest.mark.parametrize("carry", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_note_does_no_harm(carry):
    """Airflow and pytest add notes to errors, and users may."""
    error = ApiError("m", **FIELDS)
    error.add_note("while in task x")
    carried = carry(error)
    assert (type(carried), carried.message, carried.status) == (ApiError, "m", 400)


def test_a_note_does_no_harm_to_a_report():
    error = ApiError("m", **FIELDS)
    error.add_note("while in task x")
    carried = from_report(json.loads(json.dumps(error.to_report())))
    assert (type(carried), carried.message, carried.status) == (ApiError, "m", 400)


@pytest.mark.parametrize(
    ("report", "kind", "message"),
    [
        pytest.param(
            {"error": "OfTheFuture", "message": "m"}, CloudSyncError, "OfTheFuture: m", id="unknown"
        ),
        pytest.param({"error": "ValueError", "message": "m"}, CloudSyncError, "ValueError: m", id="not ours"),
        pytest.param({"error": "SyncFailed"}, SyncFailed, "no message", id="no message"),
        pytest.param({"error": "SyncFailed", "message": ""}, SyncFailed, "no message", id="empty message"),
        pytest.param({"error": "SyncFailed", "message": "m", "details": None}, SyncFailed, "m", id="null"),
        pytest.param(
            {"error": "SyncFailed", "message": "m", "details": {"new": 1}}, SyncFailed, "m", id="new details"
        ),
        pytest.param(
            {"error": "ApiError", "message": "m", "details": [1]}, ApiError, "m", id="details that are none"
        ),
        pytest.param(
            {"error": "ApiError", "message": "m", "details": {"message": "x"}}, ApiError, "m", id="twice"
        ),
        pytest.param({}, CloudSyncError, "None: no message", id="nothing"),
        pytest.param({"error": ["x"], "message": 5}, CloudSyncError, "['x']: 5", id="wrong types"),
    ],
)
def test_reports_of_another_release(report, kind, message):
    error = from_report(report)
    assert type(error) is kind
    assert error.message == str(error) == message


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (InvalidParameter, (CloudSyncError, ValueError)),
        (UnreadableReply, (TransportError,)),
        (Throttled, (ApiError,)),
        (CredentialsRejected, (ApiError,)),
    ],
)
def test_the_tree(kind, bases):
    assert all(issubclass(kind, base) for base in bases)


def test_the_tree_is_drawn():
    assert all(kind.__name__ in (exceptions.__doc__ or "") for kind in all_kinds())


def test_a_transport_error_is_uncertain_unless_told_otherwise():
    error = TransportError("m")
    assert (error.sent, error.permanent) == (True, False)


@pytest.mark.parametrize(
    ("code", "status", "service", "expected"),
    [
        pytest.param("", 404, "mrs", False, id="none"),
        pytest.param("12000003", 400, "mrs", True, id="number of MRS"),
        pytest.param("0023", 400, "mrs", True, id="short number of MRS"),
        pytest.param("00000010", 400, "hss", True, id="number of HSS"),
        pytest.param("CSMS.0005", 404, "csms", True, id="CSMS"),
        pytest.param("APIGW.0101", 404, "mrs", True, id="gateway"),
        pytest.param("APIG.0308", 429, "hss", True, id="newer gateway"),
        pytest.param("404", 404, "mrs", False, id="status again"),
        pytest.param("404", 400, "csms", False, id="another status"),
        pytest.param("0", 404, "mrs", False, id="zero"),
        pytest.param("1", 404, "mrs", False, id="one"),
        pytest.param("-1", 404, "mrs", False, id="below zero"),
        pytest.param("17", 404, "mrs", False, id="two digits"),
        pytest.param("999", 404, "mrs", False, id="three digits"),
        pytest.param("-1001", 404, "mrs", False, id="four digits below zero"),
        pytest.param("404.0", 404, "mrs", False, id="status with a part"),
        pytest.param("0000", 404, "mrs", False, id="zeros"),
        pytest.param("12000136", 401, "mrs", True, id="permission of MRS"),
        pytest.param("0192", 400, "mrs", True, id="MRS, job user missing"),
        pytest.param("HTTP404", 404, "mrs", False, id="status in letters"),
        pytest.param("Not Found", 404, "mrs", False, id="phrase"),
        pytest.param("NOT_FOUND", 404, "csms", False, id="phrase with underscore"),
        pytest.param("Forbidden", 403, "hss", False, id="phrase of 403"),
        pytest.param("bad-gateway", 502, "hss", False, id="phrase with hyphen"),
        pytest.param("...", 404, "mrs", False, id="punctuation"),
        pytest.param("401", 401, "iam", True, id="IAM's own"),
        pytest.param("404", 404, "iam", True, id="IAM's own 404"),
        pytest.param("404", 502, "iam", False, id="IAM, another status"),
        pytest.param("", 404, "iam", False, id="IAM, none"),
        pytest.param("1101", 400, "iam", True, id="IAM's management"),
    ],
)
def test_has_service_code(code, status, service, expected):
    for kind in (ApiError, CredentialsRejected, Throttled):
        error = kind("m", code=code, status=status, service=service)
        assert error.has_service_code is expected
        assert from_report(error.to_report()).has_service_code is expected
        assert pickle.loads(pickle.dumps(error)).has_service_code is expected
