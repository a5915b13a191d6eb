"""What a kind of variable star is asked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One exposure of some variable stars.

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected.
    times : ndarray, float64, shape (n,)
        Mid-exposure as the Solar System's barycentre sees it for each star, TAI [day].
    exposure_time_s : float
        Exposure time [s].
    color : ndarray, float64, shape (n,)
        Magnitude of the quiet star in the band minus that in r, without dust [mag].
    """

    bandpass: Bandpass
    times: NDArray[np.float64]
    exposure_time_s: float
    color: NDArray[np.float64]
