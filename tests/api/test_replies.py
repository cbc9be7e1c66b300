"""How a reply is read: every shape of error there is, and nothing of a stranger's text gets out unfiltered."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api import error_bodies
from airflow_provider_cloudsync.api.error_bodies import find_error
from airflow_provider_cloudsync.api.messages import Request, Response
from airflow_provider_cloudsync.api.replies import (
    Reply,
    accepts_credentials,
    is_missing,
    may_be_missing,
    read,
    rejects_credentials,
)
from airflow_provider_cloudsync.api.text import one_line, shown
from airflow_provider_cloudsync.api.throttling import throttle_limit, throttle_window
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidParameter,
    Throttled,
    UnreadableReply,
)

REQUEST = Request("GET", "mrs", "ListClusterSyncTaskStatus", "/v2/x", repeatable=True)
DENIAL = "encoded_authorization_message"


def response(status=200, body=None, headers=None):
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, headers or {}, raw)


def error_of(status, body=None, headers=None):
    with pytest.raises(CloudSyncError) as caught:
        read(REQUEST, response(status, body, headers))
    return caught.value


ENVELOPES = [
    # id, status, body, code, detail
    ("flat", 400, {"error_code": "12000002", "error_msg": "bad"}, "12000002", "bad"),
    ("camel case", 400, {"errorCode": "DLS.6036", "errorMsg": "no workspace"}, "DLS.6036", "no workspace"),
    ("camel case, code alone", 400, {"errorCode": "12000003"}, "12000003", ""),
    (
        "description",
        400,
        {"error_code": "HSS.0013", "error_description": "no right"},
        "HSS.0013",
        "no right",
    ),
    (
        "description and message",
        400,
        {"error_code": "HSS.0013", "error_description": "long", "error_msg": "short"},
        "HSS.0013",
        "short",
    ),
    ("bare number as text", 400, {"error_code": "00000010"}, "00000010", ""),
    ("nested", 404, {"error": {"error_code": "CSMS.0005", "error_msg": "gone"}}, "CSMS.0005", "gone"),
    ("IAM", 403, {"error": {"code": 403, "message": "no", "title": "Forbidden"}}, "403", "no"),
    ("code and message", 400, {"code": "PAP5.0012", "message": "bad policy"}, "PAP5.0012", "bad policy"),
    ("list", 400, {"errors": [{"error_code": "DLG.1", "error_msg": "first"}]}, "DLG.1", "first"),
    ("list, the first that says something", 400, {"errors": [{}, {"error_code": "DLG.2"}]}, "DLG.2", ""),
    ("list at the top", 400, [{"error_code": "X.1", "error_msg": "m"}], "X.1", "m"),
    (
        "gateway",
        404,
        {"error_code": "APIGW.0101", "error_msg": "The API does not exist", "request_id": "r"},
        "APIGW.0101",
        "The API does not exist",
    ),
    (
        "denied policy",
        403,
        {"error_code": "PAP5.0028", "error_msg": "no", DENIAL: "Zm9v"},
        "PAP5.0028",
        "no",
    ),
    ("message alone", 500, {"message": "oops"}, "", "oops"),
    ("number as code", 500, {"error_code": 17, "error_msg": "n"}, "17", "n"),
    ("code null", 400, {"error_code": None, "error_msg": "n"}, "", "n"),
    ("message null", 400, {"error_code": "A.1", "error_msg": None}, "A.1", ""),
    ("plain text", 502, b"upstream went away", "", "upstream went away"),
    ("HTML", 504, b"<html><body><h1>504</h1>Gateway\n Time-out</body></html>", "", "504 Gateway Time-out"),
    ("empty", 503, b"", "", ""),
    ("blank", 503, b" \r\n", "", ""),
    ("JSON that is no object", 500, b'"text"', "", "text"),
    ("blank JSON text", 500, b'" "', "", ""),
    ("list of texts", 400, ["first", "second"], "", "first; second"),
    ("errCode", 400, {"errCode": "DLM.4001", "errMsg": "gone"}, "DLM.4001", "gone"),
    ("err_code", 400, {"err_code": "DLM.4001", "err_msg": "gone"}, "DLM.4001", "gone"),
    ("capitals", 400, {"Code": "X.1", "Message": "bad"}, "X.1", "bad"),
    ("all capitals", 400, {"ERROR_CODE": "X.1", "ERROR_MSG": "bad"}, "X.1", "bad"),
    ("Pascal case", 400, {"ErrorCode": "X.1", "ErrorMessage": "bad"}, "X.1", "bad"),
    ("detail", 400, {"detail": "no such thing"}, "", "no such thing"),
    ("details of objects", 400, {"detail": [{"loc": ["q"], "msg": "required"}]}, "", "required"),
    ("error", 400, {"error": "bad id"}, "", "bad id"),
    ("Error", 400, {"Error": "bad id"}, "", "bad id"),
    ("errors of texts", 400, {"errors": ["a is bad", "b is bad"]}, "", "a is bad; b is bad"),
    ("errors of texts and numbers", 400, {"errors": [1, None, "b is bad"]}, "", "b is bad"),
    ("errors of objects", 400, {"errors": [{"message": "a is bad"}]}, "", "a is bad"),
    ("errors by field", 400, {"errors": {"name": ["is too long"]}}, "", "name: is too long"),
    ("errors by field, with a code", 400, {"code": "X.1", "errors": {"a": ["b", "c"]}}, "X.1", "a: b; a: c"),
    ("errors by field of a field", 400, {"errors": {"a": {"b": ["deep"]}}}, "", "b: deep"),
    ("details by field", 400, {"error": {"code": "X.1", "details": {"f": "is bad"}}}, "X.1", "f: is bad"),
    ("error, message within", 400, {"error": {"message": "m"}}, "", "m"),
    ("fault", 400, {"fault": {"message": "m"}}, "", "m"),
    ("fault of SOAP", 500, {"fault": {"faultstring": "m", "detail": {"errorcode": "X.1"}}}, "X.1", "m"),
    ("message of languages", 400, {"error_code": "X.1", "message": {"reason": "m"}}, "X.1", "m"),
    ("a key beside an error", 400, {"error": {"code": "X.1", "ak": "AKID", "other": "AKID"}}, "X.1", ""),
    ("a key in errors", 400, {"errors": {"secret_key": "AKID", "name": "bad"}}, "", "name: bad"),
    ("a name that is too long", 400, {"n" * 65: {"error_code": "X.1"}, "errors": {"n" * 65: "t"}}, "", ""),
    ("a name that is not", 400, {"n" * 64: {"error_code": "X.1"}}, "X.1", ""),
    ("reason", 400, {"reason": "bad id"}, "", "bad id"),
    ("title", 400, {"title": "Bad Request"}, "", "Bad Request"),
    ("problem details", 400, {"type": "/x", "title": "Bad", "status": 400, "detail": "id"}, "", "id"),
    ("Spring", 404, {"status": 404, "error": "Not Found", "path": "/v2"}, "", "Not Found"),
    ("Kubernetes", 404, {"kind": "Status", "message": "m", "reason": "NotFound", "code": 404}, "404", "m"),
    ("OAuth", 400, {"error": "invalid_grant", "error_description": "expired"}, "", "expired"),
    (
        "text above, code within",
        400,
        {"message": "failed", "error": {"code": "X.1", "message": "m"}},
        "X.1",
        "m",
    ),
    ("title above, list within", 400, {"title": "Bad", "errors": [{"error_code": "D.1"}]}, "D.1", "Bad"),
    ("code above, text within", 400, {"error_code": "X.1", "details": {"reason": "m"}}, "X.1", "m"),
    ("sentence as code", 400, {"code": "Access is denied"}, "", "Access is denied"),
    ("sentence as code, and text", 400, {"code": "Access is denied", "message": "m"}, "", "m"),
    ("boolean as code", 400, {"code": True, "message": "m"}, "", "m"),
    ("code that is too long", 400, {"code": "c" * 101, "message": "m"}, "", "m"),
    ("negative code", 400, {"code": -1, "message": "m"}, "-1", "m"),
    ("blank text", 400, {"message": " ", "detail": "m"}, "", "m"),
    ("text of a field that is no error", 400, {"cluster": "c", "data": ["x"]}, "", ""),
    ("JSON null", 500, b"null", "", ""),
    ("an empty object", 500, {}, "", ""),
    ("not UTF-8", 500, b"\xff\xfe\xfa bad", "", "��� bad"),
]


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"), [pytest.param(*case[1:], id=case[0]) for case in ENVELOPES]
)
def test_envelopes(status, body, code, detail):
    error = error_of(status, body)
    assert type(error) is ApiError
    assert (error.status, error.code, error.detail) == (status, code, detail)
    assert (error.service, error.operation) == ("mrs", "ListClusterSyncTaskStatus")
    is_page = isinstance(body, bytes) and code == "" and detail and body != b'"text"'
    assert error.message.startswith("Rejected by an intermediary, not by the service (") is bool(is_page)
    assert f" ({status}{f' {code}' if code else ''}): " in error.message
    assert f" [mrs ListClusterSyncTaskStatus, request ID {error.request_id or 'unknown'}]" in error.message
    for said in (code, detail):
        assert said in error.message
    if not code and not detail:
        assert "no text" in error.message


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        pytest.param(
            {"error_code": "COC.00000000", "provider_code": "x", "data": 1}, False, id="COC's good one"
        ),
        pytest.param({"error_code": "GOM.00000000", "data": 1}, False, id="GOM's good one"),
        pytest.param({"error_code": 0}, False, id="zero"),
        pytest.param({"error_code": "0"}, False, id="zero as text"),
        pytest.param({"error_code": ""}, False, id="empty"),
        pytest.param({"error_code": None, "is_synchronizing": True}, False, id="null"),
        pytest.param(
            {"is_synchronizing": True, "errorCode": None, "errorMsg": None}, False, id="null, camel"
        ),
        pytest.param({"code": "whatever", "message": "a field of a result"}, False, id="code of a result"),
        pytest.param({"tasks": [{"error_code": "X"}]}, False, id="within a result"),
        pytest.param([1, 2], False, id="a list"),
        pytest.param(None, False, id="no body"),
        pytest.param({"error_code": 1, "error_description": "no"}, True, id="HSS image sync"),
        pytest.param({"error_code": "HSS.0001", "error_msg": "no"}, True, id="error under 200"),
        pytest.param({"errorCode": "DLS.1"}, True, id="error under 200, camel"),
        pytest.param({"errCode": "DLS.1", "errMsg": "no"}, True, id="error under 200, errCode"),
        pytest.param({"ERROR_CODE": "DLS.1"}, True, id="error under 200, capitals"),
        pytest.param({"error": {"error_code": "CSMS.1"}}, True, id="nothing but an error"),
        pytest.param({"errors": [{"error_code": "D.1"}], "request_id": "r"}, True, id="nothing but errors"),
        pytest.param({"errors": [{"error_code": "D.1"}], "n" * 65: 1}, False, id="errors and a long name"),
        pytest.param({"error": None}, False, id="no error"),
        pytest.param({"errors": []}, False, id="no errors"),
        pytest.param({"error": {}, "event": {}}, False, id="an error beside a result"),
        pytest.param({"errCode": 0}, False, id="zero, errCode"),
        pytest.param({"title": "t", "detail": "d"}, False, id="texts of a result"),
    ],
)
def test_success_or_error_under_200(body, is_error):
    if is_error:
        error = error_of(200, body)
        assert type(error) is ApiError
        assert error.status == 200
        assert error.code
    else:
        assert read(REQUEST, response(200, body)).data == body


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(status):
    assert read(REQUEST, response(status, {"a": 1})) == Reply(status, {"a": 1}, "")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>log in</html>", id="a login page"),
        pytest.param(b"OK", id="text"),
        pytest.param(b'{"is_synchronizing": tr', id="cut short"),
        pytest.param(b"\xff\xfe\x00", id="binary"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b"1" * 10_000, id="a number beyond measure"),
    ],
)
def test_a_success_that_is_not_json(body):
    error = error_of(200, body)
    assert type(error) is UnreadableReply
    assert f"{len(body)} bytes" in error.message
    assert len(error.message) < 400


KINDS = [
    (300, ApiError),
    (302, ApiError),
    (304, ApiError),
    (400, ApiError),
    (401, CredentialsRejected),
    (403, ApiError),
    (404, ApiError),
    (405, ApiError),
    (408, ApiError),
    (418, ApiError),
    (429, Throttled),
    (500, ApiError),
    (502, ApiError),
    (503, ApiError),
    (504, ApiError),
    (599, ApiError),
]


@pytest.mark.parametrize(("status", "kind"), KINDS, ids=[str(status) for status, _ in KINDS])
def test_the_kind_of_error_follows_the_status(status, kind):
    error = error_of(status, {"error_code": "X.1", "error_msg": "m"}, {"x-request-id": "rid"})
    assert type(error) is kind
    assert error.status == status
    assert error.message.endswith("[mrs ListClusterSyncTaskStatus, request ID rid]")


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "", "check the IDs"),
        (401, "", "Check access key (Login), secret key (Password)"),
        (401, "", "No retry"),
        (403, "", "permissions"),
        (404, "12000003", "Check the ID, the region and the project"),
        (404, "APIGW.0101", "Check the region and the endpoint"),
        (404, "APIG.0101", "Check the region and the endpoint"),
        (405, "", "endpoint"),
        (429, "", "rate limit"),
        (500, "", "the service's support"),
        (503, "", "the service's support"),
        (302, "", "redirects"),
    ],
)
def test_an_error_says_what_to_do(status, code, advice):
    assert advice in error_of(status, {"error_code": code, "error_msg": "m"}).message


PAGES = [
    ("HTML", b"<html><title>Blocked</title><body>Access denied by policy 17</body></html>"),
    ("plain text", b"Access denied by policy 17"),
    ("not UTF-8", b"\xff\xfe Access denied by policy 17"),
]
NO_CODE = [
    ("empty", b""),
    ("text", {"message": "Access denied"}),
    ("bare text", b'"Access denied"'),
    ("status as code", {"code": "STATUS", "message": "Access denied"}),
    ("phrase as code", {"code": "Forbidden", "message": "Access denied"}),
    ("Spring", {"status": "STATUS", "error": "Forbidden"}),
    ("text in the services' own field", {"error_msg": "Access denied"}),
]
CLAIMS = (
    "Permission denied",
    "Not found",
    "Request rejected",
    "Service error",
)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 413, 429, 451, 500, 502, 503, 504])
class TestSender:
    """An error is told as that of whoever sent it."""

    @pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in PAGES])
    def test_a_page_is_not_the_service_s(self, status, body):
        error = error_of(status, body)
        assert not error.has_service_code
        assert error.message.startswith(f"Rejected by an intermediary, not by the service ({status}): ")
        assert "policy 17" in error.message
        assert "Check the endpoint and the proxy" in error.message
        assert not [claim for claim in CLAIMS if claim in error.message]

    @pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NO_CODE])
    def test_json_without_a_code_may_be_of_anybody(self, status, body):
        if isinstance(body, dict):
            body = {name: status if value == "STATUS" else value for name, value in body.items()}
        error = error_of(status, body)
        assert not error.has_service_code
        if status < 500 and not (status == 401 and isinstance(body, dict) and "error_msg" in body):
            assert "so it may come from an intermediary" in error.message
            assert not [claim for claim in CLAIMS if claim in error.message]
        assert "by an intermediary, not" not in error.message

    @pytest.mark.parametrize("code", ["APIGW.0302", "APIG.0201", "12000002", "HSS.0001", "CSMS.0005"])
    def test_a_code_is_of_the_service_or_its_gateway(self, status, code):
        error = error_of(status, {"error_code": code, "error_msg": "m"})
        assert error.has_service_code
        assert "intermediary" not in error.message

    def test_iam_has_status_numbers_as_codes(self, status):
        request = Request("GET", "iam", "KeystoneListProjects", "/v3/projects", repeatable=True)
        body = {"error": {"code": status, "message": "m", "title": "t"}}
        with pytest.raises(ApiError) as caught:
            read(request, response(status, body))
        assert caught.value.has_service_code
        assert "intermediary" not in caught.value.message


LOCKS = [
    ("key", 401, "AK access failed to reach the limit, forbidden", "Access key locked"),
    ("key, other words", 401, "The AK has reached the limit of failures", "Access key locked"),
    ("key, another status", 403, "AK access failed to reach the limit, forbidden", "Access key locked"),
    ("access key", 401, "the access key is locked", "Access key locked"),
    ("user", 401, "The user is locked, try again in 15 minutes", "User locked"),
    ("account", 401, "The account is locked.", "User locked"),
    (
        "account, the other way round",
        401,
        "Login locked: too many failures of this account",
        "User locked",
    ),
    ("a limit of something else", 401, "The token is limited to another project", "Check access key"),
    ("a rate limit", 401, "rate limit", "Check access key"),
    ("a lock of something else", 403, "The cluster is blocked", "permissions"),
    ("a quota", 400, "The number of users has reached the limit", "Check the IDs"),
]


@pytest.mark.parametrize(("status", "text", "hint"), [pytest.param(*case[1:], id=case[0]) for case in LOCKS])
def test_a_lock_is_told_from_other_limits(status, text, hint):
    error = error_of(status, {"error_code": "APIGW.0301" if status == 401 else "X.1", "error_msg": text})
    hints = [each for each in ("Access key locked", "User locked") if each in error.message]
    assert hint in error.message
    assert hints == [hint] * hint.startswith(("Access key locked", "User locked"))


CALLERS = [
    # id, body of a 401, whether it is about the caller
    ("code", {"error_code": "APIGW.0301", "error_msg": "m"}, True),
    ("code alone", {"error_code": "APIG.0301"}, True),
    ("IAM", {"error": {"code": 401, "message": "m", "title": "Unauthorized"}}, True),
    ("text in the services' own field", {"error_msg": "verify aksk signature fail"}, True),
    ("the same within", {"error": {"error_msg": "verify aksk signature fail"}}, True),
    ("permission", {"error_code": "12000136", "error_msg": "m"}, False),
    ("page", b"<html>log in</html>", False),
    ("empty", b"", False),
    ("text of a proxy", {"message": "Unauthorized"}, False),
    ("error of a proxy", {"error": "login required"}, False),
    ("OAuth", {"error": "invalid_token", "error_description": "expired"}, False),
    ("status of a proxy", {"code": 401, "message": "Unauthorized"}, False),
    ("number of a proxy", {"code": 1, "message": "Unauthorized"}, False),
    ("number below zero", {"code": -1, "message": "Unauthorized"}, False),
    ("number of MRS", {"error_code": "12000001", "error_msg": "m"}, True),
    ("bare text", b'"Unauthorized"', False),
    ("detail", {"detail": "Not authenticated"}, False),
]


@pytest.mark.parametrize(("body", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CALLERS])
def test_a_401_is_about_the_key_only_if_the_service_says_so(body, expected):
    assert rejects_credentials(response(401, body)) is expected
    assert not rejects_credentials(response(403, body))
    assert not (expected and accepts_credentials(response(401, body)))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(204, b"", True, id="success"),
        pytest.param(403, {"error_code": "X.1"}, True, id="error of a service"),
        pytest.param(403, {"errCode": "X.1"}, True, id="errCode"),
        pytest.param(401, {"error_code": "12000136"}, True, id="missing permission"),
        pytest.param(403, {"error": {"code": 403, "message": "m", "title": "Forbidden"}}, True, id="IAM"),
        pytest.param(403, {"code": 403, "message": "blocked"}, False, id="status of a proxy"),
        pytest.param(403, {"code": 1, "message": "blocked"}, False, id="number of a proxy"),
        pytest.param(403, {"code": -1, "message": "blocked"}, False, id="number below zero"),
        pytest.param(400, {"error_code": "0023"}, True, id="short number of MRS"),
        pytest.param(403, {"error": "blocked"}, False, id="text of a proxy"),
        pytest.param(403, {"error_msg": "blocked"}, False, id="text alone"),
        pytest.param(403, b"<html>blocked</html>", False, id="page"),
        pytest.param(404, {"error_code": "APIGW.0101"}, False, id="gateway"),
        pytest.param(429, {"error_code": "X.1"}, False, id="throttled"),
        pytest.param(500, {"error_code": "X.1"}, False, id="fault"),
    ],
)
def test_what_shows_that_a_key_was_accepted(status, body, expected):
    assert accepts_credentials(response(status, body)) is expected


REQUEST_IDS = [
    ("header", {"x-request-id": "a"}, {}, "a"),
    ("IAM's header", {"x-iam-trace-id": "b"}, {}, "b"),
    ("body", {}, {"request_id": "c"}, "c"),
    ("header before body", {"x-request-id": "a"}, {"request_id": "c"}, "a"),
    ("none", {}, {}, ""),
    ("empty header", {"x-request-id": ""}, {"request_id": "c"}, "c"),
    ("body with a number", {}, {"request_id": 7}, ""),
    ("body with an object", {}, {"request_id": {"a": 1}}, ""),
    ("COC's", {"x-request-id": "0c-4f-1795248000-host_1.local:80"}, {}, "0c-4f-1795248000-host_1.local:80"),
    ("line break", {"x-request-id": "a\r\nINFO forged"}, {}, ""),
    ("escape sequence", {"x-request-id": "\x1b[31mred"}, {}, ""),
    ("sentence", {"x-request-id": "see the log"}, {}, ""),
    ("as long as can be", {"x-request-id": "x" * 100}, {}, "x" * 100),
    ("too long", {"x-request-id": "x" * 101}, {}, ""),
    ("unusable header before body", {"x-request-id": "a b"}, {"request_id": "c"}, "c"),
    ("unusable header before IAM's", {"x-request-id": "a b", "x-iam-trace-id": "b"}, {}, "b"),
]


@pytest.mark.parametrize(
    ("headers", "body", "expected"), [pytest.param(*case[1:], id=case[0]) for case in REQUEST_IDS]
)
def test_request_id(headers, body, expected):
    assert error_of(400, {"error_code": "A", **body}, headers).request_id == expected
    assert read(REQUEST, response(200, {"a": 1, **body}, headers)).request_id == expected
    assert f"request ID {expected or 'unknown'}" in error_of(400, body, headers).message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("Sat, 21 Nov 2026 08:00:00 GMT", 1_795_248_000.0, id="as the standard has it"),
        pytest.param("Sat, 21 Nov 2026 16:00:00 +0800", 1_795_248_000.0, id="another zone"),
        pytest.param("", None, id="empty"),
        pytest.param("yesterday", None, id="text"),
        pytest.param("2026-11-21T08:00:00Z", None, id="ISO"),
        pytest.param("Sat, 99 Nov 2026 08:00:00 GMT", None, id="no such day"),
        pytest.param("Sat, 21 Nov 99999 08:00:00 GMT", None, id="no such year"),
        pytest.param(None, None, id="none"),
    ],
)
def test_date(header, seconds):
    headers = {} if header is None else {"date": header}
    assert read(REQUEST, response(200, {}, headers)).date == seconds


WINDOWS = [
    ("the request is throttled: limit:60,time:1 minute", 60.0),
    ("limit:5,time:1 second", 2.0),
    ("limit:5,time:10 second", 10.0),
    ("limit:5,time:3 seconds", 3.0),
    ("limit:5, time: 2 minutes.", 120.0),
    ("limit:5,time:minute", 60.0),
    ("LIMIT:5,TIME:2 MINUTES", 120.0),
    ("limit:5,time:2minutes", 120.0),
    ("limit:5,time:30 secs", 30.0),
    ("limit:5,time:30s", 30.0),
    ("limit:5,time:5 min", 300.0),
    ("limit:5,time:1.5 minutes", 90.0),
    ("limit:5,time:500 ms", 2.0),
    ("limit:5,time:5000 milliseconds", 5.0),
    ("limit=5,time=10 second", 10.0),
    ("limit:5,period:10 seconds", 10.0),
    ("\u9650\u5236\uff1a5\uff0c\u65f6\u95f4\uff1a1 \u5206\u949f", 60.0),
    ("limit:5,time:30 \u79d2", 30.0),
    ("limit:5,time:30\u79d2\u949f", 30.0),
    ("limit:5,time:500 \u6beb\u79d2", 2.0),
    # Capped as Retry-After is.
    ("TIME:1 HOUR", 600.0),
    ("limit:1,time:1 day", 600.0),
    ("limit:1,time:1 Day", 600.0),
    ("limit:1,time:2 days", 600.0),
    ("limit:1,time:1 h", 600.0),
    ("limit:1,time:1 hr", 600.0),
    ("limit:1,time:1 \u5929", 600.0),
    ("limit:1,time:1 \u5c0f\u65f6", 600.0),
    ("limit:1,time:1 \u65e5", 600.0),
    ("limit:1,time:11 minutes", 600.0),
    ("limit:1,time:601 seconds", 600.0),
    ("limit:5,time:0 second", 2.0),
    ("time:" + "9" * 400 + " second", 600.0),
    ("too many requests", None),
    ("time flies", None),
    ("limit:5,time:1 fortnight", None),
    ("limit:5,time:1 month", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "seconds"), WINDOWS, ids=[text[:40] or "empty" for text, _ in WINDOWS])
def test_throttle_window(text, seconds):
    assert throttle_window(text) == seconds


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("limit:60,time:1 minute", 60),
        ("LIMIT: 60", 60),
        ("limit=7", 7),
        ("\u9650\u5236\uff1a5\uff0c\u65f6\u95f4\uff1a1 \u5206", 5),
        ("limit:1234567", None),
        ("limit: none", None),
        ("no limits", None),
    ],
)
def test_throttle_limit(text, limit):
    assert throttle_limit(text) == limit


@pytest.mark.parametrize("unit", ["day", "DAYS", "hour", "\u5929"])
def test_a_quota_that_a_text_tells_has_no_longer_window_than_a_pause_may_last(unit):
    error = error_of(429, {"error_code": "APIGW.0308", "error_msg": f"throttled: limit:1,time:1 {unit}"})
    assert (error.limit, error.window, error.retry_after) == (1, 600.0, 600.0)


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        pytest.param({"retry-after": "7"}, "limit:5,time:1 minute", 7.0, id="the header goes first"),
        pytest.param({"retry-after": " 7 "}, "", 7.0, id="blanks"),
        pytest.param({"retry-after": "0"}, "", 0.0, id="zero"),
        pytest.param({"retry-after": "-1"}, "limit:5,time:1 minute", 60.0, id="negative"),
        pytest.param({"retry-after": "soon"}, "limit:5,time:1 minute", 60.0, id="text"),
        pytest.param({"retry-after": "²"}, "", None, id="superscript"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:00 GMT"}, "", None, id="a date"),
        pytest.param({"retry-after": "9" * 5000}, "", float("inf"), id="beyond measure"),
        pytest.param({}, "limit:5,time:1 minute", 60.0, id="the window"),
        pytest.param({}, "slow down", None, id="neither"),
    ],
)
def test_retry_after(headers, text, seconds):
    error = error_of(429, {"error_code": "APIGW.0308", "error_msg": text}, headers)
    assert type(error) is Throttled
    assert error.retry_after == seconds


def test_the_throttle_window_is_read_from_plain_text_too():
    assert error_of(429, b"throttled: limit:1,time:10 second").retry_after == 10.0


class TestHostileText:
    """A reply can't forge a log line, colour a terminal or flood it, wherever it puts its text."""

    FORGED = "x\r\nERROR root - \x1b[31mforged\x1b[0m\u2028line\u202eright\x00\x85"

    def clean(self, error):
        assert error.message.isprintable()
        assert len(error.message) < 1500
        for text in (error.code, error.detail, error.request_id):
            assert text.isprintable()
            assert len(text) < 500

    @pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500])
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({"error_code": "A.1", "error_msg": FORGED}, id="message"),
            pytest.param({"error_code": FORGED, "error_msg": "m"}, id="code"),
            pytest.param({"errorCode": "A.1", "errorMsg": "m" * 1_000_000}, id="message of 1 MB"),
            pytest.param({"errorCode": "c" * 1_000_000}, id="code of 1 MB"),
            pytest.param({"errorCode": "A.1", "request_id": FORGED * 100}, id="request id"),
            pytest.param({"errorCode": "A.1", "errorMsg": "\ud800"}, id="half a character"),
        ],
    )
    def test_in_json(self, status, body):
        self.clean(error_of(status, body))

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(FORGED.encode(), id="text"),
            pytest.param(b"x" * 1_000_000, id="1 MB"),
            pytest.param(b"<p>" * 300_000, id="markup"),
            pytest.param(b"\xff\x1b[2J" * 1000, id="not UTF-8"),
        ],
    )
    def test_in_a_body_that_is_not_json(self, body):
        self.clean(error_of(500, body))
        error = error_of(200, body)
        assert error.message.isprintable()
        assert len(error.message) < 400

    def test_open_brackets_do_not_stall_the_process(self):
        # In a process of its own, since a regular expression that goes mad can't be stopped from within.
        program = (
            "from airflow_provider_cloudsync.api.text import one_line\n"
            "assert one_line('<' * 1_000_000).startswith('<<<')"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=20)

    def test_a_nested_error_does_not_exhaust_the_stack(self):
        for depth in range(300, 1100, 7):
            body = b'{"a":' * depth + b"1" + b"}" * depth
            assert isinstance(error_of(500, body), ApiError)
            with contextlib.suppress(UnreadableReply):
                read(REQUEST, response(200, body))

    def test_neither_raw_body_nor_denial_is_shown(self):
        body = {"error_code": "A.1", "error_msg": "m", DENIAL: "c2VjcmV0", "ak": "AKIDAKID"}
        error = error_of(403, body)
        assert "c2VjcmV0" not in str(error) + repr(vars(error))
        assert "AKIDAKID" not in str(error) + repr(vars(error))


class TestField:
    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            pytest.param({"f": True}, bool, id="true"),
            pytest.param({"f": False}, bool, id="false"),
            pytest.param({"f": 0}, int, id="zero"),
            pytest.param({"f": []}, list, id="empty list"),
            pytest.param({"f": {}}, dict, id="empty object"),
            pytest.param({"f": ""}, str, id="empty text"),
            pytest.param({"f": 5}, (int, str), id="one of two"),
        ],
    )
    def test_present(self, data, kind):
        assert Reply(200, data, "r").field("f", kind) == data["f"]

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            pytest.param({}, bool, id="missing"),
            pytest.param({"f": None}, bool, id="null"),
            pytest.param({"f": "false"}, bool, id="text for a boolean"),
            pytest.param({"f": 0}, bool, id="zero for false"),
            pytest.param({"f": 1}, bool, id="one for true"),
            pytest.param({"f": True}, int, id="true for one"),
            pytest.param({"f": 1.5}, int, id="a fraction"),
            pytest.param({"f": {}}, list, id="object for a list"),
            pytest.param({"f": "[]"}, list, id="text for a list"),
            pytest.param(None, bool, id="no body"),
            pytest.param([], bool, id="a list at the top"),
            pytest.param("f", str, id="text at the top"),
        ],
    )
    def test_missing_is_never_false(self, data, kind):
        with pytest.raises(UnreadableReply, match=r'^The reply has no usable "f"\. \[request ID rid\]$'):
            Reply(200, data, "rid").field("f", kind)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, ("", "")),
        (1, ("", "")),
        ("error_code", ("", "error_code")),
        ("", ("", "")),
        ({}, ("", "")),
        ([], ("", "")),
        ({"a": {"b": [{"code": "C", "message": "m"}]}}, ("C", "m")),
        ({"error_code": "A", "error": {"code": "B"}}, ("A", "")),
        ({"error_code": {}, "error": {"code": "B"}}, ("B", "")),
    ],
)
def test_find_error(data, expected):
    assert find_error(data) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error_code", "errorCode", "code", "error_msg", "message", "error", "errors", "request_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
HEADER = st.sampled_from(["x-request-id", "x-iam-trace-id", "retry-after", "date", "content-type"])


@given(
    status=st.integers(200, 599),
    headers=st.dictionaries(HEADER, st.text(max_size=40), max_size=3),
    body=st.one_of(st.binary(max_size=60), JSON.map(lambda data: json.dumps(data).encode())),
)
@example(status=200, headers={"date": "Mon, 1 Jan 0100 00:00:00 -0000"}, body=b"")
@example(status=200, headers={"date": "Mon, 1 Jan 9999 23:59:59 -2359"}, body=b"")
@settings(max_examples=500, deadline=None)
def test_anything_is_either_a_reply_or_one_of_our_errors(status, headers, body):
    try:
        reply = read(REQUEST, Response(status, headers, body))
    except CloudSyncError as error:
        said = error.message
    else:
        assert 200 <= status < 300
        said = reply.request_id
    assert said.isprintable()
    assert len(said) < 2000


@pytest.mark.parametrize(
    ("text", "length", "tail", "expected"),
    [
        ("plain", 10, False, "plain"),
        ("  a \n\t b  ", 10, False, "a b"),
        ("<b>bold</b>text", 20, False, "bold text"),
        ("a<b", 10, False, "a<b"),
        ("0123456789", 4, False, "0123..."),
        ("0123456789", 4, True, "...6789"),
        ("0123", 4, False, "0123"),
        ("a\x00\x07\x1b[0m\u200bb", 20, False, "a[0mb"),
        ("北京 😀", 20, False, "北京 😀"),
        ("", 4, False, ""),
    ],
)
def test_one_line(text, length, tail, expected):
    assert one_line(text, length, tail=tail) == expected


@pytest.mark.parametrize("value", ["a\nb", "x" * 1000, {"a": ["\x1b"]}, None, "\ud800", b"\xff"])
def test_shown(value):
    assert shown(value).isprintable()
    assert len(shown(value)) <= 83


class TestRequest:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            pytest.param("workspace", "a\r\nX-Injected: 1", id="line break"),
            pytest.param("workspace", "a\nb", id="line feed"),
            pytest.param("workspace", "a\x00b", id="zero"),
            pytest.param("workspace", "a\u2028b", id="line separator"),
            pytest.param("work space", "a", id="blank in the name"),
            pytest.param("workspace:", "a", id="colon in the name"),
            pytest.param("work\nspace", "a", id="line feed in the name"),
            pytest.param("wörkspace", "a", id="umlaut in the name"),
            pytest.param("", "a", id="no name"),
        ],
    )
    def test_no_header_can_be_injected(self, name, value):
        with pytest.raises(InvalidParameter, match="header"):
            Request("GET", "mrs", "Op", "/", repeatable=True, headers={name: value})

    @pytest.mark.parametrize("value", ["", "plain", "a b", "工作区", 'quo"te'])
    def test_other_headers_are_fine(self, value):
        request = Request("GET", "mrs", "Op", "/", repeatable=True, headers={"X-Some-Name": value})
        assert request.headers == {"X-Some-Name": value}


# --- what does not exist -------------------------------------------------------------------------------------------

MISSING = [
    # id, status, body, whether it is missing for certain, whether another read has to tell
    ("by its code", 404, {"error": {"error_code": "X.1"}}, True, True),
    ("by its code in camel case", 400, {"errorCode": "X.1"}, True, False),
    ("by its code with status 200", 200, {"error_code": "X.1"}, True, False),
    ("nothing", 404, None, False, True),
    ("text", 404, b"404 page not found", False, True),
    ("HTML", 404, b"<html>Not Found</html>", False, True),
    ("a framework", 404, {"detail": "Not Found"}, False, True),
    ("Kong", 404, {"message": "no Route matched with those values"}, False, True),
    ("the status again", 404, {"code": 404, "message": "Not Found"}, False, True),
    ("another code", 404, {"error_code": "X.2"}, False, True),
    ("the gateway", 404, {"error_code": "APIGW.0101", "error_msg": "X.1"}, False, False),
    ("the newer gateway", 404, {"error_code": "APIG.0101"}, False, False),
    ("not allowed", 403, None, False, False),
    ("gone", 410, None, False, False),
]


@pytest.mark.parametrize(
    ("status", "body", "certain", "perhaps"), [pytest.param(*case[1:], id=case[0]) for case in MISSING]
)
def test_missing(status, body, certain, perhaps):
    error = error_of(status, body)
    assert is_missing(error, "X.0", "X.1") is certain
    assert not is_missing(error)
    assert may_be_missing(error) is perhaps


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param({"errors": {f"n{n}": {"x": {}} for n in range(3000)}}, id="wide"),
        pytest.param(
            {f"n{n}": {f"m{m}": {"errors": 1} for m in range(300)} for n in range(300)}, id="nested"
        ),
        pytest.param({"errors": [[[[["t"] * 100] * 100] * 100] * 100] * 100}, id="deep"),
        pytest.param({"errors": ["t" * 100_000] * 900}, id="long"),
    ],
)
def test_the_search_for_inner_texts_is_bounded(hostile, monkeypatch):
    looked_at = []
    known = error_bodies._is_text
    monkeypatch.setattr(error_bodies, "_is_text", lambda value: looked_at.append(0) or known(value))
    assert len(find_error(hostile)[1]) < 500
    assert len(looked_at) < 20_000


def test_a_bounded_number_of_values_is_looked_at():
    assert find_error([*[{}] * 900, {"error_code": "X.1"}]) == ("X.1", "")
    assert find_error([*[{}] * 1100, {"error_code": "X.1"}]) == ("", "")
