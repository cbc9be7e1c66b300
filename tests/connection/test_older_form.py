"""The connection form of Airflow before 3, as its web server and a browser use it: what is edited loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_cloudsync.connection.reader import read_connection

views = pytest.importorskip("airflow.www.views", reason="this Airflow has no such form")
SECRETS = {"token": "S3CR3T-token", "security_token": "S3CR3T-security"}


class Browser(HTMLParser):
    """What a browser sends back of a form that nobody has changed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sends: dict[str, str] = {}
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.sends[name] = value
        elif tag == "textarea":
            self._inside, self.sends[name] = name, ""
        elif tag == "select":
            self._inside = name
        elif tag == "option" and "selected" in given:
            self.sends[self._inside] = value

    def handle_endtag(self, tag: str) -> None:
        if tag in ("textarea", "select"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.sends and self.lasttag == "textarea":
            self.sends[self._inside] += data


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    import flask
    from flask_babel import Babel

    app = flask.Flask("test")
    app.config |= {"SECRET_KEY": "x", "WTF_CSRF_ENABLED": False}
    Babel(app)
    return app


class Form:
    """The form of one connection."""

    def __init__(self, app: Any, connection: Connection) -> None:
        from airflow.www.forms import create_connection_form_class

        self._app, self._connection = app, connection
        self._kind = create_connection_form_class()
        self._view = object.__new__(views.ConnectionModelView)

    def shown(self) -> str:
        """Opened to be edited."""
        with self._app.test_request_context():
            form = self._kind(obj=self._connection)
            self._view.prefill_form(form, 1)
            return "\n".join(str(field()) for field in form)

    def saved(self, **typed: str) -> Connection:
        """Saved with what is typed in, and all else as it is shown."""
        data = Browser(self.shown()).sends | {
            f"extra__cloudsync__{name}": value for name, value in typed.items()
        }
        with self._app.test_request_context(method="POST", data=data):
            form = self._kind()
            self._view.process_form(form, False)
            return Connection(
                conn_id=form.conn_id.data,
                conn_type=form.conn_type.data,
                login=form.login.data,
                password=self._connection.password,  # the model keeps it where the field comes back empty
                extra=form.extra.data,
            )


@pytest.fixture
def edit(app, monkeypatch):
    """Opens a connection with such an Extra, which is stored."""

    def open_form(**extra: Any) -> Form:
        given = {"conn_type": "cloudsync", "login": None, "password": None, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(given))
        return Form(app, Connection(conn_id="mine", conn_type="cloudsync", extra=json.dumps(extra)))

    return open_form


@pytest.mark.parametrize("name", SECRETS)
class TestSecrets:
    def test_one_that_is_stored_is_not_shown_and_not_lost(self, edit, name) -> None:
        form = edit(region="cn-north-4", **{name: SECRETS[name]})
        assert SECRETS[name] not in form.shown()
        assert form.saved().extra_dejson == {"region": "cn-north-4", name: SECRETS[name], "allow_http": False}

    def test_none_is_stored(self, edit, name) -> None:
        form = edit(region="cn-north-4")
        assert views.SENSITIVE_FIELD_PLACEHOLDER not in form.shown()
        assert name not in form.saved().extra_dejson

    def test_another_one_takes_its_place(self, edit, name) -> None:
        form = edit(region="cn-north-4", **SECRETS)
        assert form.saved(**{name: "another"}).extra_dejson == {
            "region": "cn-north-4",
            "allow_http": False,
            **SECRETS,
            name: "another",
        }

    def test_it_is_emptied(self, edit, name) -> None:
        form = edit(region="cn-north-4", **SECRETS)
        assert set(form.saved(**{name: ""}).extra_dejson) == {"region", "allow_http", *SECRETS} - {name}


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"region": "cn-north-4"}, id="a little"),
        pytest.param({"timeout": 30}, id="a number"),
        pytest.param({"verify": True, "allow_http": True}, id="true"),
        pytest.param({"proxy": "http://u:S3CR3T@proxy:8080"}, id="a proxy"),
    ],
)
def test_what_is_saved_unchanged_is_read_as_before(edit, extra) -> None:
    before = Connection(
        conn_id="mine", conn_type="cloudsync", login="AK", password="SK", extra=json.dumps(extra)
    )
    saved = edit(**extra).saved()
    after = Connection(conn_id="mine", conn_type="cloudsync", login="AK", password="SK", extra=saved.extra)
    assert read_connection(after, clock=float).scope == read_connection(before, clock=float).scope, (
        saved.extra
    )
