"""Hooks in tasks of one's own, as an editor sees them. mypy checks this file (``make lint``); nothing runs it."""

from __future__ import annotations

from typing import assert_type

from airflow.providers.common.compat.sdk import PokeReturnValue, task

from airflow_provider_cloudsync.api.services.coc.calls import SyncTask, VendorAccount
from airflow_provider_cloudsync.api.services.csms.calls import Event, Notification, NotificationRecord
from airflow_provider_cloudsync.api.services.dataarts.calls import MemberSyncTask
from airflow_provider_cloudsync.api.services.hss.calls import ClusterEvent, SyncCreated
from airflow_provider_cloudsync.api.services.mrs.calls import Cluster, SyncedIamUsers, SyncState
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.hooks.coc import CocHook
from airflow_provider_cloudsync.hooks.csms import CsmsHook
from airflow_provider_cloudsync.hooks.dataarts import DataArtsHook
from airflow_provider_cloudsync.hooks.hss import HssHook
from airflow_provider_cloudsync.hooks.mrs import MrsHook


@task
def mrs() -> int:
    hook = assert_type(MrsHook("of_the_team", region="cn-north-4"), MrsHook)
    assert_type(hook.sync_iam_users("c", user_names=["alice"], group_names=("analysts",)), SyncState)
    assert_type(hook.cancel_iam_sync("c", user_names=["alice"]), SyncState)
    assert_type(hook.is_iam_synchronizing("c"), bool)
    assert_type(hook.is_iam_synchronous("c"), bool)
    assert_type(hook.get_cluster("c"), Cluster)
    assert_type(hook.get_cluster("c")["clusterState"], str)
    users = assert_type(hook.get_synced_iam_users("c"), SyncedIamUsers)
    return len(assert_type(users["user_names"], list[str]))


@task.sensor(poke_interval=30, mode="reschedule")
def is_idle() -> bool:
    return not MrsHook().is_iam_synchronizing("c")


@task.sensor(poke_interval=30, mode="reschedule")
def accounts() -> PokeReturnValue:
    hook = assert_type(CocHook(), CocHook)
    rows = assert_type(hook.list_vendor_accounts(vendor="AWS"), list[VendorAccount])
    ids = assert_type([row["account_id"] for row in rows], list[str])
    return PokeReturnValue(is_done=bool(ids), xcom_value=ids)


@task
def coc() -> int:
    hook = CocHook()
    assert_type(hook.sync_multicloud_resources("AWS", account_id="1"), SyncTask)
    return assert_type(hook.count_multicloud_resources("AWS"), int)


@task
def dataarts() -> str:
    hook = assert_type(DataArtsHook(), DataArtsHook)
    assert_type(hook.list_member_sync_tasks("w", sync_status="SYNC_FAIL"), list[MemberSyncTask])
    return assert_type(hook.get_member_sync_task("w", "t"), MemberSyncTask)["sync_status"]


@task
def hss() -> int | None:
    hook = assert_type(HssHook(), HssHook)
    assert_type(hook.sync_cluster_protection_events(cluster_id="c"), SyncCreated)
    assert_type(hook.list_cluster_events(cluster_id="c"), list[ClusterEvent])
    return assert_type(hook.get_cluster_events_update_time(cluster_id="c"), int | None)


@task
def csms() -> str:
    hook = assert_type(CsmsHook(), CsmsHook)
    topic: Notification = {"target_type": "SMN", "target_id": "urn:smn:x", "target_name": "x"}
    assert_type(hook.create_event("e", event_types=["SECRET_ROTATED"], notification=topic), Event)
    assert_type(hook.update_event("e", state="DISABLED"), Event)
    assert_type(hook.list_events(), list[Event])
    assert_type(hook.list_notification_records(), list[NotificationRecord])
    hook.delete_event("e")
    return assert_type(hook.get_event("e"), Event)["state"]


@task
def other_calls() -> int:
    hook = assert_type(CloudSyncHook(), CloudSyncHook)
    assert_type(hook.test_connection(), tuple[bool, str])
    hook.request("GET", "mrs", "/v2/{project_id}/metadata/versions")  # whatever the service sends
    return hook.get_conn().get("https://mrs.cn-north-4.myhuaweicloud.com/").status_code
