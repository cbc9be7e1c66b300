"""A ticket that another try left: what is judged of it, and by how many polls."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Ticket
from airflow_provider_cloudsync.api.waiting.starting import resume
from tests.api.test_waiting import DONE, RUNNING, Clock, Scripted, drive


class Verdicts(Scripted):
    """Comes to one verdict after the other."""

    def __init__(self, clock: Clock, *verdicts: Progress) -> None:
        super().__init__(clock)
        self.verdicts = list(verdicts)

    def judge(self, ticket, seen, now):
        return self.verdicts.pop(0)


FOR_NOW = replace(DONE, confirm_for=5.0)
FAILED = Progress(Phase.FAILED, "brought nothing")
MAYBE_FAILED = replace(FAILED, confirm_for=5.0)
ABSENT = Progress(Phase.FAILED, "not there", absent=True)


@pytest.mark.parametrize(
    ("verdicts", "stage", "phase"),
    [
        pytest.param([DONE], Stage.STARTED, Phase.SUCCEEDED, id="done"),
        pytest.param([RUNNING], Stage.STARTED, Phase.RUNNING, id="running"),
        pytest.param([FAILED], Stage.QUEUED, None, id="failed: to be started"),
        pytest.param([ABSENT], Stage.STARTED, Phase.FAILED, id="not there: nothing is known of the run"),
        pytest.param([FOR_NOW, FOR_NOW], Stage.STARTED, Phase.SUCCEEDED, id="done, confirmed"),
        pytest.param([MAYBE_FAILED, FAILED], Stage.QUEUED, None, id="failed, confirmed"),
        pytest.param([MAYBE_FAILED, RUNNING], Stage.STARTED, Phase.RUNNING, id="failed, then running"),
        pytest.param([MAYBE_FAILED, FOR_NOW, DONE], Stage.STARTED, Phase.SUCCEEDED, id="failed, then done"),
        pytest.param([FOR_NOW, MAYBE_FAILED, FAILED], Stage.QUEUED, None, id="done, then failed"),
    ],
)
def test_a_ticket_that_was_left_is_judged_by_as_many_polls_as_it_takes(verdicts, stage, phase) -> None:
    clock = Clock()
    service = Verdicts(clock, *verdicts)
    ticket = Ticket(service.name, {}, Stage.STARTED, clock.now)
    found, progress = drive(resume(Cloud(KeyPair("ak", "sk"), clock), service, ticket), clock)
    assert (found.stage, progress and progress.phase) == (stage, phase)
    assert not service.verdicts


class Starting(Scripted):
    """Shows for some seconds that the target is not there, and no run of it."""

    def __init__(self, clock: Clock, *, absent_for: float) -> None:
        super().__init__(clock)
        self.until = clock.now + absent_for

    def settle(self, target):
        return 10.0

    def has_started(self, ticket, seen):
        return False

    def can_start(self, target, seen):
        return ABSENT if self.clock.now < self.until else RUNNING


@pytest.mark.parametrize(
    ("absent_for", "stage", "phase"),
    [
        pytest.param(1e6, Stage.STARTING, Phase.FAILED, id="not there to the end: the ticket stays"),
        pytest.param(5, Stage.QUEUED, None, id="there again, without a run: to be started"),
        pytest.param(0, Stage.QUEUED, None, id="there, without a run: to be started"),
    ],
)
def test_a_start_in_doubt_stays_in_doubt_while_its_target_is_not_found(absent_for, stage, phase) -> None:
    clock = Clock()
    service = Starting(clock, absent_for=absent_for)
    ticket = Ticket(service.name, {}, Stage.STARTING, clock.now)
    found, progress = drive(resume(Cloud(KeyPair("ak", "sk"), clock), service, ticket), clock)
    assert (found.stage, progress and progress.phase) == (stage, phase)


def test_a_verdict_that_can_not_be_confirmed_in_time_is_none() -> None:
    clock = Clock()
    service = Verdicts(clock, MAYBE_FAILED)
    cloud = Cloud(KeyPair("ak", "sk"), clock).until(clock.now + 2)
    ticket = Ticket(service.name, {}, Stage.STARTED, clock.now)
    began = clock.now
    found, progress = drive(resume(cloud, service, ticket), clock)
    assert (found.stage, progress.phase, clock.now) == (Stage.STARTED, Phase.RUNNING, began)


@pytest.mark.parametrize("restarted", [True, False])
def test_a_ticket_says_whether_its_start_is_the_second(restarted) -> None:
    data = json.loads(json.dumps(Ticket("mrs", {}, Stage.STARTED, 1.0, restarted=restarted).to_json()))
    assert Ticket.from_json(data).restarted is restarted
    for other in (None, 1, "yes"):  # damaged, or of a later release
        assert Ticket.from_json(data | {"restarted": other}).restarted is False
    del data["restarted"]
    assert Ticket.from_json(data).restarted is False
