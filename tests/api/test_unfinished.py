"""Reads of a poll that a rate limit stopped: which of them the next poll uses."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cloudsync.api.unfinished import Reads, Unfinished


def poll(reads: Reads, *requests: str, sent: list[str]) -> None:
    """Make the requests of a poll, and note those that are sent."""
    for request in requests:
        if reads.take(request) is None:
            sent.append(request)
            reads.add(request, f"reply to {request}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "then", "sent"),
    [
        pytest.param([], ["a", "b"], ["a", "b"], id="nothing was read"),
        pytest.param(["a"], ["a", "b"], ["b"], id="goes on with the refused read"),
        pytest.param(["a", "b"], ["a", "b", "a"], ["a"], id="a read that the poll repeats is sent again"),
        pytest.param(["a", "b", "a"], ["a", "b", "a", "c"], ["c"], id="a read that was made twice"),
        pytest.param(["a", "b"], ["b", "c"], ["c"], id="in another order"),
    ],
)
def test_what_is_sent_again(first, then, sent) -> None:
    reads = Reads(0.0)
    poll(reads, *first, sent=[])
    found: list[str] = []
    poll(reads.stopped(), *then, sent=found)
    assert found == sent


def test_a_poll_may_be_stopped_again_and_again() -> None:
    unfinished = Unfinished()
    found: list[str] = []
    for count in range(1, 5):
        reads = unfinished.take("target", 60.0 * count)
        assert reads.at == 60.0, "a poll began when its first read did"
        poll(reads, *"abcd"[:count], sent=found)
        unfinished.keep("target", reads, 60.0 * count)
    assert found == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("what", "later", "goes_on"),
    [
        pytest.param("target", 60.0, True, id="soon"),
        pytest.param("target", 599.0, True, id="for ten minutes"),
        pytest.param("target", 600.0, False, id="too old"),
        pytest.param("target", -1.0, False, id="the clock was set back"),
        pytest.param("other", 60.0, False, id="of another target"),
    ],
)
def test_which_poll_goes_on(what: Any, later: float, goes_on: bool) -> None:
    unfinished = Unfinished()
    reads = unfinished.take("target", 1000.0)
    poll(reads, "a", sent=[])
    unfinished.keep("target", reads, 1000.0)
    found: list[str] = []
    next_reads = unfinished.take(what, 1000.0 + later)
    poll(next_reads, "a", sent=found)
    assert (found == []) is goes_on
    assert next_reads.at == (1000.0 if goes_on else 1000.0 + later)


def test_what_nobody_comes_back_for_is_dropped() -> None:
    unfinished = Unfinished()
    for number in range(100):
        unfinished.keep(number, Reads(100.0 * number), 100.0 * number)
    assert len(unfinished) == 6
    unfinished.take(99, 9900.0)
    assert len(unfinished) == 5
