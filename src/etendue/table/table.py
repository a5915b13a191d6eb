"""Immutable tables of numpy columns, checked against their schema."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.content import canonical_bytes
from etendue.schema.table_schema import TableSchema, load_schema
from etendue.table.conform import conform

if TYPE_CHECKING:
    import astropy.table
    import pyarrow as pa

    from etendue.schema.column import Column


class Table:
    """An immutable table whose columns are those of its schema.

    Parameters
    ----------
    schema : str or TableSchema
        Name of the schema, or the schema.
    columns : mapping of str to array_like
        Columns of equal length. Nullable columns that are left out read NaN, 0, False or "". Writable arrays are
        copied, read-only ones are shared.
    meta : mapping of str to str
        Facts about the whole table; they travel with the file and are no part of the content hash.

    Raises
    ------
    InputError
        If a name is unknown, a required column is missing, a type does not fit or the lengths differ.
    """

    __slots__ = ("_columns", "_meta", "_schema")

    _schema: TableSchema
    _columns: Mapping[str, NDArray[Any]]
    _meta: Mapping[str, str]

    def __init__(
        self, schema: str | TableSchema, columns: Mapping[str, ArrayLike], meta: Mapping[str, str] | None = None
    ) -> None:
        self._schema = load_schema(schema) if isinstance(schema, str) else schema
        given = {name: conform(self._schema.column(name), value, self._schema.name) for name, value in columns.items()}
        length = _common_length(self._schema.name, given)
        expected = self._schema.expand(self._schema.bands_in(given))
        self._columns = MappingProxyType(_complete(self._schema.name, expected, given, length))
        self._meta = MappingProxyType(dict(meta or {}))

    @classmethod
    def _of(cls, schema: TableSchema, columns: Mapping[str, NDArray[Any]], meta: Mapping[str, str]) -> "Table":
        """Wrap columns that are known to conform, possibly not all of the schema's."""
        table = cls.__new__(cls)
        for array in columns.values():
            array.flags.writeable = False
        table._schema, table._columns = schema, MappingProxyType(dict(columns))
        table._meta = MappingProxyType(dict(meta))
        return table

    @classmethod
    def empty(
        cls, schema: str | TableSchema, *, bands: Sequence[str] = (), meta: Mapping[str, str] | None = None
    ) -> "Table":
        """Return a table without rows.

        Parameters
        ----------
        schema : str or TableSchema
            Name of the schema, or the schema.
        bands : sequence of str
            Bands whose per-band columns the table has.
        meta : mapping of str to str
            Facts about the whole table.

        Returns
        -------
        Table
        """
        known = load_schema(schema) if isinstance(schema, str) else schema
        return cls._of(known, {c.name: np.empty(0, c.dtype) for c in known.expand(bands)}, meta or {})

    @property
    def schema(self) -> TableSchema:
        """What the columns mean."""
        return self._schema

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the schema."""
        return tuple(self._columns)

    @property
    def meta(self) -> Mapping[str, str]:
        """Facts about the whole table."""
        return self._meta

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that have columns here, sorted."""
        return self._schema.bands_in(self._columns)

    def __len__(self) -> int:
        return next((len(array) for array in self._columns.values()), 0)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column as a read-only array; InputError if the table lacks it."""
        if name not in self._columns:
            self._schema.column(name)  # says more when the schema does not know the name either
            raise InputError("the column was not read from its file", source=f"table {self._schema.name}", value=name)
        return self._columns[name]

    def __repr__(self) -> str:
        return f"<Table {self._schema.name}: {len(self)} rows, {len(self._columns)} columns>"

    def take(self, index: ArrayLike) -> "Table":
        """Return some of the rows.

        Parameters
        ----------
        index : array_like
            Row numbers, shape (m,), or a bool mask, shape (n,).

        Returns
        -------
        Table
        """
        rows = np.asarray(index)
        rows = rows if rows.size else rows.astype(np.int64 if rows.dtype.kind != "b" else np.bool_)
        return self._of(self._schema, {name: array[rows] for name, array in self._columns.items()}, self._meta)

    def with_columns(self, columns: Mapping[str, ArrayLike] | None = None, /, **more: ArrayLike) -> "Table":
        """Return a table with some columns replaced or added.

        Parameters
        ----------
        columns : mapping of str to array_like
            Columns by name.
        **more : array_like
            Further columns.

        Returns
        -------
        Table
        """
        added = {**(columns or {}), **more}
        if self._is_complete:
            return Table(self._schema, {**self._columns, **added}, self._meta)
        new = {name: conform(self._schema.column(name), value, self._schema.name) for name, value in added.items()}
        merged = {**self._columns, **new}
        _common_length(self._schema.name, merged)
        return self._of(self._schema, merged, self._meta)

    def with_meta(self, **meta: str) -> "Table":
        """Return a table with some facts replaced or added.

        Parameters
        ----------
        **meta : str
            Facts about the whole table.

        Returns
        -------
        Table
        """
        return self._of(self._schema, self._columns, {**self._meta, **meta})

    def sort_by(self, *names: str) -> "Table":
        """Return the rows in ascending order, stably; the first name is the major key.

        Parameters
        ----------
        *names : str
            Columns to sort by.

        Returns
        -------
        Table
        """
        return self.take(np.lexsort([self[name] for name in reversed(names)]))

    @classmethod
    def concat(cls, tables: Iterable["Table"]) -> "Table":
        """Stack tables of one schema; bands missing in some of them read null there.

        Parameters
        ----------
        tables : iterable of Table
            At least one. The facts of the first one are kept.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            If there is no table, or if the schemas differ.
        """
        parts = list(tables)
        if not parts:
            raise InputError("nothing to stack", remedy="use Table.empty(schema)")
        schemas = {part.schema.name for part in parts}
        if len(schemas) > 1:
            raise InputError("tables of different schemas cannot be stacked", value=sorted(schemas))
        first = parts[0]
        names = set().union(*(part.names for part in parts))
        order = [c for c in first.schema.expand(first.schema.bands_in(names)) if c.name in names]
        columns = {column.name: np.concatenate([_or_null(part, column) for part in parts]) for column in order}
        return cls._of(first.schema, columns, first.meta)

    def to_arrow(self) -> "pa.Table":
        """Return a pyarrow table with units, UCDs, docs, schema name and version in its metadata.

        Returns
        -------
        pyarrow.Table
        """
        from etendue.table.arrow import to_arrow

        return to_arrow(self)

    @classmethod
    def from_arrow(cls, arrow: "pa.Table", schema: str | TableSchema | None = None) -> "Table":
        """Return the table that a pyarrow table holds.

        Parameters
        ----------
        arrow : pyarrow.Table
            Its columns may be some of the schema's only.
        schema : str or TableSchema, optional
            By default the one named in the metadata.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            If the schema is unknown or a column does not fit it.
        """
        from etendue.table.arrow import from_arrow

        return from_arrow(arrow, schema)

    def to_astropy(self) -> "astropy.table.Table":
        """Return an astropy table with units, descriptions and the facts about the table.

        Returns
        -------
        astropy.table.Table
        """
        from etendue.table.astropy_table import to_astropy

        return to_astropy(self)

    def content_hash(self) -> str:
        """Return a hash of names, types and values; all NaNs are equal and ``meta`` does not count.

        Returns
        -------
        str
            SHA-256, 64 hexadecimal digits.
        """
        digest = hashlib.sha256(f"{self._schema.name} {len(self)}".encode())
        for name, array in self._columns.items():
            digest.update(f"|{name} {self._schema.column(name).type}|".encode())
            digest.update("\0".join(array.tolist()).encode() if array.dtype.kind == "U" else canonical_bytes(array))
        return digest.hexdigest()

    @property
    def _is_complete(self) -> bool:
        return all(column.name in self._columns for column in self._schema.expand(self.bands))


def _common_length(table: str, columns: Mapping[str, NDArray[Any]]) -> int:
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) > 1:
        longest, shortest = max(lengths, key=lengths.__getitem__), min(lengths, key=lengths.__getitem__)
        differ = {longest: lengths[longest], shortest: lengths[shortest]}
        raise InputError("columns have different lengths", source=f"table {table}", value=differ)
    return next(iter(lengths.values()), 0)


def _complete(
    table: str, expected: Iterable["Column"], given: Mapping[str, NDArray[Any]], length: int
) -> dict[str, NDArray[Any]]:
    columns = {}
    for column in expected:
        if column.name not in given and not column.nullable:
            raise InputError("a required column is missing", source=f"table {table}", value=column.name)
        array = given[column.name] if column.name in given else np.full(length, column.null, column.dtype)
        array.flags.writeable = False
        columns[column.name] = array
    return columns


def _or_null(table: Table, column: "Column") -> NDArray[Any]:
    return table[column.name] if column.name in table else np.full(len(table), column.null, column.dtype)
