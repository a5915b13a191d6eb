"""Finds the datasets that rules name, whoever registered them."""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionInfo, CollectionType, MissingCollectionError
from lsst.daf.butler.time_utils import TimeConverter

from etendue.errors import EtendueError, InputError
from etendue.middleware.repository import Repository
from etendue.middleware.router.event import PutEvent
from etendue.middleware.router.rules import Rule
from etendue.middleware.router.sink import down_reason, one_line

_EPOCH_JD, _DAY_NS = 2440587.5, 86400 * 10**9
_SEARCHED = {CollectionType.RUN, CollectionType.TAGGED, CollectionType.CALIBRATION}


class Scanner:
    """Asks the registry, which any tool may have written to.

    Parameters
    ----------
    repository : Repository
        Where to look; reading is enough.
    """

    def __init__(self, repository: Repository):
        self._repository = repository
        self._watched = _sqlite_connection(repository)
        self._version = -1

    def changed(self) -> bool | None:
        """Return whether anybody wrote to the database since the last call; None if this cannot be told.

        SQLite counts the commits of others; a database server does not.
        """
        if self._watched is None:
            return None
        try:
            [version] = self._watched.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:  # somebody is writing: ask again
            return False
        changed, self._version = version != self._version, version
        return changed

    def close(self) -> None:
        """Close what watches the database."""
        if self._watched is not None:
            self._watched.close()

    def find(self, rule: Rule, since_ns: int | None = None) -> Iterator[PutEvent]:
        """Give the datasets of a rule.

        Parameters
        ----------
        rule : Rule
            Which.
        since_ns : int, optional
            Only those registered later [ns TAI since 1970].

        Yields
        ------
        PutEvent
            A dataset may come more than once.

        Raises
        ------
        InputError
            The expression is wrong.
        """
        self._repository.butler.registry.refresh()
        present = _collections(self._repository.butler, rule.collections)
        for name in sorted({name for info in present for name in info.dataset_types or ()}):
            if any(_matches(name, pattern) for pattern in rule.datasets):
                holding = [info.name for info in present if name in (info.dataset_types or ())]
                yield from self._find(rule, name, holding, since_ns)

    def _find(self, rule: Rule, name: str, collections: list[str], since_ns: int | None) -> Iterator[PutEvent]:
        butler = self._repository.butler.clone(collections=collections)  # knows which instrument is meant
        dimensions = butler.get_dataset_type(name).dimensions
        key = (f"{name}.dataset_id", f"{name}.run", f"{name}.ingest_date")
        try:
            for row in _rows(butler, name, collections, rule.where, since_ns):
                yield PutEvent(
                    rule.name, row[key[0]], nanoseconds(row[key[2]]), name,
                    {part: row[part] for part in dimensions.required},
                    {part: row[part] for part in dimensions.implied}, row[key[1]],
                )  # fmt: skip
        except EtendueError:
            raise
        except Exception as error:  # expression errors have no common base
            if down_reason(error):
                raise
            raise InputError(
                f"rule {rule.name}: cannot query {name}: {one_line(error)}", source=self._repository.path,
                value=rule.where or None, remedy="correct 'where', as in \"instrument = 'X' AND visit > 5\"",
            ) from error  # fmt: skip


def _collections(butler: Butler, patterns: Iterable[str]) -> list[CollectionInfo]:
    """Return the collections that patterns mean; one that is not there yet means none."""
    found: dict[str, CollectionInfo] = {}
    for pattern in patterns:
        try:
            infos = butler.collections.query_info(
                pattern, collection_types=_SEARCHED, flatten_chains=True, include_summary=True
            )
        except MissingCollectionError:
            continue
        found |= {info.name: info for info in infos}
    return list(found.values())


def _rows(
    butler: Butler, name: str, collections: list[str], where: str, since_ns: int | None
) -> Iterator[dict[str, Any]]:
    with butler.query() as query:
        column = query.expression_factory[name].ingest_date
        query = query.join_dataset_search(name, collections=collections)
        query = query.where(where) if where else query
        if since_ns is not None:
            query = query.where(column > TimeConverter().nsec_to_astropy(since_ns))
        yield from query.general(
            butler.get_dataset_type(name).dimensions, dataset_fields={name: {"dataset_id", "run", "ingest_date"}},
            find_first=False,
        )  # fmt: skip


def now_ns() -> int:
    """Return the time [ns TAI since 1970]."""
    return nanoseconds(Time.now())


def nanoseconds(time: Time) -> int:
    """Return a time as Rubin's `TimeConverter` does, which takes thirty times as long.

    Parameters
    ----------
    time : astropy.time.Time
        Scalar.

    Returns
    -------
    int
        Nanoseconds (TAI) since 1970, exact.
    """
    tai = time if time.scale == "tai" else time.tai
    return round((tai.jd1 - _EPOCH_JD) * _DAY_NS) + round(tai.jd2 * _DAY_NS)  # jd1 is a whole or half day


def _matches(name: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name) is not None


def _sqlite_connection(repository: Repository) -> sqlite3.Connection | None:
    """Return a connection of its own to a SQLite database, which waits for nobody; None of another database."""
    url = repository.butler._registry._db._engine.url
    if not url.drivername.startswith("sqlite") or not url.database:
        return None
    return sqlite3.connect(f"file:{quote(str(url.database))}?mode=ro", uri=True, timeout=0.0, check_same_thread=False)
