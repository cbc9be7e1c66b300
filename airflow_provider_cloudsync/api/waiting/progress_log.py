"""Progress log of a wait."""

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
    """Log a line when the progress changes, and one every ten minutes.

    Faults are compared by kind, because each has another request ID, and separately from successful polls, because
    a fault may alternate with them.
    """

    service: Service[Any]
    target: Target
    #: Last logged progress, and its time.
    logged: tuple[Phase, str] | None = None
    logged_at: float = 0.0
    logged_fault: tuple[Any, ...] | None = None
    logged_fault_at: float = 0.0
    warned: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Return the subject of a line. Not cached, because lines are rare."""
        return self.service.describe(self.target)

    def record(self, progress: Progress, now: float, fault: CloudSyncError | None = None) -> None:
        """Log the result of a poll.

        :param fault: the error of a failed poll.
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
