"""The signature: the vendor's published sample stage by stage, and equality with the vendor's own signer."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings

ACCESS_KEY = "QTWAOYTTINDUT2QVKYUC"
SECRET_KEY = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
DATE = "20191115T033655Z"
NOW = 1_573_789_015.0  # that date
EMPTY = hashlib.sha256(b"").hexdigest()


class TestPublishedSample:
    PATH = "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
    QUERY = (("marker", "13551d6b-755d-4757-b956-536f674975c0"), ("limit", "2"))
    HEADERS = {  # noqa: RUF012
        "X-Sdk-Date": DATE,
        "Host": "service.region.example.com",
        "Content-Type": "application/json",
    }
    CANONICAL = (
        "GET\n"
        "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs/\n"
        "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0\n"
        "content-type:application/json\n"
        "host:service.region.example.com\n"
        "x-sdk-date:20191115T033655Z\n"
        "\n"
        "content-type;host;x-sdk-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    HASH = "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a"
    TO_SIGN = f"SDK-HMAC-SHA256\n{DATE}\n{HASH}"
    SIGNATURE = "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
    HEADER = f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=content-type;host;x-sdk-date, Signature={SIGNATURE}"

    def test_date(self):
        assert signing.format_date(NOW) == DATE

    def test_date_ignores_fractions(self):
        assert signing.format_date(NOW + 0.999) == DATE

    def test_canonical_request(self):
        canonical = signing.canonical_request("get", self.PATH, self.QUERY, self.HEADERS, EMPTY)
        assert canonical == self.CANONICAL
        assert hashlib.sha256(canonical.encode()).hexdigest() == self.HASH

    def test_string_to_sign(self):
        assert signing.string_to_sign(self.CANONICAL, DATE) == self.TO_SIGN

    def test_signature(self):
        assert signing.signature(SECRET_KEY, self.TO_SIGN) == self.SIGNATURE

    def test_authorization(self):
        assert signing.authorization(ACCESS_KEY, self.HEADERS, self.SIGNATURE) == self.HEADER

    def test_all_in_one(self):
        headers = {name: value for name, value in self.HEADERS.items() if name != "X-Sdk-Date"}
        added = signing.sign(
            "GET",
            self.PATH,
            self.QUERY,
            headers,
            b"",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            now=NOW,
        )
        assert added == {"X-Sdk-Date": DATE, "Authorization": self.HEADER}

    def test_as_a_credential(self):
        headers = {"Host": self.HEADERS["Host"], "Content-Type": "application/json", "User-Agent": "any"}
        url = f"https://{self.HEADERS['Host']}{self.PATH}?{signing.canonical_query(self.QUERY)}"
        bare = HttpRequest("GET", url, headers, b"", HttpSettings())
        signed = KeyPair(ACCESS_KEY, SECRET_KEY).sign_if_ready(bare, NOW)
        assert signed.headers == {**headers, "X-Sdk-Date": DATE, "Authorization": self.HEADER}
        assert (signed.method, signed.url, signed.body) == (bare.method, bare.url, bare.body)


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        pytest.param("", "/", id="nothing"),
        pytest.param("/", "/", id="root"),
        pytest.param("/v1/a", "/v1/a/", id="slash added"),
        pytest.param("/v1/a/", "/v1/a/", id="slash kept"),
        pytest.param("/v1//a", "/v1//a/", id="empty segment kept"),
        pytest.param("/a~b_c-d.e", "/a~b_c-d.e/", id="unreserved"),
        pytest.param("/a%7Eb", "/a~b/", id="unreserved but encoded"),
        pytest.param("/a b", "/a%20b/", id="blank"),
        pytest.param("/a%20b", "/a%20b/", id="blank encoded already"),
        pytest.param("/a+b", "/a%2Bb/", id="plus"),
        pytest.param("/a*b!'()", "/a%2Ab%21%27%28%29/", id="sub-delimiters"),
        pytest.param("/a:b@c=d&e", "/a%3Ab%40c%3Dd%26e/", id="reserved"),
        pytest.param("/%E5%8C%97", "/%E5%8C%97/", id="Chinese encoded"),
        pytest.param("/北", "/%E5%8C%97/", id="Chinese"),
        pytest.param("/a%25b", "/a%25b/", id="percent encoded"),
        pytest.param("/100%", "/100%25/", id="bare percent"),
    ],
)
def test_canonical_path(path, canonical):
    assert signing.canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("pairs", "canonical"),
    [
        pytest.param([], "", id="none"),
        pytest.param([("a", "")], "a=", id="empty value"),
        pytest.param([("", "a")], "=a", id="empty name"),
        pytest.param([("b", "1"), ("a", "2")], "a=2&b=1", id="sorted"),
        pytest.param([("a", "2"), ("a", "10"), ("a", "")], "a=&a=10&a=2", id="repeated, by value as text"),
        pytest.param([("a", "~"), ("a", " ")], "a=%20&a=~", id="sorted before encoding"),
        pytest.param([("a", "é"), ("a", "~")], "a=~&a=%C3%A9", id="sorted by code point, not by escape"),
        pytest.param([("a b", "c+d")], "a%20b=c%2Bd", id="blank and plus"),
        pytest.param([("a", "50%"), ("a", "&=/?#")], "a=%26%3D%2F%3F%23&a=50%25", id="reserved"),
        pytest.param([("名", "值")], "%E5%90%8D=%E5%80%BC", id="Chinese"),
        pytest.param([("B", "1"), ("a", "1"), ("A", "1")], "A=1&B=1&a=1", id="capitals first"),
        pytest.param([("a", "*-._")], "a=%2A-._", id="star is encoded, the unreserved are not"),
    ],
)
def test_canonical_query(pairs, canonical):
    assert signing.canonical_query(pairs) == canonical


@pytest.mark.parametrize(
    ("headers", "names", "lines"),
    [
        pytest.param({"Host": "h"}, "host", "host:h\n", id="one"),
        pytest.param({"X-B": "2", "x-a": "1"}, "x-a;x-b", "x-a:1\nx-b:2\n", id="sorted by lower case"),
        pytest.param({"A": "  x  y "}, "a", "a:x  y\n", id="outer blanks go, inner stay"),
        pytest.param({"A": "1", "x_y": "2"}, "a", "a:1\n", id="no underscore"),
        pytest.param({"workspace": "工"}, "workspace", "workspace:工\n", id="Chinese as text"),
        pytest.param({"A": ""}, "a", "a:\n", id="empty"),
    ],
)
def test_headers(headers, names, lines):
    canonical = signing.canonical_request("GET", "/", [], headers, EMPTY)
    assert canonical == f"GET\n/\n\n{lines}\n{names}\n{EMPTY}"


class TestKeyPair:
    REQUEST = HttpRequest(
        "POST",
        "https://h.example:8443/p?a=1",
        {
            "Host": "h.example:8443",
            "Content-Type": "application/json",
            "User-Agent": "u",
            "Accept-Encoding": "identity",
            "X-Project-Id": "p",
            "workspace": "w",
        },
        b'{"a":1}',
        HttpSettings(),
    )

    def signed_names(self, request):
        return request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")

    def test_what_a_proxy_may_rewrite_is_not_signed(self):
        signed = KeyPair("ak", "sk").sign_if_ready(self.REQUEST, NOW)
        assert self.signed_names(signed) == [
            "content-type",
            "host",
            "workspace",
            "x-project-id",
            "x-sdk-date",
        ]

    def test_a_security_token_is_sent_and_signed(self):
        signed = KeyPair("ak", "sk", "token").sign_if_ready(self.REQUEST, NOW)
        assert signed.headers["X-Security-Token"] == "token"
        assert "x-security-token" in self.signed_names(signed)

    def test_without_a_token_there_is_no_header(self):
        assert "X-Security-Token" not in KeyPair("ak", "sk").sign_if_ready(self.REQUEST, NOW).headers

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"method": "PUT"}, id="method"),
            pytest.param({"url": "https://h.example:8443/q?a=1"}, id="path"),
            pytest.param({"url": "https://h.example:8443/p?a=2"}, id="query"),
            pytest.param({"body": b'{"a":2}'}, id="body"),
            pytest.param({"headers": {**REQUEST.headers, "Host": "h.example"}}, id="port"),
            pytest.param({"headers": {**REQUEST.headers, "workspace": "v"}}, id="workspace"),
            pytest.param({"headers": {**REQUEST.headers, "X-Project-Id": "q"}}, id="project"),
        ],
    )
    def test_each_part_counts(self, change):
        import dataclasses

        keys = KeyPair("ak", "sk")
        first = keys.sign_if_ready(self.REQUEST, NOW).headers["Authorization"]
        assert (
            keys.sign_if_ready(dataclasses.replace(self.REQUEST, **change), NOW).headers["Authorization"]
            != first
        )
        assert keys.sign_if_ready(self.REQUEST, NOW).headers["Authorization"] == first
        assert keys.sign_if_ready(self.REQUEST, NOW + 1).headers["Authorization"] != first

    def test_is_a_flow_that_asks_for_nothing(self):
        with pytest.raises(StopIteration) as end:
            next(KeyPair("ak", "sk").authenticate(self.REQUEST, NOW))
        assert end.value.value == KeyPair("ak", "sk").sign_if_ready(self.REQUEST, NOW)

    def test_no_secret_in_repr_or_identity(self):
        keys = KeyPair("AKIDAKID", "SECRETSECRET", "TOKENTOKEN")
        assert not any(secret in repr(keys) for secret in ("AKID", "SECRET", "TOKEN"))
        assert "SECRET" not in keys.identity
        assert "TOKEN" not in keys.identity

    def test_no_secret_in_the_repr_of_a_request(self):
        signed = KeyPair("AKIDAKID", "SECRETSECRET", "TOKENTOKEN").sign_if_ready(self.REQUEST, NOW)
        assert not any(text in repr(signed) for text in ("AKID", "SECRET", "TOKEN", "Signature", "HMAC"))


# --- the vendor's signer as the witness ----------------------------------------------------------------------------


def vendors(method, path, query, headers, body, access_key, secret_key):
    """What the vendor's signer makes of the same request: (Authorization, query string sent)."""
    pytest.importorskip("huaweicloudsdkcore")
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    request = SdkRequest(
        method=method,
        schema="https",
        host=headers["Host"],
        resource_path=path,
        query_params=list(query),
        header_params=dict(headers),
        body=body,
    )
    signed = Signer(BasicCredentials(access_key, secret_key)).sign(request)
    return signed.header_params["Authorization"], signed.uri


def same_as_the_vendor(method, path, query, headers, body, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    headers = {"Host": "mrs.cn-north-4.myhuaweicloud.com", "Content-Type": "application/json", **headers}
    ours = signing.sign(
        method, path, query, headers, body, access_key=access_key, secret_key=secret_key, now=NOW
    )
    theirs, uri = vendors(method, path, query, {**headers, "X-Sdk-Date": DATE}, body, access_key, secret_key)
    assert ours["Authorization"] == theirs
    string = signing.canonical_query(query)
    assert uri == (f"{path}?{string}" if string else path)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body"),
    [
        pytest.param("GET", "/v2/p/clusters/c/iam-sync", [], {}, b"", id="plain"),
        pytest.param("get", "/v2/p", [], {}, b"", id="method in lower case"),
        pytest.param("GET", "/", [], {}, b"", id="root"),
        pytest.param("GET", "/v2/p/", [], {}, b"", id="trailing slash"),
        pytest.param("GET", "/v2/北京/ключ/%F0%9F%98%80", [], {}, b"", id="other scripts in the path"),
        pytest.param("GET", "/v2/a b+c%2Fd%25e;f,g*h~i", [], {}, b"", id="reserved in the path"),
        pytest.param("GET", "/v2/100%/%zz", [], {}, b"", id="broken escapes in the path"),
        pytest.param("GET", "/", [("名前", "北京 ключ 😀")], {}, b"", id="other scripts in the query"),
        pytest.param("GET", "/", [("a", "!#$&'()*+,/:;=?@[]~%")], {}, b"", id="reserved in the query"),
        pytest.param(
            "GET", "/", [("a", "x y"), ("b", "x+y"), ("c", "100%")], {}, b"", id="blank, plus, percent"
        ),
        pytest.param("GET", "/", [("a", ""), ("", "b"), ("", "")], {}, b"", id="empty names and values"),
        pytest.param("GET", "/", [("a", "2"), ("a", "1"), ("a", "10"), ("A", "0")], {}, b"", id="repeated"),
        pytest.param("GET", "/", [("a", "é"), ("a", "~"), ("a", "z")], {}, b"", id="order before encoding"),
        pytest.param("GET", "/", [("a", "line\nbreak\t")], {}, b"", id="control characters in the query"),
        pytest.param("GET", "/", [], {"workspace": "  a  b\t"}, b"", id="blanks around a header value"),
        pytest.param("GET", "/", [], {"workspace": "工作区 é"}, b"", id="other scripts in a header"),
        pytest.param("GET", "/", [], {"x_under_score": "1", "X-A": "2"}, b"", id="underscore in a name"),
        pytest.param("GET", "/", [], {"X-Empty": ""}, b"", id="empty header"),
        pytest.param("POST", "/v2/p", [], {}, b'{"a": 1}', id="body"),
        pytest.param("DELETE", "/v2/p", [], {}, '{"名": "值 😀"}'.encode(), id="body with UTF-8"),
        pytest.param("POST", "/v2/p", [("a", "b")], {"X-Project-Id": "p"}, b"\x00\xff", id="binary body"),
    ],
)
def test_equals_the_vendors_signer(method, path, query, headers, body):
    same_as_the_vendor(method, path, query, headers, body)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD = st.text(st.sampled_from("ab ~*+%/=&?#é北😀-_.\t;,"), max_size=10)
VALUES = st.one_of(TEXT, ODD)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,10}", fullmatch=True)
#: Names are unlike in lower case: HTTP knows no other names.
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0].lower()).map(
    lambda pairs: {
        name: value
        for name, value in pairs
        if name.lower() not in ("host", "content-type", "x-sdk-date", "x-sdk-content-sha256", "authorization")
    }
)


@given(
    method=st.sampled_from(["GET", "POST", "put", "Delete", "PATCH", "HEAD"]),
    path=st.lists(VALUES, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    query=st.lists(st.tuples(VALUES, VALUES), max_size=5),
    headers=HEADERS,
    body=st.one_of(st.just(b""), st.binary(max_size=30), TEXT.map(str.encode)),
    secret_key=TEXT.filter(bool),
)
@settings(max_examples=300, deadline=None)
def test_equals_the_vendors_signer_on_anything(method, path, query, headers, body, secret_key):
    same_as_the_vendor(method, path, query, headers, body, secret_key=secret_key)


@given(query=st.lists(st.tuples(VALUES, VALUES), max_size=5), path=st.lists(VALUES, max_size=3))
@settings(max_examples=200, deadline=None)
def test_what_is_signed_is_what_the_url_says(query, path):
    """A credential reads the query back out of the URL; whatever is in it must survive that."""
    from urllib.parse import quote

    where = "/" + "/".join(quote(part, safe="") for part in path)
    string = signing.canonical_query(query)
    url = "https://h.example" + where + (f"?{string}" if string else "")
    bare = HttpRequest("GET", url, {"Host": "h.example"}, b"", HttpSettings())
    signed = KeyPair(ACCESS_KEY, SECRET_KEY).sign_if_ready(bare, NOW)
    expected = signing.sign(
        "GET", where, query, {"Host": "h.example"}, b"", access_key=ACCESS_KEY, secret_key=SECRET_KEY, now=NOW
    )
    assert signed.headers["Authorization"] == expected["Authorization"]
    assert urlsplit(signed.url).query == string


# --- the derived one -----------------------------------------------------------------------------------------------


class TestDerived:
    INFO = "20191115/cn-north-4/mrs"

    def test_published_key(self):
        """From the fact sheet."""
        key = signing.derived_key(ACCESS_KEY, SECRET_KEY, self.INFO)
        assert key == "fd30b5d81d7a9add8715e633b52634809ecc0539f1fe3ab1e291b539a021af2f"

    @pytest.mark.parametrize(
        ("region", "service", "info"),
        [("cn-north-4", "mrs", INFO), (None, "coc", "20191115/globe/coc"), ("", "coc", "20191115/globe/coc")],
    )
    def test_what_it_is_for(self, region, service, info):
        assert signing.derivation_info(DATE, region, service) == info

    @pytest.mark.parametrize(
        ("derived_for", "headers", "service", "scope"),
        [
            pytest.param("cn-north-4", {"X-Project-Id": "p"}, "mrs", "cn-north-4/mrs", id="a project"),
            pytest.param("cn-north-4", {"X-Domain-Id": "d"}, "coc", "globe/coc", id="an account"),
            pytest.param("cn-north-4", {}, "mrs", "cn-north-4/mrs", id="neither"),
            pytest.param("", {"X-Project-Id": "p"}, "mrs", "globe/mrs", id="no region"),
        ],
    )
    def test_as_a_credential(self, derived_for, headers, service, scope):
        keys = KeyPair(ACCESS_KEY, SECRET_KEY, derived_for_region=derived_for)
        bare = HttpRequest("GET", "https://h/p", {"Host": "h", **headers}, b"", HttpSettings(), service)
        shown = keys.sign_if_ready(bare, NOW).headers["Authorization"]
        assert shown.startswith(f"V11-HMAC-SHA256 Credential={ACCESS_KEY}/20191115/{scope}, SignedHeaders=")

    def test_each_part_of_what_it_is_for_counts(self):
        infos = [self.INFO, "20191116/cn-north-4/mrs", "20191115/cn-north-1/mrs", "20191115/cn-north-4/hss"]
        keys = {signing.derived_key(ACCESS_KEY, SECRET_KEY, info) for info in infos}
        keys |= {
            signing.derived_key("other", SECRET_KEY, self.INFO),
            signing.derived_key(ACCESS_KEY, "other", self.INFO),
        }
        assert len(keys) == 6

    def test_the_day_changes_with_the_clock(self):
        bare = HttpRequest("GET", "https://h/p", {"Host": "h"}, b"", HttpSettings(), "mrs")
        keys = KeyPair(ACCESS_KEY, SECRET_KEY, derived_for_region="r")
        midnight = 1_573_776_000.0
        for now, day in ((midnight - 0.01, "20191114"), (midnight, "20191115")):
            assert f"/{day}/r/mrs," in keys.sign_if_ready(bare, now).headers["Authorization"]


def same_as_the_vendor_derived(method, path, query, headers, body, region, service, secret_key=SECRET_KEY):
    pytest.importorskip("huaweicloudsdkcore")
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest

    headers = {"Host": "mrs.cn-north-4.myhuaweicloud.com", "Content-Type": "application/json", **headers}
    ours = signing.sign(
        method,
        path,
        query,
        headers,
        body,
        access_key=ACCESS_KEY,
        secret_key=secret_key,
        now=NOW,
        derive_for=(region, service),
    )
    keys = BasicCredentials(ACCESS_KEY, secret_key).with_derived_predicate(lambda request: True)
    keys._process_derived_auth_params(service, region or "globe")
    theirs = keys.sign_request(
        SdkRequest(
            method=method,
            schema="https",
            host=headers["Host"],
            resource_path=path,
            query_params=list(query),
            header_params={**headers, "X-Sdk-Date": DATE},
            body=body,
        )
    )
    assert ours["Authorization"] == theirs.header_params["Authorization"]


@pytest.mark.parametrize("service", ["mrs", "hss", "csms", "dataartsstudio", "coc", "iam", "sts"])
@pytest.mark.parametrize("region", ["cn-north-4", "eu-west-101", None])
@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("POST", '{"名": "值"}'.encode())], ids=["read", "body"]
)
def test_derived_equals_the_vendors_signer(service, region, method, body):
    same_as_the_vendor_derived(
        method, "/v2/a b/é", [("a", "é"), ("b", "")], {"X-Project-Id": "p"}, body, region, service
    )


@given(
    path=st.lists(VALUES, max_size=3).map(lambda parts: "/" + "/".join(parts)),
    query=st.lists(st.tuples(VALUES, VALUES), max_size=4),
    headers=HEADERS,
    body=st.one_of(st.just(b""), st.binary(max_size=30)),
    secret_key=TEXT.filter(bool),
    region=st.one_of(st.none(), st.sampled_from(["cn-north-4", "eu-west-101", "a"])),
)
@settings(max_examples=150, deadline=None)
def test_derived_equals_the_vendors_signer_on_anything(path, query, headers, body, secret_key, region):
    same_as_the_vendor_derived("PUT", path, query, headers, body, region, "mrs", secret_key)
