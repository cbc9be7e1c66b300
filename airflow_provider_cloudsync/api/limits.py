"""Time limit of flows, and the error state of steps before a request."""

from __future__ import annotations

from typing import TypeVar

from airflow_provider_cloudsync.api.messages import Flow, SingleFlight
from airflow_provider_cloudsync.exceptions import ApiError, TransportError

T = TypeVar("T")


def in_time(flow: Flow[T], seconds: float | None) -> Flow[T]:
    """Run a flow of reads or sign-ins with a time limit. Never use it for starts: a lost reply leaves them in doubt.

    :param seconds: from now; None: no limit.
    :raises TransportError: if the flow does not end within the limit.
    """
    if seconds is None:
        return (yield from flow)
    result: T = yield SingleFlight(object(), lambda: flow, limit=seconds)
    return result


def beforehand(flow: Flow[T]) -> Flow[T]:
    """Run a step that precedes a request. Its errors state that the request was not sent."""
    try:
        return (yield from flow)
    except (TransportError, ApiError) as error:
        error.sent = False
        error.in_doubt = False
        raise
