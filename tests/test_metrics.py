"""What is counted, by real requests to the emulator."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.model import Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_sync_target
from airflow_provider_cloudsync.emulator.embedded import Emulator
from airflow_provider_cloudsync.exceptions import CloudSyncError, WaitTimedOut
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.transport import drivers
from airflow_provider_cloudsync.triggers.sync import SyncTrigger

CLUSTER = "example-cluster"
LOOK = {"operation": "ListClusterSyncTaskStatus"}
DRIVERS = pytest.mark.parametrize(
    "drive",
    [drivers.run, lambda flow: asyncio.run(drivers.arun(flow))],
    ids=["blocking", "asyncio"],
)


class Told(Counter[tuple[str, ...]]):
    """In place of Airflow's Stats."""

    def __init__(self) -> None:
        super().__init__()
        self.gauges: list[tuple[str, float, dict[str, str]]] = []

    def incr(self, name: str, number: int, *, tags: dict[str, str]) -> None:
        self[name, *sorted(tags.values())] += number

    def gauge(self, name: str, value: float, *, tags: dict[str, str]) -> None:
        self.gauges.append((name, value, tags))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found = Told()
    monkeypatch.setattr(metrics, "_stats", lambda: found)
    return found


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Any:
    with Emulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", emulator.connection)
        yield emulator


def flag(emulator: Emulator) -> Flow[bool]:
    return is_iam_synchronizing(CloudSyncHook().cloud, CLUSTER)


@DRIVERS
def test_requests_and_retries(told: Told, emulator: Emulator, drive: Callable[[Any], Any]) -> None:
    emulator.faults(
        [
            {"match": LOOK, "times": 1, "status": 503},
            {"match": LOOK, "times": 1, "status": 429, "headers": {"Retry-After": "0"}},
        ]
    )
    drive(flag(emulator))
    assert told == {
        ("cloudsync.requests", "error", "mrs"): 1,
        ("cloudsync.requests", "mrs", "throttled"): 1,
        ("cloudsync.requests", "mrs", "ok"): 1,
        ("cloudsync.retries", "mrs"): 2,
    }


@DRIVERS
def test_a_request_without_a_reply(told: Told, emulator: Emulator, drive: Callable[[Any], Any]) -> None:
    emulator.faults([{"match": LOOK, "times": 1, "reset": True}])
    drive(flag(emulator))
    assert told["cloudsync.requests", "lost", "mrs"] == 1
    assert told["cloudsync.requests", "mrs", "ok"] == 1


def trigger(emulator: Emulator, **more: Any) -> SyncTrigger:
    now = emulator.clock.now()
    target = iam_sync_target(CLUSTER, user_names=["nobody-yet"])
    ticket = Ticket("mrs", target, Stage.STARTED, now - 60, {"missing_users": ["nobody-yet"]})
    return SyncTrigger(
        ticket=ticket.to_json(), deadline=now + 60, cloudsync_conn_id="cloudsync_default", **more
    )


async def end_of(waiting: SyncTrigger) -> Any:
    async for event in waiting.run():
        return event.payload


def test_waits_by_phase_and_those_that_share(told: Told, emulator: Emulator) -> None:
    async def main() -> None:
        ended = await asyncio.gather(*(end_of(trigger(emulator)) for _ in range(10)))
        assert {each["phase"] for each in ended} == {"failed"}
        cancelled = asyncio.create_task(end_of(trigger(emulator, not_before=9e9)))
        await asyncio.sleep(0.05)
        cancelled.cancel()

    asyncio.run(main())
    waits = {key[1]: number for key, number in told.items() if key[0] == "cloudsync.waits"}
    assert waits == {"began": 11, "failed": 10, "left": 1}
    assert told["cloudsync.shared_hits",] >= 9
    assert max(value for _, value, _ in told.gauges) == 10
    assert told.gauges[-1][1] == 0
    assert set(told.gauges[0][2]) == {"service", "host"}


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (WaitTimedOut("late", last_seen="x"), "timed_out"),
        (CloudSyncError("no"), "broke"),
        (KeyError("x"), "broke"),
        (asyncio.CancelledError(), "left"),
    ],
    ids=["timed out", "an error", "an unexpected one", "cancelled"],
)
def test_how_a_wait_can_end(told: Told, error: BaseException, phase: str) -> None:
    with pytest.raises(type(error)), metrics.Wait("hss"):
        raise error
    assert told == {("cloudsync.waits", "began", "hss"): 1, ("cloudsync.waits", *sorted([phase, "hss"])): 1}


def test_nothing_fails_of_metrics_that_can_not_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError("no such host")

    monkeypatch.setattr(metrics, "_stats", Broken)
    with metrics.Wait("mrs", gauge=True):
        metrics.count("requests", service="mrs", outcome="ok")


@DRIVERS
def test_airflow_takes_them(
    emulator: Emulator, drive: Callable[[Any], Any], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own Stats: names and tags are such as it takes."""
    caplog.set_level("DEBUG")
    monkeypatch.setattr(metrics, "_stats", lambda: Stats)
    drive(flag(emulator))
    drive(iter_pause())
    with metrics.Wait("mrs", gauge=True):
        pass
    assert not [each for each in caplog.messages if "cloudsync." in each and "count" in each]


def iter_pause() -> Flow[None]:
    yield Pause(0.0, retry_of="mrs")


@pytest.mark.parametrize(
    ("switched_on", "counts"), [((), False), (("STATSD_ON",), True), (("OTEL_ON",), True)], ids=str
)
def test_what_is_counted_goes_where_airflow_is_told_to(monkeypatch, switched_on, counts) -> None:
    for name in switched_on:
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", "True")
    assert (metrics._stats.__wrapped__() is not None) is counts
