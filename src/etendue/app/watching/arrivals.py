"""Which files of a growing folder are complete."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from etendue.app.frame_finder import fits_files
from etendue.camera.fits_extent import missing_bytes
from etendue.errors import InputError
from etendue.middleware.ingest.stamp import Stamp


class SettledFiles(Protocol):
    """Knows which files need no more attention."""

    def is_settled(self, path: Path, stamp: Stamp) -> bool:
        """Return whether a file, as it is now, needs nothing more."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is complete, or never will be.

    Parameters
    ----------
    path : Path
        The file.
    stamp : Stamp
        As it is.
    arrived : float
        When its last byte came, or when it was first seen if that was later [s, wall clock].
    refusal : str
        Why it cannot be used, in one line; empty for a complete file.
    """

    path: Path
    stamp: Stamp
    arrived: float
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Poll:
    """What one look at the folder gave.

    Parameters
    ----------
    ready : tuple of Arrival
        Complete files, in the order in which they came.
    broken : tuple of Arrival
        Files with a reason.
    waiting : tuple of Path
        Files that are still growing or not whole yet.
    """

    ready: tuple[Arrival, ...] = ()
    broken: tuple[Arrival, ...] = ()
    waiting: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Seen:
    stamp: Stamp
    first: float
    since: float = field(default=0.0)


class Arrivals:
    """Looks at a folder again and again; no notification of the operating system is needed.

    A file is complete when its size and time have not changed for a while and its FITS structure is whole. A file that
    was renamed into place is older than that, so it is taken at once. A file that is not whole is waited for, up to a
    limit after which it counts as truncated; it is looked at again as soon as it changes.

    Parameters
    ----------
    folder : Path
        Searched to any depth.
    ledger : SettledFiles
        Knows what needs no more attention.
    rest_s : float
        How long a file must not change [s].
    patience_s : float
        How long a file that is not whole is waited for after its last change [s].
    """

    def __init__(self, folder: Path, ledger: SettledFiles, *, rest_s: float, patience_s: float):
        self._folder, self._ledger = folder, ledger
        self._rest_s, self._patience_s = rest_s, patience_s
        self._seen: dict[Path, _Seen] = {}

    def poll(self, *, last: bool = False) -> Poll:
        """Look at the folder.

        Parameters
        ----------
        last : bool
            Nothing more is waited for: files that are not whole are refused now.

        Returns
        -------
        Poll

        Raises
        ------
        InputError
            If there is no such folder.
        """
        ready: list[Arrival] = []
        broken: list[Arrival] = []
        waiting: list[Path] = []
        for path in fits_files(self._folder):
            if path.name.startswith("."):
                continue  # hidden: half of a copy by rsync and others
            try:
                stamp = Stamp.of(path)
                if self._ledger.is_settled(path, stamp):
                    continue
                arrival = self._look(path, stamp, last)
            except FileNotFoundError:  # renamed away between two looks
                continue
            if arrival is None:
                waiting.append(path)
            else:
                self._seen.pop(path, None)
                (broken if arrival.refusal else ready).append(arrival)
        ready.sort(key=lambda arrival: (arrival.stamp.mtime_ns, arrival.path))
        return Poll(tuple(ready), tuple(broken), tuple(waiting))

    def _look(self, path: Path, stamp: Stamp, last: bool) -> Arrival | None:
        """Return the verdict; None where it is too early."""
        wall, now = time.time(), time.monotonic()
        age = max(wall - stamp.mtime_ns * 1e-9, 0.0)
        seen = self._seen.get(path)
        if seen is None:
            seen = self._seen[path] = _Seen(stamp, wall, now - age)
        elif seen.stamp != stamp:
            seen.stamp, seen.since = stamp, now
        rested = now - seen.since
        if rested < self._rest_s and not (last and seen.since < now - age + 1e-3):
            return None
        arrived = max(seen.first, stamp.mtime_ns * 1e-9)
        try:
            missing = missing_bytes(path)
        except InputError as error:
            return Arrival(path, stamp, arrived, str(error))
        if not missing:
            return Arrival(path, stamp, arrived)
        if rested < self._patience_s and not last:
            return None
        reason = f"{path}: is truncated: at least {missing} bytes are missing; copy it again"
        return Arrival(path, stamp, arrived, reason)
