"""How much brighter the moon makes the sky."""

import numpy as np

from etendue.simulate.light.bandpass import Bandpass

_V_NM = 550.0
_BLUE_SLOPE = 1.6  # scattered moonlight over the sun's spectrum: between Rayleigh's 4 and aerosol's 1, less its colour


def moonlight_mag(
    bandpass: Bandpass, *, separation_deg: float, phase_deg: float, moon_zenith_deg: float, zenith_deg: float,
    extinction_mag: float,
) -> float:  # fmt: skip
    """Return the surface brightness of scattered moonlight (Krisciunas & Schaefer 1991, PASP 103, 1033).

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected; the model is for V and carried over by a power law of the wavelength.
    separation_deg : float
        Distance of the moon [deg].
    phase_deg : float
        Phase angle, 0 for full moon [deg].
    moon_zenith_deg, zenith_deg : float
        Zenith distances of moon and telescope [deg].
    extinction_mag : float
        Extinction in the band per airmass [mag].

    Returns
    -------
    float
        [mag/arcsec**2]; infinite where the moon is below the horizon.
    """
    if moon_zenith_deg >= 90.0:
        return float("inf")
    intensity = 10.0 ** (-0.4 * (3.84 + 0.026 * abs(phase_deg) + 4e-9 * phase_deg**4))
    cosine = np.cos(np.radians(separation_deg))
    scatter = 10.0**5.36 * (1.06 + cosine**2)
    scatter += 10.0 ** (6.15 - separation_deg / 40.0) if separation_deg >= 10.0 else 6.2e7 / separation_deg**2
    through_moon = 10.0 ** (-0.4 * extinction_mag * _optical_path(moon_zenith_deg))
    along_sight = 1.0 - 10.0 ** (-0.4 * extinction_mag * _optical_path(zenith_deg))
    nanolambert = scatter * intensity * through_moon * along_sight * (_V_NM / bandpass.pivot_nm) ** _BLUE_SLOPE
    return float((20.7233 - np.log(max(nanolambert, 1e-12) / 34.08)) / 0.92104)


def _optical_path(zenith_deg: float) -> float:
    return float((1.0 - 0.96 * np.sin(np.radians(zenith_deg)) ** 2) ** -0.5)
