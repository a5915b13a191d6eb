"""Draw stars and galaxies with the PSF of an image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.image.psf import Psf, oversampled
from etendue.kernels.light_spectra import EXPONENTIAL
from etendue.simulate.drawing.sersic import OCTAVES, PER_OCTAVE, STEEPNESS, rows, table

Real = NDArray[np.float64]

_FINE = 3  # samples of the PSF per pixel, odd


@dataclass(frozen=True, slots=True, eq=False)
class Drawable:
    """One source in the pixels of an image.

    Parameters
    ----------
    x, y : float
        Centre, parent pixels.
    flux : float
        All its light [image unit].
    covariance : ndarray, float64, shape (2, 2)
        Of its half-light ellipse: semi-axes squared and turned [px**2]; zeros for a star.
    n : float
        Sersic index.
    """

    x: float
    y: float
    flux: float
    covariance: Real
    n: float = 1.0

    @property
    def is_star(self) -> bool:
        """Whether it is a point."""
        return not self.covariance.any()


def add_source(image: Real, source: Drawable, psf: Psf, *, x0: int, y0: int, side: int) -> None:
    """Add the expected light of one source to an image in place.

    Galaxies are drawn in Fourier space: the PSF sampled finer than the pixels, whose response it holds, times the exact
    transform of the Sersic profile.

    Parameters
    ----------
    image : ndarray, float64, shape (ny, nx)
        Changed in place.
    source : Drawable
        What to add.
    psf : Psf
        Of the image.
    x0, y0 : int
        Parent coordinates of the image's first pixel.
    side : int
        Side of the stamp of a galaxy [px]; light beyond is left out.
    """
    if source.is_star:
        drawn = psf.draw(x=source.x, y=source.y)
        _add(image, source.flux * drawn.value[0], int(drawn.x0[0]) - x0, int(drawn.y0[0]) - y0)
        return
    column, row = int(np.rint(source.x)), int(np.rint(source.y))
    side += 1 - side % 2
    spectrum = _psf_spectrum(psf, column, row, side)
    step = 2.0 * np.pi * np.fft.fftfreq(side * _FINE, 1.0 / _FINE)
    ky, kx = step[:, None], step[None, : side * _FINE // 2 + 1]
    c = source.covariance
    kappa2 = c[0, 0] * kx * kx + 2.0 * c[0, 1] * kx * ky + c[1, 1] * ky * ky
    phase = np.exp(-1j * (kx * (source.x - column) + ky * (source.y - row)))
    fine = np.fft.irfft2(spectrum * sersic_transform(source.n, kappa2) * phase, s=(side * _FINE, side * _FINE))
    stamp = np.fft.fftshift(fine)[(side * _FINE // 2) % _FINE :: _FINE, (side * _FINE // 2) % _FINE :: _FINE]
    _add(image, source.flux * stamp, column - side // 2 - x0, row - side // 2 - y0)


def sersic_transform(n: float, kappa2: Real) -> Real:
    """Return the Fourier transform of a Sersic profile of unit flux.

    Parameters
    ----------
    n : float
        Sersic index, 0.5 to 6.
    kappa2 : ndarray, float64
        Squared wavenumber times half-light radius.

    Returns
    -------
    ndarray, float64
        In the shape of ``kappa2``.
    """
    first, weight = rows(np.array([n]))
    if first[0] == EXPONENTIAL:
        exponential: Real = (1.0 + float(weight[0, 0]) * kappa2) ** -1.5
        return exponential
    profile = weight[0].astype(np.float64) @ table()[first[0] : first[0] + 4].astype(np.float64)
    mantissa, exponent = np.frexp(1.0 + STEEPNESS * kappa2)  # mantissa 0.5 to 1
    place = (exponent - 1) * PER_OCTAVE + (2.0 * mantissa - 1.0) * PER_OCTAVE
    looked_up: Real = np.interp(place, np.arange(OCTAVES * PER_OCTAVE + 1), profile)
    return looked_up


def _psf_spectrum(psf: Psf, column: int, row: int, side: int) -> NDArray[np.complex128]:
    """Return the transform of the PSF at a pixel, sampled finer than the pixels, centred, of unit flux over a pixel."""
    size, fine = psf.size, oversampled(psf, x=column, y=row, samples=_FINE)
    padded = np.zeros((side * _FINE, side * _FINE))
    cut = max(0, (size - side) * _FINE // 2)
    fine = fine[cut : fine.shape[0] - cut, cut : fine.shape[1] - cut]
    middle, half = side * _FINE // 2, fine.shape[0] // 2
    padded[middle - half : middle + half + 1, middle - half : middle + half + 1] = fine
    return np.fft.rfft2(np.fft.ifftshift(padded))


def _add(image: Real, stamp: Real, left: int, low: int) -> None:
    """Add a stamp, cut at the image's edges."""
    ny, nx = image.shape
    rows_ = slice(max(0, low), min(ny, low + stamp.shape[0]))
    columns = slice(max(0, left), min(nx, left + stamp.shape[1]))
    if rows_.start < rows_.stop and columns.start < columns.stop:
        image[rows_, columns] += stamp[rows_.start - low : rows_.stop - low, columns.start - left : columns.stop - left]
