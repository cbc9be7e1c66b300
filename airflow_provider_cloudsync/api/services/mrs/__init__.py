"""MRS: IAM users and groups in a cluster."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.entry import ServiceEntry

ENTRY = ServiceEntry(
    package=__name__,
    probe="calls:PROBE",
    syncs={"mrs": "iam_sync:IAM_SYNC", "mrs-cancel": "iam_sync:IAM_CANCEL"},
    asset_paths={"mrs_iam_users": "mrs/{region}/clusters/{cluster_id}/iam-users"},
    asset_of=lambda target: "mrs_iam_users",
)
