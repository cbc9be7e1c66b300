"""What stands for a `with` block: in a folder of its own, and gone without a trace afterwards, whatever ends it."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from tests.e2e.processes import Unkillable


class OwnPlace(ABC):
    """Opens in its folder, `home`; a failure on the way closes what is open."""

    #: The folder's name begins with "cloudsync-" and this.
    kind: ClassVar[str]
    home: Path

    def __enter__(self) -> Self:
        self._signals = Unkillable()
        self._signals.__enter__()
        try:
            self.home = Path(tempfile.mkdtemp(prefix=f"cloudsync-{self.kind}-"))
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End all that was started, and remove all files."""
        self._signals.closing()
        try:
            self._end()
        finally:
            if hasattr(self, "home"):
                shutil.rmtree(self.home, ignore_errors=True)
            self._signals.__exit__()

    @abstractmethod
    def _open(self) -> None:
        """Start everything. What fails is raised."""

    @abstractmethod
    def _end(self) -> None:
        """End whatever of it is there, perhaps nothing."""
