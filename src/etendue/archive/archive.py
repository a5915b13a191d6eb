"""The archive: catalogs partitioned on the sky, published in atomic snapshots, queried with SQL."""

import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from etendue.archive.catalog import Catalog, write_catalog
from etendue.archive.coverage import cone_ranges
from etendue.archive.manifest import CatalogEntry, Manifest, Publication
from etendue.archive.partition import ROW_ORDER
from etendue.archive.rows import PIXEL, PUBLICATION, Rows
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.sphere import separation_deg
from etendue.schema.table_schema import load_schema
from etendue.table.sql import LockedDuckDB, quote_name, quote_string
from etendue.table.table import Table

_LIGHT_CURVES = {
    "forced_source": ("object", "objectId"),
    "dia_source": ("dia_object", "diaObjectId"),
    "dia_forced_source": ("dia_object", "diaObjectId"),
}
_LIGHT_CURVE_RADIUS_ARCSEC = 10.0


class Archive:
    """A directory of HATS catalogs, one per table.

    A reader shows one snapshot of all tables, whatever is published meanwhile; ``refresh`` moves it to the newest.

    Parameters
    ----------
    path : str or path
        The directory; it is made when first written.
    snapshot : int, optional
        Show this older snapshot.
    max_rows : int
        Rows from which a partition is split.
    max_order : int
        HEALPix order beyond which partitions are not split.
    threads : int
        Threads for each query.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        snapshot: int | None = None,
        max_rows: int = 500_000,
        max_order: int = 10,
        threads: int = 1,
    ) -> None:
        self._path = Path(path)
        self._pinned = snapshot is not None
        self._max_rows, self._max_order, self._threads = max_rows, max_order, threads
        self._database: LockedDuckDB | None = None
        self._show(Manifest.load(self._path, snapshot))

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    def snapshot(self) -> int:
        """Number of the snapshot that is shown; 0 for an empty archive."""
        return self._manifest.snapshot

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, sorted."""
        return tuple(sorted(self._catalogs))

    def count(self, table: str) -> int:
        """Return the number of rows of a table.

        Parameters
        ----------
        table : str
            Name of the table.

        Returns
        -------
        int
        """
        return sum(self._catalog(table).partitions.values())

    def refresh(self) -> None:
        """Show the newest snapshot."""
        newest = Manifest.load(self._path)
        if newest.snapshot != self.snapshot:
            self._show(newest)

    def publish(self, table_name: str, tables: Sequence[Table], key: str) -> bool:
        """Add rows to a table, in a new snapshot; see ``publish_all``.

        Parameters
        ----------
        table_name : str
            Name of the table.
        tables : sequence of Table
            Rows.
        key : str
            Name of this publication.

        Returns
        -------
        bool
            Whether anything changed.
        """
        return self.publish_all({table_name: tables}, key)

    def publish_all(self, tables: Mapping[str, Sequence[Table]], key: str) -> bool:
        """Add rows to several tables, in one new snapshot.

        Readers see all of it or nothing. Rows that were published under the same key before are replaced; publishing
        the same rows again changes nothing.

        Parameters
        ----------
        tables : mapping of str to sequence of Table
            Rows by table name; together they are what the key stands for.
        key : str
            Name of this publication, such as a run or a visit.

        Returns
        -------
        bool
            Whether anything changed.

        Raises
        ------
        InputError
            If a table is of another schema, rows have no position, or the archive cannot be written.
        """
        if self._pinned:
            raise InputError(
                "an older snapshot cannot be changed", source=self._path, remedy="open the archive without it"
            )
        given = {name: _stacked(name, parts) for name, parts in tables.items()}
        with self._lock():
            manifest = Manifest.load(self._path)
            changed = {name: entry for name, table in given.items() if (entry := self._add(manifest, name, table, key))}
            if changed:
                manifest = Manifest(manifest.snapshot + 1, {**manifest.catalogs, **changed})
                fault_point("archive.before-commit")
                manifest.save(self._path)
        self._show(manifest)
        return bool(changed)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Return the result of one SELECT statement on the tables.

        Parameters
        ----------
        sql : str
            In DuckDB's SQL; each table of the archive is a view.
        parameters : sequence
            Values for the ``?`` in the statement.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        InputError
            If the statement is wrong, is no SELECT, or reads anything but the archive.
        """
        if self._database is None:
            views = {name: f"SELECT * EXCLUDE ({PUBLICATION}) FROM {self._scan(name)}" for name in self._catalogs}
            self._database = LockedDuckDB(views, directories=[self._path], threads=self._threads)
        return self._database.query(sql, parameters)

    def cone_search(
        self, table: str, ra_deg: float, dec_deg: float, radius_arcsec: float, *, columns: Sequence[str] | None = None
    ) -> Table:
        """Return the rows inside a circle, nearest first.

        Only files and row groups that the circle may touch are read.

        Parameters
        ----------
        table : str
            Name of the table.
        ra_deg, dec_deg : float
            Centre [deg].
        radius_arcsec : float
            Radius [arcsec], its end included.
        columns : sequence of str, optional
            Columns wanted, by default all; the position always comes along.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            If the table does not exist or the circle is not on the sky.
        """
        return self._cone(table, ra_deg, dec_deg, radius_arcsec, columns, "TRUE")

    def light_curve(self, object_id: int, *, table: str = "forced_source") -> Table:
        """Return all measurements of an object, in the order of time.

        Parameters
        ----------
        object_id : int
            ``objectId`` for forced_source, ``diaObjectId`` for dia_source and dia_forced_source.
        table : str
            Which measurements.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            If the table holds no light curves or there is no such object.
        """
        if table not in _LIGHT_CURVES:
            raise InputError("no light curves in this table", value=table, remedy=f"use one of {[*_LIGHT_CURVES]}")
        parent, key = _LIGHT_CURVES[table]
        self._catalog(parent)
        ra, dec = load_schema(parent).position_columns or ("ra", "dec")
        found = self.query(f"SELECT {ra}, {dec} FROM {parent} WHERE {key} = ? LIMIT 1", [int(object_id)]).to_pylist()
        if not found:
            raise InputError(f"no such {key} in {parent}", source=self._path, value=int(object_id))
        condition = f"{key} = {int(object_id)}"
        rows = self._cone(table, found[0][ra], found[0][dec], _LIGHT_CURVE_RADIUS_ARCSEC, None, condition)
        return rows.sort_by("midpointMjdTai", "visit", "detector")

    def prune(self, *, keep: int = 2) -> None:
        """Delete old snapshots and the versions of tables that only they show.

        Parameters
        ----------
        keep : int
            Number of snapshots to keep, the current one included.
        """
        with self._lock():
            current = Manifest.load(self._path)
            numbers = sorted(int(path.stem) for path in (self._path / "snapshots").glob("*.json"))
            kept = [number for number in numbers if number > current.snapshot - max(1, keep)]
            for number in set(numbers) - set(kept):
                (self._path / "snapshots" / f"{number:06d}.json").unlink()
            shown = [Manifest.load(self._path, number).catalogs for number in kept]
            used = {self._path / entry.folder(name) for catalogs in shown for name, entry in catalogs.items()}
            for folder in {*self._path.glob("*/v[0-9]*"), *self._path.glob("*/.partial-*")} - used:
                shutil.rmtree(folder)

    def _show(self, manifest: Manifest) -> None:
        if self._database is not None:
            self._database.close()
        self._manifest, self._database = manifest, None
        self._catalogs = {name: Catalog(self._path / entry.folder(name)) for name, entry in manifest.catalogs.items()}

    def _catalog(self, table: str) -> Catalog:
        if table not in self._catalogs:
            raise InputError(
                "the archive has no such table", source=self._path, value=table, remedy=f"it has {self.tables}"
            )
        return self._catalogs[table]

    def _scan(self, table: str, ranges: Sequence[tuple[int, int]] | None = None) -> str:
        """Return the SQL that reads the files of a table; its schema file stands in for no files at all."""
        catalog = self._catalog(table)
        files = catalog.files(ranges) or [catalog.path / "dataset" / "_common_metadata"]
        names = ", ".join(quote_string(str(path.resolve())) for path in files)
        return f"read_parquet([{names}], hive_partitioning = false)"

    def _cone(
        self, table: str, ra: float, dec: float, radius_arcsec: float, columns: Sequence[str] | None, condition: str
    ) -> Table:
        if not (np.isfinite(ra) and abs(dec) <= 90 and 0 <= radius_arcsec <= 648000):
            raise InputError("no circle on the sky", source=table, value=(ra, dec, radius_arcsec),
                             remedy="give a Dec from -90 to 90 deg and a radius from 0 to 648000 arcsec")  # fmt: skip
        schema = load_schema(table)
        position = schema.position_columns or ("ra", "dec")
        ranges = cone_ranges(ra, dec, radius_arcsec / 3600)
        pixels = " OR ".join(f"{PIXEL} BETWEEN {low} AND {high}" for low, high in ranges)
        names = dict.fromkeys([*position, *(columns or ())])
        select = f"* EXCLUDE ({PIXEL}, {PUBLICATION})" if columns is None else ", ".join(map(quote_name, names))
        scan = self._scan(table, ranges)
        rows = Table.from_arrow(self.query(f"SELECT {select} FROM {scan} WHERE ({pixels}) AND {condition}"), schema)
        distance = separation_deg(ra, dec, rows[position[0]], rows[position[1]]) * 3600
        order = np.argsort(distance, kind="stable")
        return rows.take(order[distance[order] <= radius_arcsec])

    def _add(self, manifest: Manifest, name: str, table: Table, key: str) -> CatalogEntry | None:
        """Write the next version of a table; None if the key holds these rows already."""
        entry = manifest.catalogs.get(name)
        known = entry.publications.get(key) if entry is not None else None
        number = known.number if known is not None else _next_number(entry)
        new = Rows.of(table, number)
        digest = new.table.content_hash()
        if known is not None and known.digest == digest:
            return None
        publications = {
            **(entry.publications if entry is not None else {}),
            key: Publication(number, digest, len(table)),
        }
        later = CatalogEntry(entry.version + 1 if entry is not None else 1, publications)
        previous = Catalog(self._path / entry.folder(name)) if entry is not None else None
        with self._folder(name, later) as folder:
            write_catalog(
                folder,
                previous,
                new,
                publication=number,
                replaces=known is not None,
                max_rows=self._max_rows,
                max_order=min(self._max_order, ROW_ORDER),
            )
        return later

    @contextmanager
    def _folder(self, name: str, entry: CatalogEntry) -> Iterator[Path]:
        """Give a directory that takes its final name only when the body succeeds."""
        final = self._path / entry.folder(name)
        partial = final.with_name(f".partial-{uuid4().hex}")
        partial.mkdir(parents=True)
        try:
            yield partial
            fault_point("archive.before-rename")
            if final.exists():  # left by a writer that died before its snapshot
                shutil.rmtree(final)
            partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one writer in at a time; the lock goes with its process. What the disk refuses is an InputError."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with (self._path / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise InputError(f"the archive cannot be written: {error.strerror}", source=self._path) from error


def _stacked(name: str, parts: Sequence[Table]) -> Table:
    schema = load_schema(name)
    for part in parts:
        if part.schema.name != name:
            raise InputError(f"rows of schema {part.schema.name} given for table {name}")
    return Table.concat(parts) if parts else Table.empty(schema)


def _next_number(entry: CatalogEntry | None) -> int:
    return max((p.number for p in entry.publications.values()), default=-1) + 1 if entry is not None else 0
