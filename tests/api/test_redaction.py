"""Secrets that a server echoes: gone from every text, in whatever encoding, and before the text is cut to length."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair, Token
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings, Request, Response
from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.redaction import (
    MASK,
    Secrets,
    is_free_of,
    redact,
    redact_data,
    secrets_in,
    secrets_in_headers,
    secrets_in_proxy,
    secrets_of,
)
from airflow_provider_cloudsync.api.replies import read
from airflow_provider_cloudsync.api.services.coc.resource_sync import RESOURCE_SYNC, resources_watch_target
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
from airflow_provider_cloudsync.api.signins.ecs import Ecs
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, Throttled
from tests.support.scripted_network import DRIVERS, answer

pytestmark = pytest.mark.usefixtures("no_chance")


def lower_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


ENCODINGS = {
    "raw": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON with capital digits": lambda text: re.sub(
        r"(\\u)([0-9a-f]{4})", lambda match: match[1] + match[2].upper(), json.dumps(text)[1:-1]
    ),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL with slashes": quote,
    "URL in lower case": lambda text: lower_hex(quote(text, safe="")),
    "form": quote_plus,
    "form in lower case": lambda text: lower_hex(quote_plus(text)),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON in URL": lambda text: quote(json.dumps(text)[1:-1], safe=""),
    "HTML": html.escape,
    "HTML without quotes": lambda text: html.escape(text, quote=False),
    "HTML with numbers": lambda text: "".join(
        f"&#{ord(each)};" if not each.isalnum() else each for each in text
    ),
    "HTML with hex numbers": lambda text: "".join(
        f"&#x{ord(each):X};" if not each.isalnum() else each for each in text
    ),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "Base64 in URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
}
SECRETS = {
    "letters": "S3cr3tS3cr3t",
    "specials": "P@ss \"w/+&<'>?=#%41\\d",
    "spaces and plus": "correct horse+battery staple",
    "other scripts": "p\u00e4ssw\u00f6rt-\u5bc6\u7801-\U0001f600-x",
    "short": "hunter2",
    "Base64 itself": "MFyfvK41ba2+iqM7Uio6/znpdUKGpownRZlmVmHc==",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
class TestEncodings:
    def test_in_an_error(self, encode, secret):
        echoed = encode(secret)
        for before, after in (("", ""), ('{"a":"', '"}'), ("sent: ", ", then"), ("x=", "&y=1")):
            found = redact(before + echoed + after, [secret])
            assert found.startswith(before + MASK)
            assert found.rstrip("=%3D").endswith(after.rstrip("=%3D"))
            assert echoed not in found
            assert secret not in found

    def test_in_a_success(self, encode, secret):
        data = {"tasks": [{"msg": f"log of it: {encode(secret)}\nend", "n": 1, "ok": True, "no": None}]}
        found = redact_data(data, [secret])
        assert found["tasks"][0]["msg"].endswith("\nend")
        assert (encode(secret) in repr(found)) is (len(secret) < 8)
        assert {name: found["tasks"][0][name] for name in ("n", "ok", "no")} == {
            "n": 1,
            "ok": True,
            "no": None,
        }

    def test_nothing_that_is_found_is_overlooked_by_the_quick_look(self, encode, secret):
        for body in (
            json.dumps({"a": encode(secret)}),
            json.dumps({"a": encode(secret)}, ensure_ascii=False),
        ):
            if redact_data(json.loads(body), [secret]) != json.loads(body):
                assert not is_free_of(body.encode(), [secret])


SECRET = "S3cr3tS3cr3t-of-the-connection"
CUTS = [
    # id, text, what is left
    ("at the end", f"sent {SECRET[:8]}", f"sent {MASK}"),
    ("at the end, longer", f"sent {SECRET[:20]}", f"sent {MASK}"),
    ("before a quote", f'{{"password":"{SECRET[:9]}"', f'{{"password":"{MASK}"'),
    ("before dots", f"sent {SECRET[:9]}... and more of it", f"sent {MASK}... and more of it"),
    ("before an ellipsis", f"sent {SECRET[:9]}\u2026 and more of it", f"sent {MASK}\u2026 and more of it"),
    ("long enough anywhere", f"sent {SECRET[:16]}, and more", f"sent {MASK}, and more"),
    ("too short", f"sent {SECRET[:7]}", f"sent {SECRET[:7]}"),
    ("a word that begins alike", f"{SECRET[:9]} is a word of it", f"{SECRET[:9]} is a word of it"),
    ("twice", f"{SECRET} and {SECRET[:8]}", f"{MASK} and {MASK}"),
    ("side by side", SECRET + SECRET, MASK),
    ("the end of it", SECRET[10:], SECRET[10:]),
    ("other case", SECRET.lower(), SECRET.lower()),
]


@pytest.mark.parametrize(("text", "left"), [pytest.param(*case[1:], id=case[0]) for case in CUTS])
def test_what_a_server_cut(text, left):
    assert redact(text, [SECRET]) == left


@pytest.mark.parametrize("encode", ["JSON", "URL", "Base64", "HTML"])
def test_what_a_server_cut_and_escaped(encode):
    secret = 'S3cr3t"S3c/r3t of it'
    echoed = ENCODINGS[encode](secret)
    for length in range(16, len(echoed)):
        found = redact(f"sent: {echoed[:length]}", [secret])
        assert found.startswith(f"sent: {MASK}")
        assert len(found) < 16


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_in_a_text_that_was_encoded_as_a_whole(secret, before, alphabet):
    """At most a byte of the secret is left on either side."""
    whole = base64.encodebytes(f"{'x' * 54}{before}{secret}, and{'y' * 60}".encode()).decode()
    for lines in (whole, whole.replace("\n", "\r\n"), json.dumps(whole)):
        assert len(redact(lines, [secret])) <= len(lines) - len(secret.encode()) + 3
    for written in (secret, json.dumps(secret)[1:-1]):
        echoed = alphabet(f"{before}{written}, and".encode()).decode()
        found = redact(f"got {echoed} from you", [secret])
        assert MASK in found
        assert len(found) <= len(f"got {MASK} from you") + 4 + 8 + 4


def test_a_long_text_of_a_success_is_masked_as_a_whole_if_it_may_hold_a_secret():
    for text, masked in (
        ("x" * 30_000, False),
        ("x" * 30_000 + SECRET, True),
        ("x" * 30_000 + "%41", True),
        ("x" * 30_000 + "\\u0041", True),
        ("%41" * 5000, False),
    ):
        assert redact_data([text], [SECRET]) == [MASK if masked else text]


def test_the_texts_of_a_success_that_are_decoded_are_bounded():
    found = redact_data(["%41" * 5000] * 70 + ["plain"], [SECRET])
    assert found.count(MASK) == 70 - 1_000_000 // 15_000
    assert found[-1] == "plain"


@pytest.mark.parametrize(
    ("secret", "text", "left"),
    [
        ("pw", "password pwd pw: 'pw' pw1", "password pwd ***: '***' pw1"),
        ("abcd", "xabcdx", "x***x"),
        ("", "nothing", "nothing"),
    ],
)
def test_short_ones(secret, text, left):
    assert redact(text, [secret]) == left


@pytest.mark.parametrize("name", ["analytics", SECRET[:12], "hunter2", "alice", "p\u00e4ssw\u00f6rt"])
def test_names_in_a_success_stay(name):
    data = {"user_names": [name], name: name}
    assert redact_data(data, [SECRET, "hunter2"]) == data


def test_a_cut_secret_goes_from_the_log_in_a_success():
    data = {"sync_msg": f"connecting with {SECRET[:10]}"}
    assert redact_data(data, [SECRET]) == {"sync_msg": f"connecting with {MASK}"}


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=20), max_size=3), st.text(max_size=30))
def test_whatever_it_is_no_secret_is_left(before, secrets, after):
    for secret in secrets:
        found = redact(before + secret + after, secrets)
        long = [each for each in secrets if len(each) >= 4 and "*" not in each]
        assert not [each for each in long if each in found]
        assert redact_data([before + after], ["\x00" * 9]) == [before + after]


def test_a_long_text_takes_no_long_time():
    """Escapes one after the other, and a secret that begins everywhere: no search is quadratic."""
    for text in ("%41" * 6000, "\\u0041" * 3000, "aaaaaaaa" * 2500, "&amp;" * 4000, "\\" * 20000):
        assert redact(text, ["a" * 19 + "b", "A" * 3000 + "b"])


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Content-Type": "application/json", "X-Project-Id": "p"}, []),
        (
            {"Authorization": "SDK-HMAC-SHA256 Access=AK1, SignedHeaders=host;x-sdk-date, Signature=0af"},
            ["AK1", "0af"],
        ),
        (
            {
                "Authorization": "V11-HMAC-SHA256 Credential=AK1/20261121/r/mrs, SignedHeaders=host, Signature=0af"
            },
            ["AK1", "0af"],
        ),
        (
            {"Authorization": "SDK-HMAC-SHA256 Access=s/k/1/x/y, SignedHeaders=h, Signature=0"},
            ["s/k/1/x/y", "0"],
        ),
        (
            {"Authorization": "V11-HMAC-SHA256 Credential=s/k/20261121/r/mrs, SignedHeaders=h, Signature=0"},
            ["s/k", "0"],
        ),
        ({"authorization": "Bearer abc"}, ["Bearer abc", "abc"]),
        ({"X-Auth-Token": "t"}, ["t"]),
        ({"x-security-token": "t"}, ["t"]),
        ({"X-Subject-Token": "t"}, ["t"]),
        ({"X-Metadata-Token": "t"}, ["t"]),
        ({"Cookie": "a=b"}, ["a=b"]),
    ],
)
def test_headers(headers, found):
    assert secrets_in_headers(headers) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (None, []),
        ([], []),
        ({"password": {"user": {"name": "u", "password": "pw", "domain": {"name": "d"}}}}, ["pw"]),
        ({"auth": {"id_token": {"id": "i"}}}, ["i"]),
        ({"id_token": "i", "agency_urn": "a"}, ["i"]),
        ({"identity": {"methods": ["token"], "token": {"id": "t", "duration_seconds": 1}}}, ["t"]),
        ({"vendor": "AWS", "ak": "a", "sk": "s", "account_id": "1"}, ["a", "s"]),
        ({"secret_string": "s", "secret_name": "n"}, ["s"]),
        ({"accessKey": "a", "secretAccessKey": "s"}, ["a", "s"]),
        ([{"user_names": ["u"]}, {"api_key": "k"}], ["k"]),
        ({"password": None, "token": 7}, []),
    ],
)
def test_bodies(body, found):
    assert secrets_in(body) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (None, []),
        ("", []),
        ("http://proxy:3128", []),
        ("http://u:p%40ss@proxy:3128", ["p%40ss", "p@ss"]),
        ("http://[", []),
    ],
)
def test_proxies(url, found):
    assert secrets_in_proxy(url) == found


def test_all_of_a_call():
    found = secrets_of(
        ("own",), {"X-Auth-Token": "t"}, {"password": "p"}, [("token", "q"), ("a", "b")], "http://u:w@p"
    )
    assert set(found.values) == {"own", "t", "p", "q", "w"}
    assert repr(found) == "Secrets()"


# --- through a call ------------------------------------------------------------------------------------------------

READ = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)
ACCESS_KEY = "HPUAAAAAAAAAAAAAWXYZ"
SECRET_KEY, SESSION = "s3cr3t/of+the key-of-forty-letters-abcdef", "session-token-0123456789"
KEYS = KeyPair(ACCESS_KEY, SECRET_KEY, SESSION)
PASSWORD = 'pass"w\u00f6rd/1'
ID_TOKEN = "eyJhbGciOiJSUzI1NiIs.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"


def everything(request: HttpRequest) -> str:
    """All that came in, as a debugging service shows it."""
    return json.dumps({"headers": dict(request.headers), "body": request.body.decode(), "url": request.url})


def echo(request: HttpRequest) -> dict[str, Any]:
    return {"error_code": "X.1", "error_msg": everything(request)}


ECHOES = {
    "JSON": lambda request: answer(400, echo(request)),
    "text": lambda request: answer(502, everything(request).replace("{", "(").replace("[", "(").encode()),
    "page": lambda request: answer(403, b"<pre>" + html.escape(everything(request)).encode() + b"</pre>"),
    "401": lambda request: answer(401, {**echo(request), "error_code": "APIGW.0301"}),
    "429": lambda request: answer(429, echo(request)),
    "detail": lambda request: answer(400, {"detail": [{"msg": everything(request)}]}),
    "code": lambda request: answer(
        400, {"error_code": request.headers.get("Authorization", "x").rpartition("=")[2]}
    ),
    "error under 200": lambda request: answer(200, echo(request)),
    "not JSON under 200": lambda request: answer(
        200, everything(request).replace("{", "(").replace("[", "(").encode()
    ),
    "request id": lambda request: answer(
        400,
        {},
        x_request_id=request.headers.get("X-Auth-Token") or request.headers.get("X-Security-Token", "x"),
    ),
    "base64": lambda request: answer(400, {"message": base64.b64encode(request.body or b"x").decode()}),
}


def clouds(stage: Any) -> dict[str, Cloud]:
    ask = Cloud(credentials=Anonymous(), clock=stage.clock, region="cn-north-4", project_id="p1", attempts=2)
    ways = {
        "keys": KEYS,
        "derived": replace(KEYS, derived_for_region="cn-north-4"),
        "token": Token("TOKEN-0123456789"),
        "password": Password(ask=ask, user="me", password=PASSWORD, domain_name="acct"),
        "short password": Password(ask=ask, user="me", password="hunter2", domain_name="acct"),
        "oidc": IdToken(ask=ask, idp_id="idp", read=lambda: ID_TOKEN),
        "sts": StsIdToken(ask=ask, provider_urn="p", agency_urn="a", read=lambda: ID_TOKEN),
    }
    return {name: replace(ask, credentials=way) for name, way in ways.items()}


def sent_secrets(stage: Any) -> set[str]:
    found = {SECRET_KEY, SESSION, PASSWORD, "hunter2", ID_TOKEN, "TOKEN-0123456789", ACCESS_KEY}
    for request in stage.sent:
        found |= set(secrets_in_headers(request.headers))
    return found


def variables(error: BaseException) -> list[str]:
    """Those of the package's frames, as reporters of errors show them."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        if "airflow_provider_cloudsync" in trace.tb_frame.f_code.co_filename:
            found += [f"{name}={value!r}" for name, value in trace.tb_frame.f_locals.items()]
        trace = trace.tb_next
    return found


def no_secret_in(text: str, stage: Any) -> None:
    for secret in sent_secrets(stage):
        for name, encode in ENCODINGS.items():
            assert encode(secret) not in text, name


@pytest.mark.parametrize("echo_", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("way", ["keys", "derived", "token", "password", "short password", "oidc", "sts"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_echo_shows_nothing_of_a_request(stage, caplog, driver, way, echo_):
    caplog.set_level(logging.DEBUG)
    stage.answer = echo_
    with pytest.raises(CloudSyncError) as caught:
        stage.drive(driver, call(clouds(stage)[way], READ))
    error = caught.value
    told = f"{error} {error!r} {vars(error)} {json.dumps(error.to_report())} {caplog.text} {variables(error)}"
    no_secret_in(told, stage)
    assert len(stage.sent) >= 1


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", ["password", "short password"])
def test_a_text_is_cut_after_the_secret_is_out(stage, driver, way):
    """Where the end of a text is cut off, a part of a secret must not be what is left of it."""
    cloud = clouds(stage)[way]
    password = cloud.credentials.secrets[0]
    for length in range(388, 402):
        stage.answer = lambda request, length=length: answer(400, {"error_msg": "x" * length + password})
        with pytest.raises(ApiError) as caught:
            stage.drive(driver, call(cloud, READ))
        assert not [n for n in range(3, len(password) + 1) if password[:n] in caught.value.detail]


def test_an_echo_of_the_proxy_s_password(stage):
    stage.answer = lambda request: answer(502, b"denied for user:pr0xyS3cr3t at proxy")
    cloud = replace(
        clouds(stage)["keys"], http_settings=HttpSettings(proxy="http://user:pr0xyS3cr3t@proxy:1"), attempts=1
    )
    with pytest.raises(ApiError) as caught:
        stage.drive("blocking", call(cloud, READ))
    assert "denied for user:*** at proxy" in caught.value.message


@pytest.mark.parametrize(
    "request_",
    [
        replace(READ, json={"sk": "s3cr3t-of-another"}),
        replace(READ, query=(("token", "s3cr3t-of-another"),)),
        replace(READ, headers={"X-Api-Key": "s3cr3t-of-another"}),
    ],
    ids=["body", "query", "header"],
)
def test_what_a_user_s_own_call_carries(stage, request_):
    stage.answer = lambda request: answer(400, {"error_msg": "bad: s3cr3t-of-another"})
    with pytest.raises(ApiError, match=r"bad: \*\*\*"):
        stage.drive("blocking", call(clouds(stage)["keys"], request_))


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_metadata_service_echoes_its_token(stage, driver):
    def reply(request):
        if request.method == "PUT":
            return answer(200, b"metadata-token-0123")
        return answer(500, everything(request).replace("{", "(").encode())

    stage.answer = reply
    ask = clouds(stage)["keys"]
    with pytest.raises(ApiError) as caught:
        stage.drive(driver, call(replace(ask, credentials=Ecs(ask=ask), attempts=1), READ))
    assert "metadata-token-0123" not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_success_is_free_of_secrets_and_else_as_it_came(stage, driver):
    data = {"tasks": [{"sync_msg": f"login {ACCESS_KEY}/{SECRET_KEY} failed", "name": "HPUAAAA", "n": 1}]}
    stage.answer = lambda request: answer(200, data)
    cloud = clouds(stage)["keys"]
    found = stage.drive(driver, call(cloud, READ)).data
    assert found == {"tasks": [{"sync_msg": "login ***/*** failed", "name": "HPUAAAA", "n": 1}]}
    assert stage.drive(driver, call(cloud, replace(READ, verbatim=True))).data == data


# --- names that equal a secret --------------------------------------------------------------------------------------

WORD = "administrator"
#: A reply of each service, and what verdicts are made from in it, with a password that is a name, an ID or a state.
COMPARED = [
    {"user_names": [WORD, f"{WORD}-2"], "group_names": [f"x-{WORD}"]},
    {"cluster": {"clusterId": WORD, "clusterName": WORD, "clusterState": WORD}},
    {"state": WORD},
    {"data": [{"id": WORD, "vendor": WORD, "account_id": WORD, "sync_status": WORD, "sync_date": WORD}]},
    {"tasks": [{"id": WORD, "sync_status": WORD, "schedule_status": WORD, "cluster_type": WORD}]},
    {"event": {"name": WORD, "event_types": [WORD], "state": WORD, "notification": {"target_id": WORD}}},
    {"events": [{"name": WORD}], "page_info": {"next_marker": WORD}},
    {"projects": [{"id": WORD, "name": WORD}], "domains": [{"id": WORD}]},
    {"last_update_time": WORD, "data_list": [{"event_id": WORD}]},
    {WORD: True},
]


@pytest.mark.parametrize("data", COMPARED, ids=repr)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_verdicts_are_made_from_stays_if_it_equals_a_password(stage, driver, data):
    stage.answer = lambda request: answer(200, data)
    cloud = replace(clouds(stage)["keys"], credentials=KeyPair(ACCESS_KEY, WORD))
    assert stage.drive(driver, call(cloud, READ)).data == data


@pytest.mark.parametrize("data", COMPARED, ids=repr)
def test_but_what_the_request_carried_is_an_echo(data):
    text = json.dumps(data).replace(WORD, SECRET)
    for carried in (SECRET, f"x{SECRET}", base64.b64encode(SECRET.encode()).decode()):
        written = json.loads(text.replace(SECRET, carried))
        assert SECRET[1:] not in json.dumps(redact_data(written, [SECRET], [SECRET]))
        assert carried[2:-2] not in json.dumps(redact_data(written, [SECRET], [SECRET]))


@pytest.mark.parametrize("field", ["sync_msg", "failure_msg", "description", "value", "x" * 100 + "id"])
def test_other_texts_of_a_success_show_no_password(field):
    assert redact_data({field: [WORD, {"a": WORD}]}, [WORD]) == {field: [MASK, {"a": MASK}]}


@pytest.mark.parametrize(
    ("code", "password"),
    [("12000003", "12000003"), ("APIGW.0301", "0301"), ("HSS.0013", "HSS.0013"), ("CSMS.0005", "CSMS")],
)
def test_an_error_code_that_equals_a_password_stays_one(code, password):
    reply = Response(400, {}, json.dumps({"error_code": code, "error_msg": f"with {password}"}).encode())
    with pytest.raises(ApiError) as caught:
        read(READ, reply, secrets=Secrets((password,)))
    assert (caught.value.code, caught.value.detail) == (code, "with ***")
    with pytest.raises(ApiError) as caught:
        read(READ, reply, secrets=Secrets((password,), (password,)))
    assert MASK in caught.value.code


def test_the_figures_of_a_throttle_are_read_before_it_is_redacted():
    reply = Response(429, {}, b'{"error_code": "APIGW.0308", "error_msg": "limit:60,time:1 minute"}')
    with pytest.raises(Throttled) as caught:
        read(READ, reply, secrets=Secrets(("minute",)))
    assert (caught.value.limit, caught.value.window, caught.value.retry_after) == (60, 60.0, 60.0)
    assert caught.value.detail == "limit:60,time:1 ***"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("user", ["administrator", "alice"])
def test_a_wait_for_a_name_that_is_the_password(stage, driver, user):
    """It sees the name; the texts of a verdict do not show it."""

    def reply(request: HttpRequest) -> Response:
        if request.url.endswith("/iam-sync-user"):
            return answer(200, {"user_names": [user], "group_names": []})
        return answer(200, {"is_synchronizing": False, "cluster": {"clusterState": "running"}})

    stage.answer = reply
    cloud = replace(clouds(stage)["keys"], credentials=KeyPair(ACCESS_KEY, user))
    target = iam_sync_target("c1", user_names=[user])
    ticket = Ticket("mrs", target, Stage.STARTED, stage.now - 900)
    ended = stage.drive(driver, until_done(cloud, IAM_SYNC, ticket, deadline=stage.now + 300))
    assert ended.phase is Phase.SUCCEEDED
    assert "administrator" not in ended.in_full


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_verdict_shows_no_password(stage, driver, caplog):
    caplog.set_level(logging.DEBUG)
    row = {"id": "1", "vendor": "AWS", "account_id": "111", "account_name": WORD, "sync_status": "failed"}
    row |= {"failure_msg": f"no access with {WORD}", "sync_date": "2026-11-21T07:00:00Z"}
    stage.answer = lambda request: answer(200, {"data": [row], "total": 1})
    cloud = replace(clouds(stage)["keys"], domain_id="d", credentials=KeyPair(ACCESS_KEY, WORD))
    target = resources_watch_target("AWS", account_id="111", synced_after=None)
    ticket = Ticket("coc", target, Stage.WATCHING, stage.now)
    ended = stage.drive(driver, until_done(cloud, RESOURCE_SYNC, ticket, deadline=stage.now + 900))
    assert ended.phase is Phase.FAILED
    assert f"111 ({MASK})" in ended.why
    assert WORD not in f"{ended} {caplog.text}"


@pytest.mark.parametrize("before", ["", "x", "xy", "Authorization: SDK-HMAC-SHA256 Access=AK, Signature="])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_signature_in_base64_of_a_success(before, encode):
    signature = "0123456789abcdef" * 4
    whole = encode(f"{before}{signature}, and more".encode()).decode()
    for field in ("message", "name"):
        body = json.dumps({field: f"echo: {whole}"}).encode()
        assert not is_free_of(body, [signature])
        found = Secrets((signature,), (signature,)).redact_data(json.loads(body), body)[field]
        assert MASK in found
        assert len(found) <= len(f"echo: {whole}") - 80 + len(MASK)


# --- swapped -------------------------------------------------------------------------------------------------------

AK, SK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"


@pytest.mark.parametrize("driver", DRIVERS)
def test_login_and_password_that_were_swapped(stage, driver):
    swapped = KeyPair(SK, AK)
    stage.answer = lambda request: answer(
        401,
        {
            "error_code": "APIGW.0301",
            "error_msg": f"Incorrect IAM authentication information: ak {SK} not exist",
        },
    )
    with pytest.raises(ApiError, match="Login and Password look swapped") as caught:
        stage.drive(driver, call(replace(clouds(stage)["keys"], credentials=swapped), READ))
    told = f"{caught.value} {vars(caught.value)} {swapped.who} {swapped.identity}"
    for secret in (SK, AK, SK[:4], SK[-4:]):
        assert secret not in told
    assert "ak *** not exist" in told


@pytest.mark.parametrize(
    ("keys", "swapped"),
    [
        (KeyPair(AK, SK), False),
        (KeyPair(SK, AK), True),
        (KeyPair(SK, AK, "token"), True),
        (KeyPair(AK, AK[::-1]), False),
        (KeyPair("short", "secret"), False),
        (KeyPair("lower-case-key-of-a-private-cloud", "its-secret"), False),
    ],
)
def test_what_looks_swapped(keys, swapped):
    assert ("look swapped" in keys.advice) is swapped
    assert ("look swapped" in keys.who) is swapped


def test_the_response_itself_is_left_alone():
    """A token comes in its headers."""
    response = Response(200, {"x-subject-token": SECRET}, b"{}")
    assert read(READ, response, secrets=Secrets((SECRET,))).headers["x-subject-token"] == SECRET


def test_a_success_that_is_nested_deeper_than_any_service_nests_it():
    """It neither exhausts the stack nor hides a secret."""
    body = b'{"a":' * 900 + b'"\\n' + SECRET.encode() + b'"' + b"}" * 900
    found = read(READ, Response(200, {}, body), secrets=Secrets((SECRET,)))
    assert SECRET not in json.dumps(found.data)
    assert json.dumps(found.data).count("a") == 64
