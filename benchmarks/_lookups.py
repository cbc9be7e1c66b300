"""How often a triggerer looks a connection up."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlsplit

from benchmarks._clock import stage
from benchmarks._measure import CONN_ID, connection
from benchmarks._server import content

#: Has Airflow ask our backend first.
ENVIRONMENT = {"AIRFLOW__SECRETS__BACKEND": "benchmarks._backend.Counting"}
_URL = "http://127.0.0.1:1"
_WRONG = "AWRONGACCESSKEY00000"
_LENGTH = 30.0
_APART = 5.0


def in_a_triggerer(minutes: int) -> dict[str, Any]:
    """Waits on one connection that come one after the other; then one with a wrong key, corrected while it fails.

    :return: look-ups in so many minutes, and whether the wait that came right after the rejection had the new key.
    """

    def answer(request: Any) -> tuple[int, Any]:
        if f"Access={_WRONG}," in request.headers["Authorization"]:
            return 401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}
        path = urlsplit(request.url).path
        running = path.endswith("/iam-sync") and clock.passed < ends_at[path]
        return 200, content(path, {}, running, 0)

    clock = stage(answer)

    from benchmarks._backend import Counting

    ends_at: dict[str, float] = {}

    async def wait(number: int) -> bool:
        from airflow_provider_cloudsync.api.model import Stage, Ticket
        from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_sync_target
        from airflow_provider_cloudsync.triggers.sync import SyncTrigger

        cluster = f"cluster-{number}"
        project = json.loads(os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])["extra"]["project_id"]
        ends_at[f"/v2/{project}/clusters/{cluster}/iam-sync"] = clock.passed + _LENGTH
        target = iam_sync_target(cluster, user_names=["alice"])
        ticket = Ticket("mrs", target, Stage.STARTED, clock.now(), {"missing_users": ["alice"]})
        trigger = SyncTrigger(ticket=ticket.to_json(), deadline=clock.now() + 3600, cloudsync_conn_id=CONN_ID)
        async for event in trigger.run():
            return bool(event.payload["phase"] == "succeeded")
        return False

    async def main() -> tuple[int, bool]:
        under_way = []
        for number in range(int(minutes * 60 / _APART)):
            under_way.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(_APART)
        regular = len(Counting.asked)
        assert all(await asyncio.gather(*under_way))
        await asyncio.sleep(3600)
        os.environ.update(connection(_URL, access_key=_WRONG))
        assert not await wait(100_000)
        os.environ.update(connection(_URL))
        await asyncio.sleep(1)
        return regular, await wait(100_001)

    regular, corrected = clock.run(main())
    return {"regular": regular, "corrected": corrected}
