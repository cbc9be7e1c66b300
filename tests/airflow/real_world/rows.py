"""A row of a table: a script of the cloud, a task, and the right verdict; and what runs a row in each mode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from tests.airflow.real_world.cloud import ACCESS_KEY, SECRET_KEY, Cloud, DateForm, Quirk, http_date
from tests.airflow.real_world.site import End, Site
from tests.airflow.real_world.timelines import Service

OPERATOR_MODES = ("blocking", "deferred")
SENSOR_MODES = ("poke", "reschedule", "deferred")
#: Seconds by which the clocks of worker and triggerer are ahead of the cloud's.
SKEWS = ((0, 5), (0, -5), (0, 60), (0, -60), (0, 600), (0, -600))

Make = Callable[..., Any]

#: Task -> what makes it. A function that takes the site is a sensor that compares with the start of the DAG run.
TASKS: dict[str, tuple[bool, Make]] = {
    "mrs": (
        False,
        lambda site, **more: MrsSyncIamUsersOperator(cluster_id="c", **{"user_names": ["alice"], **more}),
    ),
    "mrs all": (False, lambda site, **more: MrsSyncIamUsersOperator(cluster_id="c", sync_all=True, **more)),
    "mrs cancel": (
        False,
        lambda site, **more: MrsCancelIamSyncOperator(cluster_id="c", user_names=["alice"], **more),
    ),
    "coc": (False, lambda site, **more: CocSyncMultiCloudResourcesOperator(vendor="AWS", **more)),
    "hss": (
        False,
        lambda site, **more: HssSyncClusterProtectionEventsOperator(
            cluster_id="c", **{"wait_for_completion": True, **more}
        ),
    ),
    "mrs sensor": (True, lambda site, **more: MrsIamSyncSensor(cluster_id="c", user_names=["alice"], **more)),
    "mrs sensor all": (True, lambda site, **more: MrsIamSyncSensor(cluster_id="c", **more)),
    "coc sensor": (
        True,
        lambda site, **more: CocVendorAccountSyncSensor(
            vendor="AWS", **{"synced_after": site.run_started, **more}
        ),
    ),
    "dataarts sensor": (
        True,
        lambda site, **more: DataArtsMemberSyncTaskSensor(
            workspace="w", sync_task_id="t", **{"synced_after": site.run_started, **more}
        ),
    ),
    "hss sensor": (
        True,
        lambda site, **more: HssClusterEventsSensor(
            cluster_id="c", **{"updated_after": site.run_started, **more}
        ),
    ),
}


@dataclass(frozen=True)
class Row:
    """A case.

    :param line: of the issue, and what happens.
    :param task: key of `TASKS`.
    :param service: makes the script; called once a run.
    :param red: pattern of the text of a red end; empty: the right end is green.
    :param over: seconds at which the run has ended, since the last start (operators) or since the beginning
        (sensors). No end may come before.
    :param by: the same, at which the task has to be done; None: within its timeout.
    :param starts: number of starts that the service accepted.
    :param quirks: what is in front of the service.
    :param date: ``Date`` headers of the service.
    :param clocks: seconds by which worker and triggerer are ahead of the cloud.
    :param more: arguments of the task.
    :param timeout: of the task, in seconds.
    :param every: ``poke_interval`` of sensors that poke.
    :param modes: empty: all.
    :param wrong: why the package is known not to come to this end.
    """

    line: str
    task: str
    service: Callable[[], Service]
    red: str = ""
    over: float = 0.0
    by: float | None = None
    starts: int | None = None
    quirks: Sequence[Quirk] = ()
    date: DateForm = http_date
    clocks: Sequence[tuple[float, float]] = ((0, 0),)
    more: dict[str, Any] = field(default_factory=dict)
    timeout: float = 1800.0
    every: float = 20.0
    modes: Sequence[str] = ()
    wrong: str = ""

    @property
    def is_sensor(self) -> bool:
        return TASKS[self.task][0]


def cases(rows: Sequence[Row]) -> Iterator[Any]:
    """All rows in each mode and with all clocks, for `pytest.mark.parametrize`."""
    seen = set()
    for row in rows:
        for mode in row.modes or (SENSOR_MODES if row.is_sensor else OPERATOR_MODES):
            for clocks in row.clocks:
                if (
                    mode != "deferred"
                    and clocks[1] != clocks[0]
                    and (row.task, row.line, mode, clocks[0]) in seen
                ):
                    continue  # only the triggerer's clock differs
                seen.add((row.task, row.line, mode, clocks[0]))
                shown = "" if clocks == (0, 0) else f" worker {clocks[0]:+g} triggerer {clocks[1]:+g}"
                marks = [pytest.mark.xfail(strict=True, reason=row.wrong)] if row.wrong else []
                yield pytest.param(
                    row, mode, clocks, id=f"{row.task}: {row.line} [{mode}{shown}]", marks=marks
                )


@dataclass(frozen=True)
class Outcome:
    """What a row came to.

    :param leaks: secrets in the text of the end or in what the triggerer sent.
    """

    end: End
    service: Service
    leaks: list[str]


def run(row: Row, mode: str, clocks: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Run a row in a mode."""
    service = row.service()
    cloud = Cloud(service, row.quirks, row.date)
    try:
        site = Site(monkeypatch, cloud, worker=clocks[0], triggerer=clocks[1])
        end = _end(row, mode, site)
    finally:
        cloud.close()
    assert not cloud.crashes
    texts = end.text + json.dumps(site.events)
    return Outcome(end, service, [secret for secret in _secrets(cloud) if secret in texts])


def _end(row: Row, mode: str, site: Site) -> End:
    make = partial(TASKS[row.task][1], site, task_id="t", timeout=row.timeout, **row.more)
    if not row.is_sensor or mode == "deferred":
        return site.execute(make(deferrable=mode == "deferred"))
    if mode == "reschedule":
        return site.poke(lambda: make(mode="reschedule"), every=row.every, timeout=row.timeout)
    return site.execute(make(mode="poke", poke_interval=row.every))


def _secrets(cloud: Cloud) -> set[str]:
    """What no text may show: keys of the connection and signatures of the requests."""
    proofs = {ask.headers.get("authorization", "") for ask in cloud.asks}
    signatures = {proof.rpartition("Signature=")[2] for proof in proofs}
    return {ACCESS_KEY, SECRET_KEY, *proofs, *signatures} - {""}


def check(row: Row, outcome: Outcome) -> None:
    """Compare the end with the right one."""
    end, service = outcome.end, outcome.service
    said = end.text or "green"
    wanted = f"red: {row.red}" if row.red else "green"
    since = end.at if row.is_sensor or not service.starts else end.at - service.starts[-1]
    told = f"{said} at {end.at:.1f} s ({since:.1f} s after the last start), starts at {service.starts}; right: {wanted}"
    assert end.green == (not row.red), told
    assert not row.red or re.search(row.red, end.text), told
    assert since >= row.over, f"before the run has ended at {row.over}: {told}"
    assert row.by is None or since <= row.by, f"later than {row.by}: {told}"
    assert not outcome.leaks, told
    starts = row.starts if row.starts is not None else (0 if row.is_sensor else 1)
    assert len(service.starts) == starts, told
