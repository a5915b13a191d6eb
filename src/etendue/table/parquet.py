"""Tables in Parquet files, with units, UCDs, docs and schema version in the metadata."""

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.table.arrow import from_arrow, to_arrow
from etendue.table.table import Table


def write_table(table: Table, path: str | PathLike[str]) -> None:
    """Write a table; a local file appears whole or not at all.

    Parameters
    ----------
    table : Table
        Any table.
    path : str or path
        A local path or a URL that fsspec knows.
    """
    write_arrow(to_arrow(table), path)


def write_arrow(arrow: pa.Table, path: str | PathLike[str], *, row_group_size: int = 131072) -> None:
    """Write a pyarrow table; a local file appears whole or not at all.

    Parameters
    ----------
    arrow : pyarrow.Table
        Anything.
    path : str or path
        A local path or a URL that fsspec knows.
    row_group_size : int
        Rows per row group, the unit that readers skip.
    """
    if "://" in fspath(path):
        with fsspec.open(fspath(path), "wb") as remote:
            pq.write_table(arrow, remote, compression="zstd", row_group_size=row_group_size)
        return
    with whole_file(Path(path), "table") as part:
        pq.write_table(arrow, part, compression="zstd", row_group_size=row_group_size)


def read_table(path: str | PathLike[str], columns: Sequence[str] | None = None) -> Table:
    """Read a table that ``write_table`` wrote.

    Parameters
    ----------
    path : str or path
        A local path or a URL that fsspec knows.
    columns : sequence of str, optional
        Read these only.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If the file is missing, damaged or not one of etendue's tables.
    """
    source = fspath(path)
    try:
        arrow = _read(source, columns)
    except FileNotFoundError:
        raise InputError("no such file", source=source) from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not a readable Parquet file: {error}", source=source) from error
    missing = sorted(set(columns or ()) - set(arrow.column_names))
    if missing:
        raise InputError("the file lacks columns", source=source, value=missing)
    return from_arrow(arrow)


def _read(source: str, columns: Sequence[str] | None) -> pa.Table:
    """Read through pyarrow's own files: its threads must never hold a Python file when the interpreter ends."""
    wanted = None if columns is None else list(columns)
    if "://" in source:
        with fsspec.open(source, "rb") as remote:
            return pq.ParquetFile(pa.BufferReader(remote.read())).read(columns=wanted)
    with pq.ParquetFile(source) as file:
        return file.read(columns=wanted)
