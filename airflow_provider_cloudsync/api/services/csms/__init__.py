"""CSMS: event notifications."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.entry import ServiceEntry

ENTRY = ServiceEntry(
    package=__name__,
    probe="calls:PROBE",
    asset_paths={"csms_event": "csms/{region}/events/{name}"},
    asset_checks={"name": "calls:checked_name"},
    asset_of=lambda target: "csms_event",
)
