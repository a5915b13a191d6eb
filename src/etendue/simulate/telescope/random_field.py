"""Random fields of given correlation over the focal plane."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

Vector = NDArray[np.float64]
Spectrum = Callable[[Vector, float], Vector]

_CELLS = 256


@dataclass(frozen=True, slots=True, eq=False)
class RandomField:
    """Values on a periodic grid, interpolated by cubic splines.

    Parameters
    ----------
    coefficients : tuple of ndarray, float64, shape (n, n)
        Spline coefficients of each component, rows along y.
    step_deg : float
        Grid step [deg]; the middle of the grid is the optical axis.
    """

    coefficients: tuple[Vector, ...]
    step_deg: float

    def at(self, field_x: Vector, field_y: Vector) -> tuple[Vector, ...]:
        """Return the components at some places.

        Parameters
        ----------
        field_x, field_y : ndarray, float64
            Field angles [deg].

        Returns
        -------
        tuple of ndarray, float64
            One per component.
        """
        place = np.stack([field_y, field_x]) / self.step_deg + _CELLS / 2
        flat = place.reshape(2, -1)  # the interpolation takes no single numbers
        return tuple(
            map_coordinates(values, flat, order=3, mode="grid-wrap", prefilter=False).reshape(place.shape[1:])
            for values in self.coefficients
        )


def von_karman_spectrum(frequency: Vector, scale_deg: float) -> Vector:
    """Return a power spectrum ``(k**2 + scale**-2)**(-11/6)``, not normalised.

    Parameters
    ----------
    frequency : ndarray, float64
        Spatial frequencies [1/deg].
    scale_deg : float
        Outer scale [deg].

    Returns
    -------
    ndarray, float64
    """
    return np.asarray((frequency**2 + scale_deg**-2.0) ** (-11.0 / 6.0))


def gradient_field(
    rng: np.random.Generator,
    *,
    rms: float,
    scale_deg: float,
    reach_deg: float,
    anisotropy: float,
    wind_deg: float,
    spectrum: Spectrum = von_karman_spectrum,
) -> RandomField:
    """Draw a field of displacements without curl (as measured by Leget et al. 2021, A&A 650, A81).

    Parameters
    ----------
    rng : Generator
        Source of random numbers.
    rms : float
        Standard deviation per component, averaged over both, any unit.
    scale_deg : float
        Outer scale [deg].
    reach_deg : float
        Largest field angle that is asked for [deg].
    anisotropy : float
        1 minus the ratio of the correlation lengths across and along the wind.
    wind_deg : float
        Direction of the wind, from x towards y [deg].
    spectrum : callable
        Power over frequency [1/deg] and outer scale [deg], not normalised; von Karman's by default.

    Returns
    -------
    RandomField
        Two components, along x and y.
    """
    kx, ky, step = _frequencies(reach_deg, scale_deg)
    angle = np.radians(wind_deg)
    along, across = kx * np.cos(angle) + ky * np.sin(angle), ky * np.cos(angle) - kx * np.sin(angle)
    stretched = np.hypot(along, across * (1.0 - anisotropy))
    size = np.hypot(kx, ky)
    amplitude = np.sqrt(spectrum(stretched, scale_deg))
    amplitude[0, 0] = 0.0  # the mean is the pointing's
    noise = rng.standard_normal((2, _CELLS, _CELLS))
    wave = amplitude * (noise[0] + 1j * noise[1]) / np.where(size > 0.0, size, 1.0)
    parts = [np.fft.fft2(1j * k * wave).real for k in (kx, ky)]
    expected = np.sqrt(0.5 * np.sum(amplitude**2))  # of one component, over all draws
    return RandomField(tuple(spline_filter(part * (rms / expected), mode="grid-wrap") for part in parts), step)


def scalar_fields(
    rng: np.random.Generator, count: int, *, rms: float, scale_deg: float, reach_deg: float
) -> RandomField:
    """Draw independent isotropic fields with a von Karman spectrum.

    Parameters
    ----------
    rng : Generator
        Source of random numbers.
    count : int
        Number of components.
    rms : float
        Standard deviation of each, over all draws and places.
    scale_deg, reach_deg : float
        Outer scale and largest field angle [deg].

    Returns
    -------
    RandomField
    """
    kx, ky, step = _frequencies(reach_deg, scale_deg)
    amplitude = np.sqrt(von_karman_spectrum(np.hypot(kx, ky), scale_deg))
    noise = rng.standard_normal((count, 2, _CELLS, _CELLS))
    parts = [np.fft.fft2(amplitude * (a + 1j * b)).real for a, b in noise]
    expected = np.sqrt(np.sum(amplitude**2))
    return RandomField(tuple(spline_filter(part * (rms / expected), mode="grid-wrap") for part in parts), step)


def _frequencies(reach_deg: float, scale_deg: float) -> tuple[Vector, Vector, float]:
    """Return the frequencies of a grid that is wide enough not to wrap, and its step."""
    step = max(4.0 * reach_deg, 4.0 * scale_deg) / _CELLS
    k = np.fft.fftfreq(_CELLS, step)
    return *np.meshgrid(k, k), step
