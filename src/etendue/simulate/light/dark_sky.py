"""How bright the moonless night sky is, in any band and at any airmass."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass

Vector = NDArray[np.float64]

# Zenith, no Moon, low solar activity: magnitudes of SMTN-002 (2021) at the pivots of ugrizy.
_PIVOT_NM = np.array([367.0, 479.5, 622.2, 754.1, 868.1, 971.3])
_SKY_MAG = np.array([23.05, 22.25, 21.20, 20.46, 19.61, 18.60])

_LAYER = 0.96  # (Earth's radius / radius of the glowing layer)**2 of the van Rhijn effect, layer at 130 km
_AIRGLOW_SHARE = 0.65  # of the zenith's light in the optical; the rest is zodiacal and galactic


def dark_sky_mag(bandpass: Bandpass, airmass: float = 1.0) -> float:
    """Return the surface brightness of the sky as seen below the air.

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected.
    airmass : float
        Airmass.

    Returns
    -------
    float
        AB magnitude [mag/arcsec**2]. The airglow brightens as the line of sight through its layer lengthens (van
        Rhijn 1921; Krisciunas & Schaefer 1991, PASP 103, 1033, eq. 2 and 3); its own extinction is in the numbers.
    """
    zenith = float(np.interp(bandpass.pivot_nm, _PIVOT_NM, _SKY_MAG))
    sin2 = 1.0 - 1.0 / airmass**2
    glow = 1.0 / np.sqrt(1.0 - _LAYER * sin2)
    return zenith - 2.5 * float(np.log10(1.0 - _AIRGLOW_SHARE + _AIRGLOW_SHARE * glow))
