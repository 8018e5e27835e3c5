"""Which writers are alive: each holds a lock on a file of its own as long as its process lives."""

import fcntl
from collections.abc import Collection
from pathlib import Path
from typing import IO

from remit.model.errors import store_failed


class Writers:
    """The locks of one store, in a folder beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, IO[str]] = {}

    def hold(self, writer: str) -> None:
        """Say that this process writes as `writer`. Raises `RemitError` (unavailable)."""
        try:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            draft = self._file(writer).with_suffix(".new")
            file = self._held[writer] = open(draft, "w")  # noqa: SIM115 - held as long as the process writes
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.replace(
                self._file(writer)
            )  # locked before it is seen: a process that looks now takes it for nobody's otherwise
        except OSError as error:
            raise store_failed(f"`{self._folder}` cannot be written ({error.strerror}): check its permissions") from None

    def gone(self, writers: Collection[str]) -> list[str]:
        """Those of these whose process is gone. The locks that nobody needs any more are removed."""
        gone = [writer for writer in writers if writer not in self._held and self._is_free(self._file(writer))]
        for lock in self._folder.glob("*.lock"):
            if lock.stem not in self._held and lock.stem not in writers and self._is_free(lock):
                lock.unlink(missing_ok=True)
        return gone

    def _file(self, writer: str) -> Path:
        return self._folder / f"{writer}.lock"

    @staticmethod
    def _is_free(lock: Path) -> bool:
        try:
            with open(lock, "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Let go of every lock."""
        for file in self._held.values():
            file.close()
        self._held.clear()
