"""Failure of a task: the reason in one log line, then an exception without a second traceback.

Airflow 3 cuts the text of an exception on its log page and puts its frames below it. Airflow 2 prints the text after
the frames. The log line comes before both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
)

log = logging.getLogger(__name__)

#: Exceptions whose text is the whole reason. All others are faults of this package or of Airflow, and keep their chain.
_EXPLAINED = (CloudSyncError, AirflowFailException, AirflowSensorTimeout)
#: Errors about what the task was given, before there is a subject.
_WITHOUT_SUBJECT = (InvalidParameter, InvalidEvent)


@contextmanager
def logged_failure() -> Iterator[None]:
    """Log the reason of a failure once, in one line at ERROR, and raise it without a chain."""
    try:
        yield
    except _EXPLAINED as error:
        log.error("%s", _one_line(error))
        raise error from None


@contextmanager
def located_errors(subject: Callable[[], str], conn_id: str) -> Iterator[None]:
    """Append the subject of the task to an error, and fail without retries if the key was rejected.

    Each retry with a rejected key is one more failure, and five of them lock the key for all users of it.

    :param subject: asked for after the parameters were checked.
    :param conn_id: ID of the Airflow connection.
    """
    try:
        yield
    except CloudSyncError as error:
        connection = "" if f'"{conn_id}"' in error.message else f'connection "{conn_id}"'
        if isinstance(error, InvalidConnection):
            error.add_subject(connection)
        elif isinstance(error, CredentialsRejected):
            error.add_subject(", ".join(filter(None, (subject(), connection))))
            raise AirflowFailException(error.message) from None
        elif not isinstance(error, _WITHOUT_SUBJECT):
            error.add_subject(subject())
        raise


@contextmanager
def skipped_if(soft_fail: bool, never_fail: bool) -> Iterator[None]:
    """Apply ``soft_fail`` and ``never_fail`` of a sensor, and log the reason of the skip.

    Airflow itself applies them to poked sensors only, and logs no reason.
    """
    try:
        yield
    except AirflowSkipException as skip:
        raise _skip(skip.__cause__ or skip) from None
    except (AirflowFailException, AirflowSensorTimeout, InvalidEvent) as error:
        if soft_fail or never_fail:
            raise _skip(error) from None
        raise
    except Exception as error:
        if never_fail:
            raise _skip(error) from None
        raise


def _skip(reason: BaseException) -> AirflowSkipException:
    log.warning("Skipped instead of failed (soft_fail or never_fail). %s", _one_line(reason))
    return AirflowSkipException(str(reason))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
