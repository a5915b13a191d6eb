"""Read the Tycho-2 stars out of Debian's astrometry.net index files."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.healpix import pixel_of
from etendue.geom.sphere import sky_position
from etendue.log import get_logger
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.table.table import Table

DEBIAN_FOLDER = Path("/usr/share/astrometry")
PATTERN = "index-tycho2-*.fits"
PACKAGES = tuple(f"astrometry-data-tycho2-{scale}" for scale in ("07", "08", "09", "10-19"))
REMEDY = f"apt-get install {' '.join(PACKAGES)}, or name the folder that holds {PATTERN}"
VT_AB_OFFSET = -0.04  # AB minus VT, whose zero point is Vega's: 3.77 kJy at VT = 0; good to 0.03 mag
POSITION_ERR_ARCSEC = 0.06  # median of the whole catalog (Hog et al. 2000); 0.007 for VT < 9
J2000_MJD = 51544.5
_ID_ORDER = 24  # pixels of 0.013 arcsec: no two of the stars share one, for the files keep 1 arcsec between them
_BYTE_ORDER = {"04:03:02:01": "<", "01:02:03:04": ">"}  # how the writer's machine stored 0x01020304
_STEPS = 2.0**31 - 0.5  # of the coordinates per unit
_NJY_ZERO_POINT_MAG = 31.4

_log = get_logger(__name__)


def build_tycho2_catalog(
    target: str | PathLike[str], folder: str | PathLike[str] = DEBIAN_FOLDER, *, overwrite: bool = False
) -> ReferenceCatalog:
    """Make a reference catalog of the Tycho-2 stars in a folder of astrometry.net index files.

    Parameters
    ----------
    target : path
        Directory to make; it appears whole or not at all.
    folder : path
        Holds ``index-tycho2-*.fits``; by default where Debian's ``astrometry-data-tycho2`` packages put them.
    overwrite : bool
        Replace an existing catalog.

    Returns
    -------
    ReferenceCatalog
        With band ``VT``.

    Raises
    ------
    InputError
        If the folder holds no such file, one is damaged, or the target exists.
    """
    return write_reference_catalog(read_tycho2(folder), target, name="tycho2", overwrite=overwrite)


def read_tycho2(folder: str | PathLike[str] = DEBIAN_FOLDER) -> Table:
    """Read the stars of all index files in a folder, each star once.

    The files hold the brightest ten stars of every cell of their own grid (cells of 22.6 arcmin for 07, the
    deepest; 1.87 of Tycho-2's 2.54 million stars), so they overlap. Their coordinates are unit vectors rounded
    to 2**-31 (0.1 mas) on one grid: the same star has the same three integers in every file.

    Parameters
    ----------
    folder : path
        Holds ``index-tycho2-*.fits``.

    Returns
    -------
    Table
        Schema ``refcat`` with band ``VT``: ICRS at epoch J2000 without proper motions, 60 mas position error,
        fluxes in nJy with AB = VT - 0.04 and no error (the files have none).

    Raises
    ------
    InputError
        If the folder holds no such file, or one is damaged.

    Notes
    -----
    Hog et al. 2000, A&A 355, L27. File layout: astrometry.net, libkd.
    """
    paths = sorted(Path(folder).glob(PATTERN)) if Path(folder).is_dir() else []
    if not paths:
        raise InputError(f"holds no {PATTERN}", source=folder, remedy=REMEDY)
    if not any("tycho2-07." in path.name for path in paths):
        _log.warning("%s: without the deepest file (package %s) many stars are missing", folder, PACKAGES[0])
    parts = [_read_file(path) for path in paths]
    grid = np.concatenate([coordinates for coordinates, _ in parts])
    mag = np.concatenate([values for _, values in parts])
    _, first = np.unique(_keys(grid), return_index=True)
    ra, dec = sky_position(grid[first] / _STEPS - 1.0)
    return _table(ra, dec, mag[first])


def _keys(grid: NDArray[np.uint32]) -> NDArray[Any]:
    """Return one sortable value per coordinate triple."""
    return np.ascontiguousarray(grid).view(np.dtype([("x", "u4"), ("y", "u4"), ("z", "u4")])).ravel()


def _table(ra: NDArray[np.float64], dec: NDArray[np.float64], mag: NDArray[np.float64]) -> Table:
    error = np.full(ra.size, POSITION_ERR_ARCSEC / 3600.0)
    values = {
        "id": pixel_of(_ID_ORDER, ra, dec),
        "ra": ra,
        "dec": dec,
        "raErr": error,
        "decErr": error,
        "epoch": np.full(ra.size, J2000_MJD),
        "VT_flux": 10.0 ** (0.4 * (_NJY_ZERO_POINT_MAG - mag - VT_AB_OFFSET)),
        "VT_fluxErr": np.full(ra.size, np.nan),
    }
    return Table("refcat", values).take(np.argsort(values["id"], kind="stable"))


def _read_file(path: Path) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return integer coordinates, shape (n, 3), and VT magnitudes of one index file."""
    try:
        with fits.open(path, memmap=True) as hdus:
            columns = {hdu.header.get("TTYPE1"): hdu for hdu in hdus[1:]}
            header = columns["kdtree_header_stars"].header
            order = _BYTE_ORDER[str(header["ENDIAN"]).strip()]
            size = int(header["KDT_NDAT"])
            if str(header["KDT_DATA"]).strip() != "u32" or int(header["KDT_NDIM"]) != 3:
                raise InputError("stars are not 32-bit unit vectors", source=path, value=header["KDT_DATA"])
            box = _raw(path, columns["kdtree_range_stars"], f"{order}f8", 7)
            grid = _raw(path, columns["kdtree_data_stars"], f"{order}u4", 3 * size).reshape(size, 3)
            mag = np.array(columns["MAG_VT"].data["MAG_VT"], np.float64)
    except OSError as error:
        raise InputError(f"cannot be read: {error}", source=path, remedy="install its package again") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"is no Tycho-2 index file: {error}", source=path, remedy=REMEDY) from None
    if mag.size != size or not np.array_equal(box, [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, _STEPS]):
        raise InputError("star coordinates or magnitudes are laid out otherwise", source=path, value=box.tolist())
    return grid.astype(np.uint32), mag


def _raw(path: Path, hdu: Any, dtype: str, count: int) -> NDArray[Any]:
    """Return the bytes of a table as numbers: the files declare them as text."""
    values = np.fromfile(path, dtype, count, offset=hdu.fileinfo()["datLoc"])
    if values.size != count:
        raise ValueError("truncated")
    return values
