"""Measurements of many stars on many frames, as matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.errors import AlgorithmError, InputError
from etendue.table.table import Table

Real = NDArray[np.float64]
Index = NDArray[np.int64]

N_APERTURES = 8
RADII_KEY = "aperture_radii_px"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """All measurements of one band and detector, frames in order of time.

    Parameters
    ----------
    star_id : ndarray, int64, shape (n_stars,)
        Ids.
    ra_deg, dec_deg : ndarray, float64, shape (n_stars,)
        Positions, ICRS [deg].
    band : str
        Band.
    detector : int
        Detector.
    visit : ndarray, int64, shape (n_frames,)
        Which visits.
    mjd_tai, exposure_s, airmass, fwhm : ndarray, float64, shape (n_frames,)
        Middle [d, TAI], length [s], airmass and PSF width [px] of the exposures.
    radii : ndarray, float64, shape (n_apertures,)
        Aperture radii [px].
    flux, flux_err : ndarray, float64, shape (n_apertures, n_frames, n_stars)
        Fluxes and errors [electron]; NaN where not measured.
    x, y, sky : ndarray, float64, shape (n_frames, n_stars)
        Positions [px] and sky [electron/px]; NaN where the star is not on the image.
    usable, saturated : ndarray, bool, shape (n_frames, n_stars)
        Flags; a measurement that is not there is not usable.
    n_neighbours : ndarray, float64, shape (n_stars,)
        Median number of disturbing neighbours.
    """

    star_id: Index
    ra_deg: Real
    dec_deg: Real
    band: str
    detector: int
    visit: Index
    mjd_tai: Real
    exposure_s: Real
    airmass: Real
    fwhm: Real
    radii: Real
    flux: Real
    flux_err: Real
    x: Real
    y: Real
    sky: Real
    usable: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    n_neighbours: Real

    @property
    def shape(self) -> tuple[int, int]:
        """Number of frames and of stars."""
        return self.visit.size, self.star_id.size

    def magnitudes(self, aperture: int) -> tuple[Real, Real, NDArray[np.bool_]]:
        """Return instrumental magnitudes per second of one aperture.

        Parameters
        ----------
        aperture : int
            Which.

        Returns
        -------
        mag, mag_err : ndarray, float64, shape (n_frames, n_stars)
            Zero and one where not usable.
        usable : ndarray, bool, shape (n_frames, n_stars)
            Unflagged and positive.
        """
        flux, err = self.flux[aperture], self.flux_err[aperture]
        with np.errstate(invalid="ignore"):
            usable = self.usable & (flux > 0.0) & (err > 0.0) & np.isfinite(flux + err)
        safe = np.where(usable, flux, 1.0)
        seconds = np.where(self.exposure_s > 0.0, self.exposure_s, 1.0)[:, None]
        mag = np.where(usable, -2.5 * np.log10(safe / seconds), 0.0)
        return mag, np.where(usable, 1.0857362 * err / safe, 1.0), usable


def radii_of(meta: Mapping[str, str]) -> Real:
    """Return the aperture radii that a table's metadata name.

    Parameters
    ----------
    meta : mapping of str to str
        Metadata of ``series_star`` or ``series_source``.

    Returns
    -------
    ndarray, float64, shape (n_apertures,)
        Radii [px].

    Raises
    ------
    InputError
        If there are none, or not as many as the table has columns for.
    """
    text = meta.get(RADII_KEY, "")
    radii = np.array([float(word) for word in text.split(",") if word])
    if radii.size != N_APERTURES:
        raise InputError(f"a series has {N_APERTURES} aperture radii", value=text or None)
    return radii


def assemble_series(sources: Sequence[Table], stars: Table) -> list[Series]:
    """Turn tables of images into matrices, one for each band and detector.

    Parameters
    ----------
    sources : sequence of Table
        ``series_source``, one per image; empty ones are left out.
    stars : Table
        ``series_star``.

    Returns
    -------
    list of Series
        Sorted by band and detector; stars that are on none of the images are left out.

    Raises
    ------
    AlgorithmError
        If no image has a star.
    """
    filled = [table for table in sources if len(table)]
    if not filled:
        raise AlgorithmError("no star of the series is on any image", images=len(sources))
    order = np.argsort(np.asarray(stars["isolated_star_id"]), kind="stable")
    catalog = stars.take(order)
    groups: dict[tuple[str, int], list[Table]] = {}
    for table in filled:
        groups.setdefault((str(table["band"][0]), int(table["detector"][0])), []).append(table)
    return [_of_group(groups[key], catalog, *key) for key in sorted(groups)]


def _of_group(sources: list[Table], catalog: Table, band: str, detector: int) -> Series:
    seen = np.unique(np.concatenate([np.asarray(table["isolated_star_id"]) for table in sources]))
    stars = catalog.take(np.flatnonzero(np.isin(catalog["isolated_star_id"], seen)))
    ordered = sorted(sources, key=lambda t: (float(t["midpointMjdTai"][0]), int(t["visit"][0])))
    ids = np.asarray(stars["isolated_star_id"], np.int64)
    columns = [np.searchsorted(ids, np.asarray(table["isolated_star_id"])) for table in ordered]
    shape = (len(ordered), ids.size)

    def matrix(name: str, fill: float = np.nan) -> Real:
        found = np.full(shape, fill)
        for f, (table, column) in enumerate(zip(ordered, columns, strict=True)):
            found[f, column] = table[name]
        return found

    def of_frames(name: str, dtype: type) -> NDArray:
        return np.array([table[name][0] for table in ordered], dtype)

    return Series(
        ids, np.asarray(stars["ra"], float), np.asarray(stars["dec"], float), band, detector,
        of_frames("visit", np.int64), of_frames("midpointMjdTai", np.float64), of_frames("exposureTime", np.float64),
        of_frames("airmass", np.float64), of_frames("fwhm", np.float64), radii_of(ordered[0].meta),
        np.stack([matrix(f"aperture{k}Flux") for k in range(1, N_APERTURES + 1)]),
        np.stack([matrix(f"aperture{k}FluxErr") for k in range(1, N_APERTURES + 1)]),
        matrix("x"), matrix("y"), matrix("sky"), matrix("usable", 0.0) > 0.5, matrix("saturated", 0.0) > 0.5,
        np.nanmedian(matrix("nNeighbour"), axis=0),
    )  # fmt: skip
