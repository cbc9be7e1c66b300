"""File with an OpenID Connect ID token, such as Kubernetes mounts into each pod."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from airflow_provider_cloudsync.exceptions import InvalidConnection

#: Longest token in bytes. Tokens of Kubernetes have about 1 KiB; IAM's gateway accepts no longer header.
_LONGEST_TOKEN = 16 * 1024


def _open_without_blocking(path: str, flags: int) -> int:
    """Open a file without blocking. A named pipe without a writer would block the whole triggerer."""
    opened = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISFIFO(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError("named pipe")
    return opened


@dataclass(frozen=True, slots=True)
class TokenFile:
    """File with a token that another process replaces from time to time."""

    path: str

    def __call__(self) -> str:
        """Return the token that the file holds now.

        :raises InvalidConnection: if the file cannot be read or holds no token.
        """
        try:
            with open(self.path, encoding="ascii", opener=_open_without_blocking) as file:
                token = file.read(_LONGEST_TOKEN + 1).strip()
        except (OSError, UnicodeError) as error:
            reason = type(error).__name__
        else:
            if token and token.isprintable() and " " not in token and len(token) <= _LONGEST_TOKEN:
                return token
            reason = "not a token" if token else "empty file"
        raise InvalidConnection(
            f'The ID token cannot be read ({reason}): {self.path}. Check "id_token_file" on each machine with tasks or '
            "a triggerer."
        )
