"""The vendor SDK's client of CSMS works against the emulator unchanged."""

from __future__ import annotations

import pytest

pytest.importorskip("huaweicloudsdkcsms")

from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcsms import v1 as csms

TOPIC = csms.Notification(target_type="SMN", target_id="urn:smn:none", target_name="none")


@pytest.fixture
def client(sdk):
    return sdk.connect(csms.CsmsClient)


def create(client, name, types=("SECRET_ROTATED",)):
    body = csms.CreateSecretEventRequestBody(
        name=name, event_types=list(types), state="ENABLED", notification=TOPIC
    )
    return client.create_secret_event(csms.CreateSecretEventRequest(body=body))


def update(client, name, **fields):
    body = csms.UpdateSecretEventRequestBody(**fields)
    return client.update_secret_event(csms.UpdateSecretEventRequest(event_name=name, body=body))


def show(client, name):
    return client.show_secret_event(csms.ShowSecretEventRequest(event_name=name)).event


def delete(client, name):
    return client.delete_secret_event(csms.DeleteSecretEventRequest(event_name=name))


def test_the_life_of_an_event(sdk, client):
    made = create(client, "new").event
    assert (made.name, made.state, made.event_types) == ("new", "ENABLED", ["SECRET_ROTATED"])
    sdk.emulator.advance(5)
    changed = update(client, "new", state="DISABLED").event
    assert (changed.state, changed.event_types) == ("DISABLED", ["SECRET_ROTATED"])
    assert changed.notification == TOPIC
    assert changed.update_time - made.update_time == 5000
    assert show(client, "new") == changed
    assert delete(client, "new").status_code == 204
    assert [each["effect"] for each in sdk.emulator.requests()] == ["created", "updated", None, "deleted"]


@pytest.mark.parametrize(("scenario", "status"), [({}, 404), ({"missing_status": 400}, 400)])
@pytest.mark.parametrize("call", [show, update, delete])
def test_a_missing_event(sdk, client, scenario, status, call):
    sdk.emulator.reset({"csms": scenario})
    with pytest.raises(ClientRequestException) as caught:
        call(client, "none")
    assert (caught.value.status_code, caught.value.error_code) == (status, "CSMS.0005")
    assert caught.value.error_msg == "The event none does not exist"
    assert caught.value.request_id == sdk.emulator.requests()[0]["request_id"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: create(client, "example-event"), id="name-taken"),
        pytest.param(lambda client: create(client, "a.b"), id="bad-name"),
        pytest.param(lambda client: create(client, "new", ["A"]), id="unknown-type"),
        pytest.param(
            lambda client: update(client, "example-event", notification=csms.Notification(target_id="x")),
            id="half-a-notification",
        ),
        pytest.param(lambda client: delete(client, "pipeline-event"), id="still-referenced"),
    ],
)
def test_refusals_arrive_as_its_exception(client, call):
    with pytest.raises(ClientRequestException) as caught:
        call(client)
    assert (caught.value.status_code, caught.value.error_code) == (400, "CSMS.0002")


def test_pages(sdk, client):
    sdk.emulator.reset({"csms": {"events": {name: {} for name in "abc"}}})
    names, marker = [], None
    for _ in range(2):
        page = client.list_secret_events(csms.ListSecretEventsRequest(limit="2", marker=marker))
        names.append([each.name for each in page.events])
        assert page.page_info.current_count == 2
        marker = page.page_info.next_marker
    assert (names, marker) == ([["a", "b"], ["b", "c"]], None)


def test_records_and_secrets(sdk, client):
    fired = [{"at": 5, "secret_name": "pipeline-secret", "type": "SECRET_ROTATED"}]
    sdk.emulator.reset({"csms": {"fired": fired}})
    update(client, "pipeline-event", notification=TOPIC)
    sdk.emulator.advance(5)
    reply = client.list_notification_records(csms.ListNotificationRecordsRequest())
    (record,) = reply.records
    assert all(getattr(record, name) is not None for name in record.openapi_types)
    assert (record.notification_status, record.notification_target_name) == ("INVALID", "none")
    assert (reply.page_info.current_count, reply.page_info.next_marker) == (1, None)

    secrets = client.list_secrets(csms.ListSecretsRequest(event_name="pipeline-event")).secrets
    assert [(each.name, each.event_subscriptions) for each in secrets] == [
        ("pipeline-secret", ["pipeline-event"])
    ]
