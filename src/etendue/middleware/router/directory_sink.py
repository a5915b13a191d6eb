"""A folder of plain files as a sink: every dataset under a readable name, whole or not at all."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from lsst.resources import ResourcePath

from etendue.disk import sync
from etendue.faults import fault_point
from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Held, Outcome, PutEvent
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.rules import DirectorySpec, fill
from etendue.middleware.router.sink import SinkDownError, down_reason, one_line
from etendue.middleware.router.source import (
    Found,
    StoredFile,
    changed_since,
    expected_digest,
    look_up,
    missing,
    unreadable,
)
from etendue.middleware.upkeep.check import digest

_PLAIN = re.compile(r"[^A-Za-z0-9+=,@._-]")


class DirectorySink:
    """Copies the file of every dataset into a folder.

    Parameters
    ----------
    spec : DirectorySpec
        Which folder, and names in it.
    queue : Queue
        Knows what stands where.
    """

    batch = 64

    def __init__(self, spec: DirectorySpec, queue: Queue):
        self._spec, self._queue = spec, queue

    @cached_property
    def _part(self) -> Path:
        return self._spec.path / f".router-{self._queue.identity()}.part"

    def deliver(self, source: Repository, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Copy files; one that stands there with the right bytes is left alone."""
        self._require_folder()
        found, gone = look_up(source, deliveries)
        yield from gone
        written: dict[str, int] = {}
        for item in found:
            try:
                outcome = self._deliver(item, written)
            except _RefusedError as refusal:
                outcome = Outcome(item.number, "refused", str(refusal))
            except _DamagedError as damaged:
                outcome = Outcome(item.number, "failed", str(damaged))
            if outcome.state == "done":
                written[outcome.place] = item.delivery.event.revision
            yield outcome

    def _deliver(self, item: Found, written: dict[str, int]) -> Outcome:
        event, file = item.delivery.event, item.whole_file()
        if file is None:
            raise _RefusedError("it is not stored as a file of its own")
        place = self._place(event, file)
        if max(written.get(place, 0), self._queue.newest(place) or 0) > event.revision:
            return Outcome(item.number, "replaced", place=place)
        if why := missing([file]) or ("" if self._spec.uncompressed else changed_since(item)):
            raise _DamagedError(why)
        got, size = self._write(file, self._spec.path / place)
        return Outcome(item.number, "done", place=place, size=size, digest=got)

    def _place(self, event: PutEvent, file: StoredFile) -> str:
        ending = str(file.uri.getExtension()) or Path(file.uri.basename()).suffix  # raw frames have any name
        try:
            name = file_name(self._spec.layout, event)
        except KeyError as lacking:
            raise _RefusedError(f"the layout names {lacking.args[0]}, which its data ID lacks") from None
        return name + (ending.removesuffix(".fz") if self._spec.uncompressed else ending)

    def _write(self, file: StoredFile, path: Path) -> tuple[str, int]:
        """Put a file into its place, verified before it gets its name; return digest and size."""
        try:
            if self._spec.uncompressed:
                return self._write_uncompressed(file, path), path.stat().st_size
            expected = expected_digest(file)
            if not (path.is_file() and digest(ResourcePath(path)) == expected):
                with self._whole(path) as part, file.uri.as_local() as local:
                    shutil.copyfile(local.ospath, part)
                    if (got := digest(ResourcePath(part))) != expected:
                        raise _DamagedError(damage(file, got))
            return expected, path.stat().st_size
        except OSError as error:
            if why := unreadable(file) or ("" if down_reason(error) else one_line(error)):
                raise _DamagedError(why) from error
            raise SinkDownError(f"{self._spec.path}: {down_reason(error)}") from error

    def _write_uncompressed(self, file: StoredFile, path: Path) -> str:
        with self._whole(path) as part, file.uri.as_local() as local:
            if path.suffix in (".fits", ".fit", ".fts"):
                decompress(Path(local.ospath), part)
            else:
                shutil.copyfile(local.ospath, part)
            return digest(ResourcePath(part))

    @contextmanager
    def _whole(self, path: Path) -> Iterator[Path]:
        """Give a path to write to whose file takes its name when the body succeeds.

        It is always the same path, so that however many routers are killed one unfinished file remains at most, and
        only until the next delivery.
        """
        self._part.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield self._part
        fault_point("router.before-named")
        sync(self._part)
        self._part.replace(path)
        fault_point("router.after-named")

    def _require_folder(self) -> None:
        if not self._spec.path.is_dir():
            raise SinkDownError(f"{self._spec.path}: no such folder; make it, or mount its disk")

    def settle(self, source: Repository) -> None:
        """Delete what a killed router left; notice early that the folder is not there."""
        self._require_folder()
        self._part.unlink(missing_ok=True)

    def expire(self, source: Repository, overdue: Sequence[Held]) -> None:
        """Delete files, and folders that are empty then."""
        self._require_folder()
        for held in overdue:
            path = self._spec.path / held.place
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._spec.path or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def lacks(self, held: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        """Read every file and compare."""
        self._require_folder()
        for item in held:
            path = self._spec.path / item.place
            if not path.is_file():
                yield item, "missing"
            elif digest(ResourcePath(path)) != item.digest:
                yield item, "damaged: its checksum differs"


class _DamagedError(Exception):
    """A dataset cannot be copied now, or its copy differs from what it should be."""


class _RefusedError(Exception):
    """A dataset can never be copied."""


def damage(file: StoredFile, got: str) -> str:
    """Return which side of a copy is wrong, in one line.

    Parameters
    ----------
    file : StoredFile
        At the source.
    got : str
        Digest of the copy.
    """
    if file.checksum and digest(file.uri) == got:
        return f"the source's file is damaged: its checksum is not the recorded one: {file.uri}"
    return "it arrived damaged: the checksums differ"


def file_name(layout: str, event: PutEvent) -> str:
    """Return the path of an event's file inside a folder, without its ending.

    Parameters
    ----------
    layout : str
        With names in braces.
    event : PutEvent
        The event.

    Returns
    -------
    str
        Values are reduced to letters, digits and ``+=,@._-``, so none leads out of the folder.

    Raises
    ------
    KeyError
        The data ID lacks a name.
    """
    values = {name: _PLAIN.sub("_", value).lstrip(".") or "_" for name, value in event.values().items()}
    return fill(layout, values)


def decompress(path: Path, part: Path) -> None:
    """Copy a FITS file with plain images in place of tile-compressed ones.

    Parameters
    ----------
    path : Path
        The file.
    part : Path
        The new one.
    """
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        plain = [
            fits.ImageHDU(hdu.data, hdu.header, name=hdu.name) if isinstance(hdu, fits.CompImageHDU) else hdu
            for hdu in hdus
        ]
        fits.HDUList(plain).writeto(part, output_verify="silentfix+ignore")
