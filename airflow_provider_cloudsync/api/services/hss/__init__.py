"""HSS: protection events of container clusters."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.entry import ServiceEntry

ENTRY = ServiceEntry(
    package=__name__,
    probe="calls:PROBE",
    syncs={"hss": "event_sync:EVENT_SYNC"},
    asset_paths={
        "hss_cluster_events": "hss/{region}/clusters/{cluster_id}/events",
        "hss_events": "hss/{region}/events",
    },
    asset_of=lambda target: "hss_events" if target["cluster_id"] is None else "hss_cluster_events",
)
