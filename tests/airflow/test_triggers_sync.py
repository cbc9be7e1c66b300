"""The trigger where it does not come to its own end: stopped, or of another release."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest

from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Ticket
from airflow_provider_cloudsync.exceptions import InvalidEvent
from airflow_provider_cloudsync.triggers.sync import Report, SyncTrigger


def _trigger(stage: Stage, **more: Any) -> SyncTrigger:
    target = {"cluster_id": "c", "user_names": ["alice"], "group_names": [], "sync_all": False}
    ticket = Ticket("mrs", target, stage, 1.0)
    return SyncTrigger(
        ticket=ticket.to_json(), deadline=9e9, cloudsync_conn_id="none", not_before=8e9, **more
    )


@pytest.mark.parametrize(
    ("stage", "cause", "says"),
    [
        pytest.param(Stage.STARTED, (), True, id="cancelled"),
        pytest.param(Stage.STARTED, ("__airflow_user_action__",), False, id="on_kill follows"),
        pytest.param(Stage.QUEUED, (), False, id="nothing was started"),
        pytest.param(Stage.WATCHING, (), False, id="somebody else's"),
    ],
)
def test_a_stopped_wait_says_what_goes_on(caplog, monkeypatch, stage, cause, says) -> None:
    trigger = _trigger(stage)

    async def wait_for_ever(ticket):
        await asyncio.Event().wait()

    monkeypatch.setattr(trigger, "_wait", wait_for_ever)

    async def stop() -> None:
        waiting = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0)
        waiting.cancel(*cause)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(stop())
    assert ("continues in the cloud" in caplog.text) is says


def test_so_does_one_that_a_user_ended(caplog) -> None:
    asyncio.run(_trigger(Stage.STARTED).on_kill())
    assert "IAM user sync of MRS cluster c continues in the cloud" in caplog.text


def test_it_can_be_copied_and_pickled() -> None:
    trigger = _trigger(Stage.STARTED)
    for other in (copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
        assert other.serialize() == trigger.serialize()


def test_what_it_gives_away_is_not_what_it_keeps() -> None:
    """A listener may change an event; tickets of one target have it between them."""
    trigger = _trigger(Stage.STARTED)
    mine, others = trigger._read(), _trigger(Stage.STARTED)._read()
    assert mine.target is others.target
    given = trigger.serialize()[1]["ticket"]
    given["target"]["user_names"].append("mallory")
    given["baseline"]["missing_users"] = ["mallory"]
    Report(trigger.ticket, 1.0, 1, Progress(Phase.RUNNING, "")).to_json()["ticket"]["target"][
        "user_names"
    ].clear()
    assert mine.target["user_names"] == others.target["user_names"] == ["alice"]
    assert not mine.baseline
    assert not mine.receipt


@pytest.mark.parametrize("more", [{"version": 99}, {"patience": "endless"}], ids=["version", "argument"])
def test_arguments_of_another_release(more) -> None:
    trigger = _trigger(Stage.STARTED, **more)
    assert {**trigger.serialize()[1], **more} == trigger.serialize()[1]
    asyncio.run(trigger.on_kill())

    async def first():
        return await anext(trigger.run())

    report = Report.from_json(asyncio.run(first()).payload)
    assert isinstance(report.ended, InvalidEvent)
    assert "another release" in report.ended.message


@pytest.mark.parametrize("ticket", ["text", None, 7, ["a"], {}], ids=repr)
def test_a_ticket_of_some_other_form_is_told_and_given_back(ticket) -> None:
    """A later release may store it otherwise; an error where a trigger is made would end the whole triggerer."""

    async def event(trigger: SyncTrigger) -> Any:
        async for each in trigger.run():
            return each.payload

    trigger = SyncTrigger(ticket=ticket, deadline=9e9, cloudsync_conn_id="none")
    assert trigger.serialize()[1]["ticket"] == ticket
    report = Report.from_json(asyncio.run(event(trigger)))
    assert isinstance(report.ended, InvalidEvent)
