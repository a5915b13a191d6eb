"""Files in the stores of a repository that belong to no dataset."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from lsst.daf.butler import CollectionType
from lsst.resources import ResourcePath

from etendue.disk import is_part
from etendue.middleware.datastores import FoundFile
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals
from etendue.middleware.unfinished import resumable_runs
from etendue.middleware.upkeep.holdings import Holdings

YOUNG_S = 3600.0
"""Younger files may belong to a process that is about to register them [s]."""
_RUBINS_PART = re.compile(r"[a-z0-9_]{8,16}(\.[a-z.]+|.*\.tmp(\.[a-z.]+)?)?|.*\.transfer-tmp")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that belongs to no dataset.

    Parameters
    ----------
    store : int
        Number of the store.
    path : str
        Below its root.
    size : int
        Its size [bytes].
    kind : str
        ``part`` of a file that a killed process was writing, or a whole ``file``.
    """

    store: int
    path: str
    size: int
    kind: Literal["part", "file"]


def orphans(
    repository: Repository, held: Holdings, listings: Sequence[dict[str, FoundFile]], *, older_s: float = YOUNG_S
) -> tuple[list[Orphan], int]:
    """Find the files that belong to no dataset.

    Parameters
    ----------
    repository : Repository
        Where to look.
    held : Holdings
        What it knows, asked after the listings were made.
    listings : sequence of dict
        Of its stores.
    older_s : float
        Files that were written to within this time are left out [s].

    Returns
    -------
    found : list of Orphan
        Without those of unfinished runs, which are registered when the run is resumed.
    pending : int
        Number of files of unfinished runs.
    """
    known: list[set[str]] = [set() for _ in held.roots]
    for copy in held.copies:
        known[copy.store].add(copy.path)
    unfinished = tuple(f"{run}/" for run in resumable_runs(repository))
    mine = [_is_mine(repository, root) for root in held.roots]
    newest = time.time() - older_s
    found, pending = [], 0
    for store, listing in enumerate(listings):
        for path, file in listing.items():
            if path in known[store] or file.changed > newest or not mine[store](path):
                continue
            if path.startswith(unfinished):
                pending += 1
                continue
            found.append(Orphan(store, path, file.size, "part" if _is_part(path) else "file"))
    return found, pending


def _is_mine(repository: Repository, root: ResourcePath) -> Callable[[str], bool]:
    """Return what tells files of datasets from others: the folder of a repository also holds what people put there."""
    if not root.isLocal or Path(root.ospath).resolve() != repository.path:
        return lambda path: True
    runs = [*repository.butler.collections.query("*", CollectionType.RUN),
            *(str(journal.description()["run"]) for journal in journals(repository.runs_folder))]  # fmt: skip
    tops = {name.partition("/")[0] for name in runs}
    return lambda path: path.partition("/")[0] in tops


def _is_part(path: str) -> bool:
    name = PurePosixPath(path).name
    return is_part(name) or bool(_RUBINS_PART.fullmatch(name))
