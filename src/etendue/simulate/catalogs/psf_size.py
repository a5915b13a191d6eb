"""How large the PSF is to photometry and to astrometry."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.telescope.atmosphere import kolmogorov_transfer, moffat_transfer, von_karman_transfer
from etendue.simulate.telescope.spec import AirSpec, TelescopeSpec

Vector = NDArray[np.float64]

_GRID_ARCSEC = np.geomspace(0.15, 12.0, 48)
_FREQUENCIES = 1500
_HIGHEST = 4.0  # in units of 1 / FWHM


@dataclass(frozen=True, slots=True)
class PsfSize:
    """Sums over a PSF that limit what can be measured in white noise.

    Parameters
    ----------
    area_arcsec2 : float
        Noise-equivalent area, 1 over the integral of the squared PSF [arcsec**2].
    centroid_arcsec : float
        Error of a position along one axis, times the signal-to-noise ratio (Cramer-Rao) [arcsec].
    """

    area_arcsec2: float
    centroid_arcsec: float

    @property
    def sigma_arcsec(self) -> float:
        """Standard deviation of the Gaussian of equal area [arcsec]."""
        return float(np.sqrt(self.area_arcsec2 / (4.0 * np.pi)))

    @property
    def fwhm_arcsec(self) -> float:
        """FWHM of that Gaussian [arcsec]."""
        return float(np.sqrt(8.0 * np.log(2.0))) * self.sigma_arcsec


def psf_size(spec: TelescopeSpec, seeing_arcsec: float, wavelength_nm: float, plate_scale: float) -> PsfSize:
    """Return the size of the PSF of air, jitter and pixels; diffraction and aberrations are left out.

    Parameters
    ----------
    spec : TelescopeSpec
        Air and optics.
    seeing_arcsec : float
        FWHM of the air's PSF [arcsec].
    wavelength_nm : float
        Wavelength [nm].
    plate_scale : float
        Side of a pixel [arcsec].

    Returns
    -------
    PsfSize
    """
    jitter = spec.optics.jitter_arcsec if spec.optics is not None else 0.0
    table = _table(spec.air, round(wavelength_nm, 1), jitter, plate_scale)
    area, centroid = (np.exp(np.interp(np.log(seeing_arcsec), np.log(_GRID_ARCSEC), np.log(row))) for row in table)
    return PsfSize(float(area), float(centroid))


@lru_cache(maxsize=64)
def _table(air: AirSpec, wavelength_nm: float, jitter_arcsec: float, plate_scale: float) -> NDArray[np.float64]:
    """Return areas and centroid errors on the grid of seeing, shape (2, n)."""
    sizes = [_size(air, float(seeing), wavelength_nm, jitter_arcsec, plate_scale) for seeing in _GRID_ARCSEC]
    return np.array(sizes).T


def _size(air: AirSpec, seeing: float, wavelength_nm: float, jitter: float, plate_scale: float) -> tuple[float, float]:
    k = np.linspace(0.0, _HIGHEST / seeing, _FREQUENCIES)
    blur2 = jitter**2 + plate_scale**2 / 12.0  # a pixel is nearly a Gaussian of its own variance
    power = (_air(air, k, seeing, wavelength_nm) * np.exp(-2.0 * np.pi**2 * blur2 * k**2)) ** 2
    inverse_area = 2.0 * np.pi * float(np.trapezoid(power * k, k))
    mean_k2 = 2.0 * np.pi * float(np.trapezoid(power * k**3, k)) / inverse_area
    return 1.0 / inverse_area, 1.0 / (2.0 * np.pi * float(np.sqrt(0.5 * mean_k2)))


def _air(air: AirSpec, frequency: Vector, seeing: float, wavelength_nm: float) -> Vector:
    if air.profile == "kolmogorov":
        return kolmogorov_transfer(frequency, seeing)
    if air.profile == "moffat":
        return moffat_transfer(frequency, seeing, air.moffat_beta)
    return von_karman_transfer(frequency, seeing, air.outer_scale_m, wavelength_nm)
