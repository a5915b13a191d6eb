"""What a frame looks like after a calibration product has been applied to it."""

from dataclasses import asdict, dataclass
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.tasks.calib.odd_frames import cell_medians
from etendue.tasks.calib.stack import clipped_deviation

_CLIP = 4.0
_MEDIAN = 1.571  # variance of a median over that of a mean


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """One number of one frame that a product was applied to.

    Parameters
    ----------
    product : str
        Dataset type.
    what : str
        The number, with its unit.
    frame : str
        File, or the first one of a pair.
    value : float
        The number.
    amplifier : str
        Amplifier; empty for the whole detector.
    source : str
        The amplifier whose light is seen, for crosstalk.
    physical_filter : str
        Filter of a flat.
    level : float
        Signal [ADU]; NaN where it does not matter.
    """

    product: str
    what: str
    frame: str
    value: float
    amplifier: str = ""
    source: str = ""
    physical_filter: str = ""
    level: float = nan

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Residual:
    """What is left of a part of a frame that should be level.

    Parameters
    ----------
    mean : float
        Mean within four noises of the median: without cosmic rays.
    noise : float
        Standard deviation about the medians of cells of 64 pixels, within four sigma.
    structure : float
        Standard deviation of these medians beyond what noise explains.
    """

    mean: float
    noise: float
    structure: float


def residual_of(pixels: NDArray[np.float32]) -> Residual:
    """Measure what is left of an amplifier.

    Parameters
    ----------
    pixels : ndarray, float32, shape (ny, nx)
        What should be level; NaN pixels are left out.

    Returns
    -------
    Residual
        NaN where nothing is finite.
    """
    cells = cell_medians(pixels)
    rows, columns = (size // count for size, count in zip(pixels.shape, cells.shape, strict=True))
    whole = pixels[: rows * cells.shape[0], : columns * cells.shape[1]]
    detail = whole - np.repeat(np.repeat(cells, rows, axis=0), columns, axis=1)
    known = detail[np.isfinite(detail)].astype(np.float64)
    if known.size == 0:
        return Residual(nan, nan, nan)
    noise = clipped_deviation(known, clip=_CLIP)
    finite = pixels[np.isfinite(pixels)]
    near = finite[np.abs(finite - np.median(finite)) <= max(_CLIP * noise, 1e-12)]
    excess = float(np.nanvar(cells)) - _MEDIAN * noise**2 / (rows * columns)
    return Residual(float(near.mean(dtype=np.float64)) if near.size else nan, noise, sqrt(max(excess, 0.0)))
