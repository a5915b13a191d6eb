"""Check that a repository holds what it says it holds, and nothing else."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from lsst.daf.butler import DatasetRef
from lsst.resources import ResourcePath
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from etendue.errors import InputError
from etendue.middleware.cameras import camera_for
from etendue.middleware.datastores import FoundFile, file_datastores, found_files
from etendue.middleware.ingest.digest import digest_of
from etendue.middleware.object_store import ETAG
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.holdings import Holdings, StoredCopy, holdings
from etendue.middleware.upkeep.orphans import Orphan, orphans
from etendue.processes import in_processes

Kind = Literal["missing", "size", "checksum", "unreadable", "unmirrored", "camera", "database"]
Depth = Literal["exists", "checksum", "open"]
_BATCH = 50  # datasets that a process opens at a time


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it must be.

    Parameters
    ----------
    kind : str
        ``missing``, ``size`` or ``checksum`` (its content is another), ``unreadable`` (it cannot be opened),
        ``unmirrored`` (not all stores have it); a ``camera`` without its description; the ``database`` itself.
    detail : str
        One line.
    store : int
        Number of the store of files.
    path : str
        The file.
    ref : DatasetRef or None
        The dataset.
    """

    kind: Kind
    detail: str
    store: int = 0
    path: str = ""
    ref: DatasetRef | None = None

    def row(self) -> dict[str, Any]:
        """Return the problem for a table: what is wrong, with which dataset, and more about it."""
        return {"problem": self.kind, "what": self.path if self.ref is None else named(self.ref), "detail": self.detail}


def named(ref: DatasetRef) -> str:
    """Return dataset type and data ID in one line.

    Parameters
    ----------
    ref : DatasetRef
        The dataset.
    """
    return f"{ref.datasetType.name} " + " ".join(f"{name}={value}" for name, value in ref.dataId.required.items())


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Parameters
    ----------
    datasets, files, bytes : int
        How many were looked at.
    compared, opened : int
        Files whose checksum was compared, datasets that were opened.
    without_file : int
        Datasets whose files were deleted on purpose.
    pending : int
        Files of runs that are not finished: they are registered when the run is.
    problems : tuple of Problem
        What is wrong.
    orphans : tuple of Orphan
        Files that belong to no dataset.
    unrecorded : tuple of StoredCopy
        Files that could be opened, but have no checksum to compare with.
    wall_s : float
        Time that it took [s].
    """

    datasets: int
    files: int
    bytes: int
    compared: int
    opened: int
    without_file: int
    pending: int
    problems: tuple[Problem, ...]
    orphans: tuple[Orphan, ...]
    unrecorded: tuple[StoredCopy, ...]
    wall_s: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong and nothing lies about."""
        return not self.problems and not self.orphans

    def summary(self) -> str:
        """Return the report in one line."""
        kinds = Counter(problem.kind for problem in self.problems)
        told = [f"{count} {kind}" for kind, count in kinds.items()]
        told += [f"{len(self.orphans)} orphans ({sum(o.size for o in self.orphans) / 1e6:.1f} MB)"] * bool(self.orphans)
        checked = f"{self.compared} checksums, {self.opened} opened"
        rate = self.files / self.wall_s if self.wall_s else 0.0
        found = ", ".join(told) or "all is well"
        return (f"{self.datasets} datasets, {self.files} files, {self.bytes / 1e6:.1f} MB ({checked};"
                f" {rate:.0f} files/s): {found}")  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the report for machines."""
        counts = {name: getattr(self, name) for name in ("datasets", "files", "bytes", "compared", "opened",
                                                         "without_file", "pending", "wall_s")}  # fmt: skip
        rows = [problem.row() | {"file": problem.path, "store": problem.store,
                                 "id": None if problem.ref is None else str(problem.ref.id)}
                for problem in self.problems]  # fmt: skip
        loose = [asdict(orphan) for orphan in self.orphans]
        return counts | {"ok": self.ok, "without_checksum": len(self.unrecorded), "problems": rows, "orphans": loose}


def check(repository: Repository, *, depth: Depth = "checksum", workers: int = 2) -> CheckReport:
    """Check every dataset of a repository, its cameras and its database, and look for files that belong to none.

    Parameters
    ----------
    repository : Repository
        It may be written to meanwhile: what is younger than the beginning of the check is left out.
    depth : {"exists", "checksum", "open"}
        ``exists``: files are there with the right size. ``checksum``: and their content is what was written; those
        without a recorded checksum are opened. ``open``: and every dataset is opened.
    workers : int
        Threads that read files, processes that open datasets.

    Returns
    -------
    CheckReport
    """
    begin = time.perf_counter()
    if broken := _database_problems(repository):  # nothing that it says can be trusted
        return CheckReport(0, 0, 0, 0, 0, 0, 0, tuple(broken), (), (), time.perf_counter() - begin)
    listings = [found_files(store.root) for store in file_datastores(repository.butler)]
    held = holdings(repository.butler)
    problems = [*_camera_problems(repository), *_unmirrored(held)]
    missing = {id(copy): problem for copy in held.copies if (problem := _existence(copy, held, listings)) is not None}
    present = [copy for copy in held.copies if id(copy) not in missing]
    problems += missing.values()
    contents = _contents(repository, held, present, listings, depth, workers)
    problems += contents.problems
    loose, pending = orphans(repository, held, listings)
    size = sum(max(copy.size, 0) for copy in held.copies)
    return CheckReport(
        len(held.refs), len(held.copies), size, contents.compared, contents.opened, len(held.without_file()), pending,
        tuple(problems), tuple(loose), contents.unrecorded, time.perf_counter() - begin,
    )  # fmt: skip


def is_intact(copy: StoredCopy, uri: ResourcePath) -> bool:
    """Return whether a file has the size and the checksum that are recorded, as far as any are.

    Parameters
    ----------
    copy : StoredCopy
        What is recorded.
    uri : ResourcePath
        Where the file is.
    """
    if not uri.exists() or (copy.size >= 0 and uri.size() != copy.size):
        return False
    return copy.checksum is None or copy.checksum.startswith(ETAG) or digest(uri) == copy.checksum


def digest(uri: ResourcePath) -> str:
    """Return the BLAKE2b digest of a file, as Rubin's datastores record it.

    Parameters
    ----------
    uri : ResourcePath
        Local or remote file.
    """
    with uri.as_local() as local:
        return digest_of(local.ospath)


def _existence(copy: StoredCopy, held: Holdings, listings: Sequence[dict[str, FoundFile]]) -> Problem | None:
    if copy.outside:
        return _outside_existence(copy, held)
    found = listings[copy.store].get(copy.path)
    if found is None:  # written after the listing, or outside of it by a strange path
        uri = copy.uri(held.roots[copy.store])
        if not uri.exists():
            return _problem("missing", copy, "the file does not exist")
        found = FoundFile(uri.size(), 0.0)
    if copy.size >= 0 and found.size != copy.size:
        return _problem("size", copy, f"{found.size} bytes instead of {copy.size}")
    return None


def _unmirrored(held: Holdings) -> list[Problem]:
    """Datasets that some stores of a chain have and others lack; files of the user's own are not copied."""
    stored: list[set[Any]] = [set() for _ in held.roots]
    for copy in held.copies:
        if not copy.outside:
            stored[copy.store].add(copy.ref.id)
    somewhere = set().union(*stored)
    return [
        Problem("unmirrored", "this store has no copy of it", number, "", ref)
        for number, there in enumerate(stored) for ref in held.refs if ref.id in somewhere and ref.id not in there
    ]  # fmt: skip


def _outside_existence(copy: StoredCopy, held: Holdings) -> Problem | None:
    uri = copy.uri(held.roots[copy.store])
    if not uri.exists():
        return _problem("missing", copy, "the file, which is outside the repository, does not exist")
    if copy.size >= 0 and (size := uri.size()) != copy.size:
        return _problem("size", copy, f"{size} bytes instead of {copy.size}")
    return None


@dataclass(frozen=True)
class _Contents:
    problems: Sequence[Problem] = ()
    compared: int = 0
    opened: int = 0
    unrecorded: tuple[StoredCopy, ...] = ()


def _contents(
    repository: Repository, held: Holdings, present: Sequence[StoredCopy], listings: Sequence[dict[str, FoundFile]],
    depth: Depth, workers: int,
) -> _Contents:  # fmt: skip
    if depth == "exists":
        return _Contents()
    known = [copy for copy in present if _is_comparable(copy, listings)]
    compare = partial(_checksum_problem, held, listings)
    with ThreadPoolExecutor(workers) as pool:  # hashing and reading leave the interpreter free
        wrong = [problem for problem in pool.map(compare, known) if problem is not None]
    bad = {problem.ref.id for problem in wrong if problem.ref is not None}
    compared = {id(copy) for copy in known}
    unknown = [copy for copy in present if id(copy) not in compared and copy.ref.id not in bad]
    to_open = {copy.ref.id: copy for copy in (present if depth == "open" else unknown) if copy.ref.id not in bad}
    closed = _unreadable(repository, list(to_open.values()), workers)
    bad |= {problem.ref.id for problem in closed if problem.ref is not None}
    unrecorded = tuple(copy for copy in unknown if copy.ref.id not in bad)
    return _Contents([*wrong, *closed], len(known), len(to_open), unrecorded)


def _is_comparable(copy: StoredCopy, listings: Sequence[dict[str, FoundFile]]) -> bool:
    """Whether there is a checksum that can be computed: a tag is of one object store, and says nothing elsewhere."""
    if copy.checksum is None:
        return False
    found = listings[copy.store].get(copy.path)
    return not copy.checksum.startswith(ETAG) or (found is not None and found.tag is not None)


def _checksum_problem(held: Holdings, listings: Sequence[dict[str, FoundFile]], copy: StoredCopy) -> Problem | None:
    assert copy.checksum is not None
    try:
        if copy.checksum.startswith(ETAG):
            found = listings[copy.store].get(copy.path)
            now = found.tag if found is not None else None
        else:
            now = digest(copy.uri(held.roots[copy.store]))
    except OSError as error:
        return _problem("unreadable", copy, f"cannot be read: {error}")
    return None if now in (copy.checksum, None) else _problem("checksum", copy, "the content is not what was written")


def _unreadable(repository: Repository, copies: Sequence[StoredCopy], workers: int) -> list[Problem]:
    batches = [copies[k : k + _BATCH] for k in range(0, len(copies), _BATCH)]
    refs = [[copy.ref.id for copy in batch] for batch in batches]
    opening: Callable[[list[Any]], list[str]] = partial(_open_batch, repository.root)
    found = []
    for number, told in in_processes(opening, refs, workers=workers, preload="etendue.middleware.repository"):
        pairs = zip(batches[number], told, strict=True)
        found += [_problem("unreadable", copy, reason) for copy, reason in pairs if reason]
    return found


def _open_batch(root: str, ids: Iterable[Any]) -> list[str]:
    """Open datasets; return for each why it could not be, empty where it could."""
    butler = Repository.open(root, writeable=False).butler
    wanted = list(ids)
    refs = {ref.id: ref for ref in butler.get_many_datasets(wanted)}
    told = []
    for key in wanted:
        try:
            butler.get(refs[key])
            told.append("")
        except Exception as error:  # whatever a damaged file does to its reader
            told.append(_cause(error))
    return told


def _cause(error: BaseException) -> str:
    """Return the innermost reason in one line: Rubin's own lines repeat the dataset."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _camera_problems(repository: Repository) -> list[Problem]:
    """Cameras that nobody can read raw frames without."""
    lost = []
    for name in repository.cameras():
        try:
            camera_for(name, (repository.cameras_folder,))
        except InputError:
            if repository.has_collection(f"{name}/raw/all"):
                lost.append(name)
    remedy = "register it again: etendue camera register"
    return [Problem("camera", f"camera {name} has no description; {remedy}", path=f"{name}.yaml") for name in lost]


def _database_problems(repository: Repository) -> list[Problem]:
    database = repository.butler._registry._db
    if database.dialect.name != "sqlite":
        return []  # a server checks its own
    try:
        with database._engine.connect() as connection:
            told = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
            broken = [f"table {row[0]} refers to an entry of {row[2]} that does not exist"
                      for row in connection.execute(text("PRAGMA foreign_key_check"))]  # fmt: skip
    except DatabaseError as error:
        return [Problem("database", str(error.orig))]
    return [Problem("database", line) for line in [*(line for line in told if line != "ok"), *broken]]


def _problem(kind: Kind, copy: StoredCopy, detail: str) -> Problem:
    return Problem(kind, detail, copy.store, copy.path, copy.ref)
