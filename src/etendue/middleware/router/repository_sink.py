"""Another repository as a sink: replicas under the same IDs, verified by checksum."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from lsst.daf.butler import Config, DatasetRef

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.content_hash import content_hash
from etendue.middleware.datastores import mirror
from etendue.middleware.repository import Repository
from etendue.middleware.router.collections_alike import make_collections_alike
from etendue.middleware.router.directory_sink import damage
from etendue.middleware.router.event import Delivery, Held, Outcome
from etendue.middleware.router.rules import RepositorySpec
from etendue.middleware.router.sink import SinkDownError, down_reason, one_line
from etendue.middleware.router.source import (
    Found,
    StoredFile,
    changed_since,
    expected_digest,
    find,
    joined,
    look_up,
    missing,
    stored_files,
    unreadable,
)
from etendue.middleware.upkeep.check import digest
from etendue.middleware.upkeep.copying import cameras_of, copy_cameras

_MOST_BYTES = 256 * 2**20  # of one transaction: it keeps other writers of the sink waiting


class RepositorySink:
    """Transfers datasets with Rubin's `Butler.transfer_from` and reads back what arrived.

    Parameters
    ----------
    spec : RepositorySpec
        Which repository.
    """

    batch = 100

    def __init__(self, spec: RepositorySpec):
        self._spec = spec
        self._opened: Repository | None = None

    def deliver(self, source: Repository, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Transfer what is not there yet, verify, replace what is damaged."""
        try:
            sink = self._sink(source)
            found, gone = look_up(source, deliveries)
            yield from gone
            ready = []
            for item in found:
                if why := missing(item.files) or changed_since(item):
                    yield Outcome(item.number, "failed", why)
                else:
                    ready.append(item)
            for part in _parts(ready):
                yield from self._transfer(source, sink, part)
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Exception:
        """Return the error to raise instead; a sink that is down is opened anew at the next attempt."""
        if not (reason := down_reason(error)):
            return error
        self._opened = None
        return SinkDownError(reason if str(self._spec.path) in reason else f"{self._spec.path}: {reason}")

    def _sink(self, source: Repository) -> Repository:
        if not (self._spec.path / "butler.yaml").is_file():
            raise SinkDownError(
                f"{self._spec.path}: no repository is there; make it with 'etendue init', or mount its disk"
            )
        if self._opened is None:
            require_another(source.path, self._spec.path)
            try:
                self._opened = Repository.open(self._spec.path)
            except InputError as error:
                raise SinkDownError(str(error)) from error
        return self._opened

    def _transfer(self, source: Repository, sink: Repository, part: list[Found]) -> Iterator[Outcome]:
        """Transfer some datasets in one transaction; where that fails, half of them and the other half."""
        if not part:
            return
        refs = {item.ref.id: _named(source, item) for item in part}
        try:
            before = stored_files(sink, refs)
            stale = [item.ref for item in part if _is_stale(item, before.get(item.ref.id, []))]
            copy_cameras(source.cameras_folder, sink, cameras_of(refs.values()))
            with sink.writing() as writer:
                if stale:
                    writer.pruneDatasets(stale, disassociate=False, unstore=True)
                writer.transfer_from(
                    source.butler, list(refs.values()), transfer="copy", register_dataset_types=True,
                    transfer_dimensions=True,
                )  # fmt: skip
                mirror(writer, source.butler, list(refs.values()), transfer="copy")
        except Exception as error:
            yield from self._after_failure(error, source, sink, part)
            return
        fault_point("router.after-transfer")
        os.sync()  # a power cut must not take what is about to be marked as delivered
        there = stored_files(sink, refs)
        for item in part:
            yield self._verified(source, sink, item, there.get(item.ref.id, []))

    def _after_failure(
        self, error: Exception, source: Repository, sink: Repository, part: list[Found]
    ) -> Iterator[Outcome]:
        """Find out whether the source, the sink or one of the datasets is to blame."""
        bad = {item.number: why for item in part if (why := _unreadable(item.files))}
        if bad:
            yield from (Outcome(number, "failed", why) for number, why in bad.items())
            yield from self._transfer(source, sink, [item for item in part if item.number not in bad])
        elif down_reason(error):
            raise error
        elif len(part) > 1:
            middle = len(part) // 2
            yield from self._transfer(source, sink, part[:middle])
            yield from self._transfer(source, sink, part[middle:])
        else:
            yield Outcome(part[0].number, "failed", one_line(error))

    def _verified(self, source: Repository, sink: Repository, item: Found, there: list[StoredFile]) -> Outcome:
        number, digests, size = item.number, list[str](), 0
        if len(there) != len(item.files):
            return Outcome(number, "failed", "the sink's datastore did not take it")
        for here, copy in zip(item.files, there, strict=True):
            if here.uri == copy.uri:
                raise SinkDownError(f"{copy.uri}: source and sink share this file")
            got = digest(copy.uri)
            if got != expected_digest(here):
                return Outcome(number, "failed", damage(here, got))
            digests.append(got)
            size += copy.uri.size()
        if self._spec.verify == "content" and content_hash(source, item.ref) != content_hash(sink, item.ref):
            return Outcome(number, "failed", "it arrived with another content hash")
        return Outcome(number, "done", place=str(item.ref.id), size=size, digest=joined(digests))

    def settle(self, source: Repository) -> None:
        """Make collections there as they are here."""
        try:
            sink = self._sink(source)
            if self._spec.collections:
                make_collections_alike(source, sink)
        except Exception as error:
            raise self._failure(error) from error

    def expire(self, source: Repository, overdue: Sequence[Held]) -> None:
        """Delete replicas."""
        try:
            sink = self._sink(source)
            refs = list(find(sink, [held.event.dataset_id for held in overdue]).values())
            with sink.writing() as writer:
                writer.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        except Exception as error:
            raise self._failure(error) from error

    def lacks(self, held: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        """Read every replica and compare."""
        try:
            sink = Repository.open(self._spec.path, writeable=False)
        except InputError as error:
            raise SinkDownError(str(error)) from error
        ids = {item.event.dataset_id for item in held}
        files, known = stored_files(sink, ids), find(sink, ids)
        for item in held:
            there = files.get(item.event.dataset_id, [])
            if not there or item.event.dataset_id not in known:
                yield item, "missing"
            elif why := missing(there):
                yield item, why
            elif joined(digest(file.uri) for file in there) != item.digest:
                yield item, "damaged: its checksum differs"


def require_another(source: Path, sink: Path) -> None:
    """Refuse to replicate a repository into itself, where retention would delete the originals.

    Parameters
    ----------
    source, sink : Path
        Their folders.

    Raises
    ------
    SinkDownError
        They are one folder, or share their tables.
    """
    if source.resolve() == sink.resolve() or _tables(source) == _tables(sink):
        raise SinkDownError(f"{sink}: is the source itself; name another repository")


def _tables(folder: Path) -> tuple[str, str]:
    """Return the database and the schema in it that a repository uses."""
    config = Config(str(folder / "butler.yaml"))
    database = str(config.get(("registry", "db"), "")).replace("<butlerRoot>", str(folder.resolve()))
    return database or str(folder.resolve()), str(config.get(("registry", "namespace"), ""))


def _is_stale(item: Found, there: list[StoredFile]) -> bool:
    """Whether the sink has a dataset with other bytes: an earlier revision, or damage."""
    try:
        return bool(there) and [digest(file.uri) for file in there] != [expected_digest(file) for file in item.files]
    except FileNotFoundError:
        return True


def _named(source: Repository, item: Found) -> DatasetRef:
    """Return a dataset with all that the name of a new file may hold, which a file from outside needs."""
    if not any(file.outside for file in item.files):
        return item.ref
    return item.ref.expanded(source.butler.registry.expandDataId(item.ref.dataId))


def _unreadable(files: list[StoredFile]) -> str:
    return next(filter(None, map(unreadable, files)), "")


def _parts(ready: list[Found]) -> Iterator[list[Found]]:
    """Divide deliveries so that each part has few bytes, and each dataset once."""
    part: list[Found] = []
    total, seen = 0, set[UUID]()
    for item in ready:
        size = sum(max(file.size, 0) for file in item.files)
        if part and (total + size > _MOST_BYTES or item.ref.id in seen):
            yield part
            part, total, seen = [], 0, set()
        part.append(item)
        seen.add(item.ref.id)
        total += size
    if part:
        yield part
