"""A catalog of sources placed on one image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.photo_calib import mag_to_njy
from etendue.simulate.drawing.sersic import bright_radius
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.draw import Drawable, add_source

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCatalog:
    """The sources of a catalog that can have light on an image, in its pixels.

    Parameters
    ----------
    catalog : InjectionCatalog
        All sources.
    row : ndarray, int64, shape (n,)
        Which of them.
    x, y : ndarray, float64, shape (n,)
        Centres, parent pixels.
    flux : ndarray, float64, shape (n,)
        All their light [image unit].
    covariance : ndarray, float64, shape (n, 2, 2)
        Of half-light ellipses [px**2].
    """

    catalog: InjectionCatalog
    row: NDArray[np.int64]
    x: Real
    y: Real
    flux: Real
    covariance: Real

    @classmethod
    def on(cls, exposure: Exposure, catalog: InjectionCatalog) -> "PlacedCatalog":
        """Place a catalog on an image.

        Parameters
        ----------
        exposure : Exposure
            With PSF, WCS and flux scale.
        catalog : InjectionCatalog
            Sources.

        Returns
        -------
        PlacedCatalog
            Of sources whose centre is on the image or within half a PSF stamp of it.

        Raises
        ------
        InputError
            If the image lacks a PSF, a WCS or a flux scale.
        """
        needed: dict[str, object] = {"PSF": exposure.psf, "WCS": exposure.wcs}
        if exposure.unit != "nJy":
            needed["flux scale"] = exposure.photo_calib
        missing = [name for name, part in needed.items() if part is None]
        if missing:
            what = " and no ".join(missing)
            raise InputError(f"the image has no {what}: nothing can be injected", remedy="calibrate it first")
        assert exposure.wcs is not None
        assert exposure.psf is not None
        x, y = exposure.wcs.sky_to_pixel(ra_deg=catalog.ra, dec_deg=catalog.dec)
        reach, box = 0.5 * exposure.psf.size, exposure.bbox
        row = np.flatnonzero(
            (x > box.x.start - reach) & (x < box.x.stop + reach) & (y > box.y.start - reach) & (y < box.y.stop + reach)
        )
        x, y = x[row], y[row]
        flux = mag_to_njy(catalog.mag[row]) / exposure.njy_per_unit(x=x, y=y)
        return cls(catalog, row, x, y, flux, _covariances(exposure, catalog, row, x, y))

    def light(self, exposure: Exposure, *, floor: float, largest_side: int) -> Real:
        """Draw all sources.

        Parameters
        ----------
        exposure : Exposure
            Whose PSF and pixels to draw with.
        floor : float
            Surface brightness to which galaxies are drawn [image unit / px].
        largest_side : int
            But not on more than this [px].

        Returns
        -------
        ndarray, float64, shape (ny, nx)
            Expected light.
        """
        assert exposure.psf is not None
        light, box = np.zeros(exposure.bbox.shape), exposure.bbox
        for k, row in enumerate(self.row):
            index = float(self.catalog.n[row])
            one = Drawable(float(self.x[k]), float(self.y[k]), float(self.flux[k]), self.covariance[k], index)
            side = min(_side(one, floor, exposure.psf.size), largest_side)
            add_source(light, one, exposure.psf, x0=box.x.start, y0=box.y.start, side=side)
        return light

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the sources and their places as columns."""
        columns: dict[str, NDArray[Any]] = {
            name: getattr(self.catalog, name)[self.row] for name in self.catalog.__slots__
        }
        return columns | {"row": self.row, "x": self.x, "y": self.y, "flux": self.flux}


def _side(one: Drawable, floor: float, psf_size: int) -> int:
    """Return the side of a stamp that holds what is brighter than the floor [px]."""
    if one.is_star:
        return psf_size
    long_axis = np.sqrt(np.linalg.eigvalsh(one.covariance)[-1])
    radius = bright_radius(np.array([one.flux]), np.array([long_axis]), np.array([one.n]), floor)[0]
    return int(2 * np.ceil(max(radius, 2.0 * long_axis)) + psf_size)


def _covariances(exposure: Exposure, catalog: InjectionCatalog, row: NDArray[np.int64], x: Real, y: Real) -> Real:
    """Return the half-light ellipses in pixels, shape (n, 2, 2)."""
    assert exposure.wcs is not None
    angle, radius, q = np.radians(catalog.position_angle[row]), catalog.half_light_radius[row], catalog.q[row]
    along = np.stack([np.sin(angle), np.cos(angle)], axis=-1)  # east, north
    across = np.stack([-np.cos(angle), np.sin(angle)], axis=-1)
    sky = (radius**2 / q)[:, None, None] * along[:, :, None] * along[:, None, :]
    sky = sky + (radius**2 * q)[:, None, None] * across[:, :, None] * across[:, None, :]
    inverse = np.linalg.inv(exposure.wcs.jacobian(x=x, y=y))  # [px / arcsec]
    pixel: Real = np.einsum("nij,njk,nlk->nil", inverse, sky, inverse)
    return pixel
