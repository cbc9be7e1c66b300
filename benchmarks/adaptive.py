"""How soon an end is seen, and at the price of how many looks; and how waits share what a quota leaves them.

On a clock that jumps, with a network that answers at once: what is counted does not depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks._clock import START, Clock, stage
from benchmarks._measure import CONN_ID, child, connection
from benchmarks._server import content
from benchmarks._table import Row, show

#: Length of a synchronization in seconds -> most looks.
_MOST_LOOKS = {10: 7, 60: 25, 600: 50, 3600: 100}
#: A synchronization ends at any moment: each length is tried as itself and down to a tenth less, in so many steps.
_STEPS = 20
_QUOTA, _WINDOW = 5, 60.0
_HOUR = 3600.0
#: Before which a trigger does not look, as the operators ask for it.
_FIRST_POLL_DELAY = 6.0


def waits(blocking: bool) -> list[tuple[int, int, float]]:
    """One wait after the other, for syncs of all lengths.

    :return: for each length, the most looks, and the latest seconds after an end at which it was seen.
    """
    looks: list[float] = []
    ends_at = 0.0

    def answer(request: Any) -> tuple[int, Any]:
        path = urlsplit(request.url).path
        if path.endswith("/iam-sync"):
            looks.append(clock.passed)
        return 200, content(path, {}, clock.passed < ends_at, 0)

    clock = stage(answer)
    found = []
    for length in _MOST_LOOKS:
        most, latest = 0, 0.0
        for step in range(_STEPS):
            looks.clear()
            ends_at = clock.passed + length * (1 - step / _STEPS / 10)
            _wait_for_cluster(clock, blocking)
            latest = max(latest, clock.passed - ends_at)
            # The look that sees the end asks for the flag twice.
            most = max(most, len(looks) - 1)
        found.append((length, most, latest))
    return found


def _wait_for_cluster(clock: Clock, blocking: bool) -> None:
    from airflow_provider_cloudsync.api.model import Stage, Ticket
    from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
    from airflow_provider_cloudsync.api.waiting.polling import until_done
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

    target = iam_sync_target("7a0c0c38-d8ba-4d17-b0d2-569a254ac9ea", user_names=["alice"])
    ticket = Ticket("mrs", target, Stage.STARTED, clock.now(), {"missing_users": ["alice"]})
    if blocking:
        hook = CloudSyncHook(CONN_ID)
        hook.run(until_done(hook.cloud, IAM_SYNC, ticket, deadline=clock.now() + 2 * _HOUR))
    else:
        clock.run(_trigger(ticket, clock.now() + 2 * _HOUR, not_before=clock.now() + _FIRST_POLL_DELAY))


async def _trigger(ticket: Any, deadline: float, not_before: float = 0.0) -> str | None:
    from airflow_provider_cloudsync.triggers.sync import SyncTrigger

    trigger = SyncTrigger(
        ticket=ticket.to_json(), deadline=deadline, cloudsync_conn_id=CONN_ID, not_before=not_before
    )
    async for event in trigger.run():
        return event.payload["phase"]
    return None


def quota(count: int) -> dict[str, Any]:
    """So many waits for an hour under a quota of five calls a minute, which HSS documents."""
    looks: Counter[str] = Counter()
    sent: list[float] = []

    def answer(request: Any) -> tuple[int, Any]:
        sent.append(clock.passed)
        looks[parse_qs(urlsplit(request.url).query)["cluster_id"][0]] += 1
        return 200, {"total_num": 0, "data_list": [], "last_update_time": int(START * 1000) - 1}

    clock = stage(answer)

    from airflow_provider_cloudsync.api.model import Stage, Ticket
    from airflow_provider_cloudsync.api.services.hss.event_sync import events_target

    async def main() -> list[str | None]:
        began = clock.now()
        tickets = [
            Ticket(
                "hss",
                events_target(cluster_id=f"cluster-{number}"),
                Stage.STARTED,
                began,
                {"last_update_time": int(START * 1000)},
            )
            for number in range(count)
        ]
        return await asyncio.gather(*(_trigger(ticket, began + _HOUR) for ticket in tickets))

    clock.run(main())
    return {
        "least": min(looks.values()) if len(looks) == count else 0,
        "most": max(looks.values()),
        "sent": len(sent),
        "in_a_window": max(sum(at <= other < at + _WINDOW for other in sent) for at in sent),
    }


def _row(blocking: bool, length: int, looks: int, late: float) -> Row:
    latest = min(max(length / 10, 2.0), 60.0)
    name = f"{length} s" if length < 60 else f"{length // 60} min" if length < 3600 else "1 h"
    return Row(
        f"a sync of {name}, {'blocking' if blocking else 'trigger'}",
        f"{looks} looks, seen {late:.1f} s late",
        reach=f"{_MOST_LOOKS[length]} looks, {latest:g} s",
        met=looks <= _MOST_LOOKS[length] and late <= latest + 0.01,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptive", description=__doc__)
    parser.add_argument("--under-quota", type=int, default=30, help="waits under one quota")
    asked = parser.parse_args(arguments)
    env = connection("http://127.0.0.1:1")
    rows = [
        _row(blocking, *found)
        for blocking in (False, True)
        for found in child("benchmarks.adaptive:waits", env=env, blocking=blocking)
    ]
    found = child("benchmarks.adaptive:quota", env=env, count=asked.under_quota)
    rows.append(
        Row(
            f"{asked.under_quota} waits, {_QUOTA} calls a minute, 1 h",
            f"{found['least']} to {found['most']} looks each, {found['sent']} in all",
            reach="all alike (within 2)",
            met=found["most"] - found["least"] <= 2 and found["in_a_window"] <= _QUOTA,
        )
    )
    show(
        "adaptive: looks, and how late an end is seen",
        rows,
        f"The worst of {_STEPS} syncs of that length down to a tenth less, on a clock that jumps to whatever is due.",
    )


if __name__ == "__main__":
    main()
