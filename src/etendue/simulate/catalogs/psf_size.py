"""How large the PSF is to photometry and to astrometry."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.telescope.atmosphere import kolmogorov_transfer, moffat_transfer, von_karman_transfer
from etendue.simulate.telescope.pupil import Pupil
from etendue.simulate.telescope.spec import AirSpec, OpticsSpec, TelescopeSpec

Vector = NDArray[np.float64]

_GRID_ARCSEC = np.geomspace(0.15, 12.0, 24)
_FREQUENCIES = 160
_HIGHEST = 2.0  # in units of 1 / FWHM
_ROOT_2 = 2.0**0.5


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
    """Return the size of the PSF of air, diffraction, jitter and pixels; aberrations and vanes are left out.

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
    optics = spec.optics.model_dump_json() if spec.optics is not None else ""
    table = _table(spec.air, optics, round(wavelength_nm, 1), plate_scale)
    area, centroid = (np.exp(np.interp(np.log(seeing_arcsec), np.log(_GRID_ARCSEC), np.log(row))) for row in table)
    return PsfSize(float(area), float(centroid))


@lru_cache(maxsize=64)
def _table(air: AirSpec, optics: str, wavelength_nm: float, plate_scale: float) -> NDArray[np.float64]:
    """Return areas and centroid errors on the grid of seeing, shape (2, n)."""
    telescope = OpticsSpec.model_validate_json(optics) if optics else None
    return np.array([_size(air, telescope, float(seeing), wavelength_nm, plate_scale) for seeing in _GRID_ARCSEC]).T


def _size(
    air: AirSpec, optics: OpticsSpec | None, seeing: float, wavelength_nm: float, plate_scale: float
) -> tuple[float, float]:
    """Return area and centroid error by Parseval's theorem, on a quadrant of the frequencies."""
    k = np.linspace(0.0, _HIGHEST / seeing, _FREQUENCIES)
    kx, ky = np.meshgrid(k, k)
    along = _ROOT_2 * k
    radial = _air(air, along, seeing, wavelength_nm)
    if optics is not None:
        radial = radial * np.exp(-2.0 * (np.pi * optics.jitter_arcsec * along) ** 2)
        radial = radial * Pupil.of(optics).diffraction_transfer(along, wavelength_nm)
    transfer = np.interp(np.hypot(kx, ky), along, radial) * np.sinc(kx * plate_scale) * np.sinc(ky * plate_scale)
    power, step = transfer**2, k[1]
    power[0] *= 0.5  # trapezoids
    power[:, 0] *= 0.5
    inverse_area = 4.0 * step**2 * float(np.sum(power))
    mean_k2 = 4.0 * step**2 * float(np.sum(power * kx**2)) / inverse_area
    return 1.0 / inverse_area, 1.0 / (2.0 * np.pi * float(np.sqrt(mean_k2)))


def _air(air: AirSpec, frequency: Vector, seeing: float, wavelength_nm: float) -> Vector:
    if air.profile == "kolmogorov":
        return kolmogorov_transfer(frequency, seeing)
    if air.profile == "moffat":
        return moffat_transfer(frequency, seeing, air.moffat_beta)
    return von_karman_transfer(frequency, seeing, air.outer_scale_m, wavelength_nm)
