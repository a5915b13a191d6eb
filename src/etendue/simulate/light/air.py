"""What the air above a telescope lets through: Rayleigh scattering, aerosol, ozone, oxygen and water."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.simulate.light.bandpass import Bandpass

Vector = NDArray[np.float64]

# Bands of oxygen and water: centre [nm], width (sigma) [nm], depth at zenith for 4 mm of water. Coarse: one Gaussian
# per band, as deep as the extinction in LSST bands asks for (SMTN-002).
_OXYGEN = ((687.5, 1.5, 0.35), (761.0, 1.4, 0.95))
_WATER = ((722.0, 6.0, 0.07), (823.0, 7.0, 0.06), (905.0, 8.0, 0.06), (940.0, 14.0, 0.40), (1130.0, 20.0, 0.60))
_WATER_MM = 4.0


class Air(BaseModel):
    """The clear air above one telescope; the defaults are a photometric night on Cerro Pachon."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    pressure_hpa: float = Field(743.0, gt=0.0, le=1100.0)
    """Pressure at the telescope [hPa]; sets Rayleigh scattering and oxygen."""

    aerosol_depth: float = Field(0.05, ge=0.0)
    """Optical depth of the aerosol at 500 nm and the zenith."""

    aerosol_slope: float = 1.3
    """Angstrom exponent: the aerosol's depth goes as wavelength to minus this."""

    ozone_du: float = Field(270.0, ge=0.0)
    """Ozone column [Dobson units]."""

    water_mm: float = Field(4.0, ge=0.0)
    """Precipitable water at the zenith [mm]."""

    by_colour: bool = False
    """Whether the air dims sources by their colour, as it does: bluer ones more. Otherwise all lose what a source of
    constant f_nu loses, so that magnitudes outside the air calibrate frames exactly."""

    def transmission(self, wavelength_nm: Vector, airmass: float) -> Vector:
        """Return the share of light that reaches the telescope.

        Parameters
        ----------
        wavelength_nm : ndarray, float64, shape (n,)
            Wavelengths [nm].
        airmass : float
            Airmass, 1 at the zenith.

        Returns
        -------
        ndarray, float64, shape (n,)
            0 to 1.
        """
        depth = self._rayleigh(wavelength_nm) + self._ozone(wavelength_nm)
        depth += self.aerosol_depth * (wavelength_nm / 500.0) ** -self.aerosol_slope
        lines = sum(
            -np.log1p(-part * np.exp(-0.5 * ((wavelength_nm - centre) / width) ** 2)) for centre, width, part in _OXYGEN
        ) * np.sqrt(self.pressure_hpa / 743.0)
        lines = lines + sum(
            -np.log1p(-part * np.exp(-0.5 * ((wavelength_nm - centre) / width) ** 2)) for centre, width, part in _WATER
        ) * np.sqrt(self.water_mm / _WATER_MM)
        # Saturated lines grow as the square root of the column.
        return np.exp(-depth * airmass - lines * np.sqrt(airmass))

    def below(self, bandpass: Bandpass, airmass: float) -> Bandpass:
        """Return a bandpass with the air in it.

        Parameters
        ----------
        bandpass : Bandpass
            Filter, optics and detector.
        airmass : float
            Airmass.

        Returns
        -------
        Bandpass
            Electrons per photon above the atmosphere.
        """
        wave = _fine(bandpass)
        return Bandpass(bandpass.name, wave, bandpass.at(wave) * self.transmission(wave, airmass))

    def extinction(self, bandpass: Bandpass, airmass: float) -> float:
        """Return how much fainter the air makes a source of constant f_nu.

        Parameters
        ----------
        bandpass : Bandpass
            Filter, optics and detector.
        airmass : float
            Airmass.

        Returns
        -------
        float
            Extinction [mag]; the extinction per airmass is the difference of two.
        """
        below = self.below(bandpass, airmass).electrons_per_second(1.0)
        return -2.5 * float(np.log10(below / bandpass.electrons_per_second(1.0)))

    def colour_slope(self, bandpass: Bandpass, airmass: float) -> tuple[float, float]:
        """Return how the extinction changes with the effective wavelength of a source within a band.

        Parameters
        ----------
        bandpass : Bandpass
            Filter, optics and detector.
        airmass : float
            Airmass.

        Returns
        -------
        slope : float
            Change of the extinction with wavelength, negative in the blue [mag/nm].
        reference_nm : float
            Mean wavelength of the photons of a source of constant f_nu, whose extinction `extinction` gives [nm].
        """
        wave = _fine(bandpass)
        photons = bandpass.at(wave) / wave  # of constant f_nu
        left = photons * self.transmission(wave, airmass)
        total, passed = np.trapezoid(photons, wave), np.trapezoid(left, wave)
        mean = float(np.trapezoid(photons * wave, wave) / total)
        spread = np.trapezoid(photons * (wave - mean) ** 2, wave) / total
        tilt = np.trapezoid(left * (wave - mean), wave) / passed / spread  # relative change of what is left
        return float(-2.5 / np.log(10.0) * tilt), mean

    def zero_point(self, bandpass: Bandpass, airmass: float, area_m2: float) -> float:
        """Return the AB magnitude above the air of a source that yields one electron per second.

        Parameters
        ----------
        bandpass : Bandpass
            Filter, optics and detector.
        airmass : float
            Airmass.
        area_m2 : float
            Collecting area [m**2].

        Returns
        -------
        float
            Magnitude [AB].
        """
        return 2.5 * float(np.log10(self.below(bandpass, airmass).electrons_per_second(area_m2)))

    def _rayleigh(self, wavelength_nm: Vector) -> Vector:
        """Hansen & Travis (1974, Space Sci. Rev. 16, 527), eq. 2.30."""
        inverse = (wavelength_nm / 1e3) ** -2
        return 0.008569 * inverse**2 * (1.0 + 0.0113 * inverse + 0.00013 * inverse**2) * self.pressure_hpa / 1013.25

    def _ozone(self, wavelength_nm: Vector) -> Vector:
        """Chappuis band as two Gaussians (peak depth 0.040 for 300 DU at 602 nm), Huggins band as an exponential."""
        chappuis = 0.028 * np.exp(-0.5 * ((wavelength_nm - 605.0) / 24.0) ** 2)
        chappuis += 0.014 * np.exp(-0.5 * ((wavelength_nm - 585.0) / 60.0) ** 2)
        huggins = 0.30 * np.exp(-(np.maximum(wavelength_nm, 295.0) - 318.0) / 6.0)
        return (chappuis + huggins) * self.ozone_du / 300.0


def _fine(bandpass: Bandpass) -> Vector:
    """Wavelengths that resolve both the bandpass and the air's bands."""
    wave = bandpass.wavelength_nm
    return np.union1d(wave, np.arange(np.ceil(wave[0]), wave[-1], 0.5))
