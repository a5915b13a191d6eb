"""The reference stars of one piece of sky, in columns ready for calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.refcat.catalog import at_epoch
from etendue.table.table import Table

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceSample:
    """Reference positions and fluxes, parallel arrays of shape (n,).

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64
        Positions [deg]; NaN where a row stands for no star.
    err_arcsec : ndarray, float64
        Error per axis [arcsec].
    fluxes : mapping of str to (ndarray, ndarray)
        Flux and error by band [nJy].
    """

    ra_deg: Vector
    dec_deg: Vector
    err_arcsec: Vector
    fluxes: Mapping[str, tuple[Vector, Vector]]

    @classmethod
    def from_shards(cls, shards: Sequence[Table], *, epoch_mjd: float | None = None) -> "ReferenceSample":
        """Join shards, whose margins overlap, and move the stars to an epoch.

        Parameters
        ----------
        shards : sequence of Table
            ``refcat`` tables, at least one; a star may be in several.
        epoch_mjd : float, optional
            Epoch [MJD]; the catalog's own by default.

        Returns
        -------
        ReferenceSample
            Every star once, in order of id.
        """
        table = Table.concat(shards)
        _, first = np.unique(np.asarray(table["id"]), return_index=True)
        table = table.take(first)
        if epoch_mjd is not None:
            table = at_epoch(table, epoch_mjd)
        err = np.sqrt(0.5 * (np.asarray(table["raErr"], float) ** 2 + np.asarray(table["decErr"], float) ** 2))
        fluxes = {
            band: (np.asarray(table[f"{band}_flux"], float), np.asarray(table[f"{band}_fluxErr"], float))
            for band in table.bands
        }
        return cls(np.asarray(table["ra"], float), np.asarray(table["dec"], float), np.nan_to_num(err) * 3600.0, fluxes)

    def __len__(self) -> int:
        return int(self.ra_deg.size)

    def flux_in(self, band: str) -> tuple[Vector, Vector] | None:
        """Return flux and error in a band [nJy]; None if the catalog does not have it."""
        return self.fluxes.get(band)

    def color(self, name: str) -> Vector | None:
        """Return a colour of the stars.

        Parameters
        ----------
        name : str
            Two bands, such as ``g-i``.

        Returns
        -------
        ndarray, float64, shape (n,), or None
            Colours [mag], NaN where a flux is not positive; None if the catalog lacks a band.
        """
        first, _, second = name.partition("-")
        fluxes = self.flux_in(first), self.flux_in(second)
        if fluxes[0] is None or fluxes[1] is None:
            return None
        blue, red = (np.where(flux[0] > 0.0, flux[0], np.nan) for flux in fluxes if flux is not None)
        return np.asarray(-2.5 * np.log10(blue / red))

    def near(self, wcs: SkyWcs, bbox: Box, *, margin_px: float) -> "ReferenceSample":
        """Return the stars on a detector, with a margin for pointing errors.

        Parameters
        ----------
        wcs : SkyWcs
            Approximate WCS.
        bbox : Box
            Pixels of the detector.
        margin_px : float
            Width of the margin [px].

        Returns
        -------
        ReferenceSample
        """
        x, y = wcs.sky_to_pixel(ra_deg=self.ra_deg, dec_deg=self.dec_deg)
        return self.at(np.flatnonzero(bbox.dilated(int(np.ceil(margin_px))).contains(x=x, y=y)))

    def at(self, rows: NDArray[np.integer]) -> "ReferenceSample":
        """Return some rows; a negative row stands for no star and gives NaN.

        Parameters
        ----------
        rows : ndarray, int, shape (m,)
            Row numbers.

        Returns
        -------
        ReferenceSample
        """
        missing = rows < 0

        def chosen(values: Vector) -> Vector:
            return np.where(missing, np.nan, values[np.maximum(rows, 0)]) if values.size else np.full(rows.size, np.nan)

        fluxes = {band: (chosen(flux), chosen(err)) for band, (flux, err) in self.fluxes.items()}
        return replace(
            self,
            ra_deg=chosen(self.ra_deg),
            dec_deg=chosen(self.dec_deg),
            err_arcsec=chosen(self.err_arcsec),
            fluxes=fluxes,
        )
