"""Spectra on a grid of two parameters, tabulated once per bandpass and interpolated for any number of objects."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.reddening import extinction_law

Vector = NDArray[np.float64]
Cube = NDArray[np.float64]

_SMALL_EXCESS = 0.1
_FAINTEST = 1e-12
_STRAY = 0.02  # throughput, in units of the largest, that may lie beyond the spectra


@dataclass(frozen=True, slots=True, eq=False)
class SedGrid:
    """Spectral energy distributions over two parameters, bilinear in magnitudes in between.

    Parameters
    ----------
    first, second : ndarray, float64, shape (na,), (nb,)
        Ascending nodes; outside the outermost hold. ``nb`` may be 1.
    wavelength_nm : ndarray, float64, shape (m,)
        Ascending wavelengths [nm].
    flux : ndarray, float64, shape (na, nb, m)
        Flux per wavelength, in any unit.
    reference : Bandpass
        Where every spectrum has magnitude 0.
    """

    first: Vector
    second: Vector
    wavelength_nm: Vector
    flux: Cube
    reference: Bandpass

    def photometry(
        self, bandpass: Bandpass, first: Vector, second: Vector, excess: Vector | float = 0.0
    ) -> tuple[Vector, Vector]:
        """Return magnitudes relative to the reference band, and effective wavelengths.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected.
        first, second : ndarray, float64, shape (n,)
            Parameters of the objects.
        excess : ndarray, float64, shape (n,), or float
            Colour excess E(B-V) of the Galaxy's dust [mag]. Extinction is linear in it, which is 2% off at 1 mag.

        Returns
        -------
        mag : ndarray, float64, shape (n,)
            AB magnitude in the band, dust in, minus that in the reference band, dust out.
        wavelength_nm : ndarray, float64, shape (n,)
            Mean wavelength of the photons [nm].

        Raises
        ------
        InputError
            If the bandpass reaches beyond the spectra.
        """
        table = _table(self, bandpass)
        row, part_a = _place(self.first, first)
        column, part_b = _place(self.second, second)
        step_a, step_b = int(self.first.size > 1), int(self.second.size > 1)
        values = (
            table[row, column] * ((1.0 - part_a) * (1.0 - part_b))[:, None]
            + table[row + step_a, column] * (part_a * (1.0 - part_b))[:, None]
            + table[row, column + step_b] * ((1.0 - part_a) * part_b)[:, None]
            + table[row + step_a, column + step_b] * (part_a * part_b)[:, None]
        )
        return values[:, 0] + values[:, 2] * excess, values[:, 1]


def magnitude(wavelength_nm: Vector, flux: NDArray[np.float64], bandpass: Bandpass) -> NDArray[np.float64]:
    """Return synthetic AB magnitudes of photon-counting photometry.

    Parameters
    ----------
    wavelength_nm : ndarray, float64, shape (m,)
        Ascending wavelengths [nm].
    flux : ndarray, float64, shape (..., m)
        Flux per wavelength, linear between the wavelengths and 0 outside them.
    bandpass : Bandpass
        Light that is collected.

    Returns
    -------
    ndarray, float64, shape (...)
        ``-2.5 log10(integral(flux T wave) / integral(T / wave))``: AB up to a constant common to all bands.
    """
    power = flux @ _weights(wavelength_nm, bandpass, np.ones_like)
    return -2.5 * np.log10(np.maximum(power, _FAINTEST) / bandpass.electrons_per_second(1.0))


@lru_cache(maxsize=96)
def _table(grid: SedGrid, bandpass: Bandpass) -> Cube:
    """Magnitude, wavelength and extinction per E(B-V) at the nodes, shape (na, nb, 3)."""
    wave, flux = grid.wavelength_nm, grid.flux
    lost = bandpass.throughput[(bandpass.wavelength_nm < wave[0]) | (bandpass.wavelength_nm > wave[-1])]
    if lost.size and lost.max() > _STRAY * bandpass.throughput.max():
        raise InputError(
            f"band {bandpass.name} reaches beyond the spectra",
            value=(float(bandpass.wavelength_nm[0]), float(bandpass.wavelength_nm[-1])),
            remedy=f"choose one within {wave[0]:g} and {wave[-1]:g} nm",
        )
    photons = np.maximum(flux @ _weights(wave, bandpass, np.ones_like), _FAINTEST)
    reddened = flux @ _weights(wave, bandpass, lambda at: 10.0 ** (-0.4 * _SMALL_EXCESS * extinction_law(at)))
    mean = (flux @ _weights(wave, bandpass, lambda at: at)) / photons
    color = magnitude(wave, flux, bandpass) - magnitude(wave, flux, grid.reference)
    slope = -2.5 * np.log10(np.maximum(reddened, _FAINTEST * 1e-2) / photons) / _SMALL_EXCESS
    dark = photons <= _FAINTEST
    mean[dark] = bandpass.pivot_nm
    slope[dark] = float(extinction_law(np.array([bandpass.pivot_nm]))[0])
    return np.stack([color, mean, slope], axis=-1)


def _weights(wavelength_nm: Vector, bandpass: Bandpass, factor: Callable[[Vector], Vector]) -> Vector:
    """What to multiply fluxes at the nodes with to integrate flux x throughput x wavelength x factor exactly enough."""
    start, stop = bandpass.wavelength_nm[0], bandpass.wavelength_nm[-1]
    inside = wavelength_nm[(wavelength_nm > start) & (wavelength_nm < stop)]
    fine = np.union1d(np.union1d(bandpass.wavelength_nm, inside), np.arange(start, stop, 0.5))
    fine = fine[(fine >= wavelength_nm[0]) & (fine <= wavelength_nm[-1])]
    if fine.size < 2:
        return np.zeros_like(wavelength_nm)
    value = bandpass.at(fine) * fine * factor(fine) * np.gradient(fine)
    left, part = _place(wavelength_nm, fine)
    weights = np.zeros(wavelength_nm.size)
    np.add.at(weights, left, value * (1.0 - part))
    np.add.at(weights, left + 1, value * part)
    return weights


def _place(nodes: Vector, at: Vector) -> tuple[NDArray[np.int64], Vector]:
    """Node to the left, and how far between it and the next."""
    if nodes.size == 1:
        return np.zeros(at.size, np.int64), np.zeros(at.size)
    left = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2)
    return left, np.clip((at - nodes[left]) / (nodes[left + 1] - nodes[left]), 0.0, 1.0)
