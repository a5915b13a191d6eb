"""The local alert stream: append-only segments that survive crashes and keep every version of a batch."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from etendue.alerts.batch import AlertBatch
from etendue.alerts.decode import decode_alert, dia_source_table
from etendue.alerts.log_frame import Frame, encode_frame, read_frame
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.log import get_logger
from etendue.table.sql import LockedDuckDB
from etendue.table.table import Table

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PublishedBatch:
    """A batch as it stands in the log.

    Parameters
    ----------
    key : str
        Name of the batch, ``visit/detector`` unless its publisher chose another.
    version : int
        1 for the first batch of the key, one more for each that replaced the one before.
    alerts : int
        Number of alerts.
    digest : str
        Content hash, 64 hexadecimal digits.
    superseded : bool
        Whether a later version took its place.
    """

    key: str
    version: int
    alerts: int
    digest: str
    superseded: bool


@dataclass(frozen=True, slots=True)
class _Place:
    segment: Path
    frame: Frame


class AlertLog:
    """A directory of segment files; one frame holds one batch, appended in one write and synced.

    Publishing is atomic (a frame counts when its checksum does) and idempotent (the same batch again adds nothing).
    What was sent stays sent: other alerts under a key become its next version, and the log keeps the one before.
    Readers get the latest version of each key unless they ask for `history`. Many processes may publish and read at
    once. A tail that a killed writer left is ignored by readers and cut off by the next writer.

    Parameters
    ----------
    path : str or path
        The directory; it is made when first written.
    segment_bytes : int
        A new segment begins when the last one is larger [bytes].
    """

    def __init__(self, path: str | PathLike[str], *, segment_bytes: int = 256 * 2**20) -> None:
        self._path = Path(path)
        self._segment_bytes = segment_bytes
        self._places: dict[str, list[_Place]] = {}  # all versions of each key, the latest last
        self._ends: dict[Path, int] = {}

    def publish(self, batch: AlertBatch, *, key: str | None = None) -> bool:
        """Append a batch unless it is the latest of its key already.

        Parameters
        ----------
        batch : AlertBatch
            Alerts; if others were published under the key, they are superseded and stay in the log.
        key : str, optional
            Name of the batch, by default ``visit/detector``.

        Returns
        -------
        bool
            Whether it was appended.

        Raises
        ------
        InputError
            If the log cannot be written.
        """
        name, digest = key or batch.key, batch.content_hash()
        with self._lock():
            self._refresh()
            versions = self._places.get(name, [])
            if versions and versions[-1].frame.digest == digest:
                return False
            version = versions[-1].frame.version + 1 if versions else 1
            self._append(encode_frame(name, version, digest, len(batch), batch.to_bytes()))
            self._refresh()
        return True

    def __contains__(self, key: object) -> bool:
        self._refresh()
        return key in self._places

    def __len__(self) -> int:
        """Return the number of alerts, superseded ones left out."""
        self._refresh()
        return sum(versions[-1].frame.count for versions in self._places.values())

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the batches, in the order of their first publication."""
        self._refresh()
        return tuple(self._places)

    def history(self) -> tuple[PublishedBatch, ...]:
        """Return every batch that was ever published, key by key, the latest version of each last.

        Returns
        -------
        tuple of PublishedBatch
        """
        self._refresh()
        return tuple(
            PublishedBatch(key, place.frame.version, place.frame.count, place.frame.digest, place is not versions[-1])
            for key, versions in self._places.items()
            for place in versions
        )

    def batches(self) -> Iterator[AlertBatch]:
        """Iterate over the latest batch of each key, in the order of first publication.

        Yields
        ------
        AlertBatch
        """
        self._refresh()
        for versions in list(self._places.values()):
            yield self._read(versions[-1])

    def batch(self, key: str, *, version: int | None = None) -> AlertBatch:
        """Return the batch of a key.

        Parameters
        ----------
        key : str
            Name of the batch.
        version : int, optional
            Which one, from 1; the latest by default.

        Returns
        -------
        AlertBatch

        Raises
        ------
        InputError
            If it was not published.
        """
        if key not in self:
            raise InputError("no such batch in the alert log", source=self._path, value=key)
        versions = self._places[key]
        wanted = versions[-1].frame.version if version is None else version
        found = next((place for place in versions if place.frame.version == wanted), None)
        if found is None:
            last = versions[-1].frame.version
            raise InputError(f"no such version of batch {key}", source=self._path, value=wanted,
                             remedy=f"use 1 to {last}")  # fmt: skip
        return self._read(found)

    def messages(self) -> Iterator[bytes]:
        """Iterate over the alerts of the latest batches in the wire format.

        Yields
        ------
        bytes
        """
        for batch in self.batches():
            yield from batch

    def alerts(self, fields: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over the decoded alerts.

        Parameters
        ----------
        fields : sequence of str, optional
            Top-level fields to decode, such as ``("diaSource", "diaObject")``; by default all.

        Yields
        ------
        dict
        """
        for message in self.messages():
            yield decode_alert(message, fields)

    def dia_sources(self) -> Table:
        """Return the triggering detections of the latest batches.

        Returns
        -------
        Table
            Of schema ``dia_source``.
        """
        return dia_source_table(self.messages())

    def select(self, condition: str) -> Table:
        """Return the detections that meet an SQL condition.

        Parameters
        ----------
        condition : str
            What stands after WHERE, on the columns of ``dia_source``: ``snr > 10 AND NOT isDipole``.

        Returns
        -------
        Table
            Of schema ``dia_source``.

        Raises
        ------
        InputError
            If the condition is not valid SQL.
        """
        database = LockedDuckDB({"dia_source": self.dia_sources().to_arrow()})
        try:
            return Table.from_arrow(database.query(f"SELECT * FROM dia_source WHERE ({condition}\n)"), "dia_source")
        finally:
            database.close()

    def _segments(self) -> list[Path]:
        return sorted(self._path.glob("*.segment"))

    def _refresh(self) -> None:
        """Index the frames that were appended since the last look."""
        for segment in self._segments():
            start, size = self._ends.get(segment, 0), segment.stat().st_size
            if start < size:
                self._ends[segment] = self._index(segment, start, size)

    def _index(self, segment: Path, start: int, size: int) -> int:
        with segment.open("rb") as file:
            while (frame := read_frame(file, start, size, source=segment)) is not None:
                self._places.setdefault(frame.key, []).append(_Place(segment, frame))
                start = frame.end
        return start

    def _append(self, content: bytes) -> None:
        segment = self._last_segment()
        whole = self._ends.get(segment, 0)
        with segment.open("ab", buffering=0) as file:
            if file.tell() > whole:
                _log.warning("%s: cut off %d bytes that a killed writer left", segment, file.tell() - whole)
                file.truncate(whole)
            try:
                fault_point("alert-log.before-write")
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
                fault_point("alert-log.before-sync")
                os.fsync(file.fileno())
                fault_point("alert-log.after-sync")
            except OSError as error:
                file.truncate(whole)
                raise InputError(f"cannot append: {error.strerror}", source=segment, remedy="free space") from error

    def _last_segment(self) -> Path:
        segments = self._segments()
        if segments and self._ends.get(segments[-1], 0) < self._segment_bytes:
            return segments[-1]
        return self._path / f"{len(segments):08d}.segment"

    def _read(self, place: _Place) -> AlertBatch:
        with place.segment.open("rb") as file:
            file.seek(place.frame.payload_start)
            return AlertBatch.from_bytes(file.read(place.frame.end - place.frame.payload_start), source=place.segment)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one writer in at a time; the lock goes with the process that holds it."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            file = (self._path / "lock").open("w")
        except OSError as error:
            raise InputError("the alert log cannot be written", source=self._path, value=error.strerror) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
