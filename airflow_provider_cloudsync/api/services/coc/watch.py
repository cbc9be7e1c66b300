"""COC: watch of vendor accounts for event triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_cloudsync.api.model import Target
from airflow_provider_cloudsync.api.services.coc.resource_sync import (
    RESOURCE_SYNC,
    Seen,
    resources_watch_target,
)
from airflow_provider_cloudsync.api.waiting.watching import TimedWatch, Watch


@dataclass(frozen=True, slots=True)
class AccountsWatch(TimedWatch):
    """The accounts of another cloud, each by itself."""

    def targets_in(self, seen: Seen) -> Mapping[str, Target]:
        if self.target["account_id"] is not None:
            return {self.target["account_id"]: self.target}
        return {account: {**self.target, "account_id": account} for account in seen.accounts}


def watch_accounts(vendor: str, account_id: str | None, *, catchup: bool) -> Watch:
    """Return a watch of the syncs of one account of another cloud, or of each account.

    :param catchup: report the last run, too, although it ended before the first poll.
    """
    target = resources_watch_target(vendor, account_id=account_id, synced_after=None)
    return AccountsWatch(RESOURCE_SYNC, target, "synced_after", catchup)
