"""What a CCD gives: charge before it is read out, raw frame, and the truth about both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.ccd.cosmic_rays import CosmicRays
from etendue.simulate.ccd.streams import Streams

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class CcdMasks:
    """True pixels of the trimmed frame, each of shape (ny, nx).

    Parameters
    ----------
    cosmic_ray : ndarray, bool
        Pixels with more than a stated charge from particles.
    saturated : ndarray, bool
        Pixels that were over full or took up charge that bloomed, or that clipped the converter.
    bleed : ndarray, bool
        Saturated pixels that were not over full themselves.
    defect : ndarray, bool
        Dead pixels and columns, columns that leak or hold a trap, hot pixels.
    """

    cosmic_ray: Mask
    saturated: Mask
    bleed: Mask
    defect: Mask


@dataclass(frozen=True, slots=True, eq=False)
class CcdSignals:
    """An exposure at the output amplifiers, before crosstalk, bias and noise.

    Parameters
    ----------
    signals : ndarray, float32, shape (n, my, mx)
        Each amplifier's pixels in read order, with prescan and overscan [ADU].
    masks : CcdMasks
        Truth.
    cosmic_rays : CosmicRays or None
        Particles; None if the effect is off.
    lost_electrons : float
        Charge that bloomed out of its column [e].
    streams : Streams
        The exposure's random streams.
    """

    signals: NDArray[np.float32]
    masks: CcdMasks
    cosmic_rays: CosmicRays | None
    lost_electrons: float
    streams: Streams


@dataclass(frozen=True, slots=True, eq=False)
class CcdOutput:
    """One exposure.

    Parameters
    ----------
    raw : ndarray, uint16 or int32, shape `Detector.raw_shape`
        Raw frame [ADU].
    masks : CcdMasks
        Truth about pixels.
    cosmic_rays : CosmicRays or None
        Particles; None if the effect is off.
    lost_electrons : float
        Charge that bloomed out of its column [e].
    bias_levels : ndarray, float64, shape (n,)
        Level of each amplifier in this exposure [ADU].
    """

    raw: NDArray[Any]
    masks: CcdMasks
    cosmic_rays: CosmicRays | None
    lost_electrons: float
    bias_levels: NDArray[np.float64]
