"""Retries, clears, deaths of processes, and events that come twice: each sync is started exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from tests.airflow.real_world.cloud import Answer, Cloud, Killed, between, lost_start
from tests.airflow.real_world.site import Site
from tests.airflow.real_world.timelines import Account, Coc, Hss, Mrs, Service

_FOREVER = 1e9
_HOUR = 3600.0
_MISSING = Answer({"error_code": "12000003", "error_msg": "cluster does not exist"}, 400)


def _mrs(**more: Any) -> Any:
    return MrsSyncIamUsersOperator(task_id="t", cluster_id="c", **{"user_names": ["alice"], **more})


def _coc(**more: Any) -> Any:
    return CocSyncMultiCloudResourcesOperator(task_id="t", vendor="AWS", **more)


def _hss(**more: Any) -> Any:
    return HssSyncClusterProtectionEventsOperator(
        task_id="t", cluster_id="c", **{"wait_for_completion": True, **more}
    )


def _lasting_mrs(length: float) -> Service:
    return Mrs(flag=((2, length),), names=((length, _FOREVER),))


def _lasting_coc(length: float) -> Service:
    return Coc({"row": Account(ours=((3, "running", 3), (length, "success", None)))})


def _lasting_hss(length: float) -> Service:
    return Hss(ours=(length,))


KINDS = {"mrs": (_mrs, _lasting_mrs), "coc": (_coc, _lasting_coc), "hss": (_hss, _lasting_hss)}
#: Seconds by which worker and triggerer are ahead of the cloud.
CLOCKS = [(0, 0), (0, 600), (0, -600)]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a site from a service, quirks and clocks."""
    clouds: list[Cloud] = []

    def make(service: Service, *quirks: Any, worker: float = 0, triggerer: float = 0) -> Site:
        clouds.append(Cloud(service, quirks))
        return Site(monkeypatch, clouds[-1], worker=worker, triggerer=triggerer)

    yield make
    for cloud in clouds:
        cloud.close()
        assert not cloud.crashes


def _die(site: Site, task: Any, at: float, **context: Any) -> None:
    site.cloud.kill_at = at
    with pytest.raises(Killed):
        site.execute(task, site.context(**context))


@pytest.mark.parametrize("clocks", CLOCKS, ids=str)
@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("died_at", [1.0, 25 * _HOUR, 39 * _HOUR])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_of_48_hours_with_a_retry(site, kind, died_at, deferrable, clocks) -> None:
    """A5: the ticket of a long wait is used at any age."""
    make, running_for = KINDS[kind]
    service = running_for(40 * _HOUR)
    world = site(service, worker=clocks[0], triggerer=clocks[1])
    task = partial(make, timeout=48 * _HOUR, poll_interval=2 * _HOUR, deferrable=deferrable, retries=1)
    _die(world, task(), died_at, max_tries=1)
    world.cloud.advance(300)
    end = world.execute(task(), world.context(2, max_tries=1))
    assert end.green, end
    assert end.at >= 40 * _HOUR
    assert service.starts == [service.starts[0]]


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("retries", [0, 1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_after_an_edit_of_retries_takes_the_run_up(site, kind, retries, deferrable) -> None:
    """D29: Airflow stored max_tries=2 when it created the task instance."""
    make, running_for = KINDS[kind]
    service = running_for(600)
    world = site(service)
    _die(world, make(retries=2, deferrable=deferrable), 100, max_tries=2)
    end = world.execute(make(retries=retries, deferrable=deferrable), world.context(2, max_tries=2))
    assert end.green, end
    assert end.at - service.starts[-1] >= 600
    assert len(service.starts) == 1


@pytest.mark.parametrize("retries", [0, 1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cleared_task_starts_again_after_an_edit_of_retries(site, kind, retries) -> None:
    """D29: a clear sets max_tries to the tries so far plus the retries of the DAG."""
    make, running_for = KINDS[kind]
    service = running_for(100)
    world = site(service)
    assert world.execute(make(retries=2), world.context(1, max_tries=2)).green
    world.cloud.advance(60)
    end = world.execute(make(retries=retries), world.context(2, max_tries=1 + retries + (retries == 1)))
    assert end.green, end
    assert len(service.starts) == 2
    assert end.at - service.starts[-1] >= 100


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_try_that_did_not_wait_does_not_make_a_waiting_retry_green(site, kind, deferrable) -> None:
    """D30."""
    make, running_for = KINDS[kind]
    service = running_for(600)
    world = site(service)
    assert world.execute(make(wait_for_completion=False, retries=1), world.context(1, max_tries=1)).green
    end = world.execute(make(deferrable=deferrable, retries=1), world.context(2, max_tries=1))
    assert end.green, end
    assert end.at - service.starts[-1] >= 600
    assert len(service.starts) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_comes_twice_starts_nothing(site, kind) -> None:
    """D32."""
    make, running_for = KINDS[kind]
    service = running_for(100)
    world = site(service)
    end = world.execute(make(deferrable=True), twice=True)
    assert end.green, end
    assert len(service.starts) == 1


@pytest.mark.parametrize(("brings", "starts"), [(1, 2), (2, 2), (9, 2)])
def test_an_event_that_comes_twice_after_a_lost_reply(site, brings, starts) -> None:
    """D31, D32: the run may have been another's, so it is started again once, and only once."""
    service = Mrs(good_start=brings)
    world = site(service, lost_start)
    end = world.execute(_mrs(deferrable=True), twice=True)
    assert end.green == (brings <= 2), end
    assert len(service.starts) == (1 if brings == 1 else starts)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("deferrable", [False, True])
def test_names_of_several_runs(site, deferrable, twice) -> None:
    """D32: more names than one request takes are several runs, each started once."""
    names = [f"user{number}" for number in range(2500)]
    service = Mrs(brings=names)
    world = site(service)
    end = world.execute(_mrs(user_names=names, deferrable=deferrable), twice=twice)
    assert end.green, end
    assert len(service.starts) == 3


@pytest.mark.parametrize("twice", [False, True])
def test_another_s_run_first_and_an_event_that_comes_twice(site, twice) -> None:
    service = Mrs(theirs=((-5, 40),))
    world = site(service)
    end = world.execute(_mrs(deferrable=True), twice=twice)
    assert end.green, end
    assert len(service.starts) == 1
    assert service.starts[0] >= 40


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_after_a_failed_run_starts_again(site, deferrable) -> None:
    service = Mrs(good_start=2)
    world = site(service)
    first = world.execute(_mrs(deferrable=deferrable, retries=1), world.context(1, max_tries=1))
    assert not first.green
    end = world.execute(_mrs(deferrable=deferrable, retries=1), world.context(2, max_tries=1))
    assert end.green, end
    assert len(service.starts) == 2


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    "answer", [_MISSING, Answer({"error_code": "APIGW.0101", "error_msg": "no API"}, 404), Answer(None, 403)]
)
def test_a_target_that_is_not_found_for_a_while_is_started_once(site, answer, deferrable) -> None:
    """A1: the retry looks before it starts."""
    service = _lasting_mrs(900)
    world = site(service, between(10, 120, answer))
    first = world.execute(_mrs(deferrable=deferrable, retries=1), world.context(1, max_tries=1))
    assert not first.green
    world.cloud.advance(max(300 - world.cloud.at, 0))
    end = world.execute(_mrs(deferrable=deferrable, retries=1), world.context(2, max_tries=1))
    assert end.green, end
    assert end.at - service.starts[-1] >= 900
    assert len(service.starts) == 1


@pytest.mark.parametrize("at", [1.0, 15.0, 100.0])
@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("kind", ["mrs", "coc"])
def test_a_retry_without_a_store_takes_up_what_runs(site, kind, deferrable, at) -> None:
    """Before Airflow 3.3 nothing is stored."""
    make, running_for = KINDS[kind]
    service = running_for(600)
    world = site(service)
    _die(world, make(deferrable=deferrable, retries=1), at, max_tries=1, store=False)
    world.cloud.advance(20)
    end = world.execute(make(deferrable=deferrable, retries=1), world.context(2, max_tries=1, store=False))
    assert end.green, end
    assert end.at - service.starts[-1] >= 600
    assert len(service.starts) == 1
