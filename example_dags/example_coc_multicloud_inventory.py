"""Update the inventory of another cloud in COC, account by account, and count the resources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task

from airflow_provider_cloudsync.hooks.coc import CocHook
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator

with DAG(
    dag_id="example_coc_multicloud_inventory",
    description="Synchronize the resources of each account of another cloud into COC",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    params={"vendor": Param("AWS", type="string", description="AWS, AZURE, ALI or HCS")},
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):

    @task
    def accounts(params: dict) -> list[str]:
        """List the accounts that COC has of the vendor."""
        found = [account["account_id"] for account in CocHook().list_vendor_accounts(vendor=params["vendor"])]
        if not found:
            # Without accounts no task is mapped, and the run would be green although nothing was done.
            raise AirflowFailException(f"COC has no account of {params['vendor']}.")
        return found

    # One task for each account, each with its own state and retries. COC has one region for each site. If the
    # connection has another region, pass region, for example region="cn-north-4".
    sync_account = CocSyncMultiCloudResourcesOperator.partial(
        task_id="sync_account",
        vendor="{{ params.vendor }}",
        deferrable=True,
        timeout=timedelta(hours=1),
        retries=1,
        retry_delay=timedelta(minutes=1),
        max_active_tis_per_dagrun=10,
    ).expand(account_id=accounts())

    @task
    def count(params: dict) -> int:
        """Count the resources after the sync."""
        return CocHook().count_multicloud_resources(params["vendor"])

    sync_account >> count()
