"""What a wait writes into the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.api.model import Phase, Progress, Service, Target
from airflow_provider_cloudsync.exceptions import CloudSyncError

log = logging.getLogger(__name__)

_HEARTBEAT = 600.0


@dataclass(slots=True)
class ProgressLog:
    """A line when something changes, and one each ten minutes.

    A thousand waits may see one outage, so a fault is told once by its kind, since each has another request id; and
    apart from what the looks show that bring something, for it may come and go.
    """

    service: Service[Any]
    target: Target
    #: What was told last, and when.
    logged: tuple[Phase, str] | None = None
    logged_at: float = 0.0
    logged_fault: tuple[Any, ...] | None = None
    logged_fault_at: float = 0.0
    warned: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Named anew for each line, since there are few."""
        return self.service.describe(self.target)

    def record(self, progress: Progress, now: float, fault: CloudSyncError | None = None) -> None:
        """Write what a look came to.

        :param fault: what the look ended with, if it brought nothing.
        """
        if progress.warning and progress.warning not in self.warned:
            self.warned += (progress.warning,)
            log.warning("%s: %s", self.subject, progress.warning)
        if self._is_news(progress, now, fault):
            log.info("%s: %s. %s", self.subject, progress.phase.value, progress.why)
        elif log.isEnabledFor(logging.DEBUG):
            log.debug("%s: still %s.", self.subject, progress.phase.value)

    def _is_news(self, progress: Progress, now: float, fault: CloudSyncError | None) -> bool:
        if fault is not None:
            kind = type(fault), getattr(fault, "status", None), getattr(fault, "code", None)
            if kind == self.logged_fault and now - self.logged_fault_at < _HEARTBEAT:
                return False
            self.logged_fault, self.logged_fault_at = kind, now
            return True
        what = progress.phase, progress.why
        if what == self.logged and now - self.logged_at < _HEARTBEAT:
            return False
        self.logged, self.logged_at = what, now
        return True
