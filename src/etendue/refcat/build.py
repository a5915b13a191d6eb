"""Turn any table into a reference catalog of HEALPix shards."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.healpix import pixel_of
from etendue.refcat.catalog import METADATA_FILE, METADATA_VERSION, ReferenceCatalog, shard_name
from etendue.refcat.columns import BandColumns, RefcatColumns, find_columns
from etendue.table.formats import read_any
from etendue.table.parquet import write_table
from etendue.table.table import Table

_MAX_ROWS = 50_000
_MIN_ORDER, _MAX_ORDER = 3, 10
_NJY_ZERO_POINT_MAG = 31.4
_MAG_PER_LN = 2.5 / np.log(10.0)
_J2000_MJD = 51544.5
_ERRORS = ("raErr", "decErr")

Columns = Mapping[str, NDArray[Any]]


def build_reference_catalog(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    target: str | PathLike[str],
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    epoch_mjd: float | None = None,
    mag_offset: Mapping[str, float] | None = None,
    order: int | None = None,
    overwrite: bool = False,
) -> ReferenceCatalog:
    """Read tables and write them as one sharded reference catalog.

    Parameters
    ----------
    source : path or sequence of paths
        CSV, FITS, Parquet or VOTable files.
    target : path
        Directory to make; it appears whole or not at all.
    name : str, optional
        Name of the catalog; the target's by default.
    columns : mapping of str to str, optional
        Our names to the tables' (see `find_columns`); names left out are guessed.
    epoch_mjd : float, optional
        Epoch of the positions where the tables have no column of it [MJD].
    mag_offset : mapping of str to float, optional
        Per band, AB minus catalog magnitude; 0 by default, that is, the magnitudes are taken as AB.
    order : int, optional
        HEALPix order of the shards; by default the lowest with at most 50,000 rows in a shard.
    overwrite : bool
        Replace an existing catalog.

    Returns
    -------
    ReferenceCatalog

    Raises
    ------
    InputError
        If a table cannot be read, has no position or no row, or the target exists.
    """
    _check_target(Path(target), overwrite)
    table = read_reference_table(source, columns=columns, epoch_mjd=epoch_mjd, mag_offset=mag_offset)
    return write_reference_catalog(table, target, name=name, order=order, overwrite=overwrite)


def read_reference_table(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    columns: Mapping[str, str] | None = None,
    epoch_mjd: float | None = None,
    mag_offset: Mapping[str, float] | None = None,
) -> Table:
    """Read tables of stars into memory.

    Parameters
    ----------
    source, columns, epoch_mjd, mag_offset
        As for `build_reference_catalog`.

    Returns
    -------
    Table
        Schema ``refcat``.

    Raises
    ------
    InputError
        If a table cannot be read, has no position or no row.
    """
    paths = [source] if isinstance(source, str | PathLike) else list(source)
    tables = [_read(path, columns, epoch_mjd, mag_offset or {}) for path in paths]
    if sum(map(len, tables)) == 0:
        raise InputError("reference catalog has no row with a position", source=", ".join(str(path) for path in paths))
    return Table.concat(tables)


def write_reference_catalog(
    table: Table,
    target: str | PathLike[str],
    *,
    name: str | None = None,
    edition: str | None = None,
    order: int | None = None,
    overwrite: bool = False,
) -> ReferenceCatalog:
    """Write a table of stars as one sharded reference catalog.

    Parameters
    ----------
    table : Table
        Schema ``refcat``, at least one row; if an identifier comes twice, all rows are numbered anew.
    target : path
        Directory to make; it appears whole or not at all.
    name : str, optional
        Name of the catalog; the target's by default.
    edition : str, optional
        Edition of a catalog of which this is a part, which may grow: equal editions hold equal stars where they
        overlap. By default it follows from the stars.
    order : int, optional
        HEALPix order of the shards; by default the lowest with at most 50,000 rows in a shard.
    overwrite : bool
        Replace an existing catalog.

    Returns
    -------
    ReferenceCatalog

    Raises
    ------
    InputError
        If the target exists.
    """
    destination = Path(target)
    _check_target(destination, overwrite)
    if np.unique(table["id"]).size < len(table):  # loaders tell stars apart by id, so a repeated one would lose stars
        table = table.with_columns(id=np.arange(1, len(table) + 1))
    _write(table, destination, name or destination.name, edition, order)
    return ReferenceCatalog(destination)


def _check_target(destination: Path, overwrite: bool) -> None:
    if destination.exists() and not overwrite:
        raise InputError("already exists", source=destination, remedy="choose another name or overwrite")


def _read(
    path: str | PathLike[str], given: Mapping[str, str] | None, epoch_mjd: float | None, mag_offset: Mapping[str, float]
) -> Table:
    raw = read_any(path)
    found = find_columns(raw, given, source=fspath(path))
    values = {field: _number(raw, column, path) for field, column in found.fields.items() if field != "id"}
    ra, dec = values["ra"] % 360.0, values["dec"]
    if np.any(np.abs(dec) > 90.0):
        raise InputError("declination outside [-90, 90] deg", source=fspath(path), value=float(np.nanmax(np.abs(dec))))
    values |= {"ra": ra, "dec": dec, "epoch": epoch_as_mjd(values.get("epoch"), epoch_mjd, ra.size)}
    # Catalogs give position errors in mas by custom (Gaia, VizieR); ours and LSST's names mean degrees.
    foreign = [field for field in _ERRORS if found.fields.get(field, field) != field]
    values |= {field: values[field] / 3.6e6 for field in foreign}
    for band, where in found.bands.items():
        values |= _fluxes(raw, band, where, mag_offset.get(band, 0.0), path)
    return Table("refcat", {"id": _ids(raw, found, ra.size), **values}).take(np.isfinite(ra) & np.isfinite(dec))


def _number(raw: Columns, column: str, path: str | PathLike[str]) -> NDArray[np.float64]:
    try:
        return np.asarray(raw[column], np.float64)
    except ValueError:
        bad = str(raw[column][0]) if len(raw[column]) else ""
        raise InputError(
            f"column {column} is not a number",
            source=fspath(path),
            value=bad,
            remedy="give decimal degrees and numbers",
        ) from None


def _ids(raw: Columns, found: RefcatColumns, size: int) -> NDArray[np.int64]:
    column = raw.get(found.fields.get("id", ""))
    if column is not None and column.dtype.kind in "iu":
        return np.asarray(column, np.int64)
    return np.arange(1, size + 1)  # identifiers that are no integers cannot be kept: rows are numbered


def epoch_as_mjd(values: NDArray[np.float64] | None, default: float | None, size: int) -> NDArray[np.float64]:
    """Return MJD from MJD, Julian years (Gaia) or Julian dates, told apart by their size.

    Parameters
    ----------
    values : ndarray, float64, shape (n,), or None
        Epochs, if the table has any.
    default : float, optional
        Epoch of all rows where the table has none; NaN if left out.
    size : int
        Number of rows.

    Returns
    -------
    ndarray, float64, shape (n,)
        Epochs [MJD].
    """
    epoch = np.full(size, np.nan if default is None else float(default)) if values is None else values
    years = (epoch > 1800.0) & (epoch < 2200.0)
    epoch = np.where(years, _J2000_MJD + (epoch - 2000.0) * 365.25, epoch)
    return np.where(epoch > 2.3e6, epoch - 2400000.5, epoch)


def _fluxes(
    raw: Columns, band: str, where: BandColumns, offset: float, path: str | PathLike[str]
) -> dict[str, NDArray[np.float64]]:
    value = _number(raw, where.value, path)
    error = np.full(value.size, np.nan) if where.error is None else _number(raw, where.error, path)
    if not where.is_flux:
        plausible = (value > -30.0) & (value < 60.0)  # 99 and -999 mean missing
        value = 10.0 ** (0.4 * (_NJY_ZERO_POINT_MAG - np.where(plausible, value, np.nan) - offset))
        error = value * error / _MAG_PER_LN
    return {f"{band}_flux": value, f"{band}_fluxErr": error}


def _write(table: Table, destination: Path, name: str, edition: str | None, order: int | None) -> None:
    order = _order_for(table["ra"], table["dec"]) if order is None else order
    pixel = pixel_of(order, table["ra"], table["dec"])
    rows = np.lexsort((table["id"], table["dec"], table["ra"], pixel))
    partial = destination.with_name(f".{destination.name}.{uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        pixels, start = np.unique(pixel[rows], return_index=True)
        digest = hashlib.sha256()
        for shard, members in zip(pixels.tolist(), np.split(rows, start[1:]), strict=True):
            part = table.take(members)
            digest.update(part.content_hash().encode())
            write_table(part, partial / shard_name(order, shard))
        counts = dict(zip(map(str, pixels.tolist()), np.diff(np.r_[start, rows.size]).tolist(), strict=True))
        metadata = _metadata(table, name, order, counts) | {"edition": edition, "content": digest.hexdigest()}
        (partial / METADATA_FILE).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
        fault_point("refcat-shards.before-rename")
        if destination.exists():
            shutil.rmtree(destination)
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _order_for(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> int:
    for order in range(_MIN_ORDER, _MAX_ORDER):
        if np.unique(pixel_of(order, ra_deg, dec_deg), return_counts=True)[1].max() <= _MAX_ROWS:
            return order
    return _MAX_ORDER


def _metadata(table: Table, name: str, order: int, counts: dict[str, int]) -> dict[str, Any]:
    motion = np.hypot(np.nan_to_num(table["pmra"]), np.nan_to_num(table["pmdec"]))
    epoch = table["epoch"][np.isfinite(table["epoch"])]
    return {
        "version": METADATA_VERSION,
        "name": name,
        "healpix_order": order,
        "bands": list(table.bands),
        "rows": len(table),
        "shards": counts,
        "max_proper_motion_mas_per_yr": float(motion.max()),
        "epoch_mjd_range": [float(epoch.min()), float(epoch.max())] if epoch.size else None,
    }
