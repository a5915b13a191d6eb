"""What a shutter adds to the exposure time of each pixel."""

import numpy as np
from numpy.typing import NDArray

from etendue.image.exposure import Exposure


def shutter_factor(shutter: Exposure, exposure_time_s: float) -> NDArray[np.float32]:
    """Return the true exposure time of each pixel over the nominal one.

    Light [e], less dark current, is divided by it: the charge of a pixel that was open for longer becomes that of the
    nominal time.

    Parameters
    ----------
    shutter : Exposure
        Time that a pixel is open beyond the nominal one [s]; NaN counts as 0.
    exposure_time_s : float
        Nominal exposure time, positive [s].

    Returns
    -------
    ndarray, float32, shape of ``shutter.bbox``
        ``1 + shutter / exposure_time_s``; NaN where a pixel was not open at all, and everywhere if the exposure lasts
        no time.
    """
    if not exposure_time_s > 0.0:
        return np.full(shutter.bbox.shape, np.nan, np.float32)
    factor = 1.0 + np.nan_to_num(shutter.image.array) * np.float32(1.0 / exposure_time_s)
    return np.where(factor > 0.0, factor, np.float32(np.nan)).astype(np.float32)
