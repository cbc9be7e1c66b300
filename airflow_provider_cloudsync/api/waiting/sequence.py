"""Sequence of a sync: start its parts one after the other, and wait for the end of each run.

This is the only loop of starts and waits. An operator runs the steps in the worker or defers a wait to the triggerer. A
hook runs all steps in one flow (`run_sequence`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Startable, Target, Ticket
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.api.waiting.starting import begin
from airflow_provider_cloudsync.exceptions import SyncFailed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Step: start the target of a queued ticket. The answer is the new ticket, started or still queued."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Wait:
    """Step: wait for the end of the run of a ticket. The answer is the `Progress`."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Store:
    """Step: store a ticket for a retry. There is no answer.

    :param must: the sequence must not go on if the ticket cannot be stored.
    """

    ticket: Ticket
    must: bool


Step = Start | Wait | Store
Sequence = Generator[Step, Any, tuple[Ticket, Progress | None]]


def queued(
    service: Startable[Any], parts: tuple[Target, ...], at: float, *, restarted: bool = False
) -> Ticket:
    """Return a ticket for parts that are not started.

    :param at: seconds since the epoch.
    """
    return Ticket(service.name, parts[0], Stage.QUEUED, at, later=parts[1:], restarted=restarted)


def sequence(
    service: Startable[Any],
    ticket: Ticket,
    progress: Progress | None,
    *,
    wait_for_last: bool,
    clock: Callable[[], float],
) -> Sequence:
    """Yield the steps that bring a sync to its end.

    :param progress: progress of the ticket; None: unknown.
    :param wait_for_last: wait for the run of the last part, too.
    :param clock: seconds since the epoch.
    :return: the last ticket, and the `Progress` of its run if it was waited for.
    :raises SyncFailed: if a run failed. Unless its target was not found, a ticket for its start was stored.
    """
    while True:
        if ticket.stage is Stage.QUEUED and (progress is None or progress.phase is Phase.SUCCEEDED):
            ticket, progress = (yield Start(ticket)), None
        started = ticket.stage is Stage.STARTED
        if started and not wait_for_last and not ticket.later:
            return ticket, None
        if progress is None or progress.phase is Phase.RUNNING:
            progress = yield Wait(ticket)
        if progress.phase is Phase.FAILED and not progress.absent:
            # The next start is that of this part. The parts before it are done.
            parts = (ticket.target, *ticket.later)
            again = queued(service, parts, clock(), restarted=ticket.restarted)
            if started and not ticket.receipt and not ticket.restarted:
                log.warning(
                    "%s This task received no reply to a start of its own, so the run may belong to another task. "
                    "Starting the sync again, once.",
                    progress.why,
                )
                ticket, progress = replace(again, restarted=True), None
                yield Store(ticket, must=True)
                continue
            yield Store(again, must=False)
        if progress.phase is Phase.FAILED:
            # If the target was not found, the ticket stays stored: the next try polls before it starts.
            raise SyncFailed(f"{progress.why} [{service.describe(ticket.target)}]")
        if started and not ticket.later:
            return ticket, progress
        if started:
            ticket, progress = queued(service, ticket.later, clock(), restarted=ticket.restarted), None


def run_sequence(cloud: Cloud, service: Startable[Any], target: Target, *, deadline: float) -> Flow[Ticket]:
    """Start all parts of a sync in one flow. Wait for the end of each run except the last.

    :param deadline: seconds since the epoch.
    :return: the ticket of the last part.
    :raises SyncFailed: if a run before the last one failed.
    """
    first = queued(service, tuple(service.split(target)), cloud.clock())
    steps = sequence(service, first, None, wait_for_last=False, clock=cloud.clock)
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            ticket: Ticket = end.value[0]
            return ticket
        answer = None
        if isinstance(step, Start):
            before = step.ticket
            begun = yield from begin(cloud.until(deadline), service, before.target, later=before.later)
            answer = replace(begun, restarted=before.restarted)
        elif isinstance(step, Wait):
            answer = yield from until_done(cloud, service, step.ticket, deadline=deadline)
