"""The emulated services. To add one: a file here with a `Service`, and its class in `SERVICES`."""

from __future__ import annotations

from airflow_provider_cloudsync.emulator.service import Service
from airflow_provider_cloudsync.emulator.services.coc import Coc
from airflow_provider_cloudsync.emulator.services.csms import Csms
from airflow_provider_cloudsync.emulator.services.dataarts import DataArts
from airflow_provider_cloudsync.emulator.services.hss import Hss
from airflow_provider_cloudsync.emulator.services.iam import Iam
from airflow_provider_cloudsync.emulator.services.metadata import Metadata
from airflow_provider_cloudsync.emulator.services.mrs import Mrs
from airflow_provider_cloudsync.emulator.services.sts import Sts

SERVICES: tuple[type[Service], ...] = (Iam, Sts, Metadata, Mrs, DataArts, Hss, Coc, Csms)
