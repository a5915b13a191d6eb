"""Rows of a catalog service as our reference table, after the cuts of each catalog."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.healpix import MAX_ORDER, pixel_of
from etendue.refcat.build import epoch_as_mjd
from etendue.refcat.service import Service, ServiceBand
from etendue.table.table import Table

Columns = Mapping[str, NDArray]

_NJY_ZERO_POINT_MAG = 31.4
_MAG_PER_LN = 2.5 / np.log(10.0)
_MAX_RUWE = 1.4
_EXCESS_SIGMAS = 5.0
_PS1_GOOD, _PS1_SUSPECT = 4, 64 | 128
_PS1_STAR_PSF_MINUS_KRON = 0.05


def reference_rows(columns: Columns, service: Service) -> Table:
    """Apply a catalog's cuts and units.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        By our names, as the provider's ``columns`` map them: ``ra``, ``dec`` [deg], ``raErr``, ``decErr`` [deg],
        proper motions [mas/yr], magnitudes of the bands with ``<band>Err`` [mag] or ``<band>Snr``, and what the cuts
        need. Missing values are NaN.
    service : Service
        The catalog.

    Returns
    -------
    Table
        Schema ``refcat`` with the catalog's own bands on the AB scale. A band whose photometry a cut refuses is NaN;
        the star stays, for its position.

    Raises
    ------
    InputError
        If a needed column is missing.

    Notes
    -----
    Cuts. Gaia: without proper motion or with RUWE above 1.4 (Lindegren 2018, GAIA-C3-TN-LU-LL-124) a star has the error
    of its position raised to 0.1 arcsec; BP and RP are NaN where the corrected flux excess is off by more than 5 sigma
    (Riello et al. 2021, A&A 649, A3, table 2 and equation 18). PS1: sources of poor quality are left out; magnitudes
    of extended ones (PSF minus Kron magnitude in i above 0.05; Farrow et al. 2014, MNRAS 437, 748) and of saturated
    ones are NaN. 2MASS: bands of quality A to D only.
    """
    missing = sorted({"ra", "dec", *service.bands} - set(columns))
    if missing:
        raise InputError("the catalog's answer lacks columns", source=service.name, value=missing)
    cut = _CUTS.get(service.name)
    columns = dict(columns) if cut is None else cut(dict(columns))
    ra, dec = np.asarray(columns["ra"], float) % 360.0, np.asarray(columns["dec"], float)
    names = ("raErr", "decErr", "pmra", "pmdec", "pmraErr", "pmdecErr", "parallax", "parallaxErr")
    values = {name: np.asarray(columns[name], float) for name in names if name in columns}
    for band, spec in service.bands.items():
        values |= _fluxes(columns, band, spec)
    values |= {"ra": ra, "dec": dec, "epoch": epoch_as_mjd(columns.get("epoch"), service.epoch_year, ra.size)}
    on_sky = np.isfinite(ra) & np.isfinite(dec)
    keep = on_sky & np.asarray(columns.get("keep", on_sky), bool)
    ids = _ids(columns, service, np.where(on_sky, ra, 0.0), np.where(on_sky, dec, 0.0))
    table = Table("refcat", {"id": ids, **values}).take(np.flatnonzero(keep))
    return table.take(np.unique(table["id"], return_index=True)[1])


def _ids(columns: Columns, service: Service, ra: NDArray, dec: NDArray) -> NDArray[np.int64]:
    if service.ids == "position" or "id" not in columns:
        return pixel_of(MAX_ORDER, ra, dec)
    ids = np.asarray(columns["id"])
    if ids.dtype.kind not in "iu":
        raise InputError("ids are no whole numbers", source=service.name, value=str(ids[:1]))
    return ids.astype(np.int64)


def _fluxes(columns: Columns, band: str, spec: ServiceBand) -> dict[str, NDArray[np.float64]]:
    mag = np.asarray(columns[band], float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if f"{band}Err" in columns:
            err = np.asarray(columns[f"{band}Err"], float)
        elif f"{band}Snr" in columns:
            err = _MAG_PER_LN / np.asarray(columns[f"{band}Snr"], float)
        else:
            err = np.full(mag.size, np.nan)
        usable = (mag >= spec.brightest) & (mag < 60.0)
        flux = 10.0 ** (0.4 * (_NJY_ZERO_POINT_MAG - np.where(usable, mag, np.nan) - spec.offset))
    return {f"{band}_flux": flux, f"{band}_fluxErr": flux * np.hypot(err, spec.floor) / _MAG_PER_LN}


def _cut_gaia(columns: dict[str, NDArray]) -> dict[str, NDArray]:
    ruwe = columns.get("ruwe", np.full(columns["ra"].size, np.nan))
    poor = ~np.isfinite(columns["pmra"]) | (ruwe > _MAX_RUWE)
    for name in ("raErr", "decErr"):
        columns[name] = np.where(poor, np.fmax(columns[name], 0.1 / 3600.0), columns[name])
    if "excess" in columns:
        off = np.abs(_corrected_excess(columns["excess"], columns["BP"] - columns["RP"]))
        bad = ~(off <= _EXCESS_SIGMAS * (0.0059898 + 8.817481e-12 * np.abs(columns["G"]) ** 7.618399))
        columns |= {band: np.where(bad, np.nan, columns[band]) for band in ("BP", "RP")}
    return columns


def _corrected_excess(excess: NDArray, colour: NDArray) -> NDArray[np.float64]:
    """Return C* of Riello et al. 2021, table 2."""
    x = np.asarray(colour, float)
    blue = 1.154360 + 0.033772 * x + 0.032277 * x**2
    middle = 1.162004 + 0.011464 * x + 0.049255 * x**2 - 0.005879 * x**3
    red = 1.057572 + 0.140537 * x
    return np.asarray(excess - np.select([x < 0.5, x < 4.0], [blue, middle], red), float)


def _cut_ps1(columns: dict[str, NDArray]) -> dict[str, NDArray]:
    if "quality" in columns:
        quality = np.nan_to_num(columns["quality"]).astype(np.int64)
        columns["keep"] = ((quality & _PS1_GOOD) > 0) & ((quality & _PS1_SUSPECT) == 0)
    if "iKron" in columns:
        extended = columns["i"] - columns["iKron"] > _PS1_STAR_PSF_MINUS_KRON
        columns |= {band: np.where(extended, np.nan, columns[band]) for band in "grizy"}
    return columns


def _cut_2mass(columns: dict[str, NDArray]) -> dict[str, NDArray]:
    if "quality" in columns:
        letters = np.asarray(columns["quality"], "U3")
        codes = letters.view("U1").reshape(letters.size, 3)
        good = np.isin(codes, list("ABCD"))
        columns |= {band: np.where(good[:, k], columns[band], np.nan) for k, band in enumerate("JHK")}
    return columns


_CUTS: dict[str, Callable[[dict[str, NDArray]], dict[str, NDArray]]] = {
    "gaia": _cut_gaia,
    "ps1": _cut_ps1,
    "2mass": _cut_2mass,
}
