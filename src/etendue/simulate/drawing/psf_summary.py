"""The PSF in the middle of a detector, in a few numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, zoom

from etendue.simulate.drawing.psf_tables import PsfTables
from etendue.simulate.telescope.chip_psf import ChipPsf

_ZOOM = 4
_CUT = 1.5  # half the width of what is looked at, in units of the width


@dataclass(frozen=True, slots=True)
class PsfSummary:
    """A PSF with pixels.

    Parameters
    ----------
    fwhm_px : float
        Diameter of the circle whose area is that above half of the peak [px].
    ixx, iyy, ixy : float
        Adaptive second moments [px**2]; NaN where there are none, as for wide donuts.
    area_px : float
        ``1 / integral(psf**2)`` [px**2].
    """

    fwhm_px: float
    ixx: float
    iyy: float
    ixy: float
    area_px: float

    @property
    def sigma_px(self) -> float:
        """Fourth root of the determinant of the moments [px]."""
        return float((self.ixx * self.iyy - self.ixy**2) ** 0.25)

    @property
    def e1(self) -> float:
        """Ellipticity along the rows, ``(Ixx - Iyy) / (Ixx + Iyy)``."""
        return (self.ixx - self.iyy) / (self.ixx + self.iyy)

    @property
    def e2(self) -> float:
        """Ellipticity along the diagonal, ``2 Ixy / (Ixx + Iyy)``."""
        return 2.0 * self.ixy / (self.ixx + self.iyy)


def summarize_psf(psf: ChipPsf, *, x: float, y: float) -> PsfSummary:
    """Measure the PSF at one place.

    Parameters
    ----------
    psf : ChipPsf
        PSF of the detector.
    x, y : float
        Trimmed pixel.

    Returns
    -------
    PsfSummary
        Of a source of the images' wavelength.
    """
    wave = np.array([psf.reference_nm])
    tables = PsfTables(psf, wave)
    mix = tables.mix(np.array([x]), np.array([y]), wave)
    keys, place = np.unique(mix.key, return_inverse=True)
    weight = mix.weight.ravel()
    ixx, iyy, ixy, area = tables.moments(keys)[:, place.ravel()] @ weight
    images = psf.images.reshape(-1, *psf.images.shape[2:])[mix.key.ravel() % tables.nodes]
    with_pixel = uniform_filter(np.einsum("k,kij->ij", weight, images), psf.oversampling)
    fwhm = _fwhm_samples(with_pixel) / psf.oversampling
    return PsfSummary(float(fwhm), float(ixx), float(iyy), float(ixy), float(area))


def _fwhm_samples(image: NDArray[np.float32]) -> float:
    """Return the width of an image that is above half of its peak [samples], on a grid four times finer."""
    middle = image.shape[0] // 2
    rows, columns = np.nonzero(image > 0.5 * image.max())
    wide = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
    half = int(min(middle, np.ceil(_CUT * wide)))
    cut = image[middle - half : middle + half + 1, middle - half : middle + half + 1].astype(np.float64)
    fine = zoom(cut, _ZOOM, order=3, grid_mode=True, mode="nearest")
    return float(2.0 * np.sqrt(np.sum(fine > 0.5 * fine.max()) / np.pi) / _ZOOM)
