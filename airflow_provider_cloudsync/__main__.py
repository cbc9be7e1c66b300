"""``python -m airflow_provider_cloudsync check``."""

from __future__ import annotations

import sys

from airflow_provider_cloudsync.cli import main

if __name__ == "__main__":
    sys.exit(main())
