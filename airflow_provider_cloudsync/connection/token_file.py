"""A file with a token of an OpenID Connect provider, such as Kubernetes keeps in each pod."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from airflow_provider_cloudsync.exceptions import InvalidConnection

#: Those of Kubernetes have about 1 KiB; a header of IAM's gateway takes no more.
_LONGEST_TOKEN = 16 * 1024


def _at_once(path: str, flags: int) -> int:
    """Open it without waiting for anybody: a pipe would stop the whole triggerer."""
    opened = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISFIFO(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError("a pipe")
    return opened


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file with a token, which somebody else replaces now and then."""

    path: str

    def __call__(self) -> str:
        """What is in it now.

        :raises InvalidConnection: if it can't be read, or holds something else.
        """
        try:
            with open(self.path, encoding="ascii", opener=_at_once) as file:
                token = file.read(_LONGEST_TOKEN + 1).strip()
        except (OSError, UnicodeError) as error:
            reason = type(error).__name__
        else:
            if token and token.isprintable() and " " not in token and len(token) <= _LONGEST_TOKEN:
                return token
            reason = "it holds no token" if token else "it is empty"
        raise InvalidConnection(
            f'The id token can\'t be read from the file {self.path} ("id_token_file"): {reason}.'
        )
