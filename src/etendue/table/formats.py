"""Read a table in any common format as plain columns."""

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etendue.errors import InputError

Columns = dict[str, NDArray[Any]]


def read_any(path: str | PathLike[str]) -> Columns:
    """Read a CSV, FITS, Parquet or VOTable file, told apart by its first bytes and its name.

    Parameters
    ----------
    path : str or path
        A local file.

    Returns
    -------
    dict of str to ndarray
        Columns of equal length in the file's order. Missing numbers read NaN (integers with gaps become float64),
        missing strings "".

    Raises
    ------
    InputError
        If the file is missing, of another kind, or damaged.
    """
    source = fspath(path)
    try:
        with Path(source).open("rb") as file:
            head = file.read(2048)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=source, remedy="check the path") from error
    reader = _reader_for(head, source)
    try:
        return reader(source)
    except InputError:
        raise
    except Exception as error:  # each reader has its own exceptions for damaged files
        remedy = "give CSV, FITS, Parquet or VOTable"
        raise InputError(f"damaged table: {error}", source=source, remedy=remedy) from error


def _reader_for(head: bytes, source: str) -> Callable[[str], Columns]:
    if head.startswith(b"PAR1"):
        return _read_parquet
    if head.startswith(b"SIMPLE  ="):
        return _read_fits
    if head.startswith(b"# %ECSV"):
        return _read_ecsv
    if b"VOTABLE" in head[:1024].upper():
        return _read_votable
    if Path(source).suffix.lower() in {".csv", ".txt", ".tsv", ".gz"} or b"," in head:
        return _read_csv
    raise InputError("not a table that can be read", source=source, remedy="give CSV, FITS, Parquet or VOTable")


def _read_parquet(source: str) -> Columns:
    with pq.ParquetFile(source) as file:
        return _from_arrow(file.read())


def _read_csv(source: str) -> Columns:
    delimiter = "\t" if ".tsv" in source.lower() else ","
    options = pa.csv.ConvertOptions(strings_can_be_null=True)
    table = pa.csv.read_csv(source, parse_options=pa.csv.ParseOptions(delimiter=delimiter), convert_options=options)
    names = [name.lstrip("# ").strip() for name in table.column_names]
    return _from_arrow(table.rename_columns(names))


def _from_arrow(table: pa.Table) -> Columns:
    if len(set(table.column_names)) < table.num_columns:
        raise InputError("two columns have one name", value=sorted(table.column_names))
    return {name: _arrow_column(table.column(name)) for name in table.column_names}


def _arrow_column(data: pa.ChunkedArray) -> NDArray[Any]:
    kind = data.type
    if pa.types.is_dictionary(kind):
        return _arrow_column(data.cast(kind.value_type))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(data.fill_null("").to_pylist(), np.str_)
    if pa.types.is_null(kind):
        return np.full(len(data), np.nan)
    if pa.types.is_integer(kind) and data.null_count:
        return data.cast(pa.float64()).to_numpy()
    return data.to_numpy()


def _read_fits(source: str) -> Columns:
    from astropy.io import fits

    with fits.open(source, memmap=False) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise InputError("the FITS file holds no table", source=source)
        return {column.name: _fits_column(tables[0].data, column) for column in tables[0].columns}


def _fits_column(data: Any, column: Any) -> NDArray[Any]:
    values = np.asarray(data[column.name])
    if column.null is None or values.dtype.kind not in "iu":
        return _native(values)
    return _native(np.ma.masked_equal(values, int(column.null)))


def _read_ecsv(source: str) -> Columns:
    from astropy.table import Table

    table = Table.read(source, format="ascii.ecsv")
    return {name: _native(table[name]) for name in table.colnames}


def _read_votable(source: str) -> Columns:
    from astropy.io.votable import parse_single_table

    table = parse_single_table(source, verify="ignore").to_table(use_names_over_ids=True)
    return {name: _native(table[name]) for name in table.colnames}


def _native(values: Any) -> NDArray[Any]:
    """Return native byte order, str for bytes, NaN or "" for masked."""
    array = np.ma.asanyarray(values)
    mask = np.ma.getmaskarray(array)
    data = np.asarray(np.ma.getdata(array))
    if data.dtype.kind in "SO":
        return np.where(mask, "", [_text(item) for item in data.tolist()])
    data = data.astype(data.dtype.newbyteorder("="))
    if not mask.any():
        return data
    return np.where(mask, "", data) if data.dtype.kind == "U" else np.where(mask, np.nan, data)


def _text(item: object) -> str:
    return item.decode("utf-8", "replace").strip() if isinstance(item, bytes) else str(item).strip()
