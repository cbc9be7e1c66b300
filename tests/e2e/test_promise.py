"""The promise, in a real Airflow: green is true, red says why, nothing is started twice, no wait is endless."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.e2e

#: state, tries, how it waited, starts, words in the log
EXPECTED = {
    "red": ("failed", 1, "deferred", 1, ['user "bob"', "operation log"]),
    "anew": ("success", 2, "deferred", 2, ["accepted"]),
    "killed": ("success", 2, "blocking", 1, ["Resuming the sync of a previous try"]),
    "overdue": ("failed", 1, "deferred", 1, ["Timed out after", "A run in the cloud continues"]),
    "one_of_two": ("failed", 1, "deferred", 1, ["1 of 2 AWS accounts", "bad: ", "credentials expired"]),
    "nobody": ("failed", 1, "blocking", 0, ["COC has no account"]),
    "not_created": ("failed", 1, "blocking", 0, ["synched: false"]),
    "rescheduled": ("success", 1, "rescheduled", 0, ["Waiting for a run that starts at", "succeeded"]),
}


#: In the path of a start, where it is not the cluster.
STARTED_BY = {"one_of_two": "/multicloud-resources/sync"}


@pytest.mark.parametrize("name", EXPECTED)
def test_task(ended: dict[str, Any], name: str) -> None:
    state, tries, mode, starts, words = EXPECTED[name]
    task, log = ended["tasks"]["promise", name], ended["logs"]["promise", name]
    assert (task.state, task.try_number, task.mode) == (state, tries, mode), log
    for word in words:
        assert word in log
    where = STARTED_BY.get(name, f"/clusters/{name}/")
    sent = [e for e in ended["journal"] if e["effect"] is not None and where in e["path"]]
    assert len(sent) == starts


def test_no_log_holds_the_secret_key_or_a_signature(ended: dict[str, Any]) -> None:
    assert ended["leaks"] == []
    for log in ended["logs"].values():
        assert "Signature=" not in log


def test_every_request_was_signed_rightly(ended: dict[str, Any]) -> None:
    assert {entry["auth"] for entry in ended["journal"]} == {"valid"}
