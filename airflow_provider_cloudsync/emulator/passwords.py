"""The password of the account's user, and the lock that guessing it leads to."""

from __future__ import annotations

import hmac

from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.reading import Reader


class Passwords:
    """Compares passwords.

    Unconfirmed: whether the lock of the console counts token calls at all; so there is none by default.

    :param known: the names of user and account, and the password.
    """

    def __init__(self, section: Reader, known: tuple[str, str, str], clock: Clock) -> None:
        self._known = known
        self._clock = clock
        self._most = section.whole("password_failures", 0)
        self._seconds = section.number("password_lock_seconds", 15 * 60)
        self._failures = 0
        self._locked_until = 0.0

    def fault(self, user: str, domain: str, password: str) -> str | None:
        """What is wrong with these, if anything; wrong ones in a row lock the user, and then right ones are refused."""
        now = self._clock.gateway_now()
        if now < self._locked_until and (user, domain) == self._known[:2]:
            return "The user is locked after too many wrong passwords."
        sent = (user, domain, password)
        if all(
            hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))
            for ours, theirs in zip(self._known, sent, strict=True)
        ):
            self._failures = 0
            return None
        if self._most and (user, domain) == self._known[:2]:
            self._failures += 1
            if self._failures >= self._most:
                self._failures, self._locked_until = 0, instant(now + self._seconds)
        return "The username or password is wrong."
