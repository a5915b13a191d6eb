"""The whole map of the sky onto a detector: optics and pointing, and what the air displaced."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.simulate.telescope.random_field import RandomField
from etendue.simulate.telescope.true_wcs import TrueWcs

Vector = NDArray[np.float64]

_ROUNDS = 4  # displacements change by 1e-5 of a pixel per pixel: each round gains as much
_ARCSEC_PER_DEG = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameWcs:
    """Where a source of the band's pivot wavelength is seen, one detector of one exposure.

    Parameters
    ----------
    optics : TrueWcs
        Pointing, rotation, scale, distortion, place of the detector.
    air : RandomField or None
        Displacements by turbulence along the focal plane's axes [arcsec]; None for none.
    """

    optics: TrueWcs
    air: RandomField | None = None

    def air_shift(self, *, field_x: Vector, field_y: Vector) -> tuple[Vector, Vector]:
        """Return displacements by the air.

        Parameters
        ----------
        field_x, field_y : ndarray, float64, shape (n,)
            Nominal field angles [deg].

        Returns
        -------
        dx, dy : ndarray, float64, shape (n,)
            Along rows and columns [px].
        """
        if self.air is None:
            return np.zeros_like(field_x), np.zeros_like(field_x)
        place = self.optics.place
        along_x, along_y = (value / (_ARCSEC_PER_DEG * place.deg_per_px) for value in self.air.at(field_x, field_y))
        cosine, sine = np.cos(np.radians(place.turn_deg)), np.sin(np.radians(place.turn_deg))
        return cosine * along_x + sine * along_y, cosine * along_y - sine * along_x

    def sky_to_pixel(self, *, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Vector, Vector]:
        """Return trimmed pixels.

        Parameters
        ----------
        ra_deg, dec_deg : array_like
            Directions, as in the truth's ``sources`` [deg].

        Returns
        -------
        x, y : ndarray, float64
            Pixels; NaN on the far side of the sky.
        """
        fx, fy = np.broadcast_arrays(*self.optics.sky_to_field(ra_deg=ra_deg, dec_deg=dec_deg))
        x, y = self.optics.place.to_pixel(field_x=fx, field_y=fy)
        dx, dy = self.air_shift(field_x=fx, field_y=fy)
        return x + dx, y + dy

    def pixel_to_sky(self, *, x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
        """Return directions of trimmed pixels.

        Parameters
        ----------
        x, y : array_like
            Pixels.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64
            Directions [deg].
        """
        wanted_x, wanted_y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        still_x, still_y = wanted_x, wanted_y
        for _ in range(_ROUNDS if self.air is not None else 0):
            fx, fy = self.optics.place.to_field(x=still_x, y=still_y)
            dx, dy = self.air_shift(field_x=fx, field_y=fy)
            still_x, still_y = wanted_x - dx, wanted_y - dy
        return self.optics.pixel_to_sky(x=still_x, y=still_y)
