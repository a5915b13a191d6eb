"""How much the air moves a star for its colour, on one exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Refraction:
    """Differential chromatic refraction of one exposure, linear in a colour.

    Parameters
    ----------
    toward_zenith : (float, float)
        East and north of the direction to the zenith, of length ``tan z``.
    arcsec_per_mag : float
        Shift towards the zenith per magnitude of colour and unit of ``tan z`` [arcsec/mag]; negative for colours
        like g - i, which grow with the wavelength.
    reference_color : float
        Colour of a star that is not moved [mag].
    err_arcsec_per_mag : float
        Its 1-sigma error [arcsec/mag]; NaN where it was not fitted.
    """

    toward_zenith: tuple[float, float] = (0.0, 0.0)
    arcsec_per_mag: float = 0.0
    reference_color: float = 0.0
    err_arcsec_per_mag: float = float("nan")

    def shift(self, color: ArrayLike) -> NDArray[np.float64]:
        """Return where stars are seen, relative to where they are without this effect.

        Parameters
        ----------
        color : array_like, shape (n,)
            Colours minus the reference colour [mag]; NaN is not moved.

        Returns
        -------
        ndarray, float64, shape (n, 2)
            Shifts east and north [arcsec].
        """
        along = np.nan_to_num(np.asarray(color, np.float64)) * self.arcsec_per_mag
        return along[..., None] * np.array(self.toward_zenith)
