"""What a wait writes into the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.api.model import Progress
from airflow_provider_cloudsync.exceptions import CloudSyncError

log = logging.getLogger(__name__)

_HEARTBEAT = 600.0


@dataclass(slots=True)
class Story:
    """A line when something changes, and one each ten minutes.

    A thousand waits may see one outage, so a fault is told once by its kind, since each has another request id; and
    apart from what the looks show that bring something, for it may come and go.
    """

    subject: str
    #: What was told last, and when.
    told: tuple[Any, float] = (None, 0.0)
    told_fault: tuple[Any, float] = (None, 0.0)
    warned: tuple[str, ...] = ()

    def tell(self, progress: Progress, now: float, fault: CloudSyncError | None = None) -> None:
        """Write what a look came to.

        :param fault: what the look ended with, if it brought nothing.
        """
        if progress.warning and progress.warning not in self.warned:
            self.warned += (progress.warning,)
            log.warning("%s: %s", self.subject, progress.warning)
        if self._is_news(progress, now, fault):
            log.info("%s: %s. %s", self.subject, progress.phase.value, progress.why)
        else:
            log.debug("%s: still %s.", self.subject, progress.phase.value)

    def _is_news(self, progress: Progress, now: float, fault: CloudSyncError | None) -> bool:
        if fault is None:
            slot, news = "told", (progress.phase, progress.why)
        else:
            slot, news = "told_fault", _kind(fault)
        before, at = getattr(self, slot)
        if news == before and now - at < _HEARTBEAT:
            return False
        setattr(self, slot, (news, now))
        return True


def _kind(fault: CloudSyncError) -> tuple[Any, ...]:
    return type(fault), getattr(fault, "status", None), getattr(fault, "code", None)
