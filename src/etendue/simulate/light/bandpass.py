"""A bandpass: what share of the photons above the atmosphere would become electrons, air apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_PLANCK_J_S = 6.62607015e-34
_AB_ZERO_W_M2_HZ = 3.631e-23  # 3631 Jy
_STEP_NM = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Bandpass:
    """Filter, optics and detector together.

    Parameters
    ----------
    name : str
        Band.
    wavelength_nm : ndarray, float64, shape (n,)
        Ascending wavelengths [nm].
    throughput : ndarray, float64, shape (n,)
        Electrons per photon, 0 to 1; 0 outside the wavelengths given.
    """

    name: str
    wavelength_nm: Vector
    throughput: Vector

    def at(self, wavelength_nm: Vector) -> Vector:
        """Return the throughput at some wavelengths.

        Parameters
        ----------
        wavelength_nm : ndarray, float64, shape (m,)
            Wavelengths [nm].

        Returns
        -------
        ndarray, float64, shape (m,)
        """
        return np.interp(wavelength_nm, self.wavelength_nm, self.throughput, left=0.0, right=0.0)

    @property
    def pivot_nm(self) -> float:
        """Pivot wavelength of a photon counter (Koornneef et al. 1986) [nm]."""
        wave, through = self._resolved()
        return float(np.sqrt(np.trapezoid(through * wave, wave) / np.trapezoid(through / wave, wave)))

    def electrons_per_second(self, area_m2: float) -> float:
        """Return what a source of AB magnitude 0 yields above the atmosphere.

        Parameters
        ----------
        area_m2 : float
            Collecting area [m**2].

        Returns
        -------
        float
            ``area * integral(f_nu / (h nu) * throughput dnu)`` [1/s].
        """
        wave, through = self._resolved()
        return area_m2 * _AB_ZERO_W_M2_HZ / _PLANCK_J_S * float(np.trapezoid(through / wave, wave))

    def _resolved(self) -> tuple[Vector, Vector]:
        """Wavelengths close enough that sums over a coarse table are integrals over straight lines."""
        wave = np.union1d(self.wavelength_nm, np.arange(self.wavelength_nm[0], self.wavelength_nm[-1], _STEP_NM))
        return wave, self.at(wave)
