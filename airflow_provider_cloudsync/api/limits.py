"""Steps of a call around the request itself: what limits them, and what their errors mean for the request."""

from __future__ import annotations

from typing import TypeVar

from airflow_provider_cloudsync.api.messages import Flow, SingleFlight
from airflow_provider_cloudsync.exceptions import ApiError, TransportError

T = TypeVar("T")


def in_time(flow: Flow[T], seconds: float | None) -> Flow[T]:
    """A flow of reads or sign-ins that ends in time. Never of starts, whose lost reply is in doubt.

    :param seconds: from now; None: no limit.
    :raises TransportError: if it does not end by itself.
    """
    if seconds is None:
        return (yield from flow)
    result: T = yield SingleFlight(object(), lambda: flow, limit=seconds)
    return result


def beforehand(flow: Flow[T]) -> Flow[T]:
    """What has to be done before a request can be sent. Whatever becomes of it, the request itself was not sent."""
    try:
        return (yield from flow)
    except (TransportError, ApiError) as error:
        error.sent = False
        error.in_doubt = False
        raise
