"""So many processes as a mapped task has instances, all at once: ``python hundred.py COUNT``.

Each starts a sync as a worker does, in a cluster of its own: c0, c1, ... Prints how many of them ended well. A worker
of Airflow itself would take seconds of a processor for each.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from types import SimpleNamespace

from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator


def main(count: int) -> None:
    """Let them go when all are there, and wait for them."""
    ended = [start("c0")]  # before the others, so that not each of them has to import everything
    gc.freeze()
    ready, go = os.pipe()
    children = []
    for number in range(1, count):
        child = os.fork()
        if not child:
            os.close(go)
            os.read(ready, 1)  # comes back when the other end is closed
            os._exit(start(f"c{number}"))
        children.append(child)
    os.close(go)
    ended += [os.waitpid(child, 0)[1] for child in children]
    print(ended.count(0))


def start(cluster: str) -> int:
    """What one instance does; 0 if it ended well."""
    task = MrsSyncIamUsersOperator(
        task_id="mapped", cluster_id=cluster, user_names=["alice"], wait_for_completion=False
    )
    try:
        ti = SimpleNamespace(try_number=1, max_tries=0, xcom_push=lambda **_: None)
        task.execute({"ti": ti})
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
