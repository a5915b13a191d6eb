"""Back up a whole repository to one file, and restore it."""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from lsst.daf.butler import DatasetRef, FileDataset
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

from etendue import __version__
from etendue.disk import is_part, whole_folder
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.configuration import Places
from etendue.middleware.datastores import SIDE_FOLDER, file_datastores
from etendue.middleware.object_store import ETAG
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.backup_file import BackupWriter, Member, new_backup, read_backup
from etendue.middleware.upkeep.copying import transfer
from etendue.middleware.upkeep.holdings import Holdings, StoredCopy
from etendue.middleware.upkeep.snapshot import Snapshot, snapshot

_OUTSIDE = "outside"  # folder of files that were referred to where they were
_NOT_OURS = ("butler.yaml", "gen3.sqlite3")


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds.

    Parameters
    ----------
    datasets, files, bytes : int
        Datasets, their files, and the size of these [bytes].
    damaged : tuple of str
        Files that are missing, or that are not what was written.
    wall_s : float
        Time that it took [s].
    """

    datasets: int
    files: int
    bytes: int
    damaged: tuple[str, ...] = field(default=())
    wall_s: float = 0.0


def backup(repository: Repository, path: str | Path, *, outside: bool = True, damaged: bool = False) -> BackupReport:
    """Write everything that a repository knows and holds to one file, while it may be written to.

    The file is a tar of a repository with SQLite and local files, whatever the repository itself uses: unpacked by any
    tar, it is one, except for frames that were ingested where they were.

    Parameters
    ----------
    repository : Repository
        The repository; it is only read.
    path : str or Path
        ``NAME.tar``, ``.tar.gz``...; it appears when it is whole.
    outside : bool
        Whether files are put in that were ingested where they were (``--transfer direct``).
    damaged : bool
        Go on although files are missing or damaged.

    Returns
    -------
    BackupReport

    Raises
    ------
    InputError
        A file is missing or damaged.
    """
    begin, target = time.perf_counter(), Path(path)
    if not target.resolve().parent.is_dir():
        raise InputError("its folder does not exist", source=path, remedy="make it first")
    if target.resolve().is_relative_to(repository.path):
        raise InputError("lies inside the repository", source=path, remedy="write it somewhere else")
    with snapshot(repository, target.resolve().parent) as taken:
        foreign = _foreign(taken.held) if outside else {}
        manifest = _manifest(repository, taken, foreign)
        with new_backup(target, manifest) as writer:
            for name in _NOT_OURS:
                writer.add_file(name, taken.folder / name)
            for name, place in _side_files(repository, taken.held):
                writer.add_file(name, place)
            files, size, lost = _add_datasets(writer, taken.held, foreign, damaged=damaged)
    return BackupReport(len(taken.held.refs), files, size, tuple(lost), time.perf_counter() - begin)


def restore(path: str | Path, folder: str | Path, places: Places | None = None) -> Repository:
    """Make a repository of a backup; it appears when it is whole.

    Parameters
    ----------
    path : str or Path
        From `backup`.
    folder : str or Path
        Folder of the repository, missing or empty.
    places : Places, optional
        Another database and other places of files than the folder itself.

    Returns
    -------
    Repository

    Raises
    ------
    InputError
        The backup is not whole, or the folder is in use.
    """
    home = Path(folder).resolve()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError("exists and is not an empty folder", source=folder, remedy="choose another folder")
    if places is None or places == Places():
        with whole_folder(home, "restore") as part:
            _unpack(Path(path), part)
        return Repository.open(home)
    unpacked = home.with_name(f".{home.name}.unpacked.part")
    shutil.rmtree(unpacked, ignore_errors=True)  # of a restore that was killed
    try:
        with whole_folder(unpacked, "restore") as part:
            _unpack(Path(path), part)
        source, made = Repository.open(unpacked), Repository.create(home, places)
        transfer(source, made)
        for name, place in _side_files(source, Holdings((), (), ()), runs=source.butler.collections.query("*")):
            (made.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(place, made.path / name)
        source.butler.close()
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return made


def verify(path: str | Path) -> BackupReport:
    """Read a whole backup and compare every file in it with what was written.

    Parameters
    ----------
    path : str or Path
        From `backup`.

    Raises
    ------
    InputError
        It is not whole.
    """
    begin, entries = time.perf_counter(), read_backup(Path(path))
    manifest = _first(entries)
    size = 0
    for entry in entries:
        assert isinstance(entry, Member)
        entry.save(None)
        size += entry.size
    return BackupReport(int(manifest["datasets"]), int(manifest["files"]), size, (), time.perf_counter() - begin)


def _manifest(repository: Repository, taken: Snapshot, foreign: dict[str, str]) -> dict[str, Any]:
    held = taken.held
    ids: dict[str, list[str]] = {}
    for copy in held.copies:
        if copy.path in foreign:
            ids.setdefault(foreign[copy.path], []).append(str(copy.ref.id))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "etendue": __version__, "repository": repository.root, "written": now,
        "datasets": len(held.refs), "files": len({copy.path for copy in held.copies}), "outside": ids,
    }  # fmt: skip


def _foreign(held: Holdings) -> dict[str, str]:
    """Return where files that lie outside the repository go in the backup, by their path."""
    paths = dict.fromkeys(copy.path for copy in held.copies if copy.outside)
    return {path: f"{_OUTSIDE}/{number}/{PurePosixPath(path).name}" for number, path in enumerate(paths)}


def _side_files(
    repository: Repository, held: Holdings, runs: Iterable[str] | None = None
) -> Iterator[tuple[str, Path]]:
    """Give what lies in the folder of a repository without being a dataset: journals, cameras, overrides, archive."""
    names = {str(ref.run) for ref in held.refs} if runs is None else set(runs)
    tops = {name.partition("/")[0] for name in names} - {SIDE_FOLDER}
    for entry in sorted(repository.path.iterdir()):
        if entry.name in tops or entry.name.startswith(_NOT_OURS) or is_part(entry.name):
            continue
        for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if path.is_file() and not is_part(path.name) and path.name != "lock":
                yield path.relative_to(repository.path).as_posix(), path


def _add_datasets(
    writer: BackupWriter, held: Holdings, foreign: dict[str, str], *, damaged: bool
) -> tuple[int, int, list[str]]:
    """Add the files of datasets, each from the first store that has it whole."""
    choices: dict[str, list[StoredCopy]] = {}
    for copy in held.copies:
        if not copy.outside or copy.path in foreign:
            choices.setdefault(copy.path, []).append(copy)
    size, lost = 0, []
    for path, copies in choices.items():
        try:
            size += _add_dataset(writer, held, foreign.get(path, path), copies)
        except (OSError, InputError) as error:
            if not damaged or not isinstance(error, InputError | FileNotFoundError):
                raise _refusal(path, error) from error
            lost.append(path)
    return len(choices), size, lost


def _refusal(path: str, error: Exception) -> InputError:
    reason = str(error) if isinstance(error, InputError) else f"it cannot be read, {error}"
    return InputError(f"is not what was written: {reason}", source=path,
                      remedy="repair it ('etendue repo check --repair'), or go on with --damaged")  # fmt: skip


def _add_dataset(writer: BackupWriter, held: Holdings, name: str, copies: list[StoredCopy]) -> int:
    whole = [copy for copy in copies if _right_size(copy, held)]
    if not whole:
        raise InputError("it is missing, or has another size")
    chosen = whole[0]
    with chosen.uri(held.roots[chosen.store]).as_local() as local:
        place = Path(local.ospath)
        digest = writer.add_file(name, place)
        if chosen.checksum is not None and not chosen.checksum.startswith(ETAG) and digest != chosen.checksum:
            raise InputError("its content has changed")
        return place.stat().st_size


def _right_size(copy: StoredCopy, held: Holdings) -> bool:
    uri = copy.uri(held.roots[copy.store])
    return bool(uri.exists()) and copy.size in (-1, uri.size())


def _unpack(path: Path, folder: Path) -> None:
    entries = read_backup(path)
    manifest = _first(entries)
    for entry in entries:
        assert isinstance(entry, Member)
        entry.save(folder / entry.name)
    _bring_in(folder, manifest["outside"])


def _first(entries: Iterator[dict[str, Any] | Member]) -> dict[str, Any]:
    manifest = next(entries, None)
    if not isinstance(manifest, dict):
        raise InputError("is no backup of a repository")
    return manifest


def _bring_in(folder: Path, outside: dict[str, list[str]]) -> None:
    """Make files that were outside the old repository files of the new one."""
    if not outside:
        return
    butler = Repository.open(folder).butler
    [store] = file_datastores(butler)
    for name, ids in outside.items():
        refs = butler.get_many_datasets([UUID(key) for key in ids])
        if refs and (folder / name).is_file():
            _bring_in_one(butler, store, refs, folder / name)
    shutil.rmtree(folder / _OUTSIDE, ignore_errors=True)
    butler.close()


def _bring_in_one(butler: Any, store: FileDatastore, refs: list[DatasetRef], file: Path) -> None:
    [record] = store.get_file_info_for_transfer([refs[0].id])[refs[0].id]
    expanded = [ref.expanded(butler.registry.expandDataId(ref.dataId)) for ref in refs]
    with butler.transaction():
        store.forget(refs)
        uri = file.resolve().as_uri()
        store.ingest(FileDataset(uri, expanded, formatter=record.file_info.formatter), transfer="move")
    fault_point("restore.after-move")
